"""What makes a chapter stale, what makes the site stale, and what does neither: each kind of change, made once."""

import importlib.metadata
import itertools
import platform
import subprocess
import sys

import pytest

import bilinear
from press import settings
from press.build import publish, staleness
from press.build.chapters import find

ALL = {"index", "paper/one", "paper/two"}
ONE, TWO, NONE = {"paper/one"}, {"paper/two"}, set()
OUT, LEDGER = "_build/executed/paper/two.ipynb", "book/claims.toml"

STALE = {  # a change, and the chapters that it makes stale
    "a formula of the library": ("lib/bilinear/activations.py", "IDENTITY = ", "x = 1\nIDENTITY = ", TWO),
    "a new module of the library": ("lib/bilinear/new.py", None, "x = 1\n", TWO),
    "a new module deep in the library": ("lib/bilinear/neighbours/new.py", None, "x = 1\n", TWO),
    "the claims": ("lib/press/claims.py", "CONTROL_FACTOR = 3", "CONTROL_FACTOR = 2", ALL),
    "the figures": ("lib/press/figures.py", '"zorder": 3', '"zorder": 4', ALL),
    "the numbers": ("lib/press/numbers.py", '".6g"', '".7g"', ALL),
    "the package": ("lib/press/__init__.py", "ROOT = ", "x = 1\nROOT = ", ALL),
    "a new module for notebooks": ("lib/press/new.py", None, "x = 1\n", ALL),
    "the style of figures": ("lib/press/figures.mplstyle", "6.4", "6.5", ALL),
    "a new style": ("lib/press/new.mplstyle", None, "font.size: 11\n", ALL),
    "threads": ("lib/press/settings.py", '"OMP_NUM_THREADS": "1"', '"OMP_NUM_THREADS": "2"', ALL),
    "the seed of hashes": ("lib/press/settings.py", '"PYTHONHASHSEED": "0"', '"PYTHONHASHSEED": "1"', ALL),
    "what is stripped": ("lib/press/settings.py", '"execution")', '"execution", "more")', ALL),
    "the bounds of execution": ("lib/press/settings.py", "SECONDS = 1200", "SECONDS = 1201", ALL),
    "the packages that the book names": ("pyproject.toml", '"scipy", ', "", ALL),
    "a number in a cell": ("book/paper/two.md", "range(10)", "range(11)", TWO),
    "a parameter": ("book/paper/one.md", "count = 3", "count = 4", ONE),
    "a name in a cell": ("book/paper/two.md", "fig, ax =", "fig, bx =", TWO),
    "a cell more": ("book/paper/two.md", "# Two\n", "# Two\n\n```{code-cell} python3\n1\n```\n", TWO),
    "an empty cell more": ("book/paper/two.md", "# Two\n", "# Two\n\n```{code-cell} python3\n```\n", TWO),
    "a cell cut in two": (
        "book/paper/two.md",
        "import bilinear\n",
        "```\n\n```{code-cell} python3\nimport bilinear\n",
        TWO,
    ),
    "a cell that is not Python": ("book/paper/two.md", "sum(range(10))", "%time sum(range(10))", TWO),
    "a string that is shown": ("book/paper/two.md", "sum(range(10))", '"sum"\nsum(range(10))', TWO),
    "a semicolon that hides": ("book/paper/two.md", "sum(range(10))", "sum(range(10));  # 45", TWO),
    "a cell that may raise": ("book/paper/two.md", "keep: the", "tags: [raises-exception]\nkeep: the", TWO),
    "a cell that is skipped": ("book/paper/two.md", "keep: the", "tags: [skip-execution]\nkeep: the", TWO),
    "a cell no longer the parameters": ("book/paper/one.md", ":tags: [parameters]", ":tags: [plain]", ONE),
    "a prediction": (LEDGER, "predicted = -1.0", "predicted = -1.001", ONE),
    "a relation": (LEDGER, 'relation = "="', 'relation = "≤"', ONE),
    "a number of ours": (LEDGER, "ours = 2.0", "ours = 2.001", ONE),
    "an expectation": (LEDGER, 'expect = "holds"', 'expect = "not measured"\nreason = "no time"', ONE),
    "a missing cell of the run": (OUT, '"cell_type": "code"', '"cell_type": "raw"', TWO),
    "a run of something else": (OUT, '"hash": "', '"hash": "0', TWO),
    "a run that cannot be read": (OUT, "{", "", TWO),
    "a run without its record": (OUT, '"press": {', '"press": [], "other": {', TWO),
    "a run whose metadata are a list": (OUT, '"metadata": {\n  "', '"metadata": [], "other": {\n  "', TWO),
    "an output of a run": (OUT, '"45"', '"46"', TWO),
    "an output more": (
        OUT,
        '"outputs": []',
        '"outputs": [{"output_type": "stream", "name": "stdout", "text": ""}]',
        TWO,
    ),
    "the code beside an output": (OUT, "sum(range(10))", "sum(range(11))", TWO),
    "the versions of a run": (OUT, '"numpy": "', '"numpy": "1', TWO),
    "the seconds of a run": (OUT, '"seconds": ', '"seconds": 9', TWO),
}
SITE = {  # a change that makes the site stale, and no chapter
    "a comment in the library": ("lib/bilinear/activations.py", "\n\n", "\n# changed\n\n"),
    "a docstring of the library, which the reference shows": ("lib/bilinear/activations.py", '"""', '"""Changed. '),
    "a comment in the claims": ("lib/press/claims.py", "\n\n", "\n# changed\n\n"),
    "a docstring of the claims": ("lib/press/claims.py", '"""How far', '"""How very far'),
    "a comment in the style of figures": ("lib/press/figures.mplstyle", "# The", "# Changed: the"),
    "the words of the ledger's faults": ("lib/press/ledger.py", "nor a note that says why", "nor a note"),
    "the command": ("lib/press/__main__.py", "a name or a path", "a path"),
    "the execution": ("lib/press/build/execute.py", "0.2", "0.3"),
    "the extension": ("lib/press/site/extension.py", "900", "901"),
    "the words of a card": ("lib/press/site/cards.py", '"In words"', '"Words"'),
    "a template": ("lib/press/site/templates/facts.html", "margin:.4rem", "margin:.5rem"),
    "a style sheet of press": ("lib/press/site/static/press.css", "0.95em", "0.9em"),
    "a script of press": ("lib/press/site/static/new.js", None, "1\n"),
    "a style sheet of the book": ("book/assets/book.css", "#1259bd", "#1259be"),
    "a record": ("book/records/seeds.json", None, "{}"),
    "the configuration": ("_config.yml", "language: en", "language: de"),
    "the table of contents": ("_toc.yml", "The ledger", "Ledger"),
    "a page of prose": ("book/scoreboard.md", "Scoreboard", "Board"),
    "the references": ("book/references.bib", "2026", "2027"),
    "prose": ("book/paper/two.md", "nothing", "not a thing"),
    "a blank line between cells": ("book/paper/two.md", "```\n\n```{code-cell}", "```\n\n\n```{code-cell}"),
    "a blank line in a cell": ("book/paper/two.md", "import os\n", "import os\n\n"),
    "a comment in a cell": ("book/paper/two.md", "sum(range(10))", "sum(range(10))  # forty-five"),
    "a docstring in a cell": ("book/paper/two.md", '"""What', '"""Exactly what'),
    "how a cell is written": ("book/paper/two.md", "[1, 0]", "[1,0]"),
    "a semicolon in a comment": ("book/paper/two.md", "sum(range(10))", "sum(range(10))  # 45;"),
    "a caption": ("book/paper/two.md", "A line falls to", "Down to"),
    "what a cell shows": ("book/paper/two.md", "show: it is read", "tags: [a]"),
    "what a cell is kept for": ("book/paper/two.md", "keep: the frames", "keep: frames"),
    "an opening": ("book/paper/two.md", "derives: nothing", "derives: little"),
    "front matter": ("book/paper/two.md", "display_name: Python 3", "display_name: Python"),
    "a statement": (LEDGER, "The loss falls", "The error falls"),
    "a sentence": (LEDGER, "It measures {measured}", "It is {measured}"),
    "a name for rows": (LEDGER, "a short name", "a name"),
    "a source": (LEDGER, "Theorem 1, the slope", "Theorem 1, its slope"),
    "who claims it": (LEDGER, 'by = "paper"', 'by = "derived"'),
    "what a paper numbers": (LEDGER, "the rates", "rates"),
    "a claim of no chapter": (LEDGER, "0.9", "0.8"),
}
NOTHING = {  # a change of which nothing is made
    "a test": ("tests/test_new.py", None, "def test(): pass\n"),
    "a file of the system": ("book/.DS_Store", None, "x"),
    "a checkpoint": ("book/paper/.ipynb_checkpoints/two-checkpoint.md", None, "---\njupytext: [\n"),
    "an editor's copy": ("book/paper/two.md~", None, "x"),
    "an editor's lock": ("book/paper/.#two.md", None, "---\njupytext: [\n"),
    "an editor's copy of a module": ("lib/press/site/boards.py~", None, "x"),
    "compiled Python": ("lib/press/site/__pycache__/new.pyc", None, "x"),
}


