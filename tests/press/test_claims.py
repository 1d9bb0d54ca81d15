"""Claims: what passes, what is a miss, and that every kind of wrong use fails the chapter."""

import json
import math
import re

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from press import claims, ledger, settings

ROW = {
    "id": "row",
    "source": "A paper, Theorem 1",
    "by": "paper",
    "statement": "A sentence.",
    "say": "It is {measured}.",
    "short": "a sentence",
    "relation": "=",
    "predicted": 1.0,
    "expect": "holds",
}
CONTROL = ("a broken hypothesis", 2.0)


def toml(**changes) -> str:
    row = {key: value for key, value in (ROW | changes).items() if value is not None}
    text = {str: lambda v: f'"{v}"', list: str}
    return "[[claim]]\n" + "".join(f"{k} = {text.get(type(v), repr)(v)}\n" for k, v in row.items())


def verdict(shown, *arguments, **options) -> str:
    claims.check(*arguments, **{"tolerance": 0.1, "why": "a reason", "control": CONTROL} | options)
    return shown[-1][1]["claim"]["verdict"]


@pytest.mark.parametrize(
    ("relation", "predicted", "hits", "misses"),
    [
        ("=", 1.0, (1.0, 0.91, 1.09), (0.89, 1.11)),
        ("≤", 1.0, (-5.0, 1.0, 1.09), (1.11,)),
        ("≥", 1.0, (5.0, 1.0, 0.91), (0.89,)),
        ("in", [0.5, 1.0], (0.5, 0.75, 1.09, 0.41), (0.39, 1.11)),
    ],
)
def test_relations(write_ledger, shown, relation, predicted, hits, misses):
    write_ledger(toml(relation=relation, predicted=predicted))
    far = ("far off", -9.0 if relation == "≥" else 9.0)
    for measured, wanted in [(m, "holds") for m in hits] + [(m, "missed") for m in misses]:
        assert verdict(shown, "row", measured, control=far) == wanted, measured
        claims._records.clear()


@pytest.mark.parametrize(
    ("value", "wanted"), [(1.3001, "holds"), (1.2999, "missed"), (0.6999, "holds"), (1.0, "missed")]
)
def test_control_must_miss_by_three_tolerances(write_ledger, shown, value, wanted):
    write_ledger(toml())
    assert verdict(shown, "row", 1.0, control=("broken", value)) == wanted


def test_control_must_miss_on_the_side_that_counts(write_ledger, shown):
    write_ledger(toml(relation="≤"))
    assert verdict(shown, "row", 0.5, control=("broken", -99.0)) == "missed"


def test_control_that_equals_the_prediction_misses_nothing_even_without_tolerance(write_ledger, shown):
    write_ledger(toml())
    assert verdict(shown, "row", 1.0, tolerance=0, control=("broken", 1.0)) == "missed"
    claims._records.clear()
    assert verdict(shown, "row", 1.0, tolerance=0, control=("broken", 1.001)) == "holds"


@pytest.mark.parametrize(
    ("measured", "wanted"),
    [(2.0, "differs"), (2.09, "differs"), (2.2, "missed"), (4.0, "missed"), (3.0, "missed")],
)
def test_differs_meets_ours_and_rejects_the_prediction(write_ledger, shown, measured, wanted):
    write_ledger(toml(predicted=4.0, ours=2.0, expect="differs"))
    assert verdict(shown, "row", measured, control=("broken", 4.0)) == wanted


def test_differs_must_reject_the_prediction_by_three_tolerances(write_ledger, shown):
    write_ledger(toml(predicted=2.2, ours=2.0, expect="differs"))
    assert verdict(shown, "row", 2.0, control=("broken", 9.0)) == "missed"


def test_what_is_not_to_be_measured_is_a_miss_when_it_is(write_ledger, shown):
    assert verdict(shown, "unmeasured", 0.95, control=("broken", 0.1)) == "missed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "unknown"}, "is not in book/claims.toml"),
        ({"measured": math.nan}, "measured is nan"),
        ({"measured": math.inf}, "measured is inf"),
        ({"measured": "much"}, "measured is 'much'"),
        ({"tolerance": -0.1}, "tolerance is -0.1; it must be at least 0"),
        ({"tolerance": math.nan}, "tolerance is nan"),
        ({"why": " "}, "why is missing"),
        ({"control": None}, "control is missing"),
        ({"control": 3.0}, "control is missing"),
        ({"control": ("", 3.0)}, "control is missing"),
        ({"control": ("broken", math.nan)}, "control is nan"),
    ],
)
def test_wrong_use_is_shown_and_fails_at_close(write_ledger, shown, change, told):
    write_ledger(toml())
    call = {"id": "row", "measured": 1.0, "tolerance": 0.1, "why": "a reason", "control": CONTROL} | change
    claims.check(call.pop("id"), call.pop("measured"), **call)
    data, metadata = shown[-1]
    assert metadata["claim"]["verdict"] == "missed"
    assert told in data["text/plain"]
    with pytest.raises(AssertionError, match="claims that failed") as raised:
        claims.close()
    assert told in str(raised.value)


