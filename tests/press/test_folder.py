"""What lies in a book's folder, and in its _build: ignored, handled, noticed, or refused early by name."""

import ast
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from press import ROOT

PROBE = """
import json, sys
from pathlib import Path

import bilinear
from press.build import chapters, publish, staleness

told = {}
for name, (path, old, new) in json.load(sys.stdin).items():
    file = Path(path)
    before = file.read_bytes() if file.is_file() else None
    if before is None:
        file.symlink_to(new[5:]) if new.startswith("link ") else file.write_text(new)
    elif new is None:
        file.unlink()
    else:
        assert old.encode() in before, name
        file.write_bytes(before.replace(old.encode(), new.encode("latin-1"), 1))
    for function in [*vars(chapters).values(), *vars(staleness).values(), *vars(bilinear).values()]:
        if hasattr(function, "cache_clear"):
            function.cache_clear()
    try:
        publish.dry_run()
        told[name] = ""
    except (SystemExit, OSError, ValueError, SyntaxError) as error:
        told[name] = str(error)
    file.unlink(missing_ok=True)
    if before is not None:
        file.write_bytes(before)
print("\\n" + json.dumps(told))
"""
EARLY = {  # a file, what is in it, what stands there then (None: it is gone), and what is told before any work
    "a table that is no YAML": ("_toc.yml", "parts:", "parts: [", "_toc.yml: while parsing"),
    "a wrong table": ("_toc.yml", "- file: book/items", "- fil: book/items", "_toc.yml: entry does not contain"),
    "a page named twice": ("_toc.yml", "book/items", "book/paper/one", "_toc.yml: document file used multiple times"),
    "a page that is not there": ("_toc.yml", "book/items", "book/item", "_toc.yml: book/item is named, and"),
    "a page deleted": ("book/items.md", "", None, "_toc.yml: book/items is named, and there is no book/items.md"),
    "no table": ("_toc.yml", "", None, "_toc.yml"),
    "no settings": ("_config.yml", "", None, "_config.yml"),
    "settings that are no YAML": ("_config.yml", "title:", "title: [", "_config.yml: while parsing"),
    "wrong settings": ("_config.yml", "html:", "html: 7\nmore:", "_config.yml: html: 7 is not of type 'object'"),
    "settings of other bytes": ("_config.yml", "title:", "\xff:", "_config.yml:2: is not UTF-8"),
    "a ledger of other bytes": ("book/claims.toml", "The loss falls", "\xff", "claims.toml: not valid TOML in UTF-8"),
    "a chapter of other bytes": ("book/paper/two.md", "# Two", "# T\xff", "book/paper/two.md:21: is not UTF-8"),
    "a page of other bytes": ("book/items.md", "# ", "# \xff", "book/items.md:1: is not UTF-8"),
    "code that nothing runs": ("book/items.md", "# ", "```{code-cell}\n1\n```\n# ", "items.md: has code cells, and"),
    "a front matter lost": ("book/paper/two.md", "---\n", "\n---\n", "two.md: has code cells, and"),
    "a figure without caption": ("book/paper/two.md", "caption:", "captoin:", "two.md:54: the figure fig-two has no"),
    "no opening": ("book/paper/two.md", "opening:", "opened:", "two.md:1: the front matter's opening is missing"),
    "an opening that is a text": ("book/paper/two.md", "opening:", "opening: x\nmore:", "matter's opening is missing"),
    "a field that no opening has": ("book/paper/two.md", "  asks:", "  more: 1\n  asks:", "has 'more', which is none"),
    "no question": ("book/paper/two.md", "  asks: What", "  asks: ' ' # ", "opening: asks must be a text"),
    "a question of symbols": ("book/paper/two.md", "chapter ask?", "$x$ ask?", "asks is a question in plain words"),
    "half a formula": ("book/paper/two.md", "that $x^2$ is", "that $x^2 is", "opening: proves must be a text"),
    "a number derived": ("book/paper/two.md", "derives: nothing", "derives: 7", "opening: derives must be a text"),
    "nothing measured": ("book/paper/two.md", "  measures: a slope\n", "", "opening: measures must be a text"),
    "a class of time that is none": ("book/paper/two.md", "runs: 5", "runs: 6", "runs must be one of 5, 10, 20, 40,"),
    "needs that are no list": ("book/paper/two.md", "needs: []", "needs: one", "needs must be a list of chapters"),
    "needs no chapter": ("book/paper/two.md", "needs: []", "needs: [nine]", "needs names 'nine', which is no ch"),
    "needs a list": ("book/paper/two.md", "needs: []", "needs: [[one]]", "needs names '['one']', which is"),
    "an unknown hero": ("book/paper/two.md", "hero: fig-two", "hero: fig-one", "hero names 'fig-one', which is no"),
    "a hero that is a list": ("book/paper/two.md", "hero: fig-two", "hero: [fig-two]", "hero names '['fig-two']', wh"),
    "a first page with a strip": (
        "book/index.md", "jupytext:", "opening: {asks: a, hero: b, runs: 5}\njupytext:",
        "opening has 'runs', which is none of asks, hero\n",
    ),
    "a cell kept without reason": ("book/paper/two.md", "keep: the frames are the mathematics", "keep: true",
                                   "two.md:63: keep needs its reason, or its words, as a text"),
    "a kept cell too long": ("book/paper/two.md", "frames = {", "a = 1\n" * 7 + "frames = {",
                             "two.md:63: a kept cell has at most 8 lines, and this one has 9"),
    "shown without reason": ("book/paper/two.md", "show: it is read", "show: ''", "two.md:71: show needs its reason"),
    "a summary of no words": ("book/paper/one.md", "summary: count", "summary: 7 # ", ": summary needs its reason, or"),
    "a figure of a blank caption": (
        "book/paper/two.md", "A line falls to", "'  ' #",
        "two.md:54: the figure fig-two has no c",
    ),
    "a figure that is none": ("book/paper/two.md", "figure:\n", "figure: 3\n  other:\n", "two.md:55: mystnb needs"),
    "a figure without a name": (
        "book/paper/two.md", "name: fig-two", "nam: fig-two",
        "two.md:54: the figure has no name",
    ),
    "parameters that are no Python": (
        "book/paper/one.md", "rate = 1.0", "rate = = 1",
        "one.md, the cell of parameters",
    ),
    "a prediction beyond numbers": (
        "book/claims.toml", "predicted = 4.0", f"predicted = 1{'0' * 400}",
        "field 'predicted'",
    ),
    "floors that are none": ("book/claims.toml", "[[section]]", "floors = 5\n[[section]]", "[floors] has whole"),
    "a project that is no TOML": ("pyproject.toml", "[project]", "[project", "pyproject.toml: [tool.press]: "),
    "packages that are no list": ("pyproject.toml", "packages = [", "packages = 5 # [", "toml: [tool.press]: packages"),
    "a library of other bytes": ("lib/bilinear/activations.py", "IDENTITY", "# \xff\nIDENTITY", "activations.py"),
    "a link to nothing": ("book/paper/three.md", "", "link nowhere", "three.md: a link that leads to no file"),
    "a link to a folder": ("book/paper/loop", "", "link .", "book/paper/loop: is a link to a folder; put"),
    "a name that no address holds": ("_toc.yml", "book/items", "book/it?ems", "a page's name cannot hold ?"),
    "the book as it is": ("book/items.md", "# ", "# ", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def early(built, tmp_path_factory):
    root = shutil.copytree(built.root, tmp_path_factory.mktemp("early") / "small")
    changes = {name: change[:3] for name, change in EARLY.items()}
    book = type(built)(root)
    told = book.python("-c", PROBE, input=json.dumps(changes))
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", EARLY)
def test_what_is_wrong_is_told_by_name_before_any_work(early, name):
    told = early[name]
    assert (EARLY[name][3] in told) if EARLY[name][3] else told == ""
    assert len(early[name].splitlines()) <= 2


def test_what_editors_systems_and_tools_leave_is_ignored_and_odd_names_are_handled(book):
    """All of it at once: checkpoints, copies, locks, a notebook beside its text, a mark, other line ends."""
    folder = book.root / "book" / "paper"
    one, two = ((folder / f"{name}.md").read_text() for name in ("one", "two"))
    book.write("book/paper/.ipynb_checkpoints/one-checkpoint.md", one)
    book.write("book/.DS_Store", "\0")
    for name in ("one.md~", ".one.md.swp", "#one.md#", "one.md.bak", "one.md.orig", "Thumbs.db", "two.ipynb"):
        book.write(f"book/paper/{name}", one)
    (folder / ".#one.md").symlink_to("someone@somewhere.123")
    assert "nothing changed" in book.press("build").stdout
    (folder / "one.md").write_bytes(b"\xef\xbb\xbf" + one.encode())
    (folder / "two.md").write_bytes(two.replace("\n", "\r\n").encode())
    odd = "book/paper/drei ä's & co"
    book.write(f"{odd}.md", "# Three\n\n[One](one.md) " + "word " * 20)
    book.change("_toc.yml", "      - file: book/paper/two", f'      - file: book/paper/two\n      - file: "{odd}"')
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "running" not in told.stdout
    assert f"{odd}.html" in book.site()


def test_another_checkout_is_not_built_by_this_ones_environment(book):
    elsewhere = {"cwd": book.root / "book", "env": book.environment | {"PYTHONPATH": str(ROOT / "lib")}}
    told = book.python("-m", "press", "build", **elsewhere)
    assert told.returncode == 1
    assert told.stderr == f"press: {book.root} is another checkout than {ROOT}, which this environment would build\n"


def test_jupyterlab_finds_its_settings_in_a_folder_of_any_name(tmp_path):
    root = tmp_path / 'my "bök" isn\'t $HOME'
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        root.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root)
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$JUPYTER_CONFIG_PATH"\n')
    python.chmod(0o755)
    wanted = f"{root}\n" + (root / "pyproject.toml").read_text() + (root / "constraints.txt").read_text()
    (root / ".venv/.installed-book").write_text(wanted)
    told = subprocess.run(["make", "--silent", "lab"], cwd=root, capture_output=True, text=True)
    assert told.stdout == f"{root}/.jupyter\n", told.stderr


# --- what is edited or lost ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["edited", "deleted", "added"])
def test_a_site_that_is_not_as_its_build_left_it_is_made_again(book, how):
    page = book.root / "_build/html/book/items.html"
    {"edited": lambda: page.write_text("x"), "deleted": page.unlink, "added": lambda: book.write(f"{page}.x", "")}[
        how
    ]()
    told = book.press("build", "--dry-run").stdout
    assert told == "would make the pages: its files are not as their build left them\n"


def test_a_dry_run_says_what_would_run_and_why_and_does_nothing(book):
    before = book.site(), book.executed()
    book.change("book/paper/one.md", "rate = 1.0", "rate = 1.5")
    book.change("book/paper/two.md", "range(10)", "range(11)")
    index = json.loads(book.executed()["index"])
    index["cells"] = index["cells"][:1]
    book.write("_build/executed/index.ipynb", json.dumps(index))
    told = book.press("build", "--dry-run").stdout.splitlines()
    assert told == [
        "would run index: its notebook is not as its run left it",
        "would run paper/one: parameters changed",
        "would run paper/two: code changed",
        "would make the pages: chapters would run",
    ]
    book.change("book/claims.toml", "predicted = -1.0", "predicted = -1.001")
    book.change("lib/bilinear/activations.py", "IDENTITY = ", "x = 1\nIDENTITY = ")
    book.change("lib/press/settings.py", "SECONDS = 1200", "SECONDS = 1201")
    (book.root / "_build/executed/index.ipynb").unlink()
    told = book.press("build", "--dry-run").stdout
    assert "would run index: no run yet\n" in told
    assert "paper/one: claims changed, press changed, parameters changed\n" in told
    assert "paper/two: library changed, press changed, code changed\n" in told
    assert book.site() == before[0]
    assert book.executed()["paper/one"] == before[1]["paper/one"]


def test_one_chapter_is_shown_while_another_fails(book):
    book.change("book/paper/two.md", "sum(range(10))", "raise RuntimeError")
    book.change("book/paper/one.md", "The first chapter has", "Now the first chapter has")
    before = book.site()
    told = book.press("preview", "one")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "running" not in told.stdout
    page = Path(re.search(r"open file://(\S+)", told.stdout)[1])
    assert "Now the first chapter has" in page.read_text()
    assert 'id="claim-slope"' in page.read_text()
    assert book.site() == before
    book.change("book/paper/one.md", "says: it falls", "tells: it falls")
    told = book.press("preview", "one")
    assert told.returncode == 1
    assert re.search(r"paper/one.md:\d+: .*tells", told.stdout + told.stderr), told.stdout + told.stderr
    assert "the page has warnings" in told.stderr


def test_the_doctor_tells_what_a_report_needs_and_what_looks_wrong(book):
    book.write("constraints.txt", "numpy==1.0\nnothing-of-the-kind==3\n")
    (book.root / "book/items.md").unlink()
    told = book.press("doctor")
    for name in ("book", "Python", "versions", "folders", "disk", "caches", "data", "browser", "locale", "variables"):
        assert re.search(rf"(?m)^ *{name} ", told.stdout), told.stdout
    assert len(told.stdout.splitlines()) < 60
    assert told.returncode == 1
    assert "looks wrong:" in told.stdout
    assert "constraints.txt says ==1.0" in told.stdout
    assert "_toc.yml: book/items is named, and there is no book/items.md" in told.stdout


# --- rights, room ----------------------------------------------------------------------------------------


def test_a_cause_inside_sphinx_is_told_with_page_and_line(book):
    text = "from docutils.parsers.rst import Directive\n\nclass Breaks(Directive):\n    def run(self):\n"
    text += "        raise LookupError('planted')\n\ndef setup(app):\n    app.add_directive('breaks', Breaks)\n"
    book.write("lib/breaks.py", text)
    book.change("_config.yml", "extra_extensions: [", "extra_extensions: [breaks, ")
    book.change("book/items.md", "\n\n", "\n\n```{breaks}\n```\n\n")
    line = (book.root / "book/items.md").read_text().splitlines().index("```{breaks}") + 1
    told = book.press("build")
    assert told.returncode == 1
    assert told.stderr.splitlines()[0] == f"ERROR: book/items.md:{line}: LookupError: planted"
    assert len(told.stderr.splitlines()) == 2


def bound() -> None:
    """Before a program starts: root gives up its right to write where nobody may."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


def test_a_finished_book_that_may_only_be_read_is_one_and_what_cannot_be_written_is_told_first(book):
    subprocess.run(["chmod", "-R", "a-w", str(book.root / "_build")], check=True)
    if book.python("-c", "open('_build/new', 'w')", preexec_fn=bound).returncode == 0:
        pytest.skip("this user may write everywhere")
    told = book.python("-m", "press", "build", preexec_fn=bound)
    assert "nothing changed" in told.stdout, told.stderr
    book.change("book/paper/two.md", "range(10)", "range(11)")
    told = book.python("-m", "press", "build", preexec_fn=bound)
    assert told.returncode == 1
    assert told.stderr.splitlines()[0] == f"press: {book.root}/_build cannot be written to, and a build must"
    assert "running" not in told.stdout
    subprocess.run(["chmod", "u+w", str(book.root / "_build")], check=True)
    told = book.python("-m", "press", "build", preexec_fn=bound)
    assert f"press: {book.root}/_build/executed/paper cannot be written to" in told.stderr
    assert "running" not in told.stdout
    subprocess.run(["chmod", "-R", "u+w", str(book.root)], check=True)


def test_a_file_in_the_way_of_a_folder_is_told_first(book):
    shutil.rmtree(book.root / "_build/failed", ignore_errors=True)
    book.write("_build/failed", "")
    book.change("book/paper/two.md", "range(10)", "range(11)")
    told = book.press("build")
    assert told.stderr == f"press: {book.root}/_build/failed is in the way: a folder must be there\n"
    assert "running" not in told.stdout


@pytest.fixture
def disk(book, tmp_path):
    """A small file system of its own, on which the book's _build lies."""
    small = tmp_path / "disk"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "none", str(small)], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    shutil.move(book.root / "_build", small)
    (book.root / "_build").symlink_to(small / "_build")
    yield small
    subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_full_disk_is_told_before_the_work(book, disk):
    before = book.site()
    book.change("book/items.md", "# ", "# All ")
    (disk / "fill").write_bytes(b"x" * 20_000_000)
    told = book.press("build")
    assert told.returncode == 1
    assert re.match(rf"press: the disk is full: {book.root}/_build has \d+ MB left; a build needs", told.stderr)
    assert book.site() == before


