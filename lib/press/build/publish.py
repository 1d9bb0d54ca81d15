"""The site: built whole and afresh beside the last good book, looked at, and put in its place."""

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys

import nbformat

from press import ROOT, ledger
from press.build import audit
from press.build.chapters import BUILD, Chapter, find, is_part_of_book
from press.build.execute import jobs, lock, refuse, run, tell
from press.build.faults import call_faults, ledger_faults, notation_faults
from press.build.seeds import recorded
from press.build.staleness import is_current
from press.claims import Record
from press.site import cards

HTML, NEXT, PREVIOUS = BUILD / "html", BUILD / "next", BUILD / "previous"
CLASSES = (1, 2, 5, 10, 20, 40, 60, 100, 200, 400, 600, 1000, 2000, 4000)  # seconds
KEPT = "_build/html is still the last good book"


def build() -> None:
    """Execute what is stale and publish the book; a SystemExit says why where the last good book stays."""
    refuse(call_faults(find()) + ledger_faults(find()) + notation_faults())
    with lock():
        if not HTML.exists() and PREVIOUS.exists():
            PREVIOUS.rename(HTML)  # an earlier build was ended between its two renames
        if not tell(run(jobs([chapter for chapter in find() if not is_current(chapter)]))):
            raise SystemExit(f"\nnot published: chapters failed; {KEPT}")
        made_from, record = inputs(), HTML / ".made-from"
        if record.exists() and record.read_text() == made_from:
            print("nothing changed")
        else:
            publish(made_from)
    print(f"open {(HTML / 'index.html').as_uri()}")


def published(chapter: Chapter) -> nbformat.NotebookNode:
    """The chapter as readers get it: the text as it is now, the outputs of its last good run, cards as they look now.

    The run must be current; then its cells are those of the text, in order.
    """
    notebook, executed = chapter.notebook(), chapter.executed()
    claims, seeds = ledger.claims(), recorded(chapter)
    ran = (cell for cell in executed["cells"] if cell["cell_type"] == "code")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kept = nbformat.from_dict(next(ran))
            cell.outputs, cell.execution_count = kept.outputs, kept.execution_count
            for output in cell.outputs:
                if "claim" in output.get("metadata", {}):
                    record = Record(**output.metadata.claim)
                    shown = claims.get(record.id), record, seeds.get(record.id)
                    output.data |= {"text/html": cards.html(*shown), "text/plain": cards.plain(*shown)}
    notebook.metadata["language_info"] = executed["metadata"].get("language_info", {})
    notebook.metadata["press"] = {name: chapter.kept()[name] for name in ("hash", "versions")}
    return notebook


def about(seconds: float) -> str:
    """The time of a run in words so coarse that another run of the same chapter seldom changes them."""
    return f"about {min(CLASSES, key=lambda known: abs(math.log(known / max(seconds, 0.1))))} s"


def inputs() -> str:
    """The hash of all that the site is made from: files, executed notebooks, versions, the repository."""
    files = [ROOT / "_config.yml", ROOT / "_toc.yml", *(ROOT / "book").rglob("*"), *(ROOT / "lib").rglob("*")]
    parts = {
        str(f.relative_to(ROOT)): hashlib.sha256(f.read_bytes()).hexdigest() for f in filter(is_part_of_book, files)
    }
    for chapter in find():
        kept = chapter.kept()
        ran = [chapter.executed()["cells"], kept | {"seconds": about(kept["seconds"])}]
        parts[f"executed {chapter.name}"] = hashlib.sha256(json.dumps(ran).encode()).hexdigest()
    parts["python"] = platform.python_version()
    parts |= {f"installed {known.name}": known.version for known in importlib.metadata.distributions()}
    parts["repository"] = os.environ.get("GITHUB_REPOSITORY", "")
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def publish(made_from: str) -> None:
    """Build the whole site afresh, look at it, and put it in the place of the last one."""
    shutil.rmtree(NEXT, ignore_errors=True)
    start = "import press.build; from jupyter_book.cli.main import main; main()"
    options = ["-W", "-n", "--keep-going", "--path-output", str(NEXT)]
    command = [sys.executable, "-c", start, "build", *options, str(ROOT)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if told.returncode:
        lines = re.sub(r"\x1b\[[\d;]*m", "", told.stdout + told.stderr).splitlines()  # no colours
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        refuse([*telling, f"not published: the pages have warnings; {KEPT}"])
    site = NEXT / "_build" / "html"
    faults, counts = audit.audit(site)
    if faults:
        refuse([*faults, f"not published: the pages have faults; {KEPT}"])
    print("the book holds " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    (site / ".made-from").write_text(made_from)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    if HTML.exists():
        HTML.rename(PREVIOUS)
    os.replace(site, HTML)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    shutil.rmtree(NEXT)
