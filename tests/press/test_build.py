"""Building a small book for real: what fails, what is refused, and what a kill leaves behind."""

import json
import os
import re
import signal

import psutil
import pytest

FAILING = 'raise RuntimeError("planted")'
SLEEPING = "import time; time.sleep(60)"


# --- publication -----------------------------------------------------------------------------------------


def test_nothing_changed_takes_seconds_and_touches_nothing(book):
    before, began = book.site(), os.times().children_user
    told = book.press("build")
    assert told.returncode == 0
    assert "nothing changed" in told.stdout
    assert "running" not in told.stdout
    assert os.times().children_user - began < 6, "seconds of work, however busy the machine is"
    assert book.site() == before


def test_a_failing_chapter_leaves_the_last_good_book_whole(book):
    before = book.site()
    book.change("book/paper/two.md", "sum(range(10))", FAILING)
    book.change("book/paper/one.md", "rate = 1.0", "rate = 1")
    told = book.press("build")
    assert told.returncode == 1
    assert "book/paper/two.md: cell [1] at line 25: RuntimeError: planted" in told.stdout, told.stdout
    assert "not published: chapters failed; _build/html is still the last good book" in told.stderr
    assert book.site() == before
    assert "planted" in book.executed("failed")["paper/two"].decode()
    assert book.stale() == {"paper/two"}, "the other chapter was run and kept"

    book.change("book/paper/two.md", FAILING, "sum(range(11))")
    assert book.press("build").returncode == 0
    assert book.executed("failed") == {}
    assert "sum(range(11))" not in str(before)
    assert ">11</span>" in book.site()["book/paper/two.html"].decode()


def test_a_claim_that_misses_fails_its_chapter(book):
    before = book.site()
    book.change("book/paper/one.md", '"slope", -rate,', '"slope", -rate / 2,')  # the hypothesis is broken
    book.change("book/paper/one.md", '("the paper\'s power", 4.0)', '("nothing broken", 2.02)')  # the control hits
    line = book.text("book/paper/one.md").splitlines().index("claims.close()")
    told = book.press("build")
    assert told.returncode == 1
    assert f"book/paper/one.md: cell [6] at line {line}: AssertionError" in told.stdout
    assert "slope: measured -0.5, not = -1 within 0.01" in told.stdout
    assert "power: control 'nothing broken', 2.02, does not miss = 2 by 0.03" in told.stdout
    assert "paper/one  failed" in told.stdout
    assert "0/2" in told.stdout
    assert book.site() == before


def test_a_claim_that_is_not_reached_fails_its_chapter(book):
    book.change("book/paper/one.md", 'claims.check("slope"', 'if rate > 5: claims.check("slope"')
    told = book.press("run", "one")
    assert told.returncode == 1
    assert "not checked: slope" in told.stdout


def test_a_warning_of_the_pages_stops_publication(book):
    before = book.site()
    book.change("book/references.md", "# References", "# References\n\nSee {ref}`nowhere-at-all`.")
    told = book.press("build")
    assert told.returncode == 1
    assert "WARNING: undefined label: 'nowhere-at-all'" in told.stderr
    assert "book/references.md:" in told.stderr
    assert book.site() == before


def test_the_audit_stops_publication(book):
    before = book.site()
    book.change(
        "book/references.md", "# References", "# References\n\n<script src='https://example.org/x.js'></script>"
    )
    told = book.press("build")
    assert told.returncode == 1
    assert "book/references: loads https://example.org/x.js" in told.stderr
    assert book.site() == before


def test_sphinx_refuses_a_notebook_that_is_not_current(book):
    book.change("book/paper/two.md", "sum(range(10))", "sum(range(12))")
    start = "from jupyter_book.cli.main import main; main()"
    told = book.python("-c", start, "build", ".", "--path-output", "elsewhere")
    assert told.returncode != 0
    assert "book/paper/two.md: no current executed notebook" in told.stdout + told.stderr


# --- the ledger and the chapters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "old", "new", "told"),
    [
        ("book/paper/two.md", "sum(range(10))", 'claims.check("nothing", 1)\nclaims.close()',
         "book/paper/two.md:26: claim 'nothing' is not in book/claims.toml"),
        ("book/paper/two.md", "sum(range(10))", 'claims.check("slope", 1)\nclaims.close()',
         "book/paper/two.md:26: claim 'slope' is checked already at book/paper/one.md:39"),
        ("book/paper/two.md", "sum(range(10))", "claims.check(id, 1)\nclaims.close()",
         "book/paper/two.md:26: the id of a claim must be written out"),
        ("book/paper/one.md", "claims.close()", "print(1)", "book/paper/one.md: has claims, but its last cell"),
        ("book/claims.toml", '"slope"', '"slip"', "book/claims.toml: claim 'slip' is checked by no chapter"),
        ("book/claims.toml", '"="', '"<"', "book/claims.toml: claim 'slope': field 'relation' is '<'"),
        ("book/claims.toml", '"Theorem 1, the', '"Theorem 7, the',
         "book/claims.toml: claim 'slope': its source names 'Theorem 7', which no [[section]] lists"),
        ("book/claims.toml", '"derived in paper/one;', '"derived in paper/none;',
         "its source names 'derived in paper/none', which"),
        ("book/claims.toml", 'source = "Figure 1"', 'source = "Theorem 1"',
         "book/claims.toml: 'Figure 1' has neither a claim nor a note that says why"),
        ("book/claims.toml", 'page = "paper/one#one"', 'page = "paper/none#one"',
         "book/claims.toml: 'Theorem 1' has the page 'paper/none#one', which is not in _toc.yml"),
        ("book/claims.toml", ', what = "a rate"', "", "book/claims.toml: Section 3: theorems: an item has name"),
        ("book/claims.toml", '"Definition 2"', '"Theorem 1"', "an item has name (once)"),
    ],
    ids=["unknown", "checked twice", "not written out", "not closed", "not checked", "wrong row", "claim from nowhere",
         "derived nowhere", "item without claim", "item without page", "item without words", "item twice"],
)  # fmt: skip
def test_ledger_and_chapters_must_meet_before_anything_runs(book, path, old, new, told):
    book.change(path, old, new)
    run = book.press("build")
    assert run.returncode == 1
    assert told in run.stderr
    assert "Traceback" not in run.stderr
    assert "running" not in run.stdout