@pytest.mark.faults
def test_a_disk_that_fills_up_leaves_the_last_good_book(book, disk):
    before = book.site()
    book.change("book/items.md", "# ", "# All ")
    book.change("lib/press/build/faults.py", "ROOM = 50_000_000", "ROOM = 0")
    (disk / "fill").write_bytes(b"x" * (shutil.disk_usage(disk).free - 2_000_000))
    told = book.press("build")
    assert told.returncode == 1
    assert told.stderr.startswith("the disk is full: "), told.stderr
    assert len(told.stderr.splitlines()) == 2
    assert book.site() == before


# --- kills, and the same again ---------------------------------------------------------------------------


def kill_at(book, seconds: float) -> None:
    """Start a build, and kill its whole group after so many seconds."""
    running = book.start("build")
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


def check_kills(book, moments: list[float]) -> None:
    """After each kill what lies there is whole; at the end the book has the bytes of a clean build elsewhere."""
    book.change("book/paper/one.md", "rate = 1.0", "rate = 1.001")
    book.change("book/paper/two.md", "range(10)", "range(11)")
    ignore = shutil.ignore_patterns("_build")
    twin = type(book)(Path(shutil.copytree(book.root, book.root.with_name("twin"), ignore=ignore)))
    assert twin.press("build").returncode == 0
    old, new = book.site(), twin.site()
    done: set[str] = set()
    for moment in moments:
        kill_at(book, moment)
        for folder in ("executed", "failed"):
            for text in book.executed(folder).values():
                json.loads(text)
        assert (book.root / "_build/html").exists() or (book.root / "_build/previous").exists()
        if (book.root / "_build/html").exists():
            assert book.site() in (old, new), "the last good book, or the next one"
        current = {"index", "paper/one", "paper/two"} - book.stale()
        assert done <= current, "what was done is kept"
        done = current
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert outputs(book) == outputs(twin)
    assert book.site() == new


