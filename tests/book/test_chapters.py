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


CLOCKS = r"(time\.)?(time|time_ns|perf_counter|process_time|monotonic)|timeit\.\w+|\w+\.(now|utcnow|today)"
DRAWS = r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial)|random\.\w+"
DRAWS += r"|np\.random\.(?!default_rng|Generator)\w+"


def changing(source: str) -> list[str]:
    """The calls that give another number at another run of the same code."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name, given = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
        global_draw = re.fullmatch(DRAWS, name) and not {"generator", None} & given  # None: `**options`
        seedless = name.endswith("default_rng") and not call.args and "seed" not in given
        by_place = name.endswith("lstsq") and "driver" not in given  # gelsy's last digits: where its memory lies
        if re.fullmatch(CLOCKS, name) or global_draw or seedless or by_place:
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("began = time.perf_counter()", 1),
        ("best = torch.linalg.lstsq(H, labels).solution.T", 1),
        ("best = torch.linalg.lstsq(H, labels, driver='gelsd')", 0),
        ("x = torch.randn(\n    4, 5\n)", 1),
        ("x = torch.randn(\n    4, 5, generator=generator\n)", 0),
        ("np.random.rand(3)", 1),
        ("np.random.default_rng(seed)", 0),
        ("np.random.default_rng()", 1),
    ],
)
def test_what_changes_from_run_to_run_is_seen(source, found):
    assert len(changing(source)) == found


@pytest.mark.parametrize("chapter", find(), ids=lambda chapter: chapter.name)
def test_a_chapter_depends_on_no_clock_no_global_draws_and_no_place_in_memory(chapter):
    assert [f"line {cell.first}: {name}" for cell in chapter.code for name in changing(cell.source)] == []
