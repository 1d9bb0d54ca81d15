"""The number line of a claim: where prediction, tolerance, measured and control stand, in per cent of its width."""

import math
from dataclasses import dataclass, field

from press.ledger import Claim
from press.numbers import told

EXACT = 1e-6  # with a smaller tolerance a line shows the distance from the prediction, in powers of ten
DECADES = 10  # a bound and what was measured this far apart, as a ratio, share a logarithmic line
CHARACTER = 2.6  # the width of a letter of a label on a phone, in per cent of the line's; few systems have wider ones


@dataclass
class Line:
    """`marks`: (kind, left, width, text), to be drawn in their order; `said`: the same in a sentence.

    The kind of a label begins with its row: "up", "down", or "low", which is below "down".
    """

    said: str
    measured: bool = False
    marks: list[tuple[str, float, float, str]] = field(default_factory=list)
    taken: dict[str, list] = field(default_factory=lambda: {"up": [], "down": [], "low": []})

    def add(self, kind: str, left: float, width: float = 0, text: str = "") -> None:
        self.marks.append((kind, round(left, 2), round(width, 2), text))

    def label(self, rows: str, left: float, text: str, kind: str = "") -> None:
        """A label in the first of `rows` where it meets no other, also on a phone, else none; it keeps within."""
        wide = CHARACTER * (len(text) + 1)
        side, shift = ("start", 0) if left < wide / 2 else ("end", 1) if left > 100 - wide / 2 else ("", 0.5)
        first = left - shift * wide
        free = (row for row in rows.split() if all(first >= b or first + wide <= a for a, b in self.taken[row]))
        if row := next(free, None):
            self.taken[row].append((first, first + wide))
            self.add(" ".join(filter(None, (row, side, kind))), left, text=text)

    @property
    def rows(self) -> int:
        """How many rows of labels: the third only where it is needed."""
        return 3 if self.taken["low"] else 2


def of(claim: Claim | None, record, seeds: list[float] = ()) -> Line | None:
    """The line of a claim and of its `claims.Record`, or None, and of what it measured at each seed.

    None where nothing is predicted.
    """
    if claim is None or claim.predicted is None:
        return None
    measured = record.measured if record else None
    found = Line(_sentence(claim, record), measured=measured is not None)
    if measured is None or record.tolerance is None:
        return _not_measured(found, claim)
    control = record.control[1] if record.control else None
    at, left, right = _scale(claim, measured, record.tolerance, control)
    for low, high in _bands(claim, record.tolerance):
        low, high = max(left, at(low)), min(right, at(high))
        found.add("band", low, high - low)
    for low, high in _slack(claim, record.tolerance):
        low, high = max(left, at(low)), min(right, at(high))
        if high - low > 0.2:
            found.add("slack", low, high - low)
    for kind, text, value in _ticks(claim, record.tolerance):
        _point(found, kind, "up low", at(value), text)
    for value in dict.fromkeys(seeds):
        if left <= at(value) <= right:
            found.add("seed", at(value))
    name = "off by" if _exact(claim, record.tolerance) else "measured"
    value = abs(measured - claim.predicted) if name == "off by" else measured
    _point(found, "dot", "down low", at(measured), f"{name} {told(value)}")
    if control is not None:
        far = f"off by {told(abs(control - claim.predicted))}" if name == "off by" else told(control)
        _control(found, at(control), f"control {far}")
    return found


def _sentence(claim: Claim, record) -> str:
    """What the line shows, for those who do not see it."""
    said = f"Predicted {in_words(claim.relation, claim.predicted)}"
    said += f", by us {told(claim.ours)}" if claim.ours is not None else ""
    if not record or record.measured is None:
        return f"{said}; not measured."
    said += f", tolerance {told(record.tolerance)}" if record.tolerance is not None else ""
    said += f"; measured {told(record.measured)}"
    if record.control and record.control[1] is not None:
        said += f"; the control measures {told(record.control[1])}"
    return said + "."


def in_words(relation: str, predicted) -> str:
    """A prediction in words: "1", "at most 0.5", "from 0.9 to 1.1"."""
    if relation == "in":
        return f"from {told(predicted[0])} to {told(predicted[1])}"
    return {"=": "", "≤": "at most ", "≥": "at least "}[relation] + told(predicted)


def _exact(claim: Claim, tolerance: float) -> bool:
    return claim.relation == "=" and claim.expect == "holds" and 0 < tolerance < EXACT


def _not_measured(found: Line, claim: Claim) -> Line:
    low, high = {"≤": (0, 50), "≥": (50, 100), "in": (37.5, 62.5)}.get(claim.relation, (50, 50))
    if high > low:
        found.add("band", low, high - low)
    for left in (37.5, 62.5) if claim.relation == "in" else (50,):
        found.add("tick", left)
    found.label("up", 50, in_words(claim.relation, claim.predicted))
    return found


