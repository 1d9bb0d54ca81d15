"""The walls and budgets of the library, as CONTRIBUTING.md names them."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import bilinear
from bilinear import descent

LIBRARY = Path(bilinear.__file__).parent
PROJECT = LIBRARY.parents[1]
MODULES = sorted(LIBRARY.rglob("*.py"))
NEEDS = {"torch", "numpy", "numba", "scipy", "networkx", "sklearn", "pooch", "platformdirs"}

EXTRAS = {  # imported where used
    LIBRARY / "sweeps.py": {"joblib", "pandas", "tqdm", "threadpoolctl", "distributed"},
    LIBRARY / "enclosures.py": {"flint"},
}


def budget(words: str) -> int:
    """The number in the row of CONTRIBUTING's table of budgets that starts with these words."""
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return int(re.search(rf"^\| {re.escape(words)}[^|]*\| ([\d,]+) \|$", text, re.M)[1].replace(",", ""))


def imports(module: Path) -> set[str]:
    """Top-level names of what a file imports from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(LIBRARY)))
def test_the_mathematics_needs_nothing_of_the_book(module):
    """Neither press nor plots nor notebooks; and nothing that `pip install` of the library alone does not bring."""
    assert imports(module) <= NEEDS | EXTRAS.get(module, set()) | set(sys.stdlib_module_names) | {
        "bilinear",
        "__future__",
    }
    assert not re.search(r"\bpress\b", module.read_text(encoding="utf-8"))


def test_a_verb_has_few_keywords():
    for verb in (descent.descend, descent.population, descent.online, descent.empirical):
        parameters = inspect.signature(verb).parameters.values()
        assert all(p.kind is not p.VAR_KEYWORD for p in parameters), verb
        keywords = sum(p.kind is p.KEYWORD_ONLY for p in parameters)
        assert keywords <= budget("keywords of a verb"), verb


def test_the_count_of_public_names():
    """`compiled` repeats what stands elsewhere, and is called by the library only."""
    names = [
        node.name
        for module in MODULES
        if module.name != "compiled.py"
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(names) <= budget("public names of `bilinear`"), len(names)


def test_every_public_name_says_what_it_is():
    """A docstring on each module, function, class and method that a reader may call."""
    mute = []
    for module in MODULES:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        nodes = [tree] if module.read_text(encoding="utf-8").strip() else []
        nodes += [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
        nodes += [m for n in classes for m in n.body if isinstance(m, ast.FunctionDef)]
        mute += [
            f"{module.name}: {getattr(node, 'name', 'module')}"
            for node in nodes
            if not getattr(node, "name", "").startswith("_") and not ast.get_docstring(node)
        ]
    assert not mute
