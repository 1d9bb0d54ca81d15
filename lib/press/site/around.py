"""Moving about: symbols lead to the notation, neighbours say what they answer; lists, a search, old addresses."""

import os
import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

from press import ROOT
from press.build.chapters import Chapter, toc
from press.build.faults import redirects
from press.site.cards import render
from press.site.finish import LISTED
from press.site.reading import chapter_of, named

NOTATION = "book/notation"
UNUSED = ("searchtools", "language_data", "searchindex", "doctools", "sphinx_highlight")  # our own search needs none
STILL = nodes.title | nodes.caption | nodes.reference | nodes.term | nodes.Admonition | nodes.table  # no running text


def symbols() -> list[tuple[list[str], str, str]]:
    """The notation's rows that have a symbol: its formulas, its id there, and the page that defines it."""
    file, rows = ROOT / f"{NOTATION}.md", []
    for line in file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else ():
        if line.startswith("| ") and (found := re.findall(r"\$([^$]+)\$", line.split(" | ")[0])):
            page = (re.findall(r"\]\(([^)]+)\.md\)", line) or [""])[-1]
            name = re.sub(r"[\W_]+", "-", f"symbol {' '.join(found).replace('*', ' star')} {page.rpartition('/')[2]}")
            rows.append((found, name.strip("-"), page))
    return rows


def known_in(chapter: Chapter) -> dict[str, str]:
    """The symbols that mean in a chapter what the notation says, with their ids there.

    They are its own, and those of its part's chapters that it needs first: a neighbour's letters are others.
    """
    before, left, own, others = set(), [chapter], {}, {}
    while left:
        if (one := left.pop()).name not in before:
            before.add(one.name)
            left += map(named, one.front.get("opening", {}).get("needs", ()))
    for found, id, page in reversed(symbols()):  # of two rows the first
        if page in before and page.rpartition("/")[0] == chapter.name.rpartition("/")[0]:
            (own if page == chapter.name else others).update(dict.fromkeys(found, id))
    return others | own


class Symbols(SphinxTransform):
    """A symbol leads to its row of the notation where it comes first in a section; the rows get their ids."""

    default_priority = 865  # after Together

    def apply(self, **kwargs) -> None:
        if self.env.docname == NOTATION:
            rows = [row for row in self.document.findall(nodes.row) if row[0].next_node(nodes.math)]
            for row, (_, id, _) in zip(rows, symbols(), strict=True):
                row["ids"] += [] if id in self.document.ids else [id]
                self.document.ids[id] = row
        elif chapter := chapter_of(self.env.docname):
            known, seen = known_in(chapter), set()
            address = self.env.app.builder.get_relative_uri(self.env.docname, NOTATION)
            for formula in list(self.document.findall(nodes.math)):
                place = (section_of(formula), known.get(formula.astext()))
                if all(place) and place not in seen:
                    seen.add(place)
                    link = nodes.reference("", "", refuri=f"{address}#{place[1]}", internal=True, classes=["symbol"])
                    formula.replace_self(link)
                    link += formula


def section_of(node: nodes.Node) -> str:
    """The section of the second level that holds running text; empty for what is no running text."""
    around = []
    while node := node.parent:
        around.append(node)
    names = [node["ids"][0] for node in around if isinstance(node, nodes.section)]
    return "" if len(names) < 2 or any(isinstance(node, STILL) for node in around) else names[-2]


class ListOf(SphinxDirective):
    """Every figure, or every statement, of the book, chapter by chapter; `finish` fills the place."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] not in LISTED:
            raise self.error(f"list-of: one of {', '.join(LISTED)}")
        place = f'<div class="list-of" data-of="{self.arguments[0]}"><span class="math "></span></div>'
        return [nodes.raw("", place, format="html")]


def tell_neighbours(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """What the next and the previous page answer; and no script that nothing needs."""
    pages = ["", *toc(), ""]
    at = pages.index(pagename) if pagename in pages[1:-1] else None
    chapters = [chapter_of(pages[at + step]) if at else None for step in (-1, 1)]
    asks = [chapter.front.get("opening", {}).get("asks", "") if chapter else "" for chapter in chapters]
    context["prev_asks"], context["next_asks"] = asks
    scripts = context.get("script_files", [])
    scripts[:] = [s for s in scripts if not any(f"{name}.js" in str(s.filename) for name in UNUSED)]


def leave_old_addresses(app, error) -> None:
    """A tiny page at each old address leads to the new one, with its fragment."""
    for old, new in {} if error else redirects().items():
        page, up = Path(app.outdir, f"{old}.html"), "../" * old.count("/")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(
            render("moved.html", address=f"{up}{new}.html", script=f"{up}_static/moved.js"), encoding="utf-8"
        )


def setup(app) -> None:
    theme = os.path.relpath(Path(__file__).with_name("theme"), app.confdir)  # .buildinfo hashes it
    app.connect("config-inited", lambda app, config: config.templates_path.insert(0, theme))
    app.connect("builder-inited", lambda app: setattr(app.builder, "search", False))  # it has its own
    app.connect("html-collect-pages", lambda app: [("search", {}, "search.html")])
    app.connect("html-page-context", tell_neighbours)
    app.connect("build-finished", leave_old_addresses)
    app.add_css_file("around.css")
    app.add_js_file("preview.js", loading_method="defer")
    app.add_transform(Symbols)
    app.add_directive("list-of", ListOf)
