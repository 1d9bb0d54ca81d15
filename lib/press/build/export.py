"""The executed notebooks with all that they need to run elsewhere.

The folder is the root of a branch that Binder builds (environment.yml) and Colab opens: there a first cell fetches the
library. The repository is the one that GitHub Actions names in GITHUB_REPOSITORY.
"""

import os
import shutil
from pathlib import Path

import nbformat

from press import ROOT
from press.build.chapters import find
from press.build.prose import write_out
from press.build.publish import published
from press.build.staleness import is_current

BRANCH = "executed"
BOOK = ("book/claims.toml", "book/records")
NEEDED = ("lib", *BOOK, "pyproject.toml", "constraints.txt", "environment.yml", "README.md", "LICENSE")
COLAB = """\
import sys

if "google.colab" in sys.modules:  # fetch the book's library; elsewhere it is installed
    !git clone --quiet --depth 1 --branch {branch} https://github.com/{repository} /content/book
    %pip install --quiet myst-nb
    sys.path.insert(0, "/content/book/lib")"""


def buttons(repository: str, name: str) -> dict[str, str]:
    """Where a chapter's notebook opens and runs, by the name of the service."""
    return {
        "Binder": f"https://mybinder.org/v2/gh/{repository}/{BRANCH}?labpath={name}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}/{name}.ipynb",
    }


def export(folder: Path) -> None:
    """Write the branch into `folder`, which must not exist. Refuses a chapter that is not current."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if not repository:
        raise SystemExit("press: export wants to know the repository: set GITHUB_REPOSITORY=owner/name")
    if folder.exists():
        raise SystemExit(f"press: {folder} exists already")
    if stale := [chapter.name for chapter in find() if not is_current(chapter)]:
        raise SystemExit(f"press: not current: {', '.join(stale)}; run `python -m press build`")
    for part in NEEDED:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(source, target)
    for chapter in find():
        notebook = published(chapter)
        write_out(notebook)
        cell = nbformat.v4.new_code_cell(COLAB.format(branch=BRANCH, repository=repository), id="colab")
        notebook.cells.insert(0, cell)
        target = folder / f"{chapter.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