def test_killed_at_any_moment_nothing_is_half_written_and_the_next_build_ends_with_the_same_bytes(book):
    check_kills(book, [1.0, 3.0, 6.0])


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_moments(book, seed):
    import random

    moments = random.Random(seed)
    check_kills(book, [moments.uniform(0.1, 9.0)])


def outputs(book) -> dict[str, dict]:
    """The executed notebooks without the seconds of their runs, and the seals that cover them."""
    found = {name: json.loads(text) for name, text in book.executed().items()}
    for notebook in found.values():
        del notebook["metadata"]["press"]["seconds"], notebook["metadata"]["press"]["seal"]
    return found


@pytest.mark.faults
def test_two_clean_builds_of_the_whole_book_give_the_same_bytes(tmp_path):
    ignore = shutil.ignore_patterns("_build", ".venv", ".git", "__pycache__", "*.egg-info")
    from tests.press.conftest import Book

    one, other = (Book(Path(shutil.copytree(ROOT, tmp_path / name, ignore=ignore))) for name in ("one", "other"))
    for book in (one, other):
        told = subprocess.run([sys.executable, "-m", "press", "build"], cwd=book.root, env=book.environment)
        assert told.returncode == 0
    assert outputs(one) == outputs(other)
    assert one.site() == other.site()


