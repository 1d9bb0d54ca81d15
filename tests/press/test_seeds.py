"""Claims at every seed: what is counted, kept, recorded and shown; on a small book whose first chapter draws."""

import json
import signal
import time

import pytest

from press import claims
from press.build import seeds
from press.build.chapters import find
from press.build.staleness import sources

RECORD, ONE = "book/records/seeds.json", "book/paper/one.md"
CHECK = 'claims.check("slope", -rate,'
SLOPE = {"held": 2, "of": 2}


def keys(book) -> dict[str, str]:
    """The hash of each chapter's sources."""
    code = "from press.build.staleness import *\nfrom press.build.chapters import find\n"
    told = book.python("-c", code + "for c in find(): print(c.name, sources(c))")
    assert told.returncode == 0, told.stderr
    return dict(map(str.split, told.stdout.splitlines()))


def record(book) -> dict:
    return json.loads((book.root / RECORD).read_text(encoding="utf-8"))


def words(told) -> str:
    return " ".join(told.stdout.split())


@pytest.fixture
def drawn(book):
    """The small book, with a seed in its first chapter, and variables that it says it reads."""
    book.change(ONE, "count = 3", "seed = 3")
    book.change("pyproject.toml", "variables = [", 'variables = ["BROKEN", "SLOW", ')
    return book


# --- runs ------------------------------------------------------------------------------------------------


def test_what_holds_at_every_seed_is_recorded_and_not_run_again(drawn):
    book, other = drawn, {"paper/two": {"command": "an entry of another chapter"}}
    book.write(RECORD, json.dumps(other))
    before = book.executed()
    told = book.press("seeds", "--n", "2")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "index has no parameter 'seed': nothing in it is drawn\npaper/two has no" in told.stdout
    assert "2 runs to make; 0 are kept" in told.stdout
    assert "paper/one 2 2 of 2 at every seed" in words(told)
    assert book.executed() == before
    assert "seed = 1" in book.executed("seeds")["paper/one/1"].decode()

    found, kept = record(book), json.loads(before["paper/one"])["metadata"]["press"]
    assert found["paper/two"] == other["paper/two"], "what was not run stays"
    one = found["paper/one"]
    assert one["claims"] == {"slope": SLOPE, "power": SLOPE}
    assert (one["n"], one["command"]) == (2, "python -m press seeds paper/one --n 2")
    assert one["versions"] == kept["versions"]
    assert one["sources"] == keys(book)["paper/one"]
    assert one["machine"].endswith(" cores")
    time.strptime(one["date"], "%Y-%m-%d")

    text = (book.root / RECORD).read_bytes()
    again = book.press("seeds", "one", "--n", "2")
    assert again.returncode == 0
    assert "0 runs to make; 2 are kept" in again.stdout
    assert "running" not in again.stdout
    assert (book.root / RECORD).read_bytes() == text
    book.change(ONE, "rate = 1.0", "rate = 1.001")
    assert "2 runs to make" in book.press("seeds", "one", "--n", "2").stdout


def test_a_miss_is_a_result_and_a_crash_is_none(drawn):
    book = drawn
    book.change(ONE, "from press.numbers import glue", "import os\nfrom press.numbers import glue")
    book.change(ONE, CHECK, 'claims.check("slope", -rate - (seed == 1),')
    book.change(ONE, "glue(slope=-rate)", "glue(slope=-rate)\nif seed == 2 and 'BROKEN' in os.environ: 1 / 0")
    book.change(
        ONE, 'claims.check("power"', 'claims.not_measured("power", "why") if seed == 0 else claims.check("power"'
    )
    book.environment["BROKEN"] = "1"
    told = book.press("seeds", "one", "--n", "3")
    assert told.returncode == 1
    assert "paper/one 3 0 of 2 at every seed" in words(told)
    assert "slope 1 of 3 1: measured outside; 2: error" in words(told)
    assert "power 1 of 2 2: error" in words(told)
    assert "book/paper/one.md seed=2: cell [4] at line 38: ZeroDivisionError: division by zero" in told.stdout
    assert "the notebook as far as it ran: _build/seeds/paper/one/2.ipynb" in told.stdout
    assert "seed=1:" not in told.stdout
    assert not (book.root / RECORD).exists(), "one seed has no result"

    del book.environment["BROKEN"]
    told = book.press("seeds", "one", "--n", "3")
    assert told.returncode == 1
    assert "1 runs to make; 2 are kept" in told.stdout
    assert "running paper/one seed=2\n" in told.stdout
    assert "paper/one 3 1 of 2 at every seed slope 2 of 3 1: measured outside" in words(told)
    assert record(book)["paper/one"]["claims"] == {
        "slope": {"held": 2, "of": 3, "missed": [1], "values": [-2.0, -1.0]},
        "power": {"held": 2, "of": 2},
    }


def test_a_kill_loses_nothing_that_was_done(drawn, wait_for):
    book = drawn
    slow = "import os, time\nif seed == 1 and 'SLOW' in os.environ: time.sleep(60)"
    book.change(ONE, "glue(slope=-rate)", f"{slow}\nglue(slope=-rate)")
    book.environment["SLOW"] = "1"
    running = book.start("seeds", "one", "--n", "2")
    wait_for(lambda: "paper/one/0" in book.executed("seeds"))
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=20)
    assert book.executed("seeds").keys() == {"paper/one/0"}
    assert not (book.root / RECORD).exists()
    del book.environment["SLOW"]
    told = book.press("seeds", "one", "--n", "2")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 runs to make; 1 are kept" in told.stdout
    assert record(book)["paper/one"]["claims"]["slope"] == SLOPE