def _scale(claim: Claim, measured: float, tolerance: float, control: float | None):
    """From a value to its place in per cent, and the two ends of what is drawn in proportion; beyond lie arrows."""
    if _exact(claim, tolerance):
        far = [abs(value - claim.predicted) for value in (control, measured) if value is not None]
        top = math.log10(max(*far, 10 * tolerance)) + 1
        return lambda x: 100 * (_log(abs(x - claim.predicted), -17) + 17) / (top + 17), 0, 100
    if claim.expect == "differs":
        low, high = sorted((claim.ours, claim.predicted if claim.relation != "in" else max(claim.predicted)))
        low, high = min(low, measured), max(high, measured)
        if control is not None and low - (high - low) <= control <= high + (high - low):
            low, high = min(low, control), max(high, control)
        return _linear(low, high, 0.18), 0, 100
    if claim.relation == "in":
        low, high = claim.predicted
        return _linear(min(low, measured), max(high, measured), 0.6), 0, 100
    if claim.relation == "=":
        unit = tolerance or max(abs(value - claim.predicted) for value in (measured, control or 0.0)) / 3 or 1.0
        return lambda x: 50 + 12.5 * (x - claim.predicted) / unit, 0, 100
    bound, both = claim.predicted, (measured, claim.predicted)
    if min(both) > 0 and max(both) / min(both) >= DECADES:
        ends = [*both, *([control] if control and control > 0 and control < 1e4 * max(both) else [])]
        low, high = math.log10(min(ends)) - 0.7, math.log10(max(ends)) + 0.7
        return lambda x: 100 * (_log(x, low) - low) / (high - low), 0, 100
    ends = [*both, bound - tolerance, bound + tolerance]
    low, high = min(ends), max(ends)
    if control is not None and low - 1.5 * (high - low) <= control <= high + 1.5 * (high - low):
        low, high = min(low, control), max(high, control)
    if min(both) >= 0 and low < high / 2:
        low = 0.0
        return lambda x: 100 * x / (1.15 * high or 1), 0, 100
    return _linear(low, high, 0.2), 0, 100


def _linear(low: float, high: float, margin: float):
    span = high - low or abs(high) or 1.0
    return lambda x: 100 * (x - low + margin * span) / (span * (1 + 2 * margin))


def _log(x: float, least: float) -> float:
    return max(least, math.log10(x)) if x > 0 else least


def _bands(claim: Claim, tolerance: float) -> list[tuple[float, float]]:
    """What holds, without the noise of the measurement."""
    if _exact(claim, tolerance):
        return [(claim.predicted, claim.predicted + tolerance)]
    wanted = claim.ours if claim.expect == "differs" else claim.predicted
    match "=" if claim.expect == "differs" else claim.relation:
        case "=":
            return [(wanted - tolerance, wanted + tolerance)]
        case "in":
            return [wanted]
        case "≤":
            return [(-math.inf, wanted)]
    return [(wanted, math.inf)]


def _slack(claim: Claim, tolerance: float) -> list[tuple[float, float]]:
    """How far noise may carry what is measured beyond a bound."""
    if claim.expect == "differs" or claim.relation == "=" or not tolerance:
        return []
    low, high = claim.predicted if claim.relation == "in" else (claim.predicted, claim.predicted)
    above, below = (high, high + tolerance), (low - tolerance, low)
    return {"≤": [above], "≥": [below], "in": [below, above]}[claim.relation]


def _ticks(claim: Claim, tolerance: float) -> list[tuple[str, str, float]]:
    """The predictions: (kind of tick, label, value); a range has two ticks and one label, so that none meet."""
    if _exact(claim, tolerance):
        return [("edge", f"allowed: up to {told(tolerance)}", claim.predicted + tolerance)]
    words, values = in_words(claim.relation, claim.predicted), [claim.predicted]
    if claim.relation == "in":
        values = claim.predicted
    if claim.expect == "differs":
        paper = [("paper", "", value) for value in values[:-1]] + [("paper", f"the paper: {words}", values[-1])]
        return [("tick", f"ours {told(claim.ours)}", claim.ours), *paper]
    if claim.relation == "in":
        return [*(("tick", "", value) for value in values), ("", words, sum(values) / 2)]
    return [("tick", f"predicted {words}" if claim.relation == "=" else words, claim.predicted)]


def _point(found: Line, kind: str, rows: str, left: float, text: str) -> None:
    """A mark, where it has a kind, and its label; a mark that lies outside is an arrow at that end."""
    inside = min(max(left, 0.0), 100.0)
    if inside != left:
        found.add("arrow", inside, text="◂" if left < 0 else "▸")
    elif kind:
        found.add(kind, left)
    if text:
        found.label(rows, inside, text, kind)


def _control(found: Line, left: float, text: str) -> None:
    """The control's cross and its label."""
    inside = min(max(left, 1.2), 98.8)
    found.add("cross", inside)
    if not 0 <= left <= 100:
        found.add("arrow", 0 if left < 0 else 100, text="◂" if left < 0 else "▸")
    found.label("down up low", inside, text, "cross")
