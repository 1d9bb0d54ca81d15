"""Claims: what the theory predicts, what a run measures, and a control that must miss.

A chapter calls `check` for each of its rows in `book/claims.toml` and `close` in its last cell.
`check` never raises: it shows a box and keeps its record. `close` raises one error with every miss.
Where a run lacks what a claim needs, `not_measured` takes the place of its `check`.
"""

import html
import inspect
import math
import re
import tomllib
from dataclasses import asdict, dataclass, field
from numbers import Real

from IPython import get_ipython
from IPython.display import display

from press import ROOT

LEDGER = "book/claims.toml"
CONTROL_FACTOR = 3  # a control must miss by this many tolerances
COLOURS = {"holds": "#009E73", "differs": "#0077BB", "not measured": "#7A7A7A", "missed": "#D55E00"}


@dataclass
class Record:
    """One check as it was run; `problems` is empty where it passed."""

    id: str
    cell: int | None
    why: str
    outside: str | None
    problems: list[str]
    row: dict = field(default_factory=dict)
    measured: float | None = None
    tolerance: float | None = None
    control: tuple[str, float | None] | None = None
    reason: str | None = None  # why this run does not measure it

    @property
    def verdict(self) -> str:
        if self.problems:
            return "missed"
        return self.row["expect"] if self.reason is None else "not measured"


def target(relation: str, predicted) -> str:
    """The prediction in print: "= 1", "≤ 0.5", "in [0.9, 1.1]"."""
    return f"{relation} [{predicted[0]:.4g}, {predicted[1]:.4g}]" if relation == "in" else f"{relation} {predicted:.4g}"


def distance(value: float, relation: str, predicted) -> float:
    """How far `value` is from the values that the prediction allows."""
    low, high = predicted if relation == "in" else (predicted, predicted)
    above = 0.0 if relation == "≥" else value - high
    below = 0.0 if relation == "≤" else low - value
    return max(0.0, above, below)


