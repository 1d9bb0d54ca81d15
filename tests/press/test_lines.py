"""The number line of a claim: where its marks stand, what its labels and its sentence say, and numbers in print."""

import math
from itertools import combinations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from press.claims import Record, distance
from press.ledger import Claim
from press.numbers import powers, told
from press.site import lines


def claim(relation, predicted, *, ours=None, expect="holds") -> Claim:
    expect = "differs" if ours is not None else expect
    return Claim("an-id", "Theorem 1", "paper", "It.", "It is {measured}.", "it", expect, relation, predicted, ours)


def record(measured, tolerance, control=None) -> Record:
    return Record("an-id", 1, "holds", measured, tolerance, "a reason", ("broken", control))


def drawn(line) -> list[tuple]:
    """The marks, without labels: kind and place, and the width of what has one."""
    marks = [mark for mark in line.marks if mark[0].split()[0] not in ("up", "down", "low")]
    return [(kind, left, width) if kind in ("band", "slack") else (kind, left) for kind, left, width, _ in marks]


def labels(line) -> dict[str, list[tuple[tuple[float, float], str]]]:
    """The labels of each row, with the room that they take on a phone, in per cent of the line."""
    rows = {"up": [], "down": [], "low": []}
    for kind, left, _, text in line.marks:
        if kind.split()[0] in rows:
            wide = lines.CHARACTER * (len(text) + 1)
            first = left - wide * (0 if " start" in kind else 1 if " end" in kind else 0.5)
            rows[kind.split()[0]].append(((first, first + wide), text))
    return rows