@pytest.fixture(scope="module")
def after(built):
    return built.after({name: change[:3] for name, change in (STALE | SITE | NOTHING).items()})


@pytest.mark.parametrize("name", STALE)
def test_what_a_run_depends_on_makes_exactly_its_chapters_stale(after, name):
    assert after[name][0] == STALE[name][3]


@pytest.mark.parametrize("name", SITE)
def test_what_only_pages_show_makes_the_site_stale_and_no_chapter(after, name):
    assert after[name] == (NONE, True)


@pytest.mark.parametrize("name", NOTHING)
def test_what_nothing_is_made_of_makes_nothing_stale(after, name):
    assert after[name] == (NONE, False)


# --- versions --------------------------------------------------------------------------------------------


@pytest.fixture
def fresh():
    """Forget what was read, before and after."""

    def forget():
        for function in (staleness.key, staleness.sources, staleness.versions, bilinear.fingerprint, bilinear.sources):
            function.cache_clear()

    forget()
    yield forget
    forget()


def upgraded(package: str):
    version = importlib.metadata.version
    return lambda name: version(name) + (".post1" if name == package else "")


MATHEMATICS = ("torch", "numpy", "scipy", "scikit-learn", "networkx")
TOOLS = ("seaborn", "matplotlib", "ipykernel", "papermill", "nbclient", "myst-nb", "jupytext")