def _finite(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _interval(ends) -> bool:
    return isinstance(ends, list) and len(ends) == 2 and all(map(_finite, ends)) and ends[0] < ends[1]


def _text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _identifier(value) -> bool:
    return _text(value) and bool(re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", value))


def _fault(row: dict) -> str | None:
    """What is wrong with a row of the ledger, in words; None where it is well formed."""

    def one_of(*allowed):
        return allowed.__contains__, f"one of {', '.join(allowed)}"

    text, number = (_text, "a text"), (_finite, "a finite number")
    rules = {
        "id": (_identifier, "lower-case words joined by - or ."),
        "source": text,
        "by": one_of("paper", "derived"),
        "statement": text,
        "relation": one_of("=", "≤", "≥", "in"),
        "predicted": (_interval, "[low, high] with low < high") if row.get("relation") == "in" else number,
        "expect": one_of("holds", "differs", "not measured"),
    }
    if row.get("expect") == "not measured":  # of what is not available nothing can be predicted
        rules = {k: rule for k, rule in rules.items() if k in row or k not in ("relation", "predicted")}
    rules |= {"ours": number} if row.get("expect") == "differs" else {}
    rules |= {"reason": text} if row.get("expect") == "not measured" else {}
    for key, (allows, allowed) in rules.items():
        if key not in row:
            return f"field '{key}' is missing"
        if not allows(row[key]):
            return f"field '{key}' is {row[key]!r}; allowed: {allowed}"
    unknown = sorted(row.keys() - rules.keys())
    return f"field '{unknown[0]}' does not belong to a row that expects '{row['expect']}'" if unknown else None


def _tables(kind: str) -> list[dict]:
    """The ledger's tables of one kind, as they are written."""
    try:
        tables = tomllib.loads((ROOT / LEDGER).read_text(encoding="utf-8")).get(kind, [])
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{LEDGER}: not valid TOML: {error}") from None
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        raise ValueError(f"{LEDGER}: '{kind}' must be a list of tables, each headed [[{kind}]]")
    return tables


def ledger() -> dict[str, dict]:
    """The rows of the ledger by id; a wrong row is a ValueError that names file, id and field."""
    claims: dict[str, dict] = {}
    for place, row in enumerate(_tables("claim"), start=1):
        name = row.get("id", f"number {place}")
        if fault := _fault(row) or ("field 'id' occurs twice" if name in claims else None):
            raise ValueError(f"{LEDGER}: claim '{name}': {fault}")
        claims[name] = row
    return claims


def sections() -> dict[str, list[dict]]:
    """What the papers number, section by section: each item has a `name` and says `what` it is.

    It may have a `page`, and a `note` that says why it has no claim. A wrong item is a ValueError that names it.
    """
    found: dict[str, list[dict]] = {}
    seen = set()
    for section in _tables("section"):
        title = section.get("title")
        if not (_text(title) and section.keys() == {"title", "items"} and title not in found):
            raise ValueError(f"{LEDGER}: a [[section]] needs a title of its own and items, and nothing else: {title!r}")
        for item in section["items"]:
            name = item.get("name")
            allowed = {"name", "what"} <= item.keys() <= {"name", "what", "page", "note"}
            if not (allowed and all(map(_text, item.values())) and name not in seen):
                raise ValueError(f"{LEDGER}: {title}: an item has name (once), what, maybe page and note: {item}")
            seen.add(name)
        found[title] = section["items"]
    return found


def named(row: dict) -> list[str]:
    """The items that a row's source names: "Theorem 3.1(3), ReLU; Figure 2(a)" names two."""
    return [part.partition(",")[0].strip() for part in row["source"].split(";")]


def require(condition, text: str) -> None:
    """State the range that a chapter holds for, after its parameters: `require(4 * K < D, "K is less than D/4")`.

    Outside it one ValueError says so, with the numbers that the caller has under the names in `text`.
    """
    if not condition:
        known = inspect.currentframe().f_back.f_globals
        names = [name for name in dict.fromkeys(re.findall(r"[^\W\d]\w*", text)) if isinstance(known.get(name), Real)]
        here = ", ".join(f"{name} = {known[name]!r}" for name in names)
        raise ValueError(f"this chapter holds where {text}" + (f"; here {here}" if here else ""))


_records: list[Record] = []


def check(id: str, measured, *, tolerance, why="", control=None, outside: str | None = None) -> None:
    """Compare `measured` with the ledger's row `id`, show the verdict, and keep it for `close`.

    `why` says where the tolerance comes from. `control=("the broken hypothesis", value)` is the same
    measurement with exactly that hypothesis broken; it must miss by three tolerances.
    `outside` names a hypothesis of the theorem that this run does not meet.
    """
    record = _begin(Record(id, None, why, outside, []))
    _fill(record, measured, tolerance, control)
    if not record.problems:
        _judge(record)
    _show(record)


def not_measured(id: str, reason: str) -> None:
    """In place of `check`, where this run lacks what the claim needs: the verdict is *not measured*, for `reason`.

    The ledger's row stays as it is; another run, which has what is needed, checks it.
    """
    record = _begin(Record(id, None, "", None, [], reason=reason))
    if not _text(reason):
        record.problems.append("reason is missing: say what this run lacks")
    _show(record)


def close() -> None:
    """End the chapter's claims: one error that lists every miss, or one line that says all is as expected."""
    records = _records.copy()
    _records.clear()
    if missed := [f"{record.id}: {problem}" for record in records for problem in record.problems]:
        raise AssertionError("claims that failed:\n" + "\n".join(missed))
    if measured := sum(record.reason is None for record in records):
        print(f"{measured} of {measured} claims are as the ledger expects")
    for record in records:
        if record.reason is not None:
            print(f"{record.id} is not measured: {record.reason}")


def _begin(record: Record) -> Record:
    """Keep the record and give it its row; where its cell is run again, it takes the place of the old one."""
    record.cell = getattr(get_ipython(), "execution_count", None)
    if any(other.id == record.id and other.cell == record.cell for other in _records):
        record.problems.append("is checked twice")
    else:
        _records[:] = [other for other in _records if other.id != record.id]
    _records.append(record)
    try:
        record.row = ledger()[record.id]
    except KeyError:
        record.problems.append(f"is not in {LEDGER}")
    except (OSError, ValueError) as error:
        record.problems.append(str(error))
    return record


def _show(record: Record) -> None:
    kept = asdict(record) | {"verdict": record.verdict}
    display({"text/html": _box(record), "text/plain": _line(record)}, metadata={"claim": kept}, raw=True)


def _fill(record: Record, measured, tolerance, control) -> None:
    """Complete the record from the call; whatever is wrong with it is a problem."""
    problem = record.problems.append

    def number(name, value):
        try:
            value = float(value)
        except (TypeError, ValueError, RuntimeError):
            return problem(f"{name} is {value!r}, which is not one number")
        return value if math.isfinite(value) else problem(f"{name} is {value}; it must be finite")

    record.measured = number("measured", measured)
    record.tolerance = number("tolerance", tolerance)
    if record.tolerance is not None and record.tolerance < 0:
        problem(f"tolerance is {record.tolerance:g}; it must be at least 0")
    if not _text(record.why):
        problem("why is missing: say where the tolerance comes from")
    match control:
        case (str(broken), value) if broken.strip():
            record.control = (broken, number("control", value))
        case _:
            problem('control is missing: give control=("the broken hypothesis", value)')


def _judge(record: Record) -> None:
    """Measured within a tolerance of the target; the control, and a rejected prediction, far from it."""
    row, measured, (broken, control) = record.row, record.measured, record.control
    near, far = record.tolerance, CONTROL_FACTOR * record.tolerance
    if row["expect"] == "not measured":
        record.problems.append(f"is measured, while the ledger says 'not measured: {row['reason']}'")
        return
    paper = (row["relation"], row["predicted"])
    wanted = ("=", row["ours"]) if row["expect"] == "differs" else paper

    def misses(value, prediction):
        return distance(value, *prediction) >= far and distance(value, *prediction) > 0

    if distance(measured, *wanted) > near:
        record.problems.append(f"measured {measured:.4g}, not {target(*wanted)} within {near:.4g}")
    if row["expect"] == "differs" and not misses(measured, paper):
        record.problems.append(f"measured {measured:.4g} does not miss {target(*paper)} by {far:.4g}")
    if not misses(control, wanted):
        told = f"control '{broken}', {control:.4g}, does not miss {target(*wanted)} by {far:.4g}"
        record.problems.append(told)


def _facts(record: Record) -> list[str]:
    row, (broken, control) = record.row, record.control or (None, None)
    facts = {
        "predicted": target(row["relation"], row["predicted"]) if "predicted" in row else None,
        "ours": f"= {row['ours']:.4g}" if "ours" in row else None,
        "measured": None if record.measured is None else f"{record.measured:.4g}",
        "tolerance": None if record.tolerance is None else f"{record.tolerance:.4g}: {record.why}",
        f"control, {broken}:": None if control is None else f"{control:.4g}",
        "outside the theorem's hypotheses:": record.outside,
        "not measured in this run:": record.reason,
    }
    return [f"{name} {fact}" for name, fact in facts.items() if fact] + record.problems


def _line(record: Record) -> str:
    return " · ".join([record.verdict, record.id, record.row.get("statement", ""), *_facts(record)])


def _box(record: Record) -> str:
    """The box on the page and in the notebook: the page's own text colour, and an edge that reads on any."""
    name, statement = html.escape(record.id), html.escape(record.row.get("statement", ""))
    facts = "".join(f'<li style="margin:0">{html.escape(fact)}</li>' for fact in _facts(record))
    return (
        f'<div class="claim" id="claim-{name}" style="border-left:4px solid {COLOURS[record.verdict]};'
        f'padding:.2em 0 .2em .9em;margin:.6em 0;overflow-wrap:anywhere">'
        f"<div><strong>{record.verdict}</strong> <code>{name}</code></div><div>{statement}</div>"
        f'<ul style="margin:.2em 0 0;padding-left:1.2em;font-size:.9em">{facts}</ul></div>'
    )
