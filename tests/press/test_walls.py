"""The walls of the house, and its budgets: raising one is a decision, and CONTRIBUTING names it."""

import ast
import re

import pytest

from press import ROOT

PRESS = sorted((ROOT / "lib/press").rglob("*.py"))
BILINEAR = sorted((ROOT / "lib/bilinear").rglob("*.py"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BUDGETS = {  # lines of lib/press
    kind: int(re.search(rf"^\| lines of {name} in `press` \| ([\d,]+) \|$", CONTRIBUTING, re.M)[1].replace(",", ""))
    for kind, name in {"py": "Python", "js": "JavaScript"}.items()
}


def imported(files) -> set[str]:
    """The packages that the files import, wherever in them."""
    found = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("kind", BUDGETS)
def test_press_stays_small(kind):
    lines = [line for file in (ROOT / "lib/press").rglob(f"*.{kind}") for line in file.read_text().splitlines()]
    assert len(lines) <= BUDGETS[kind]
    assert kind != "py" or len(lines) > 1_000, "the count counts"


def test_press_knows_nothing_of_attention():
    files = [file for file in (ROOT / "lib/press").rglob("*") if file.is_file() and file.suffix != ".pyc"]
    words = re.compile(r"teacher|attention|S_star|bilinear", re.IGNORECASE)
    assert len(files) > 20
    assert [file.name for file in files if words.search(file.read_text(encoding="utf-8"))] == []


def test_neither_library_imports_the_other():
    assert "bilinear" not in imported(PRESS)
    assert imported(BILINEAR) & {"press", "matplotlib", "IPython", "seaborn"} == set()
    assert {"sphinx", "press"} <= imported(PRESS), "what is imported is seen"


def test_what_runs_in_a_notebook_is_light():
    """Neither Sphinx nor papermill is loaded by a chapter's `from press import claims, figures`."""
    top = [file for file in PRESS if file.parent.name == "press" and file.name != "__main__.py"]
    assert (
        imported([*top, ROOT / "lib/press/site/cards.py", ROOT / "lib/press/site/__init__.py"])
        & {
            "sphinx",
            "docutils",
            "papermill",
            "jupytext",
        }
        == set()
    )