@pytest.mark.parametrize("package", [*MATHEMATICS, *TOOLS])
def test_another_version_makes_a_chapter_stale(fresh, monkeypatch, package):
    before, sources = staleness.key(find()[0]), staleness.sources(find()[0])
    fresh()
    monkeypatch.setattr(importlib.metadata, "version", upgraded(package))
    assert staleness.key(find()[0]) != before
    assert staleness.sources(find()[0]) == sources, "a record outlives a change of versions"


def test_another_python_makes_everything_stale(fresh, monkeypatch):
    before = staleness.key(find()[0]), bilinear.fingerprint(), staleness.sources(find()[0])
    fresh()
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    after = staleness.key(find()[0]), bilinear.fingerprint(), staleness.sources(find()[0])
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert after[2] == before[2]


def test_a_run_of_another_kind_of_machine_is_not_current_here(fresh, monkeypatch):
    before = staleness.key(find()[0]), staleness.sources(find()[0])
    fresh()
    monkeypatch.setattr(platform, "machine", lambda: "abacus")
    assert staleness.key(find()[0]) != before[0]
    assert staleness.sources(find()[0]) == before[1]


@pytest.mark.parametrize("package", MATHEMATICS)
def test_the_fingerprint_sees_what_the_numbers_depend_on(fresh, monkeypatch, package):
    before = bilinear.fingerprint()
    fresh()
    monkeypatch.setattr(importlib.metadata, "version", upgraded(package))
    assert bilinear.fingerprint() != before


def test_the_fingerprint_imports_nothing_of_the_library():
    code = "import sys, bilinear; bilinear.fingerprint()\n"
    code += "print(*(name for name in sys.modules if name[:5] in ('torch', 'numpy', 'bilin')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stdout == "bilinear\n", told


@pytest.mark.parametrize(
    "package", ["Sphinx", "jupyter-book", "myst-nb", "sphinx-book-theme", "sphinx-proof", "Jinja2"]
)
def test_another_version_of_what_makes_pages_makes_the_site_stale(monkeypatch, package):
    monkeypatch.setattr(publish, "find", tuple)
    before, known = publish.inputs(), list(importlib.metadata.distributions())
    assert any(one.name.lower() == package.lower() for one in known)

    class Other:
        name, version = package, "99"

    others = [Other if one.name.lower() == package.lower() else one for one in known]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: others)
    assert publish.inputs() != before


def test_the_repository_and_python_are_in_the_hash_of_the_site(monkeypatch):
    monkeypatch.setattr(publish, "find", tuple)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    seen = [publish.inputs()]
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/some-book")
    seen.append(publish.inputs())
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    seen.append(publish.inputs())
    assert all(one != other for one, other in itertools.combinations(seen, 2))