def test_what_is_no_record_is_told_before_any_run(drawn):
    for text in ("[]", '{"paper/one": {"claims": {"slope": {}}}}'):
        drawn.write(RECORD, text)
        run = drawn.press("build", "--dry-run")
        assert run.returncode == 1
        assert run.stderr.startswith(f"press: {RECORD}: is no record of seeds: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--n", "0"], "press: --n 0: give 1 seed or more\n"),
        (["two"], "press: paper/two has no parameter 'seed': nothing in it is drawn\n"),
        (["tow"], "press: 'tow' names 0 chapters; choose: two\n"),
        (["one"], f"press: {RECORD}: not valid JSON: Expecting value: line 1 column 1 (char 0)\n"),
    ],
)
def test_wrong_calls_are_refused_before_any_run(drawn, arguments, told):
    drawn.write(RECORD, "<<<<<<< ours")
    run = drawn.press("seeds", *arguments)
    assert (run.returncode, run.stderr, run.stdout) == (1, told, "")


@pytest.mark.parametrize(
    ("id", "measured", "control", "word"),
    [
        ("slope", -1.0, -2.0, "error"),  # nothing missed
        ("slope", -1.5, -2.0, "measured outside"),
        ("slope", -1.0, -1.0, "control did not miss"),
        ("slope", -1.5, -1.0, "measured outside and control did not miss"),
        ("power", 4.0, 9.0, "measured outside and prediction not rejected"),
        ("slope", float("nan"), -2.0, "error"),
    ],
)
def test_why_a_claim_missed_in_a_word(write_ledger, shown, id, measured, control, word):
    claims.check(id, measured, tolerance=0.01, why="exact", control=("broken", control))
    assert seeds.why(shown[-1][1]["claim"]) == word


# --- the record ------------------------------------------------------------------------------------------


def test_the_record_is_merged_sorted_and_never_half_written(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    seeds.write({"b": {"n": 1}, "c": {"n": 1}})
    seeds.write({"a": {"n": 1}, "c": {"sources": "κ", "n": 2}})
    seeds.write({})
    text = (tmp_path / RECORD).read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["a", "b", "c"]
    assert text.endswith(' "c": {\n  "n": 2,\n  "sources": "κ"\n }\n}\n')

    def ended(*paths):
        raise OSError("the disk is gone")

    monkeypatch.setattr("os.replace", ended)
    with pytest.raises(OSError, match="gone"):
        seeds.write({"d": {"n": 1}})
    assert (tmp_path / RECORD).read_text(encoding="utf-8") == text


def test_each_state_of_the_data_has_its_entry(monkeypatch):
    chapter = next(chapter for chapter in find() if not seeds.data(chapter))
    made = {
        "command": "a",
        "date": "b",
        "machine": "c",
        "claims": {"x": {"held": 1, "of": 2, "values": [0.5, 0.6]}, "y": {"held": 0, "of": 0}},
    }
    entries = {chapter.name: made | {"sources": sources(chapter)}}
    monkeypatch.setattr(seeds, "read", lambda: entries)
    assert seeds.recorded(chapter) == {"x": ("1 of 2 seeds", "a, b, c", [0.5, 0.6])}, "of y nothing was measured"
    entries[chapter.name]["sources"] = "of an earlier state"
    assert seeds.recorded(chapter)["x"][2] == [], "what was measured then is not shown"
    monkeypatch.setattr(seeds, "data", lambda chapter: {"images": "1"})
    assert seeds.recorded(chapter) == {}
    one = seeds.title(chapter)
    monkeypatch.setattr(seeds, "data", lambda chapter: {"images": "2"})
    assert len({one, seeds.title(chapter), chapter.name}) == 3


def test_pages_show_the_record_while_it_is_of_the_chapter_as_it_is(book):
    entry = {"command": "press seeds", "date": "2026-01-02", "machine": "<one> machine", "n": 20, "versions": {}}
    slope = {"held": 19, "of": 20, "missed": [3], "values": [-1.001, -1.0, 7.0]}
    entry |= {"sources": keys(book)["paper/one"], "claims": {"slope": slope}}
    book.write(RECORD, json.dumps({"paper/one": entry}))
    book.change(ONE, "rate = 1.0", "rate = 1.0  # one a step")
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "running" not in told.stdout
    for page, id in ("paper/one", "claim-slope"), ("scoreboard", "slope"):
        said = book.page(page).find(id=id).select_one(".seeds")
        assert (said.text, said["title"]) == ("19 of 20 seeds", "press seeds, 2026-01-02, <one> machine")
        assert len(book.page(page).select(".seeds")) == 1
        assert len(book.page(page).find(id=id).select(".line .seed")) == 2, "the third lies outside the line"
    assert "19 of 20 seeds" in book.site()["_sources/book/paper/one.ipynb"].decode()

    book.change(ONE, "rate = 1.0", "rate = 1.001")
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    for page in "paper/one", "scoreboard":
        assert book.page(page).select_one(".seeds").text == "seeds recorded for an earlier state of this chapter"
