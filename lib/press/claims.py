"""Claims: what the theory predicts, what a run measures, and a control that must miss.

A chapter calls `check` for each of its rows in `book/claims.toml` and `close` in its last cell.
`check` never raises: it shows a card and keeps its record. `close` raises one error with every miss.
Where a run lacks what a claim needs, `not_measured` takes the place of its `check`.
`require` states the range of parameters that a chapter holds for.
"""

import importlib.metadata
import inspect
import os
import re
from dataclasses import asdict, dataclass, field
from numbers import Real

from IPython import get_ipython
from IPython.display import display

from press import ROOT, ledger, settings
from press.ledger import LEDGER, Claim, target
from press.numbers import aside, plain
from press.site import cards

CONTROL_FACTOR = 3  # a control must miss by this many tolerances


@dataclass
class Record:
    """One check as it was run, kept in the metadata of its output; `problems` is empty where it passed."""

    id: str
    cell: int | None = None
    verdict: str = "missed"
    measured: float | None = None
    tolerance: float | None = None
    why: str = ""
    control: tuple[str, float | None] | None = None
    outside: str | None = None
    reason: str | None = None  # why this run does not measure it
    problems: list[str] = field(default_factory=list)


def distance(value: float, relation: str, predicted) -> float:
    """How far `value` is from the values that the prediction allows."""
    low, high = predicted if relation == "in" else (predicted, predicted)
    above = 0.0 if relation == "≥" else value - high
    below = 0.0 if relation == "≤" else low - value
    return max(0.0, above, below)


def require(condition, text: str) -> None:
    """State the range that a chapter holds for, after its parameters: `require(4 * K < D, "K is less than D/4")`.

    Outside it one ValueError says so, with the numbers that the caller has under the names in `text`.
    """
    if not condition:
        known = inspect.currentframe().f_back.f_globals
        names = [name for name in dict.fromkeys(re.findall(r"[^\W\d]\w*", text)) if isinstance(known.get(name), Real)]
        here = ", ".join(f"{name} = {known[name]}" for name in names)
        raise ValueError(f"this chapter holds where {text}" + (f"; here {here}" if here else ""))


def is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


_records: list[Record] = []


def check(id: str, measured, *, tolerance, why="", control=None, outside: str | None = None) -> None:
    """Compare `measured` with the ledger's row `id`, show the verdict, and keep it for `close`.

    `why` says where the tolerance comes from. `control=("the broken hypothesis", value)` is the same
    measurement with exactly that hypothesis broken; it must miss by three tolerances.
    `outside` names a hypothesis of the theorem that this run does not meet.
    """
    record = Record(str(id), why=why, outside=outside)
    claim = _begin(record)
    _fill(record, measured, tolerance, control)
    if not record.problems:
        _judge(record, claim)
    if not record.problems:
        record.verdict = claim.expect
    _show(record, claim)


def not_measured(id: str, reason: str) -> None:
    """In place of `check`, where this run lacks what the claim needs: the verdict is *not measured*, for `reason`.

    The ledger's row stays as it is; another run, which has what is needed, checks it.
    """
    record = Record(str(id), reason=reason)
    claim = _begin(record)
    if not is_text(reason):
        record.problems.append("reason is missing: say what this run lacks")
        record.reason = ""
    if not record.problems:
        record.verdict = "not measured"
    _show(record, claim)


def matrix(rows: dict[str, dict[str, str]], caption: str) -> None:
    """Show claims that vary one thing over a grid as one table: {row: {column: id}}; each must be checked before.

    TeX between dollars in the names. The page has the claims' cards behind the table.
    """
    known = {record.id: record for record in _records}
    if missing := [id for row in rows.values() for id in row.values() if id not in known]:
        raise ValueError(f"claims.matrix: '{missing[0]}' is not checked before it")
    shown = cards.matrix(rows, caption, ledger.claims(), known)
    pairs = [[name, list(row.items())] for name, row in rows.items()]  # a notebook sorts the keys of an object
    metadata = {"matrix": {"rows": pairs, "caption": caption}}
    display(
        {"text/html": shown, "text/plain": f"A table of {len(known)} claims: {caption}"}, metadata=metadata, raw=True
    )