def test_the_environment_of_execution_is_what_it_says():
    said = {"OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1", "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1"}
    assert settings.ENVIRONMENT.items() >= said.items()


# --- the library and the data of a chapter ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("import bilinear", True),
        ("import numpy, bilinear.teachers as t", True),
        ("from bilinear import descent", True),
        ("from bilinear.teachers import convolution", True),
        ("def f():\n    import bilinear", True),
        ("module = import_module('bilinear.teachers')", True),
        ("%run -m bilinear", True),
        ("%pip list", False),
        ("import bilinearity", False),
        ("print('A bilinear form.')", False),
        ("bilinear = 1", False),
        ("from press import figures", False),
    ],
)
def test_which_cells_import_the_library(source, does):
    assert staleness.imports(source, "bilinear") is does


def test_a_module_beside_the_library_counts_for_the_chapters_that_import_it_and_what_it_imports(book):
    book.write("lib/helper.py", "import deeper\n\nx = deeper.y\n")
    book.write("lib/deeper.py", "import bilinear\n\ny = 1\n")
    book.change("book/paper/one.md", "from press.numbers import glue", "from press.numbers import glue\nimport helper")
    before = {name: now for name, (now, _) in book.hashes().items()}
    for file, old, new in (
        ("lib/deeper.py", "y = 1", "y = 2"),
        ("lib/helper.py", "x = deeper.y", "x = 2 * deeper.y"),
        ("lib/bilinear/activations.py", "IDENTITY = ", "x = 1\nIDENTITY = "),
    ):
        book.change(file, old, new)
        now = {name: now for name, (now, _) in book.hashes().items()}
        assert now["paper/one"] != before["paper/one"], file
        assert now["index"] == before["index"]
        before = now


@pytest.mark.parametrize("body", ["raise KeyError('x')", "return {1, 2}"])
def test_a_function_that_gives_no_checksums_is_told_by_chapter(book, body):
    book.write("lib/data.py", f"def sums():\n    {body}\n")
    book.change("book/paper/two.md", "jupytext:", "data: data:sums\njupytext:")
    told = book.press("build", "--dry-run")
    assert told.returncode == 1
    assert told.stderr.startswith("press: book/paper/two.md: data: data:sums gives no checksums: ")


def test_a_book_without_a_library_is_one(book):
    text = (book.root / "pyproject.toml").read_text()
    book.write("pyproject.toml", "[project]\nname = 'book'\n")
    assert {then for _, then in book.hashes().values()} - {"None"}
    book.write("pyproject.toml", text.replace("bilinear:sources", "bilinear:nothing"))
    told = book.press("build")
    assert told.returncode == 1
    assert "press: pyproject.toml: [tool.press] sources: bilinear:nothing is not found" in told.stderr


def test_data_count_for_the_chapters_that_name_them(book):
    book.write("lib/data.py", "from pathlib import Path\n\ndef sums():\n    return Path('images').read_text()\n")
    book.write("images", "some")
    book.change("book/paper/two.md", "jupytext:", "data: data:sums\njupytext:")
    some = book.hashes()
    book.write("images", "others")
    others = book.hashes()
    assert some["paper/two"] != others["paper/two"]
    assert some["paper/one"] == others["paper/one"]
    book.write("images", "some")
    assert book.hashes() == some


@pytest.mark.parametrize("named", ["data:no", "nowhere:sums"])
def test_data_that_are_not_found_are_told_by_chapter(book, named):
    book.write("lib/data.py", "")
    book.change("book/paper/two.md", "jupytext:", f"data: {named}\njupytext:")
    told = book.press("build")
    assert told.returncode == 1
    assert f"press: book/paper/two.md: data: {named} is not found" in told.stderr
    assert "Traceback" not in told.stderr


def test_data_that_are_refused_stop_a_build_before_any_chapter_and_before_nothing_changed(book):
    """A mistyped folder is not the same as none, though nothing else changed."""
    refusing = "import os\n\ndef sums():\n    if folder := os.environ.get('FOLDER'):\n"
    book.write("lib/data.py", refusing + "        raise FileNotFoundError(f'there is no {folder}')\n")
    book.change("book/paper/two.md", "jupytext:", "data: data:sums\njupytext:")
    before = book.site()
    assert book.stale() == NONE
    book.environment["FOLDER"] = "/typo"
    for arguments in (["build"], ["run", "one", "two"]):
        told = book.press(*arguments)
        assert (told.returncode, told.stderr) == (1, "press: there is no /typo\n")
        assert told.stdout == ""
    assert book.site() == before