# --- what may not be in the code -------------------------------------------------------------------------

BANNED = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle",
    "dill",
    "marshal",
    "shelve",
    "cloudpickle",
    "unpack_archive",
}
BANNED |= {"extractall", "unsafe_load", "full_load", "allow_pickle", "getstatusoutput", "shell"}


def banned(text: str) -> list[str]:
    """The names of BANNED that are called, imported or set in Python code; `shell=True` too."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += [name for name in names if name.split(".")[0] in BANNED]
        elif isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else None
            called = node.func.attr if isinstance(node.func, ast.Attribute) else called
            own = ast.unparse(node.func) not in ("re.compile", "torch.compile") and not (
                called == "eval" and node.args == []
            )
            found += [called] if called in BANNED and own else []
            found += [
                k.arg
                for k in node.keywords
                if k.arg in BANNED or (k.arg == "shell" and ast.unparse(k.value) != "False")
            ]
            if ast.unparse(node.func) == "torch.load" and "weights_only=True" not in ast.unparse(node):
                found.append("torch.load")
            found += (
                [ast.unparse(node.func)] if ast.unparse(node.func) in ("yaml.load", "os.system", "os.popen") else []
            )
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import pickle", ["pickle"]),
        ("from pickle import loads", ["pickle"]),
        ("eval('1')", ["eval"]),
        ("numpy.load(f, allow_pickle=True)", ["allow_pickle"]),
        ("subprocess.run(x, shell=True)", ["shell"]),
        ("torch.load(f)", ["torch.load"]),
        ("yaml.load(f)", ["yaml.load"]),
        ("os.system(x)", ["os.system"]),
        ("tar.extractall()", ["extractall"]),
        ("re.compile('x'); model.eval()", []),
    ],
)
def test_what_is_banned_is_seen(text, names):
    assert banned(text) == names


def test_no_code_is_made_of_text_and_no_archive_is_unpacked():
    files = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert len(files) > 40
    seen = {str(f.relative_to(ROOT)): found for f in files if (found := banned(f.read_text(encoding="utf-8")))}
    assert seen == {"lib/press/site/mathml.py": ["eval"] * 3}, "MathJax, a package's, in an engine of its own"


def test_the_environment_of_conda_agrees_with_the_project():
    wanted = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    least = re.search(r'requires-python = ">=([\d.]+)"', project)[1]
    pip = next(part["pip"] for part in wanted if isinstance(part, dict))
    assert f"python={least}" in wanted
    assert "-c constraints.txt" in pip
    extras = re.fullmatch(r"-e \.\[(.*)\]", next(line for line in pip if line.startswith("-e")))[1].split(",")
    assert {"book", "test", "sweeps"} == set(extras)
    assert set(extras) <= set(re.findall(r"(?m)^(\w+) = \[", project.partition("[project.optional-dependencies]")[2]))
    assert len(wanted) == 3, "what the project needs stands in pyproject.toml alone"
