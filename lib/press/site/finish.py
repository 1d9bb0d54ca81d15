"""The last step over finished pages: previews of what is linked, lists, and the text that the search page reads."""

import contextlib
import copy
import json
import posixpath
import re
import unicodedata
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup, NavigableString, Tag
from markupsafe import Markup

from press.build.chapters import toc
from press.site.cards import render

ARTICLE = re.compile(r"<article.*</article>", re.S)
SEARCH = re.compile(r"\s*<script[^>]*\b(searchtools|language_data|searchindex)\.js[^>]*></script>")  # Sphinx's
SYMBOL = re.compile(r'(<a class="symbol [^>]*)(><span class="math [^>]*>\\\((.*?)\\\))')
LIST = re.compile(r'<div class="list-of" data-of="(\w+)">.*?</div>')
LISTED = {"figures": "figure[id]", "statements": "div.proof[id]:has(> p.admonition-title)"}
LETTERS = 200  # of a preview: four lines
ASIDE = ["details", "table", "figure"]  # not in a preview
FOUND = "section[id], div.proof[id], div.exercise[id], tr[id], dt[id]"  # what has a name of its own in the search
BLOCKS = ["p", "div", "li", "td", "th", "dt", "dd", "summary", "figcaption"]

Pages = dict[str, BeautifulSoup]


def finish(site: Path) -> None:
    """Do all of it to a built site, before its formulas are set: what is read here is TeX."""
    files = [file for file in site.rglob("*.html") if site / "_static" not in file.parents]
    texts = {file.relative_to(site).with_suffix("").as_posix(): file.read_text(encoding="utf-8") for file in files}
    pages: Pages = {}
    for page in filter(texts.get, toc()):  # a preview makes one page alone
        pages[page] = BeautifulSoup(ARTICLE.search(texts[page])[0], "html.parser")
        for part in pages[page].select("svg, script, style, form, annotation, details.source, .headerlink"):
            part.decompose()
    for page, text in texts.items():
        text = SYMBOL.sub(named, SEARCH.sub("", text))
        if page in pages:
            text = LIST.sub(lambda place, page=page: list_of(place[1], page, pages), text)
            text = text.replace("</body>", previews(page, pages) + "</body>")
        (site / f"{page}.html").write_text(text, encoding="utf-8")
    told = json.dumps([entries(page, html) for page, html in pages.items()], ensure_ascii=False, separators=(",", ":"))
    (site / "_static" / "searchtext.js").write_text(f"window.searchText = {told};\n", encoding="utf-8")


def named(link: re.Match) -> str:
    """A link that is a formula alone, with a name for those who do not see it."""
    return f'{link[1]} aria-label="{escape(plain(unescape(link[3])))}"{link[2]}'


def previews(page: str, pages: Pages) -> str:
    """For each link of a page to something that can be shown, a template."""
    shown = {}
    for link in pages[page].select("a.reference.internal[href*='#']"):
        path, _, name = link["href"].partition("#")
        other = posixpath.normpath(posixpath.join(page, "..", path)).removesuffix(".html") if path else page
        target = pages[other].find(id=unquote(name)) if other in pages else None
        if link["href"] not in shown and target:
            shown[link["href"]] = preview(target)
    return render("previews.html", previews={address: told for address, told in shown.items() if told})


def preview(target: Tag) -> tuple[str, Markup] | None:
    """What a preview says of a target, its name and its body; None for what is left to the link."""
    kind = set(target.get("class", ()))
    if target.name == "figure":
        return number(target), short(target.select_one(".caption-text"))
    if kind & {"proof", "exercise"} and target.section:
        return Markup(f"{number(target)} {title(target)}".strip()), short(target.section)
    if "math" in kind:
        return f"Equation {words(target.select_one('.eqno'))}", clean(target)
    if "citation" in kind:
        return "Reference", short(target)
    if "claim" in kind:
        return "Claim", clean(target.select_one(".say"))
    if target.name == "dt" and "glossary" in target.parent["class"]:
        return words(target), short(target.find_next_sibling("dd"))
    if target.name == "tr":
        heads = [words(head) for head in target.find_parent("table").select("thead th")]
        cells = dict(zip(heads, (inner(cell.p) for cell in target.find_all("td")), strict=True))
        return "Notation", Markup(render("symbol.html", cells={"code": "", "shape": ""} | cells))
    return None


def clean(part: Tag | NavigableString) -> Markup:
    """The HTML of a part without what does not belong in a preview: links, ids, asides."""
    whole = Tag(name="div")
    whole.append(copy.copy(part))
    for aside in [*whole.find_all(ASIDE), *whole.select(".eqno")]:
        aside.decompose()
    for link in whole.find_all("a"):
        link.unwrap()
    for named in whole.find_all(id=True):
        del named["id"]
    return Markup(whole.decode_contents())


def inner(part: Tag) -> Markup:
    return Markup("").join(map(clean, part.children)).strip()


