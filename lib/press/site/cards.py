"""A claim in words, and as a card with its number line: in a notebook, on its page, on the scoreboard."""

import functools
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from press.ledger import Claim
from press.numbers import told as number
from press.site import lines
from press.site.public import report

MARKS = {"holds": "✓", "differs": "≠", "not measured": "–", "missed": "!"}
BY = {"paper": "the paper's claim", "derived": "derived here"}


@functools.cache
def templates() -> jinja2.Environment:
    """The templates; what they are given is escaped, and what they are not given is an error."""
    folder = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    return jinja2.Environment(loader=folder, autoescape=True, **options)


def render(template: str, **given) -> str:
    return templates().get_template(template).render(given)


def formulas(text: str, fill=None) -> Markup:
    """A text as HTML: what stands between dollars is a formula; `fill` gives what stands for a {slot} outside them."""
    parts = [str(escape(part)) for part in text.split("$")]
    if fill:
        parts[::2] = [re.sub(r"\{(\w+)\}", lambda slot: fill(slot[1]), part) for part in parts[::2]]
    parts[1::2] = [f'<span class="math notranslate nohighlight">\\({part}\\)</span>' for part in parts[1::2]]
    return Markup("".join(parts))


def sentence(claim: Claim | None, record) -> Markup:
    """The claim's sentence with its numbers; its plain statement where nothing was measured."""
    if claim is None:
        return Markup("")
    if record is None or record.measured is None:
        return formulas(claim.statement)

    def fill(slot: str) -> str:
        if slot == "measured":
            return f"<b>{number(record.measured)}</b>"
        if slot == "predicted":
            return lines.in_words(claim.relation, claim.predicted)
        known = {"ours": claim.ours, "tolerance": record.tolerance, "control": (record.control or (0, None))[1]}
        return "–" if known[slot] is None else number(known[slot])

    return formulas(claim.say, fill)


def facts(claim: Claim | None, record) -> dict[str, str]:
    """What there is to say of a claim besides its line, label by label."""
    said = {}
    if record and record.tolerance is not None:
        said["Tolerance"] = f"{number(record.tolerance)}: {record.why}"
    if record and record.control and record.control[1] is not None:
        said["Control ✕"] = f"{record.control[0]}: {number(record.control[1])}"
    if record and record.outside:
        said["Outside the hypotheses"] = record.outside
    if claim and record and record.measured is not None:  # else it is the sentence
        said["In words"] = claim.statement
    if claim:
        said["Source"] = claim.source
    return said


def card(claim: Claim | None, record, seeds=None) -> dict:
    """What the templates show of a claim.

    `seeds` is one of `press.build.seeds.recorded`: the words, when, where and how that was recorded, and what was
    measured at each.
    """
    verdict = record.verdict if record else "not measured"
    return {
        "id": record.id if record else claim.id,
        "verdict": verdict,
        "kind": verdict.replace(" ", "-"),
        "mark": MARKS[verdict],
        "by": BY[claim.by] if claim else "",
        "short": claim.short if claim else "",
        "say": sentence(claim, record),
        "reason": (record.reason if record else claim.reason) or "",
        "line": lines.of(claim, record, seeds[2] if seeds else ()),
        "facts": facts(claim, record),
        "report": report(f"Claim {record.id if record else claim.id}: ", "The claim says … I find …"),
        "problems": record.problems if record else [],
        "seeds": seeds,
    }


def html(claim: Claim | None, record, seeds=None) -> str:
    return render("claim.html", card=card(claim, record, seeds))


def matrix(
    rows: dict[str, dict[str, str]], caption: str, claims: dict, records: dict, seeds: dict | None = None
) -> str:
    """Claims as one table, {row: {column: id}} or its pairs: predicted, verdict, measured and a small line each."""
    rows = {name: dict(row) for name, row in dict(rows).items()}
    columns = dict.fromkeys(column for row in rows.values() for column in row)

    def cell(id: str) -> dict:
        claim, record = claims.get(id), records.get(id)
        differs = claim is not None and claim.expect == "differs"
        return card(claim, record, (seeds or {}).get(id)) | {
            "predicted": "" if claim is None else lines.in_words(claim.relation, claim.predicted),
            "ours": number(claim.ours) if differs else "",
            "measured": "–" if not record or record.measured is None else number(record.measured),
        }

    shown = {formulas(name): [cell(row[c]) if c in row else None for c in columns] for name, row in rows.items()}
    return render("matrix.html", columns=list(map(formulas, columns)), rows=shown, caption=formulas(caption))


def plain(claim: Claim | None, record, seeds=None) -> str:
    """The card in one line of text."""
    shown = card(claim, record, seeds)
    said = [shown["line"].said if shown["line"] else "", f"not measured, because {shown['reason']}"]
    said = [text for text, here in zip(said, (True, shown["reason"]), strict=True) if text and here]
    said += [f"{label}: {fact}" for label, fact in shown["facts"].items() if label != "In words"]
    statement = claim.statement if claim else ""
    return " · ".join([shown["verdict"], shown["id"], statement, *said, *list(seeds or ())[:1], *shown["problems"]])
