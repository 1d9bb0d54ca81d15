"""The ledger on pages: one claim in a sentence, every claim with its verdict, every numbered item with its page."""

import json
import re

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from press import ROOT, ledger
from press.build.chapters import find, toc
from press.build.seeds import recorded
from press.ledger import Claim
from press.numbers import powers
from press.site import cards
from press.site.cards import render, told
from press.site.reading import title

TRIED = ROOT / "book" / "records" / "fuzz.json"


def anchor(name: str) -> str:
    """The id of a section or an item on the scoreboard: "Theorem 3.1(3)" has theorem-3-1-3."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def section(name: str, html: str) -> nodes.section:
    return nodes.section("", nodes.title(name, name), nodes.raw("", html, format="html"), ids=[anchor(name)])


def tried() -> list[nodes.section]:
    """How many odd calls of the library were made, and what came of them; nothing where no record is kept."""
    if not TRIED.is_file():
        return []
    return [section("Odd values", render("tried.html", **json.loads(TRIED.read_text(encoding="utf-8"))))]


class ClaimRole(SphinxRole):
    """What a claim measured, as a link to the place of its check: {claim}`slope`, or {claim}`slope:.2f` in that format.

    The page may be the one that checks it; what is a claim need not be glued.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        id, _, form = self.text.partition(":")
        claim = ledger.claims().get(id)
        if not claim:
            return [], [self.inliner.reporter.warning(f"the ledger has no claim '{id}'", line=self.lineno)]
        for chapter in find():
            record = chapter.records().get(id)
            if record and record.measured is not None:
                try:
                    number = format(record.measured, form or ".4g")
                except ValueError:
                    refusal = f"the claim '{id}' cannot be written as '{form}'"
                    return [], [self.inliner.reporter.warning(refusal, line=self.lineno)]
                page = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{chapter.name}")
                place = {"refuri": f"{page}#claim-{id}", "reftitle": claim.statement, "internal": True}
                return [nodes.reference("", powers(number).replace(" ", "\N{NO-BREAK SPACE}"), **place)], []
        return [nodes.emphasis("", "not measured")], []


class Board(SphinxDirective):
    """What both directives read: the ledger's claims, and what the executed notebooks and the seeds' record keep."""

    def read(self) -> None:
        self.claims, self.records, self.places, self.seeds = ledger.claims(), {}, {}, {}
        for chapter in find():
            self.seeds |= recorded(chapter)
            for id, record in chapter.records().items():
                self.records[id], self.places[id] = record, chapter.name

    def told(self, claims: list[Claim]) -> str:
        records = [self.records.get(claim.id) for claim in claims]
        return told(record.verdict if record else "not measured" for record in records)

    def naming(self, item: str) -> list[Claim]:
        return [claim for claim in self.claims.values() if item in claim.items]

    def address(self, page: str, place: str = "") -> str:
        page = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{page}")
        return f"{page}#{place}" if place else page


class Scoreboard(Board):
    """Every claim of the ledger beside what the executed notebooks measured, section by section of the papers."""

    def run(self) -> list[nodes.Node]:
        self.read()
        groups = {name: [item.name for item in items] for name, items in ledger.sections().items()}
        derived = {claim.items[0] for claim in self.claims.values()} - {i for g in groups.values() for i in g}
        order = [f"derived in {page.removeprefix('book/')}" for page in toc()]  # any other source comes after them
        for source in [*filter(derived.__contains__, order), *sorted(derived.difference(order))]:
            page = source.removeprefix("derived in ")
            groups["Derived here: " + title(page) if source in order else source] = [source]
        shown, table = [], []
        for group, items in groups.items():
            claims = [claim for claim in self.claims.values() if claim.items[0] in items]
            if claims:
                table.append({"anchor": anchor(group), "title": group, "told": self.told(claims)})
                shown.append(section(group, render("group.html", items=[self.item(item) for item in items])))
        total = self.told(list(self.claims.values()))
        head = render("totals.html", claims=len(self.claims), told=total, groups=table)
        return [nodes.raw("", head, format="html"), *shown, *tried()]

    def item(self, name: str) -> dict:
        """An item with its cards; a claim of two items is shown with the first."""
        claims = self.naming(name)
        own = [claim for claim in claims if claim.items[0] == name]
        return {
            "name": name,
            "anchor": anchor(name) if claims and not name.startswith("derived in ") else "",
            "cards": [self.card(claim) for claim in own],
            "elsewhere": [claim.id for claim in claims if claim not in own],
        }

    def card(self, claim: Claim) -> dict:
        card, place = cards.card(claim, self.records.get(claim.id), self.seeds.get(claim.id)), self.places.get(claim.id)
        address = self.address(place, f"claim-{claim.id}") if place else ""
        return card | {"place": place, "address": address}


class Concordance(Board):
    """Every numbered item of the papers: what it is, the page where the book treats it, and how its claims ended."""

    def run(self) -> list[nodes.Node]:
        self.read()
        return [
            section(group, render("concordance.html", items=[self.line(item) for item in items]))
            for group, items in ledger.sections().items()
        ]

    def line(self, item: ledger.Item) -> dict:
        page, _, place = item.page.partition("#")
        return {
            "name": item.name,
            "what": item.what,
            "note": item.note,
            "page": page,
            "title": title(page) if page else "",
            "address": self.address(page, place) if page else "",
            "told": self.told(self.naming(item.name)),
            "board": self.address("scoreboard", anchor(item.name)),
        }