def short(block: Tag) -> Markup:
    """The beginning of a block: a few lines of text, and its first formula on a line of its own."""
    left, lines, shown = LETTERS, [], False
    for part in block.select("p, div.math") or [block]:
        if part.find_parent(ASIDE) != block.find_parent(ASIDE):
            continue
        if part.name == "div" and not shown:
            lines.append(clean(part))
            shown = True
        elif part.name != "div" and left > 0:
            line, left = cut(part, left)
            lines.append(Markup("<p>{}</p>").format(line))
    return Markup("\n").join(lines)


def cut(block: Tag, left: int, sentence: bool = False) -> tuple[Markup, int]:
    """The beginning of a paragraph, of so many letters or of one sentence; and how many letters are left."""
    line = Markup("")
    for part in block.children:
        text = str(part) if isinstance(part, NavigableString) else ""
        if sentence and (end := re.search(r"[.!?](?=\s|$)", text)):
            return line + text[: end.end()], 0
        if (length := len(part.get_text())) > left + (0 if text else 40):  # a formula is shorter than its source
            return line + text[:left].rpartition(" ")[0] + "…", 0
        line, left = line + clean(part), max(left - length, 0)
    return line, left


def list_of(kind: str, page: str, pages: Pages) -> str:
    """Figures or statements of all pages, by page: number, words, link."""
    groups = []
    for other, html in pages.items():
        address = posixpath.relpath(f"{other}.html", posixpath.dirname(page))
        found = [(f"{address}#{part['id']}", number(part), said(part)) for part in html.select(LISTED[kind])]
        groups += [{"title": words(html.h1), "address": address, "found": found}] if found else []
    return render("list-of.html", groups=groups)


def title(statement: Tag) -> Markup:
    """The title of a statement without number and brackets; empty where it has none."""
    head = statement.select_one("p.admonition-title")
    told = Markup("").join(clean(part) for part in head.children if part is not head.span).strip()
    return Markup(re.sub(r"^\((.*)\)((?:</span>)*)$", r"\1\2", str(told), flags=re.S))


def said(target: Tag) -> Markup:
    """The title of a statement; else the first sentence of it, or of a caption."""
    caption = target.select_one(".caption-text")
    return (not caption and title(target)) or cut(caption or target.section.p, 1000, sentence=True)[0]


def number(target: Tag) -> str:
    return words(target.select_one(".caption-number"))


def words(part: Tag | None) -> str:
    return " ".join(part.get_text().split()) if part else ""


def entries(page: str, html: BeautifulSoup) -> list:
    """A page, its title, and [id, heading, text, code] of what can be found on it. What is read is taken out."""
    called, found = words(html.h1), []
    for formula in html.select(".math"):
        told = formula.find(alttext=True)  # of MathML
        formula.replace_with(plain(told["alttext"] if told else formula.get_text()))
    for block in html.find_all(BLOCKS):
        block.append(" ")
    for part in reversed(html.select(FOUND)):  # what is within another is read before it
        head = part if part.name == "dt" else part.find(["h1", "h2", "h3", "h4", "td"], recursive=False)
        if head := head or part.find("p", class_="admonition-title", recursive=False):
            name, told = words(head), part.find_next_sibling("dd") if head is part else part
            head.extract()
            code = " ".join(words(code.extract()) for code in told.find_all("pre")) if told else ""
            found.append([part["id"], name, words(told), code])
            (told or part).decompose()
    return [page, called, found[::-1]]


def plain(tex: str) -> str:
    """A formula in one line of text: letters and signs for their names, no braces. One that is no TeX stays."""

    def sign(found: re.Match) -> str:
        case, name = "CAPITAL" if found[1][0].isupper() else "SMALL", found[1].upper().removeprefix("VAR")
        with contextlib.suppress(KeyError):
            return unicodedata.lookup(f"GREEK {case} LETTER {name.replace('LAMBDA', 'LAMDA')}")
        return found[1] if FUNCTION.fullmatch(found[1]) else SIGNS.get(found[1], " ")

    tex = re.sub(r"\\[dt]?frac(\w)(\w)", r"\1/\2", tex).replace("}{", "}/{")
    tex = re.sub(r"\\(begin|end|tag)\{\w+\*?\}|\\\W|&", " ", tex)
    tex = re.sub(r"\\([A-Za-z]+)", sign, tex)
    return " ".join(re.sub(r"[{}]|\^(?=\{?\*)", "", tex).split())


NAMES = (
    "le ge to infty cdot times lVert rVert lvert rvert mid langle rangle sqrt top partial nabla sum int in notin ell"
)
SIGNS = dict(zip(NAMES.split(), "≤≥→∞·×‖‖|||⟨⟩√⊤∂∇∑∫∈∉ℓ", strict=True))
NAMES = "ne approx propto sim pm ll gg otimes dots ldots cdots epsilon"
SIGNS |= dict(zip(NAMES.split(), "≠≈∝~±≪≫⊗………ϵ", strict=True))
FUNCTION = re.compile("a?r?c?(sin|cos|tan)h?|log|ln|exp|max|min|arg|sign|softmax|tr")