LINES = {  # a claim and its record: the marks, the labels above, the labels below
    "equality": (
        claim("=", 1.0), record(1.05, 0.1, 1.4),
        [("band", 37.5, 25), ("tick", 50), ("dot", 56.25), ("cross", 98.8)],
        ["predicted 1", "control 1.4"], ["measured 1.05"],
    ),
    "control out of the line": (
        claim("=", 1.0), record(0.95, 0.1, -2.0),
        [("band", 37.5, 25), ("tick", 50), ("dot", 43.75), ("cross", 1.2), ("arrow", 0)],
        ["predicted 1", "control −2"], ["measured 0.95"],
    ),
    "measured out of the line": (
        claim("=", 1.0), record(2.0, 0.1, 1.4),
        [("band", 37.5, 25), ("tick", 50), ("arrow", 100), ("cross", 98.8)],
        ["predicted 1", "control 1.4"], ["measured 2"],
    ),
    "zero tolerance": (
        claim("=", 5), record(5, 0, 8),
        [("band", 50, 0), ("tick", 50), ("dot", 50), ("cross", 87.5)],
        ["predicted 5"], ["measured 5", "control 8"],
    ),
    "bound with noise": (
        claim("≤", 1.0), record(1.17, 0.5, 3.0),
        [("band", 0, 28.99), ("slack", 28.99, 14.49), ("tick", 28.99), ("dot", 33.91), ("cross", 86.96)],
        ["at most 1"], ["measured 1.17", "control 3"],
    ),
    "bound below": (
        claim("≥", -1.0), record(1.0, 0.0, -9.0),
        [("band", 14.29, 85.71), ("tick", 14.29), ("dot", 85.71), ("cross", 1.2), ("arrow", 0)],
        ["at least −1"], ["measured 1", "control −9"],
    ),
    "log ratio": (
        claim("≤", 1.0), record(0.001, 0.0, 10.0),
        [("band", 0, 68.52), ("tick", 68.52), ("dot", 12.96), ("cross", 87.04)],
        ["at most 1"], ["measured 0.001", "control 10"],
    ),
    "exact": (
        claim("=", 1.0), record(1.0, 1e-9, 1.001),
        [("band", 0, 53.33), ("edge", 53.33), ("dot", 0), ("cross", 93.33)],
        ["allowed: up to 10⁻⁹"], ["off by 0", "control off by 0.001"],
    ),
    "differs": (
        claim("=", 4.0, ours=2.0), record(2.1, 0.2, 3.0),
        [("band", 5.88, 14.71), ("tick", 13.24), ("paper", 86.76), ("dot", 16.91), ("cross", 50)],
        ["ours 2", "the paper: 4"], ["measured 2.1", "control 3"],
    ),
    "differs from a bound": (
        claim("≥", 4.0, ours=2.0), record(2.0, 0.1, 99.0),
        [("band", 9.56, 7.35), ("tick", 13.24), ("paper", 86.76), ("dot", 13.24), ("cross", 98.8), ("arrow", 100)],
        ["ours 2", "the paper: at least 4"], ["measured 2", "control 99"],
    ),
    "range": (
        claim("in", (0.9, 1.1)), record(1.05, 0.01, 2.0),
        [("band", 27.27, 45.45), ("slack", 25, 2.27), ("slack", 72.73, 2.27), ("tick", 27.27), ("tick", 72.73),
         ("dot", 61.36), ("cross", 98.8), ("arrow", 100)],
        ["from 0.9 to 1.1", "control 2"], ["measured 1.05"],
    ),
    "a bound not measured": (
        claim("≥", 0.9, expect="not measured"), None,
        [("band", 50, 50), ("tick", 50)], ["at least 0.9"], [],
    ),
    "a range not measured": (
        claim("in", (0.9, 1.1), expect="not measured"), Record("an-id", 1, "not measured", reason="no images"),
        [("band", 37.5, 25), ("tick", 37.5), ("tick", 62.5)], ["from 0.9 to 1.1"], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_each_kind_of_line(name):
    given_claim, given_record, marks, above, below = LINES[name]
    line = lines.of(given_claim, given_record)
    assert drawn(line) == marks
    rows = labels(line)
    assert [[text for _, text in found] for found in (rows["up"], rows["down"] + rows["low"])] == [above, below]
    assert line.measured == (given_record is not None and given_record.measured is not None)


def test_nothing_predicted_is_no_line_and_each_seed_has_a_mark():
    assert lines.of(claim(None, None, expect="not measured"), None) is None
    assert lines.of(None, record(1.0, 0.1)) is None
    line = lines.of(claim("=", 1.0), record(1.05, 0.1, 2.0), [0.95, 1.05, 1.05, 7.0])
    assert [left for kind, left in filter(lambda m: m[0] == "seed", drawn(line))] == [43.75, 56.25]


def test_a_label_keeps_within_the_line_and_takes_the_first_row_with_room():
    half, places = 11 * lines.CHARACTER / 2, []
    for left in (half - 0.1, half, 100 - half, 100.1 - half):
        line = lines.Line("said")
        line.label("up", left, "0123456789")
        places += [kind for kind, *_ in line.marks]
    assert places == ["up start", "up", "up", "up end"]
    line = lines.Line("said")
    for left, kind in ((50, "dot"), (52, "tick"), (54, "cross"), (48, "none")):
        assert line.rows == (3 if kind == "none" else 2)
        line.label("down up low", left, "0123456789", kind)
    assert [kind for kind, *_ in line.marks] == ["down dot", "up tick", "low cross"]


values = st.floats(-1e4, 1e4).map(lambda x: float(f"{x:.6g}")).filter(lambda x: x == 0 or abs(x) > 1e-5)
tolerances = st.one_of(st.just(0.0), st.floats(1e-12, 1e3))


@st.composite
def checks(draw) -> tuple[Claim, Record]:
    """Any claim and any check of it; the measured value often near the edge of what holds."""
    relation, predicted = draw(st.sampled_from(("=", "≤", "≥", "in"))), draw(values)
    if relation == "in":
        predicted = tuple(sorted((predicted, draw(values))))
        assume(predicted[0] < predicted[1])
    ours, tolerance = draw(st.one_of(st.none(), values)), draw(tolerances)
    assume(ours is None or (ours != predicted and distance(ours, relation, predicted) > 0))
    centre = ours if ours is not None else predicted if relation != "in" else draw(st.sampled_from(predicted))
    measured = draw(st.one_of(values, st.floats(-2, 2).map(lambda step: centre + step * tolerance)))
    return claim(relation, predicted, ours=ours), record(measured, tolerance, draw(st.one_of(st.none(), values)))


@given(checks())
@example((claim("=", 1.0), record(1.0, 0.0, 2.0)))
@example((claim("in", (0.0, 1e-3)), record(0.5, 1.0, 9.0)))
@example((claim("in", (0.25, 0.5), ours=2.0), record(2.01, 0.1, 4.0)))
def test_a_line_is_true_to_its_claim(check):
    """The marks lie on it, the dot in the band just when the claim holds, no labels meet, and all is said."""
    row, ran = check
    line = lines.of(row, ran)
    for kind, left, width, _ in line.marks:
        assert math.isfinite(left + width), kind
        assert 0 <= left <= left + width <= 100.01, kind

    wanted = ("=", row.ours) if row.expect == "differs" else (row.relation, row.predicted)
    holds = distance(ran.measured, *wanted) <= ran.tolerance
    (dot,) = [left for kind, left, *_ in line.marks if kind.endswith(" dot")]
    bands = [(left, left + width) for kind, left, width, _ in line.marks if kind in ("band", "slack")]
    if holds:  # noise of less than 0.2 % of the line is not drawn
        assert any(low - 0.21 <= dot <= high + 0.21 for low, high in bands)
        assert "dot" in [kind for kind, *_ in line.marks], "and no arrow"
    else:
        assert not any(low + 0.02 < dot < high - 0.02 for low, high in bands)

    for placed in labels(line).values():
        for (one, _), (other, _) in combinations(placed, 2):
            assert one[1] <= other[0] or other[1] <= one[0], placed

    said = [*(row.predicted if row.relation == "in" else [row.predicted]), row.ours, ran.tolerance, ran.measured]
    for number in [*said, ran.control[1]]:
        assert number is None or told(number) in line.said, line.said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "−1.5"), (3.14159, "3.142"), (0.00012345, "0.0001234"),
        (12345.6, "12,346"), (-12345.6, "−12,346"), (9999.4, "9999"), (9999.5, "10,000"), (9999999.7, "10,000,000"),
        (1e7, "10⁷"), (-1e-13, "−10⁻¹³"), (1.2e-13, "1.2 · 10⁻¹³"),
        (-2.5e20, "−2.5 · 10²⁰"), (1e100, "10¹⁰⁰"), (7, "7"),
    ],
)  # fmt: skip
def test_numbers_in_print(value, text):
    assert told(value) == text


@pytest.mark.parametrize(
    ("written", "text"), [("0e+00", "0"), ("-2.50e-07", "−2.50 · 10⁻⁷"), ("1,200", "1,200"), ("-1.00", "−1.00")]
)
def test_a_number_that_python_wrote_in_print(written, text):
    assert powers(written) == text


@given(st.floats(-1e300, 1e300))
def test_any_number_in_print_is_its_four_figures(value):
    text = told(value)
    assert "-" not in text
    assert "e" not in text
    assert text not in ("−0", "")
    plain = text.replace("−", "-").replace(",", "").replace(" · 10", "e")
    plain = "".join(str("⁰¹²³⁴⁵⁶⁷⁸⁹".find(c)) if c in "⁰¹²³⁴⁵⁶⁷⁸⁹" else "-" if c == "⁻" else c for c in plain)
    if "10" in text and "e" not in plain and any(c in text for c in "⁰¹²³⁴⁵⁶⁷⁸⁹"):  # a power of ten alone
        plain = plain.replace("10", "1e", 1)
    assert float(plain) == pytest.approx(value, rel=5.1e-4, abs=1e-320)