def close() -> None:
    """End the chapter's claims: one error that lists every miss, or one line that says all is as expected."""
    records = _records.copy()
    _records.clear()
    if missed := [f"{record.id}: {problem}" for record in records for problem in record.problems]:
        raise AssertionError("claims that failed:\n" + "\n".join(missed))
    said = []
    if measured := sum(record.reason is None for record in records):
        said.append(f"{measured} of {measured} claims are as the ledger expects")
    said += [f"{record.id} is not measured: {record.reason}" for record in records if record.reason is not None]
    if odd := unlike_the_book():
        said.append(f"unlike the book, so the last digits may differ: {', '.join(odd)}")
    if said:
        aside("\n".join(said))


def unlike_the_book() -> list[str]:
    """The variables and versions that a number could depend on, where this run has others than the book."""
    threads = [name for name in settings.ENVIRONMENT if name.endswith("_NUM_THREADS")]
    odd = [f"{name} is not 1" for name in threads if os.environ.get(name) != "1"]
    tried = (ROOT / "constraints.txt").read_text(encoding="utf-8") if (ROOT / "constraints.txt").exists() else ""
    for name, version in re.findall(r"^(torch|numpy|scipy|numba)==(\S+)$", tried, re.M):
        here = importlib.metadata.version(name)
        odd += [f"{name} {here}, not {version}"] if here.partition("+")[0] != version else []
    return odd


def _begin(record: Record) -> Claim | None:
    """Keep the record and find its row; where its cell is run again, it takes the place of the old one."""
    record.cell = getattr(get_ipython(), "execution_count", None)
    if any(other.id == record.id and other.cell == record.cell for other in _records):
        record.problems.append("is checked twice")
    else:
        _records[:] = [other for other in _records if other.id != record.id]
    _records.append(record)
    try:
        return ledger.claims()[record.id]
    except KeyError:
        record.problems.append(f"is not in {LEDGER}")
    except (OSError, ValueError) as error:
        record.problems.append(str(error))
    return None


def _show(record: Record, claim: Claim | None) -> None:
    shown = {"text/html": cards.html(claim, record), "text/plain": cards.plain(claim, record)}
    display(shown, metadata={"claim": asdict(record)}, raw=True)


def _fill(record: Record, measured, tolerance, control) -> None:
    """Complete the record from the call; whatever is wrong with it is a problem."""
    problem = record.problems.append

    def number(name, value):
        try:
            return float(plain(value))
        except ValueError as error:
            return problem(f"{name} {error}")

    record.measured = number("measured", measured)
    record.tolerance = number("tolerance", tolerance)
    if record.tolerance is not None and record.tolerance < 0:
        problem(f"tolerance is {record.tolerance:g}; it must be at least 0")
    if not is_text(record.why):
        problem("why is missing: say where the tolerance comes from")
        record.why = ""
    if record.outside is not None and not is_text(record.outside):
        problem("outside is not a text: name the hypothesis that this run does not meet")
        record.outside = None
    match control:
        case (str(broken), value) if is_text(broken):
            record.control = (broken, number("control", value))
        case _:
            problem('control is missing: give control=("the broken hypothesis", value)')


def _judge(record: Record, claim: Claim) -> None:
    """Measured within a tolerance of the target; the control, and a rejected prediction, far from it."""
    measured, (broken, control) = record.measured, record.control
    near, far = record.tolerance, CONTROL_FACTOR * record.tolerance
    if claim.expect == "not measured":
        record.problems.append(f"is measured, while the ledger says 'not measured: {claim.reason}'")
        return
    paper = (claim.relation, claim.predicted)
    wanted = ("=", claim.ours) if claim.expect == "differs" else paper

    def misses(value, prediction):
        return distance(value, *prediction) >= far and distance(value, *prediction) > 0

    if distance(measured, *wanted) > near:
        record.problems.append(f"measured {measured:.4g}, not {target(*wanted)} within {near:.4g}")
    if claim.expect == "differs" and not misses(measured, paper):
        record.problems.append(f"measured {measured:.4g} does not miss {target(*paper)} by {far:.4g}")
    if not misses(control, wanted):
        told = f"control '{broken}', {control:.4g}, does not miss {target(*wanted)} by {far:.4g}"
        record.problems.append(told)
