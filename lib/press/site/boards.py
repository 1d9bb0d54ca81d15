"""The ledger on pages: one claim in a sentence, every claim with its verdict, every numbered item with its page."""

import re
from collections import Counter
from html import escape

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from press import ROOT, claims
from press.build.chapters import find, toc


def anchor(name: str) -> str:
    """The id of a section or an item on the scoreboard: "Theorem 3.1(3)" has theorem-3-1-3."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def title(page: str) -> str:
    """The first heading of a page of the book."""
    text = (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")
    return re.search(r"^# (.+)$", text, re.M)[1]


def told(verdicts: Counter) -> str:
    return " · ".join(f"{verdicts[verdict]} {verdict}" for verdict in claims.COLOURS if verdicts[verdict])


class Board(SphinxDirective):
    """What both directives read: the ledger's rows, and what the executed notebooks kept of them."""

    def read(self) -> None:
        self.rows, self.records, self.places = claims.ledger(), {}, {}
        for chapter in find():
            for record in chapter.kept().get("claims", []):
                self.records[record["id"]], self.places[record["id"]] = record, chapter.name

    def verdict(self, row: dict) -> str:
        return self.records[row["id"]]["verdict"] if row["id"] in self.records else "not measured"

    def verdicts(self, rows: list[dict]) -> Counter:
        return Counter(map(self.verdict, rows))

    def naming(self, item: str) -> list[dict]:
        return [row for row in self.rows.values() if item in claims.named(row)]

    def address(self, page: str, place: str = "") -> str:
        page = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{page}")
        return f"{page}#{place}" if place else page


class Claim(SphinxRole):
    """What a claim measured, as a link to the place where it was checked: {claim}`recovery-slope`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        for chapter in find():
            for record in chapter.kept().get("claims", []):
                if record["id"] == self.text and record["measured"] is not None:
                    page = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{chapter.name}")
                    said = escape(record["row"]["statement"])
                    link = f'<a href="{page}#claim-{self.text}" title="{said}">{record["measured"]:.4g}</a>'
                    return [nodes.raw("", link, format="html")], []
        if self.text in claims.ledger():
            return [nodes.emphasis("", "not measured")], []
        return [], [self.inliner.reporter.warning(f"the ledger has no claim '{self.text}'", line=self.lineno)]


class Scoreboard(Board):
    """Every row of the ledger beside what the executed notebooks measured, section by section of the papers."""

    def run(self) -> list[nodes.Node]:
        self.read()
        groups = {section: [item["name"] for item in items] for section, items in claims.sections().items()}
        derived = {claims.named(row)[0] for row in self.rows.values()} - {i for g in groups.values() for i in g}
        order = [f"derived in {page.removeprefix('book/')}" for page in toc()]  # any other source comes after them
        for source in [*filter(derived.__contains__, order), *sorted(derived.difference(order))]:
            page = source.removeprefix("derived in ")
            groups["Derived here: " + title(page) if source in order else source] = [source]
        shown, table = [], []
        for group, items in groups.items():
            rows = [row for row in self.rows.values() if claims.named(row)[0] in items]
            if not rows:
                continue
            counts = told(self.verdicts(rows))
            table.append(f'<li><a href="#{anchor(group)}">{escape(group)}</a> <span>{counts}</span></li>')
            section = nodes.section("", nodes.title(group, group), ids=[anchor(group)])
            section += nodes.raw("", "\n".join(self.group(items)), format="html")
            shown.append(section)
        total = told(self.verdicts(list(self.rows.values())))
        head = f'<p class="totals"><strong>{len(self.rows)} claims</strong>: {total}</p><ul class="totals-of">'
        return [nodes.raw("", "\n".join([head, *table, "</ul>"]), format="html"), *shown]

    def group(self, items: list[str]) -> list[str]:
        """The cards of one section, item by item; a claim of two items is shown with the first."""
        lines = []
        for item in items:
            rows = self.naming(item)
            own = [row for row in rows if claims.named(row)[0] == item]
            if rows and not item.startswith("derived in "):
                lines.append(f'<p class="rubric" id="{anchor(item)}">{escape(item)}</p>')
            if own:
                lines += ['<ul class="scoreboard">', *map(self.card, own), "</ul>"]
            if others := [f'<a href="#{row["id"]}"><code>{row["id"]}</code></a>' for row in rows if row not in own]:
                lines.append(f'<p class="also">Shown elsewhere on this page: {", ".join(others)}</p>')
        return lines

    def card(self, row: dict) -> str:
        record, verdict = self.records.get(row["id"]), self.verdict(row)
        facts = {"Source": row["source"], "By": {"paper": "the paper", "derived": "derived here"}[row["by"]]}
        if "predicted" in row:
            facts["Predicted"] = claims.target(row["relation"], row["predicted"])
        if "ours" in row:
            facts["Ours"] = f"= {row['ours']:.4g}"
        if verdict == "not measured":
            facts["Reason"] = record["reason"] if record else row.get("reason")
        else:
            broken, value = record["control"]
            facts["Measured"] = f"{record['measured']:.4g}"
            facts["Tolerance"] = f"{record['tolerance']:.4g}: {record['why']}"
            facts["Control"] = f"{value:.4g}: {broken}"
            facts["Outside"] = record["outside"]
        listed = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
        name, link = escape(row["id"]), ""
        if place := self.places.get(row["id"]):
            address = self.address(place, f"claim-{name}")
            link = f'<a class="place" href="{address}">checked in {escape(place)}</a>'
        return (
            f'<li id="{name}" style="border-left-color:{claims.COLOURS[verdict]}"><p><strong>{verdict}</strong> '
            f'<a href="#{name}"><code>{name}</code></a> {link}</p><p>{escape(row["statement"])}</p>'
            f"<dl>{listed}</dl></li>"
        )


class Concordance(Board):
    """Every numbered item of the papers: what it is, the page where the book treats it, and how its claims ended."""

    def run(self) -> list[nodes.Node]:
        self.read()
        shown = []
        for group, items in claims.sections().items():
            section = nodes.section("", nodes.title(group, group), ids=[anchor(group)])
            rows = "\n".join(map(self.line, items))
            head = "<tr><th>item</th><th>what it is</th><th>its page here</th><th>its claims</th></tr>"
            table = f'<table class="table concordance"><thead>{head}</thead><tbody>{rows}</tbody></table>'
            section += nodes.raw("", table, format="html")
            shown.append(section)
        return shown

    def line(self, item: dict) -> str:
        page, _, place = item.get("page", "").partition("#")
        link = f'<a href="{self.address(page, place)}">{escape(title(page))}</a>' if page else "–"
        counts = told(self.verdicts(self.naming(item["name"])))
        board = self.address("scoreboard", anchor(item["name"]))
        ends = [f'<a href="{board}">{counts}</a>'] if counts else []
        ends += [escape(item["note"])] if "note" in item else []
        cells = [escape(item["name"]), escape(item["what"]), link, "; ".join(ends)]
        return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
