"""Moving about: symbols that lead to the notation, what neighbours answer, lists, the search page, old addresses.

import re
from collections import Counter
from pathlib import Path

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

from press import ROOT
from press.build.chapters import Chapter, toc
from press.build.faults import redirects
from press.site.cards import render
from press.site.finish import finish
from press.site.reading import chapter_of, named

THEME = Path(__file__).with_name("theme")
NOTATION = "book/notation"
UNUSED = ("searchtools", "language_data", "searchindex", "doctools", "sphinx_highlight")  # our own search needs none


# --- symbols ---------------------------------------------------------------------------------------------------------


def ids_of(rows: list[list[str]]) -> list[str]:
    """The ids of the notation's rows, given the formulas in the first cell of each."""
    seen, ids = Counter(), []
    for symbols in rows:
        name = "symbol-" + re.sub(r"[\W_]+", "-", " ".join(symbols).replace("*", "star")).strip("-")
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids


def symbols() -> list[tuple[list[str], str, str]]:
    """The notation's rows that have a symbol: its formulas, its id there, and the chapter that defines it."""
    file = ROOT / f"{NOTATION}.md"
    lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else ()
    rows = [(re.findall(r"\$([^$]+)\$", row.split(" | ")[0]), row) for row in lines if row.startswith("| ")]
    rows = [(found, re.search(r"\]\(([^)]+)\.md\)[^|]*\|$", row)) for found, row in rows if found]
    ids = ids_of([found for found, _ in rows])
    return [(found, id, page[1] if page else "") for (found, page), id in zip(rows, ids, strict=True)]


def known_in(chapter: Chapter) -> dict[str, str]:
    """The symbols that mean in a chapter what the notation says, with their ids there.

    They are its own, and those of its part's chapters that it needs first: a neighbour's letters are others.
    """
    before, left = set(), [chapter]
    while left:
        if (one := left.pop()).name not in before:
            before.add(one.name)
            left += map(named, one.front.get("opening", {}).get("needs", ()))
    part, found = chapter.name.rpartition("/")[0], {}
    for own in (True, False):
        for formulas, id, page in symbols():
            if page == chapter.name if own else page in before and page.rpartition("/")[0] == part:
                found |= {formula: id for formula in formulas if formula not in found}
    return found


class Symbols(SphinxTransform):
    """A symbol leads to its row of the notation where it comes first in a section; the rows get their ids."""

    default_priority = 865  # after Together

    def apply(self, **kwargs) -> None:
        if self.env.docname == NOTATION:
            rows = [(row, [m.astext() for m in row[0].findall(nodes.math)]) for row in self.document.findall(nodes.row)]
            rows = [(row, found) for row, found in rows if found]
            for (row, _), id in zip(rows, ids_of([found for _, found in rows]), strict=True):
                row["ids"].append(id)
        elif chapter := chapter_of(self.env.docname):
            known, seen = known_in(chapter), set()
            for formula in list(self.document.findall(nodes.math)):
                if (id := known.get(formula.astext())) and (place := section_of(formula)) and (place, id) not in seen:
                    seen.add((place, id))
                    address = self.env.app.builder.get_relative_uri(self.env.docname, NOTATION)
                    link = nodes.reference("", "", refuri=f"{address}#{id}", internal=True, classes=["symbol"])
                    formula.replace_self(link)
                    link += formula


STILL = nodes.title | nodes.caption | nodes.reference | nodes.term | nodes.Admonition | nodes.table


def section_of(node: nodes.Node) -> str:
    """The section of the second level that holds running text; empty for what is no running text."""
    names = []
    while node := node.parent:
        if isinstance(node, STILL):
            return ""
        if isinstance(node, nodes.section):
            names.append(node["ids"][0])
    return names[-2] if len(names) > 1 else ""


# --- pages -----------------------------------------------------------------------------------------------------------


class ListOf(SphinxDirective):
    """Every figure, or every statement, of the book, chapter by chapter; `finish` fills the place."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] not in ("figures", "statements"):
            raise self.error("list-of: figures, or statements")
        place = f'<div class="list-of" data-of="{self.arguments[0]}"><span class="math "></span></div>'
        return [nodes.raw("", place, format="html")]


def asked(page: str) -> str:
    """The question that a page answers; empty where it says none."""
    chapter = chapter_of(page)
    return chapter.front.get("opening", {}).get("asks", "") if chapter else ""


def tell_neighbours(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """What the next and the previous page answer; and no script that nothing needs."""
    pages = toc()
    at = pages.index(pagename) if pagename in pages else None
    context["prev_asks"] = asked(pages[at - 1]) if at else ""
    context["next_asks"] = asked(pages[at + 1]) if at is not None and at + 1 < len(pages) else ""
    scripts = context.get("script_files", [])
    scripts[:] = [s for s in scripts if not any(f"{name}.js" in str(s.filename) for name in UNUSED)]


def leave_old_addresses(app, error) -> None:
    """A tiny page at each old address leads to the new one, with its fragment."""
    for old, new in {} if error else redirects().items():
        up = "../" * old.count("/")
        page = Path(app.outdir, f"{old}.html")
        page.parent.mkdir(parents=True, exist_ok=True)
        script = f"{up}_static/moved.js"
        page.write_text(render("moved.html", address=f"{up}{new}.html", script=script) + "\n", encoding="utf-8")


def setup(app) -> None:
    app.connect("config-inited", lambda app, config: config.templates_path.insert(0, str(THEME)))
    app.connect("builder-inited", lambda app: setattr(app.builder, "search", False))  # it has its own
    app.connect("html-collect-pages", lambda app: [("search", {}, "search.html")])
    app.connect("html-page-context", tell_neighbours)
    app.connect("build-finished", leave_old_addresses)
    app.connect("build-finished", finish, priority=400)  # before scripts are taken out of the pages
    app.add_css_file("around.css")
    app.add_js_file("preview.js", loading_method="defer")
    app.add_transform(Symbols)
    app.add_directive("list-of", ListOf)
