"""The ledger `book/claims.toml`: what is claimed, what the papers number, and the least that the book holds."""

import re
import tomllib
from dataclasses import dataclass

from press import ROOT

LEDGER = "book/claims.toml"
ALLOWED = {
    "by": ("paper", "derived"),
    "relation": ("=", "≤", "≥", "in"),
    "expect": ("holds", "differs", "not measured"),
}
FIELDS = ("id", "source", "by", "statement", "say", "short", "relation", "predicted", "expect")
SHORT = 60  # characters of a claim in a row
SLOTS = ("measured", "predicted", "ours", "tolerance", "control")  # of `say`, in braces and outside formulas
MORE = {"differs": ("ours",), "not measured": ("reason",)}  # what a row needs besides, by what it expects


@dataclass(frozen=True)
class Claim:
    """A row of the ledger: a sentence, its prediction, and what its run is expected to say."""

    id: str
    source: str
    by: str
    statement: str  # in plain words
    say: str  # as the card says it: TeX between dollars, and {measured}
    short: str  # in a row
    expect: str
    relation: str | None = None  # with `predicted`; None where nothing can be predicted
    predicted: float | tuple[float, float] | None = None
    ours: float | None = None  # where it differs
    reason: str | None = None  # why it is not measured

    @classmethod
    def of(cls, row: dict) -> "Claim":
        """The claim of a row as it is written. A wrong one is a ValueError that names the field."""
        expect = row.get("expect")
        needed = [*FIELDS, *(MORE[expect] if expect in list(MORE) else ())]
        if expect == "not measured":  # of what is not available nothing can be predicted
            needed = [name for name in needed if name in row or name not in ("relation", "predicted")]
        for name in needed:
            if name not in row:
                raise ValueError(f"field '{name}' is missing")
            if allowed := _refused(name, row[name], row.get("relation")):
                raise ValueError(f"field '{name}' is {row[name]!r}; allowed: {allowed}")
        if unknown := sorted(row.keys() - set(needed)):
            raise ValueError(f"field '{unknown[0]}' does not belong to a row that expects '{expect}'")
        predicted = row.get("predicted")
        return cls(**row | {"predicted": tuple(predicted) if isinstance(predicted, list) else predicted})

    @property
    def judged(self) -> tuple:
        """What a check judges with; the rest of the row is wording."""
        return self.id, self.relation, self.predicted, self.ours, self.expect

    @property
    def items(self) -> list[str]:
        """The items that its source names: "Theorem 3.1(3), ReLU; Figure 2(a)" names two."""
        return [part.partition(",")[0].strip() for part in self.source.split(";")]


def target(relation: str, predicted) -> str:
    """A prediction in print: "= 1", "≤ 0.5", "in [0.9, 1.1]"."""
    return f"{relation} [{predicted[0]:.4g}, {predicted[1]:.4g}]" if relation == "in" else f"{relation} {predicted:.4g}"


@dataclass(frozen=True)
class Item:
    """What a paper numbers: its `name`, `what` it is, the `page` that treats it, a `note` why it has no claim."""

    name: str
    what: str
    page: str = ""
    note: str = ""


def slots(say: str) -> list[str]:
    """The names in braces outside formulas."""
    return re.findall(r"\{(\w+)\}", "".join(say.split("$")[::2]))


def _text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300  # not NaN either