def test_a_claim_that_is_only_ever_not_measured_counts_as_its_chapters(book):
    call = 'claims.check("power", 2.0, tolerance=0.01, why="exact here", control=("the paper\'s power", 4.0))'
    book.change("book/paper/one.md", call, 'claims.not_measured("power", "no images")')
    assert book.press("run", "one").returncode == 0
    book.change("book/paper/two.md", "sum(range(10))", 'claims.check("power", 1)\nclaims.close()')
    told = book.press("build")
    assert told.returncode == 1
    assert "claim 'power' is checked already at book/paper/one.md:40" in told.stderr


# --- press run -------------------------------------------------------------------------------------------


def test_what_chapters_want_prepared_is_imported_once_and_before_them(book):
    def prepared() -> list[str]:
        return (book.root / "prepared").read_text().splitlines()

    assert prepared() == ["ready"], "by the build, and not by its three chapters"
    assert book.press("build").returncode == 0
    assert prepared() == ["ready"], "nothing runs, nothing is prepared"
    twice = "from press import ROOT\nrate = 1.0 if (ROOT / 'prepared').read_text().count('ready') == 2 else 9.0"
    book.change("book/paper/one.md", "rate = 1.0", twice)
    assert book.press("run", "one").returncode == 0
    book.change("pyproject.toml", 'prepare = "ready"', 'prepare = "ready.nothing"')
    told = book.press("run", "one")
    assert told.returncode == 1
    assert "press: pyproject.toml: [tool.press] prepare: ready.nothing is not found" in told.stderr


def test_changed_parameters_run_aside(book):
    before, pages = book.executed(), book.site()
    told = book.press("run", "book/paper/one.md", "-p", "count=5", "-p", "rate=1.005")
    assert told.returncode == 0, told.stdout + told.stderr
    assert book.executed() == before
    assert book.site() == pages
    run = book.executed("runs")["paper/one"].decode()
    assert "count = 5" in run
    assert "slope = -1.005" in run


def test_an_error_before_the_parameters_is_told_at_its_line_and_a_chapter_named_twice_runs_once(book):
    book.change("book/paper/one.md", "from press.numbers import glue", "from press.numbers import glue\n1 / 0")
    line = (book.root / "book/paper/one.md").read_text().splitlines().index("from press import claims, figures")
    told = book.press("run", "one", "paper/one", "-p", "rate=1.001")
    assert told.returncode == 1
    assert f"at line {line}: ZeroDivisionError" in told.stdout
    assert told.stdout.count("running paper/one") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["one", "-p", "depth=3"], "paper/one has no parameter 'depth'; it has: rate, count"),
        (["two", "-p", "rate=3"], "paper/two has no parameter 'rate'; it has: none"),
        (["one", "-p", "rate"], "-p rate: give name=value"),
        (["one", "-p", "count={"], "-p count={: count in paper/one is an int such as 3"),
        (["-p", "rate=2"], "give the chapter that it is for"),
        (["tow"], "'tow' names 0 chapters; choose: two"),
        (["e"], "'e' names 0 chapters"),
    ],
)
def test_wrong_names_are_refused_before_any_run(book, arguments, told):
    run = book.press("run", *arguments)
    assert run.returncode == 1
    assert told in run.stderr
    assert "Traceback" not in run.stderr
    assert "running" not in run.stdout


# --- being ended -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_ended_in_the_middle_nothing_is_half_written_and_what_was_done_is_kept(book, wait_for, how):
    book.change("book/paper/one.md", "rate = 1.0", "rate = 1")
    book.change("book/paper/two.md", "sum(range(10))", SLEEPING)
    before, notebooks = book.site(), book.executed()
    running = book.start("build")
    wait_for(lambda: book.executed()["paper/one"] != notebooks["paper/one"])
    processes = psutil.Process(running.pid).children(recursive=True)
    assert any("ipykernel" in " ".join(process.cmdline()) for process in processes)

    for second in (book.press("build"), book.press("run", "one")):
        assert second.returncode == 1
        told = rf"press: another build of this book is running \(process {running.pid}, since [\d:]+: press build\)"
        assert re.fullmatch(told + "; wait for it to end\n", second.stderr), second.stderr

    os.killpg(running.pid, how) if how == signal.SIGINT else running.kill()
    _, told = running.communicate(timeout=20)
    assert running.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), told
    assert "Traceback" not in told
    wait_for(lambda: not any(process.is_running() for process in processes), 10)
    assert book.site() == before
    assert book.executed()["paper/two"] == notebooks["paper/two"]
    assert book.stale() == {"paper/two"}, "what was done is kept"
    for notebook in book.executed().values():
        json.loads(notebook)


def test_a_book_is_found_again_after_an_end_between_the_two_renames(book):
    html = book.root / "_build" / "html"
    html.rename(html.with_name("previous"))
    (book.root / "_build/partial/paper/two").mkdir(parents=True)
    assert "nothing changed" in book.press("build").stdout
    assert html.is_dir()
    assert not (book.root / "_build/partial").exists()
