"""A claim in words, and as a card: in a notebook, on its page, on the scoreboard."""

import functools
from collections.abc import Iterable
from pathlib import Path

import jinja2

from press.ledger import Claim, target

COLOURS = {"holds": "#009E73", "differs": "#0077BB", "not measured": "#7A7A7A", "missed": "#D55E00"}


@functools.cache
def templates() -> jinja2.Environment:
    """The templates; what they are given is escaped, and what they are not given is an error."""
    folder = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    return jinja2.Environment(loader=folder, autoescape=True, **options)


def render(template: str, **given) -> str:
    return templates().get_template(template).render(given)


def facts(claim: Claim | None, record) -> dict[str, str]:
    """What there is to say of a claim, label by label: the one place that puts a record into words.

    `record` is the `claims.Record` of its check, or None; `claim` is None where the ledger lacks the record's id.
    """
    said = {}
    if claim and claim.predicted is not None:
        said["Predicted"] = target(claim.relation, claim.predicted)
    if claim and claim.ours is not None:
        said["Ours"] = f"= {claim.ours:.4g}"
    if record and record.measured is not None:
        said["Measured"] = f"{record.measured:.4g}"
    if record and record.tolerance is not None:
        said["Tolerance"] = f"{record.tolerance:.4g}: {record.why}"
    if record and record.control and record.control[1] is not None:
        said["Control"] = f"{record.control[1]:.4g}: {record.control[0]}"
    if record and record.outside:
        said["Outside the hypotheses"] = record.outside
    if reason := record.reason if record else claim.reason:
        said["Not measured, because"] = reason
    return said


def card(claim: Claim | None, record, seeds: tuple[str, str] | None = None) -> dict:
    """What the templates show of a claim: id, verdict, statement, facts, problems, and what is recorded of its seeds.

    `seeds` is one of `press.build.seeds.recorded`: the words, and when, where and how that was recorded.
    """
    verdict = record.verdict if record else "not measured"
    return {
        "id": record.id if record else claim.id,
        "verdict": verdict,
        "colour": COLOURS[verdict],
        "statement": claim.statement if claim else "",
        "facts": facts(claim, record),
        "problems": record.problems if record else [],
        "seeds": seeds,
    }


def html(claim: Claim | None, record, seeds=None) -> str:
    return render("claim.html", card=card(claim, record, seeds))


def plain(claim: Claim | None, record, seeds=None) -> str:
    shown = card(claim, record, seeds)
    said = [f"{label}: {fact}" for label, fact in shown["facts"].items()] + list(seeds or ())[:1]
    return " · ".join([shown["verdict"], shown["id"], shown["statement"], *said, *shown["problems"]])


def told(verdicts: Iterable[str]) -> str:
    """How many there are of each verdict: "3 holds · 1 differs"."""
    verdicts = list(verdicts)
    return " · ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in COLOURS if verdict in verdicts)
