"""The ledger on pages: one claim in a sentence, every claim in a row that opens, every numbered item with its page.

And for programs: `claims.json` beside the scoreboard.
"""

import json
import re
import tomllib
from collections import Counter
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from press import ROOT, ledger
from press.build.chapters import find, read_text, toc
from press.build.seeds import recorded
from press.ledger import Claim
from press.numbers import powers
from press.numbers import told as number
from press.site import cards
from press.site.cards import MARKS, render
from press.site.reading import title

TRIED = ROOT / "book" / "records" / "fuzz.json"
FIRST = ("missed", "differs", "not measured")  # the verdicts that a reader looks for
BY = {"paper": "the paper's", "derived": "derived here"}
CLAIM = ("id", "source", "by", "statement", "relation", "predicted", "ours", "expect")
RUN = ("measured", "tolerance", "why", "control", "outside")


def anchor(name: str) -> str:
    """The id of a section or an item on the scoreboard: "Theorem 3.1(3)" has theorem-3-1-3."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def section(name: str, html: str, *ids: str, rows: int = 0) -> nodes.section:
    """A heading, with the number of its rows, and what stands under it."""
    count = [nodes.inline(f" {rows}", f" {rows}", classes=["count"])] if rows else []
    title = nodes.title(name, "", nodes.Text(name), *count)
    return nodes.section(
        "", title, nodes.raw("", html, format="html"), ids=list(ids) or [anchor(name)], classes=["rows"]
    )


def tried() -> list[nodes.section]:
    """How many odd calls of the library were made, and what came of them; nothing where no record is kept."""
    if not TRIED.is_file():
        return []
    return [section("Odd values", render("tried.html", **json.loads(TRIED.read_text(encoding="utf-8"))))]


class ClaimRole(SphinxRole):
    """What a claim measured, as a link to the place of its check: {claim}`slope`, or {claim}`slope:.2f` in that format.

    {claim}`slope:verdict` is its mark and verdict. The page may be the one that checks it; a claim need not be glued.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        id, _, form = self.text.partition(":")
        claim = ledger.claims().get(id)
        if not claim:
            return [], [self.inliner.reporter.warning(f"the ledger has no claim '{id}'", line=self.lineno)]
        for chapter in find():
            record = chapter.records().get(id)
            if record and form == "verdict":
                return [nodes.raw("", render("verdict.html", card=cards.card(claim, record)), format="html")], []
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
    """What both directives read: the ledger's claims, and what the executed notebooks and the seeds' record keep.

    Records stand in the order of reading: chapter by chapter, and as their checks do.
    """

    def read(self) -> None:
        self.claims, self.records, self.places, self.seeds = ledger.claims(), {}, {}, {}
        self.items = {item.name for items in ledger.sections().values() for item in items}
        known = {f"book/{chapter.name}": chapter for chapter in find()}
        for chapter in (known[page] for page in toc() if page in known):
            self.seeds |= recorded(chapter)
            for id, record in chapter.records().items():
                self.records[id], self.places[id] = record, chapter.name

    def address(self, page: str, place: str = "") -> str:
        page = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{page}")
        return f"{page}#{place}" if place else page

    def card(self, claim: Claim) -> dict:
        """A claim as the templates show it in a row."""
        record, place = self.records.get(claim.id), self.places.get(claim.id)
        sources = [(part.strip(), part.partition(",")[0].strip()) for part in claim.source.split(";")]
        return cards.card(claim, record, self.seeds.get(claim.id)) | {
            "origin": claim.by,
            "place": place,
            "ch": (place or "").rpartition("/")[2],
            "title": title(place) if place else "Without a run",
            "address": self.address(place, f"claim-{claim.id}") if place else "",
            "board": self.address("scoreboard", claim.id),
            "measured": "–" if not record or record.measured is None else number(record.measured),
            "predicted": "" if claim.predicted is None else brief(claim.relation, claim.predicted),
            "ours": "" if claim.ours is None else number(claim.ours),
            "sources": [(part, self.address("items", anchor(i)) if i in self.items else "") for part, i in sources],
        }


def brief(relation: str, predicted) -> str:
    """A prediction in a column: "1", "≤ 0.5", "0.9 to 1.1"."""
    words = " to ".join(map(number, predicted)) if relation == "in" else number(predicted)
    return {"≤": "≤ ", "≥": "≥ "}.get(relation, "") + words


def verdicts(shown: list[dict]) -> list[dict]:
    """How many cards there are of each verdict that occurs, with its mark."""
    counts = Counter(card["verdict"] for card in shown)
    said = [(verdict, mark) for verdict, mark in MARKS.items() if counts[verdict]]
    return [{"verdict": v, "kind": v.replace(" ", "-"), "mark": mark, "count": counts[v]} for v, mark in said]