def test_a_broken_ledger_is_shown_and_not_raised(write_ledger, shown):
    write_ledger("[[claim]\n")
    assert verdict(shown, "row", 1.0) == "missed"
    assert "not valid TOML" in shown[-1][0]["text/plain"]


def test_close_lists_every_miss_and_starts_afresh(write_ledger, shown):
    write_ledger(toml() + toml(id="other"))
    verdict(shown, "row", 5.0)
    verdict(shown, "other", 6.0)
    with pytest.raises(AssertionError) as raised:
        claims.close()
    assert "row: measured 5" in str(raised.value)
    assert "other: measured 6" in str(raised.value)
    claims.close()


def test_a_run_that_lacks_what_a_claim_needs_says_so_and_passes(write_ledger, shown):
    write_ledger(toml() + toml(id="other"))
    verdict(shown, "row", 1.0)
    claims.not_measured("other", "no images <here>")
    data, metadata = shown[-1]
    assert metadata["claim"]["verdict"] == "not measured"
    assert metadata["claim"]["reason"] == "no images <here>"
    card = BeautifulSoup(data["text/html"], "html.parser")
    assert card.select_one(".verdict").text == "–not measured"
    assert card.select_one(".reason").text == "Not measured: no images <here>"
    assert not card.select(".dot")
    claims.close()
    told = "1 of 1 claims are as the ledger expects\nother is not measured: no images <here>"
    data, metadata = shown[-1]
    assert data["text/plain"].startswith(told)
    assert metadata == {"press": "aside"}, "for the notebook alone"


@pytest.mark.parametrize(
    ("id", "reason", "told"),
    [
        ("unknown", "no images", "is not in book/claims.toml"),
        ("row", " ", "reason is missing"),
        ("row", None, "reason is missing"),
    ],
)
def test_not_measured_needs_a_row_and_a_reason(write_ledger, shown, id, reason, told):
    write_ledger(toml())
    claims.not_measured(id, reason)
    assert shown[-1][1]["claim"]["verdict"] == "missed"
    with pytest.raises(AssertionError, match=told):
        claims.close()


def test_a_claim_is_either_measured_or_not(write_ledger, shown):
    write_ledger(toml())
    assert verdict(shown, "row", 1.0) == "holds"
    claims.not_measured("row", "no images")
    assert shown[-1][1]["claim"]["verdict"] == "missed"
    with pytest.raises(AssertionError, match="is checked twice"):
        claims.close()


def test_checked_twice_in_one_run_is_a_miss(write_ledger, shown):
    write_ledger(toml())
    assert verdict(shown, "row", 1.0) == "holds"
    assert verdict(shown, "row", 1.0) == "missed"


def test_a_cell_that_is_run_again_replaces_its_record(write_ledger, shown, monkeypatch):
    write_ledger(toml())
    for run, measured, wanted in [(4, 5.0, "missed"), (5, 1.0, "holds")]:
        monkeypatch.setattr(claims, "get_ipython", lambda run=run: type("Shell", (), {"execution_count": run}))
        assert verdict(shown, "row", measured) == wanted
    claims.close()


def test_the_card_escapes_and_has_what_is_outside_the_hypotheses(write_ledger, shown):
    write_ledger(toml(statement="a < b & c"))
    verdict(shown, "row", 1.0, outside="D <= 3")
    html = shown[-1][0]["text/html"]
    assert "a &lt; b &amp; c" in html
    facts = BeautifulSoup(html, "html.parser").select_one("dl.facts")
    assert facts.find("dt", string="Outside the hypotheses").find_next("dd").text == "D <= 3"


