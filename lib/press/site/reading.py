"""The form of a chapter's page: its opening, and its code in lines that open in place."""

import ast
import math
import re

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from press import ROOT, ledger
from press.build.chapters import Chapter, checked, find
from press.build.prose import glued
from press.numbers import powers
from press.site.cards import formulas, render

WORDS = 230  # read in a minute
LONG = 24  # letters of a name in code that may break over lines
NUMBER = re.compile(r"-?[\d.,]+(e[+-]\d+)?")


class Details(nodes.General, nodes.Element):
    """What opens in place: `summary` is its line, in HTML."""


def visit_details(writer, node) -> None:
    name = "".join(f' id="{id}"' for id in node["ids"][:1])
    writer.body.append(f'<details class="{" ".join(node["classes"])}"{name}><summary>{node["summary"]}</summary>\n')


def depart_details(writer, node) -> None:
    writer.body.append("</details>\n")


def chapter_of(docname: str) -> Chapter | None:
    return {f"book/{chapter.name}": chapter for chapter in find()}.get(docname)


def title(page: str) -> str:
    """The first heading of a page of the book."""
    text = (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8-sig")
    return re.search(r"^# (.+)$", text, re.M)[1]


def asides(notebook: nbformat.NotebookNode) -> None:
    """Take out what is for the notebook alone: the text of glued numbers, and of `claims.close()`."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("metadata", {}).get("press") != "aside"]


# --- code ------------------------------------------------------------------------------------------------------------

DOES = (  # what a cell does, where neither its metadata nor a comment says so
    (r"^(import|from) ", "what is imported"),
    (r"^claims\.require", "the range that this page holds for"),
    (r"^claims\.close", "the end of the checks"),
    (r"figures\.show", "the figure, drawn"),
    (r"claims\.check", "the claim, checked"),
)

QUIET = ("what is imported", "the range that this page holds for", "the end of the checks")  # beside other words


def summary(metadata: dict, source: str) -> str:
    """What a cell does, in words: its `summary`, its first comment, or its kind."""
    if metadata.get("summary"):
        return metadata["summary"]
    if "parameters" in metadata.get("tags", ()):
        return "the parameters: change them and run"
    if comment := re.match(r"# (.+)", source.strip()):
        return comment[1]
    if kind := next((words for pattern, words in DOES if re.search(pattern, source, re.M)), None):
        return kind
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return "a cell"
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            told = ast.get_docstring(node)
            return told.partition("\n")[0].rstrip(".:").strip() if told else f"{node.name}"
    names = [t.id for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
    return f"compute {', '.join(names[:3])}" if names else "run and look"


class Cells(SphinxTransform):
    """Each code cell becomes a line that opens; a cell that is kept stays, and so does what it shows.

    Figures, tables and cards stand below their line; text that a cell prints is in it, unless the cell says `show`.
    Neighbours with nothing between them are one line.
    """

    default_priority = 870

    def apply(self, **kwargs) -> None:
        chapter = chapter_of(self.env.docname)
        if not chapter:
            return
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") == "cell_code":
                self.fold(cell, chapter)
        for line in list(self.document.findall(lambda node: isinstance(node, Details) and "code" in node["classes"])):
            if "code" not in line["classes"]:
                continue  # it is part of the line before
            following = after(line)
            while isinstance(following, Details) and "code" in following["classes"]:
                line.extend(following.children)
                line["lines"] += following["lines"]
                line["says"] += following["says"]
                following.parent.remove(following)
                following["classes"] = []
                following = after(line)
            count = f"{line['lines']} line" + ("s" if line["lines"] > 1 else "")
            says = [words for words in dict.fromkeys(line["says"]) if words not in QUIET] or line["says"][:1]
            words = "; ".join(map(formulas, says[:3]))
            line["summary"] = f"<b>code ›</b> <span>{words}</span> <span>{count}</span>"

    def fold(self, cell: nodes.Element, chapter: Chapter) -> None:
        metadata, shown, text = cell["cell_metadata"], [], []
        source = next((n for n in cell.findall(nodes.literal_block)), None)
        for part in cell.children:
            if part.get("nb_element") == "cell_code_output":
                for output in part.children:
                    (shown if metadata.get("show") or is_looked_at(output) else text).append(output)
        for card in [output for output in shown if card_of(output) in in_matrices(chapter)]:
            shown.remove(card)
            text.append(card)
        for figure in (figure for output in shown for figure in output.findall(nodes.figure)):
            place = f"{chapter.name}, cell {cell['exec_count']}, run {chapter.kept()['hash']}"
            figure += Details("", nodes.paragraph(place, place), classes=["source"], summary="source")
        code = [part for part in cell.children if part.get("nb_element") == "cell_code_source"]
        replaced = []
        if metadata.get("keep"):
            replaced += [nodes.container("", *code, *text, classes=["cell", "keep"])]
        elif code:
            lines = len(source.astext().splitlines()) if source is not None else 0
            says = [summary(metadata, source.astext() if source is not None else "")]
            line = Details("", *code, classes=["code"], says=says, lines=lines, summary="")
            if text:
                line += nodes.container("", *text, classes=["cell_output"])
            replaced.append(line)
        if shown:
            replaced.append(nodes.container("", *shown, classes=["cell_output", "shown"]))
        cell.parent.replace(cell, replaced)


def after(node: nodes.Element) -> nodes.Node | None:
    """The next sibling."""
    place = node.parent.index(node) + 1
    return node.parent[place] if place < len(node.parent) else None


def card_of(output: nodes.Element) -> str | None:
    """The claim whose card an output is."""
    found = (re.search(r'id="claim-([^"]+)"', raw.astext()) for raw in output.findall(nodes.raw))
    return next((match[1] for match in found if match), None)


def in_matrices(chapter: Chapter) -> set[str]:
    """The claims that a table of the chapter shows: their cards are behind it."""
    outputs = (output for cell in chapter.executed().get("cells", ()) for output in cell.get("outputs", ()))
    tables = (output["metadata"]["matrix"]["rows"] for output in outputs if "matrix" in output.get("metadata", {}))
    return {claim for rows in tables for _, row in rows for _, claim in row}


def is_looked_at(output: nodes.Element) -> bool:
    """Whether an output is a figure, a card or a table, and no text."""
    if isinstance(output, nodes.figure):
        return True
    bundle = [output, *output.findall(nodes.container)]
    kinds = {part.get("mime_type") for part in bundle if isinstance(part, nodes.container)}
    return any(kind and (kind == "text/html" or kind.startswith("image/")) for kind in kinds)


# --- the opening -----------------------------------------------------------------------------------------------------


def minutes(chapter: Chapter) -> int:
    """To read the text, without code."""
    text = " ".join(cell.source for cell in chapter.cells if cell.kind == "markdown")
    return math.ceil(len(re.findall(r"[^\W\d_]{2,}", text)) / WORDS)


def named(name: str) -> Chapter:
    return next(other for other in find() if f"/{other.name}".endswith(f"/{name}"))


class Opening(SphinxTransform):
    """After the title: the strip, the question, the figure that says it all; its cell stays where it is."""

    default_priority = 880  # after Cells

    def apply(self, **kwargs) -> None:
        chapter = chapter_of(self.env.docname)
        told = chapter and chapter.front.get("opening")
        if not told:
            return
        here = self.document.next_node(nodes.title)
        place, opened = here.parent.index(here) + 1, [nodes.paragraph(told["asks"], told["asks"], classes=["question"])]
        if "needs" in told:
            opened.insert(0, self.strip(chapter, told))
        else:  # the first page: after the line that says what the book is
            place += 1
        for figure in list(self.document.findall(nodes.figure)):
            if told["hero"] in figure["ids"] + figure["names"]:
                figure["classes"].append("hero")
                box = figure.parent
                box.remove(figure)
                if not box.children:
                    box.parent.remove(box)
                opened.append(figure)
        here.parent[place:place] = opened

    def strip(self, chapter: Chapter, told: dict) -> nodes.raw:
        address = self.env.app.builder.get_relative_uri
        needs = [
            {"title": title(other.name), "address": address(self.env.docname, f"book/{other.name}")}
            for other in map(named, told["needs"])
        ]
        rows = ledger.claims()
        by = [rows[claim].by for _, claim in checked(chapter) if claim in rows]
        html = render(
            "opening.html",
            needs=needs,
            minutes=minutes(chapter),
            runs=told["runs"],
            said={name: formulas(told[name]) for name in ("proves", "derives", "measures")},
            claims={"paper": by.count("paper"), "derived": by.count("derived")},
        )
        return nodes.raw("", html, format="html")


class Together(SphinxTransform):
    """A formula and the punctuation beside it stay on one line, and so does a name that is not too long."""

    default_priority = 860

    def apply(self, **kwargs) -> None:
        for code in self.document.findall(nodes.literal):
            if max(map(len, code.astext().split()), default=0) > LONG:
                code["classes"].append("long")
        for formula in list(self.document.findall(nodes.math)):
            parent, place = formula.parent, formula.parent.index(formula)
            before, behind = parent[place - 1] if place else None, after(formula)
            opening = re.search(r"[(\[“]+$", before) if isinstance(before, nodes.Text) else None
            closing = re.match(r"[.,;:!?)\]”’s]+(?!\w)", behind) if isinstance(behind, nodes.Text) else None
            if opening or closing:  # texts are found by place: two that are alike are equal
                whole = nodes.inline("", "", classes=["together"])
                if opening:
                    parent[place - 1] = nodes.Text(before[: opening.start()])
                    whole += nodes.Text(opening[0])
                if closing:
                    parent[place + 1] = nodes.Text(behind[closing.end() :])
                parent[place] = whole
                whole += [formula, *([nodes.Text(closing[0])] if closing else [])]


class Numbers(SphinxPostTransform):
    """Glued numbers as print has them: a true minus sign, and 2 · 10⁻¹⁵ for 2e-15."""

    default_priority = 890
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for pasted in self.document.findall(nodes.inline):
            if "pasted-text" in pasted["classes"] and NUMBER.fullmatch(pasted.astext()):
                pasted.children = [nodes.Text(powers(pasted.astext()).replace(" ", "\N{NO-BREAK SPACE}"))]


class Closed(SphinxPostTransform):
    """A box of the class `dropdown` is closed, and opens without a script; its title is its line."""

    default_priority = 910  # after titles are resolved
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for box in list(self.document.findall(nodes.Admonition)):
            if "dropdown" in box["classes"]:
                title = box[0] if isinstance(box[0], nodes.title) else nodes.title("", box["classes"][0].capitalize())
                told = [part for part in box.children if part is not title]
                words = [f"${part.astext()}$" if isinstance(part, nodes.math) else part.astext() for part in title]
                classes = [name for name in box["classes"] if name != "dropdown"]
                line = Details("", *told, ids=box["ids"], classes=classes, summary=formulas("".join(words)))
                box.parent.replace(box, line)  # `replace_self` would keep the class


# --- what an author writes -------------------------------------------------------------------------------------------


class Why(SphinxDirective):
    """The algebra of a step, closed: the argument is its line, "why?" by default."""

    has_content, optional_arguments, final_argument_whitespace = True, 1, True

    def run(self) -> list[nodes.Node]:
        node = Details("", classes=["why"], summary=formulas(self.arguments[0] if self.arguments else "why?"))
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


class Derivation(SphinxDirective):
    """A derivation: an ordered list, each of its items a sentence, a display, and maybe a `why`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        node = nodes.container("", classes=["steps"])
        self.state.nested_parse(self.content, self.content_offset, node)
        if [type(child) for child in node.children] != [nodes.enumerated_list]:
            raise self.error("derivation: give one ordered list, and nothing else")
        return [node]


class Hypotheses(SphinxDirective):
    """The strip under a theorem: `met` and `not-met` (one a line), `says`, `sharper`, `breaks`."""

    option_spec = dict.fromkeys(("met", "not-met", "says", "sharper", "breaks"), directives.unchanged)
    LABELS = (("says", "What it says"), ("sharper", "Sharper here"), ("breaks", "What breaks it"))

    def run(self) -> list[nodes.Node]:
        terms = []
        given = [(name, line) for name in ("met", "not-met") for line in self.options.get(name, "").splitlines()]
        if given:
            items = nodes.bullet_list("", classes=["hypotheses"])
            for name, line in given:
                items += nodes.list_item("", self.text(line.strip("- ")), classes=[name])
            terms.append(("Hypotheses", [items]))
        terms += [(label, [self.text(self.options[name])]) for name, label in self.LABELS if name in self.options]
        if not terms:
            raise self.error("hypotheses: say what is met, and what is not")
        strip = nodes.definition_list("", classes=["strip-of-four"])
        for label, told in terms:
            strip += nodes.definition_list_item("", nodes.term(label, label), nodes.definition("", *told))
        return [strip]

    def text(self, source: str) -> nodes.paragraph:
        found, messages = self.state.inline_text(source, self.lineno)
        return nodes.paragraph(source, "", *found, *messages)


class Predict(SphinxDirective):
    """A field that takes the reader's prediction of a number and checks it: the argument is what is asked for.

    `answer` and each of `mistakes` name a glued number of the chapter: "name: what is said"; `within` is a ratio.
    """

    has_content, required_arguments, final_argument_whitespace = False, 1, True
    option_spec = dict.fromkeys(("answer", "right", "mistakes"), directives.unchanged_required) | {"within": float}

    def run(self) -> list[nodes.Node]:
        chapter = chapter_of(self.env.docname)
        kept = glued(chapter.executed()) if chapter else {}
        known = {name: float(value) for name, value in kept.items() if not isinstance(value, str)}
        if lacking := [name for name in ("answer", "right") if name not in self.options]:
            raise self.error(f"predict: '{lacking[0]}' is missing")
        wanted = [self.options["answer"], *(line.partition(":")[0].strip() for line in self.lines())]
        if missing := [name for name in wanted if name not in known]:
            raise self.error(f"predict: '{missing[0]}' is no number that this chapter glues")
        mistakes = [
            {"value": known[name.strip()], "says": formulas(says.strip())}
            for name, _, says in (x.partition(":") for x in self.lines())
        ]
        html = render(
            "predict.html",
            name=f"predict-{self.env.new_serialno('predict')}",
            asked=formulas(self.arguments[0]),
            answer=known[self.options["answer"]],
            within=self.options.get("within", 0.03),
            right=formulas(self.options["right"]),
            mistakes=mistakes,
        )
        return [nodes.raw("", html, format="html")]

    def lines(self) -> list[str]:
        return [line for line in self.options.get("mistakes", "").splitlines() if line.strip()]


def setup(app) -> None:
    app.add_node(Details, html=(visit_details, depart_details))
    app.add_transform(Cells)
    app.add_transform(Opening)
    app.add_transform(Together)
    app.add_post_transform(Numbers)
    app.add_post_transform(Closed)
    for name, directive in {"why": Why, "derivation": Derivation, "hypotheses": Hypotheses, "predict": Predict}.items():
        app.add_directive(name, directive)