def _refused(name: str, value, relation) -> str | None:
    """What a field allows, in words, where `value` is not that; None where it is."""
    if name in ALLOWED:
        fits, allowed = value in ALLOWED[name], f"one of {', '.join(ALLOWED[name])}"
    elif name == "predicted" and relation == "in":
        fits = isinstance(value, list) and len(value) == 2 and all(map(_number, value)) and value[0] < value[1]
        allowed = "[low, high] with low < high"
    elif name in ("predicted", "ours"):
        fits, allowed = _number(value), "a finite number"
    elif name == "id":
        fits = _text(value) and re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", value)
        allowed = "lower-case words joined by - or ."
    elif name == "short":
        fits = _text(value) and len(value) <= SHORT and not re.search(r"[$\\\\]", value)
        allowed = f"a text of at most {SHORT} characters, without TeX"
    elif name == "say":
        fits = _text(value) and value.count("$") % 2 == 0 and set(slots(value)) <= set(SLOTS)
        fits = fits and "measured" in slots(value)
        allowed = f"a sentence with {{measured}}, TeX between dollars, and no slot but {', '.join(SLOTS)}"
    else:
        fits, allowed = _text(value), "a text"
    return None if fits else allowed


def _tables(kind: str) -> list[dict]:
    """The ledger's tables of one kind, as they are written."""
    try:
        tables = tomllib.loads((ROOT / LEDGER).read_text(encoding="utf-8-sig")).get(kind, [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{LEDGER}: not valid TOML in UTF-8: {error}") from None
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        raise ValueError(f"{LEDGER}: '{kind}' must be a list of tables, each headed [[{kind}]]")
    return tables


def claims() -> dict[str, Claim]:
    """The claims by id. A wrong row is a ValueError that names file, id and field."""
    found: dict[str, Claim] = {}
    for place, row in enumerate(_tables("claim"), start=1):
        name = row.get("id", f"number {place}")
        try:
            claim = Claim.of(row)
            if claim.id in found:
                raise ValueError("field 'id' occurs twice")
        except ValueError as error:
            raise ValueError(f"{LEDGER}: claim '{name}': {error}") from None
        found[claim.id] = claim
    return found


def sections() -> dict[str, list[Item]]:
    """What the papers number, section by section. A wrong item is a ValueError that names it."""
    found: dict[str, list[Item]] = {}
    seen = set()
    for section in _tables("section"):
        title = section.get("title")
        if not (_text(title) and section.keys() == {"title", "items"} and title not in found):
            raise ValueError(f"{LEDGER}: a [[section]] needs a title of its own and items, and nothing else: {title!r}")
        for item in section["items"] if isinstance(section["items"], list) else [section["items"]]:
            allowed = isinstance(item, dict) and {"name", "what"} <= item.keys() <= {"name", "what", "page", "note"}
            if not (allowed and all(map(_text, item.values())) and item["name"] not in seen):
                raise ValueError(f"{LEDGER}: {title}: an item has name (once), what, maybe page and note: {item}")
            seen.add(item["name"])
        found[title] = [Item(**item) for item in section["items"]]
    return found


def floors() -> dict[str, int]:
    """The least count of each kind that a whole book has: the table [floors]."""
    found = tomllib.loads((ROOT / LEDGER).read_text(encoding="utf-8-sig")).get("floors", {})
    if not isinstance(found, dict) or not all(type(least) is int for least in found.values()):
        raise ValueError(f"{LEDGER}: [floors] has whole numbers by name, got {found!r:.60}")
    return found


def source_faults(sources: set[str], pages: set[str]) -> list[str]:
    """Claims from nowhere, items with neither a claim nor a note why, and items of a page that is none, one line each.

    `sources` are those that are no items: "derived in" each chapter. `pages` are the pages of the book.
    """
    rows, items = claims(), [item for section in sections().values() for item in section]
    used = {name for claim in rows.values() for name in claim.items}
    known = sources | {item.name for item in items}
    return [
        *(
            f"{LEDGER}: claim '{claim.id}': its source names '{name}', which no [[section]] lists"
            for claim in rows.values()
            for name in claim.items
            if name not in known
        ),
        *(
            f"{LEDGER}: '{item.name}' has neither a claim nor a note that says why"
            for item in items
            if item.name not in used and not item.note
        ),
        *(
            f"{LEDGER}: '{item.name}' has the page '{item.page}', which is not in _toc.yml"
            for item in items
            if item.page and item.page.partition("#")[0] not in pages
        ),
    ]