def test_what_is_not_available_needs_no_prediction_and_cannot_be_checked(write_ledger, shown):
    write_ledger(toml(expect="not measured", reason="not available", relation=None, predicted=None))
    assert ledger.claims()["row"].reason == "not available"
    assert verdict(shown, "row", 1.0) == "missed"
    assert "is measured, while the ledger says 'not measured: not available'" in shown[-1][0]["text/plain"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (toml(statement=None), "claim 'row': field 'statement' is missing"),
        (toml(say=None), "claim 'row': field 'say' is missing"),
        (toml(say="No number."), "claim 'row': field 'say' is 'No number.'; allowed: a sentence with {measured}"),
        (toml(say="${measured}$ is"), "claim 'row': field 'say' is '${measured}$ is'"),
        (toml(say="{measured} is $x"), "claim 'row': field 'say' is '{measured} is $x'"),
        (toml(say="{measured} of {all}"), "no slot but measured, predicted, ours, tolerance, control"),
        (toml(short=None), "claim 'row': field 'short' is missing"),
        (toml(short="x" * 61), "claim 'row': field 'short'"),
        (toml(short="of $x$"), "claim 'row': field 'short' is 'of $x$'; allowed: a text of at most 60 characters"),
        (toml(short=" "), "claim 'row': field 'short' is ' '"),
        (toml(by="me"), "claim 'row': field 'by' is 'me'; allowed: one of paper, derived"),
        (toml(relation="<"), "claim 'row': field 'relation' is '<'; allowed: one of =, ≤, ≥, in"),
        (toml(expect="maybe"), "field 'expect' is 'maybe'"),
        (toml(expect="differs"), "field 'ours' is missing"),
        (toml(expect="not measured"), "field 'reason' is missing"),
        (toml(ours=2.0), "field 'ours' does not belong"),
        (toml(reason="no images"), "field 'reason' does not belong"),
        (toml(predicted="one"), "field 'predicted' is 'one'; allowed: a finite number"),
        (toml(relation="in"), "field 'predicted' is 1.0; allowed: [low, high]"),
        (toml(relation="in", predicted=[2.0, 1.0]), "allowed: [low, high] with low < high"),
        (toml(id="Upper Case"), "claim 'Upper Case': field 'id'"),
        (toml(colour="red"), "field 'colour' does not belong"),
        (toml() + toml(), "claim 'row': field 'id' occurs twice"),
        (toml().replace("1.0", "nan"), "field 'predicted' is nan"),
        ("claim = 3", "'claim' must be a list of tables"),
    ],
)
def test_a_wrong_row_names_file_id_and_field(write_ledger, text, told):
    write_ledger(text)
    with pytest.raises(ValueError, match=r"^book/claims\.toml: ") as raised:
        ledger.claims()
    assert told in str(raised.value)


class Mute:
    """What cannot even be printed."""

    def __repr__(self):
        raise KeyError("mute")


ODD = [
    True,
    "1.0",
    b"1",
    10**400,
    10**5000,
    [1.0],
    None,
    1j,
    Mute(),
    np.True_,
    np.timedelta64(-1),
    np.datetime64("2026"),
]
ODD += [np.ma.masked, np.ma.array([1.0], mask=[True]), np.ones(2), torch.ones(2), torch.ones(1, device="meta")]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_what_is_no_number_is_a_miss_that_names_the_field(write_ledger, shown, odd):
    """And never an exception: `check` shows what is wrong and goes on."""
    claims.check("slope", odd, tolerance=0.1, why="a reason", control=CONTROL)
    with pytest.raises(AssertionError, match=r"slope: measured is .{1,80}, which is not one number"):
        claims.close()
    for field in ("tolerance", "control"):
        given = {"tolerance": 0.1, "control": CONTROL} | {field: odd if field == "tolerance" else ("broken", odd)}
        claims.check("slope", 1.0, why="a reason", **given)
        with pytest.raises(AssertionError, match=rf"slope: {field} is .{{1,80}}, which is not one number"):
            claims.close()
    claims.check(["slope"], 1.0, tolerance=0.1, why="a reason", control=CONTROL)
    with pytest.raises(AssertionError, match=r"is not in book/claims\.toml"):
        claims.close()


@pytest.mark.parametrize("odd", [5, True, "", " ", b"a reason", {}, ["a"]], ids=repr)
def test_what_is_no_text_is_a_miss_that_names_the_field(write_ledger, shown, odd):
    claims.check("slope", 1.0, tolerance=0.1, why="a reason", control=CONTROL, outside=odd)
    claims.check("power", 1.0, tolerance=0.1, why=odd, control=CONTROL)
    claims.not_measured("unmeasured", odd)
    claims.check("other", 1.0, tolerance=0.1, why="a reason", control=(odd, 1.0))
    with pytest.raises(AssertionError) as raised:
        claims.close()
    for told in ("slope: outside is not a text", "power: why is missing", "unmeasured: reason is", "other: control is"):
        assert told in str(raised.value)
    json.dumps([metadata for _, metadata in shown])


def test_a_run_unlike_the_books_says_so(write_ledger, shown, monkeypatch, tmp_path):
    for name, value in settings.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(claims, "ROOT", tmp_path)
    claims.close()
    (tmp_path / "constraints.txt").write_text(f"numpy=={np.__version__}\nnumpy-groupies==1\nnetworkx==1\n")
    claims.close()
    assert shown == [], "as the book"
    (tmp_path / "constraints.txt").write_text("numpy==1.0\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    claims.close()
    told = f"unlike the book, so the last digits may differ: OMP_NUM_THREADS is not 1, numpy {np.__version__}, not 1.0"
    assert shown == [({"text/plain": told}, {"press": "aside"})]


K, D = 12, np.int64(36)


def test_a_chapter_says_the_range_that_it_holds_for():
    claims.require(4 * K > D, "K is more than D/4")
    with pytest.raises(ValueError, match=re.escape("holds where K is less than D/4; here K = 12, D = 36")):
        claims.require(4 * K < D, "K is less than D/4")