class Scoreboard(Board):
    """Every claim in a row: what missed, differs or was not measured first, the others chapter by chapter."""

    def run(self) -> list[nodes.Node]:
        self.read()
        order = [id for id in self.records if id in self.claims] + [id for id in self.claims if id not in self.records]
        shown, groups = [self.card(self.claims[id]) for id in order], {}
        for card in shown:
            groups.setdefault(card["place"], []).append(card)
        groups = [
            {"title": of[0]["title"], "ch": of[0]["ch"], "place": of[0]["place"], "cards": of} for of in groups.values()
        ]
        by = [(origin, words, sum(card["origin"] == origin for card in shown)) for origin, words in BY.items()]
        head = render("board.html", claims=len(shown), verdicts=verdicts(shown), groups=groups, by=by)
        found = [nodes.raw("", head, format="html")]
        for verdict in FIRST:
            if of := [card for card in shown if card["verdict"] == verdict]:
                found.append(section(verdict.capitalize(), render("rows.html", cards=of), rows=len(of)))
        for group in groups:
            if of := [card for card in group["cards"] if card["verdict"] not in FIRST]:
                ids = "in-" + anchor(group["place"]), anchor(f"Derived here: {group['title']}")
                found.append(section(group["title"], render("rows.html", cards=of), *ids, rows=len(of)))
        self.write(shown)
        return [*found, section("Item by item, and for programs", self.more(), "by-item"), *tried()]

    def more(self) -> str:
        taken = set(self.claims)

        def place(name: str) -> dict:
            id, old = anchor(name), "" if anchor(name) in taken else anchor(name)
            taken.add(id)
            return {"name": name, "title": name, "anchor": old, "address": self.address("items", id)}

        used = {item for claim in self.claims.values() for item in claim.items}
        named = {
            group: [item.name for item in items if item.name in used] for group, items in ledger.sections().items()
        }
        groups = [place(group) | {"named": list(map(place, names))} for group, names in named.items()]
        return render("more.html", page=self.address("items"), groups=groups)

    def write(self, shown: list[dict]) -> None:
        """`claims.json` beside the page: the same bytes from the same ledger and the same runs."""
        project = tomllib.loads(read_text(ROOT / "pyproject.toml")).get("project", {})
        rows = []
        for card in shown:
            claim, record = self.claims[card["id"]], self.records.get(card["id"])
            row = {name: getattr(claim, name) for name in CLAIM} | {"verdict": card["verdict"]}
            row |= {name: getattr(record, name, None) for name in RUN} | {"reason": card["reason"] or None}
            row["control"] = dict(zip(("broken", "measured"), row["control"], strict=True)) if row["control"] else None
            rows.append(row | {"chapter": card["place"], "address": card["address"] or None})
        told = {"book": self.config.html_title, "version": project.get("version"), "claims": rows}
        file = Path(self.env.app.outdir, f"{self.env.docname}.html").with_name("claims.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


class Powers(Board):
    """Printed powers beside measured ones on one axis, in the text's order: a line `id: its name` for each claim."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.read()
        rows = [row.split(": ") for row in self.content]
        if unknown := [id for id, *_ in rows if id not in self.records or id not in self.claims]:
            raise self.error(f"powers: '{unknown[0]}' is no claim of the ledger that a chapter has measured")
        rows = [(self.card(self.claims[id]), self.claims[id].predicted, self.records[id].measured, n) for id, n in rows]
        return [nodes.raw("", render("powers.html", rows=rows), format="html")]


class Concordance(Board):
    """Every numbered item of the papers: what it is, the page where the book treats it, and its claims."""

    def run(self) -> list[nodes.Node]:
        self.read()
        return [
            section(group, render("items.html", items=list(map(self.item, items))))
            for group, items in ledger.sections().items()
        ]

    def item(self, item: ledger.Item) -> dict:
        page, _, place = item.page.partition("#")
        shown = [self.card(claim) for claim in self.claims.values() if item.name in claim.items]
        return {
            "name": item.name,
            "anchor": anchor(item.name),
            "what": item.what,
            "note": item.note,
            "page": page,
            "title": title(page) if page else "",
            "address": self.address(page, place) if page else "",
            "cards": shown,
            "verdicts": verdicts(shown),
        }


def on_its_pages(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Where there are rows, or a bench, their style and scripts; and where something is wide, no contents beside it."""
    rows = '<details class="row' in context.get("body", "")
    if '<div class="bench"' in context.get("body", ""):
        app.add_css_file("bench/bench.css")
        for name in ("dynamics", "state", "plan", "runs", "drawings", "words", "bench"):
            app.add_js_file(f"bench/{name}.js", loading_method="defer")
    if rows or '<div class="product"' in context.get("body", ""):
        context["meta"] = (context.get("meta") or {}) | {"html_theme.sidebar_secondary.remove": True}
    if rows:
        app.add_css_file("board.css")
        app.add_js_file("board.js", loading_method="defer")


def setup(app) -> None:
    app.connect("html-page-context", on_its_pages)
    app.add_role("claim", ClaimRole())
    app.add_directive("scoreboard", Scoreboard)
    app.add_directive("powers", Powers)
    app.add_directive("concordance", Concordance)
