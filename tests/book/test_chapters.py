"""The chapters' texts: cells that fit a screen and a page, and that ruff finds nothing in."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest

from press import ROOT
from press.build.chapters import find
from press.build.staleness import versions

RULES = "E,F,UP,B,C4,SIM,RUF,NPY,PT,RET"
NOT_HERE = "E402,E501,B018,RUF001,RUF002,RUF003"  # imports in any cell, values shown, mathematical letters


@pytest.mark.parametrize("chapter", find(), ids=lambda chapter: chapter.name)
def test_cells_are_short(chapter):
    cells = [cell.source.splitlines() for cell in chapter.code]
    assert cells
    assert [cell[0] for cell in cells if len(cell) > 25] == []
    assert [line for cell in cells for line in cell if len(line) > 79] == []


@pytest.mark.parametrize("chapter", find(), ids=lambda chapter: chapter.name)
def test_cells_pass_ruff(chapter, tmp_path):
    """Ruff itself does not look into the cells of MyST Markdown. A chapter is one program; each cell has its format."""

    def ruff(*arguments):
        told = subprocess.run([sys.executable, "-m", "ruff", *arguments], capture_output=True, text=True)
        assert told.returncode == 0, told.stdout + told.stderr

    whole = tmp_path / "whole.py"
    whole.write_text("\n\n".join(cell.source for cell in chapter.code) + "\n", encoding="utf-8")
    options = ["--isolated", "--target-version", "py311"]
    ruff("check", *options, "--select", RULES, "--ignore", NOT_HERE, str(whole))
    whole.unlink()
    for cell in chapter.code:
        (tmp_path / f"line_{cell.first}.py").write_text(cell.source.rstrip("\n") + "\n", encoding="utf-8")
    ruff("format", "--check", "--diff", *options, "--line-length", "79", str(tmp_path))


def test_what_chapters_import_is_installed_for_the_book():
    """Not only for its tests: `make book` alone must be enough."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["book"]]
    installed = {re.match(r"[\w-]+", wanted)[0].replace("_", "-").lower() for wanted in listed}
    nodes = [node for chapter in find() for cell in chapter.code for node in ast.walk(ast.parse(cell.source))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"bilinear", "press"}
    known = importlib.metadata.packages_distributions()
    needed = {package: {name.replace("_", "-").lower() for name in known[package]} for package in packages}
    assert {"torch", "matplotlib"} <= packages
    assert [package for package, names in needed.items() if not names & installed] == []
    seen = {name.replace("_", "-").lower() for name in versions()}  # an upgrade of one makes chapters stale
    assert [package for package, names in needed.items() if not names & seen] == []
