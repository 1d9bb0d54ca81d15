"""The last step over finished pages: previews of what is linked, lists, and the text that the search page reads.

It reads the pages as they were written, so that a preview shows formulas in the form in which the page has them.
"""

import copy
import json
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup, NavigableString, Tag
from markupsafe import Markup, escape

from press.build.chapters import toc
from press.site.cards import render

ARTICLE = re.compile(r"<article.*</article>", re.S)
LINKS = "a.reference.internal[href*='#']:not(.headerlink)"
LETTERS = 230  # of a preview: four lines
ASIDE = ["details", "table", "figure"]
DROPPED = "form, details, table, figure, svg, .headerlink, .eqno"
PLACE = re.compile(r'<div class="list-of" data-of="(\w+)">.*?</div>')
LISTS = {"figures": "figure[id]", "statements": "div.proof[id]"}
UNUSED = re.compile(r'\s*<script[^>]*\b(searchtools|language_data|searchindex)\.js[^>]*></script>')


def finish(app, error) -> None:
    site = Path(app.outdir)
    if error or app.builder.name != "html":
        return
    texts = {page: (site / f"{page}.html").read_text(encoding="utf-8") for page in toc() if (site / f"{page}.html").is_file()}
    pages = {page: BeautifulSoup((ARTICLE.search(text) or [""])[0], "html.parser") for page, text in texts.items()}
    for page, text in texts.items():
        shown = previews(page, pages)
        text = PLACE.sub(lambda place, page=page: list_of(place[1], page, pages), text)
        (site / f"{page}.html").write_text(text.replace("</body>", shown + "</body>"), encoding="utf-8")
    for file in site.glob("**/*.html"):
        text = file.read_text(encoding="utf-8")
        if UNUSED.search(text):
            file.write_text(UNUSED.sub("", text), encoding="utf-8")
    found = [[page, title_of(html), entries(html)] for page, html in pages.items()]
    told = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    (site / "_static" / "searchtext.js").write_text(f"window.searchText = {told};\n", encoding="utf-8")


# --- previews --------------------------------------------------------------------------------------------------------


def previews(page: str, pages: dict[str, BeautifulSoup]) -> str:
    """For each link of a page to something that can be shown, a template."""
    shown = {}
    for link in pages[page].select(LINKS):
        path, _, name = link["href"].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)).removesuffix(".html") if path else page
        if link["href"] not in shown and target in pages:
            found = pages[target].find(id=unquote(name))
            shown[link["href"]] = preview(found) if found else None
    return render("previews.html", previews={address: told for address, told in shown.items() if told})


def preview(target: Tag) -> dict | None:
    """What a preview says of a target, its name and its body; None for what is left to the link."""
    kind = set(target.get("class", ()))
    if target.name == "figure" and (caption := target.find("figcaption")):
        return {"name": number_of(caption), "body": short(caption.select_one(".caption-text") or caption)}
    if kind & {"proof", "exercise"} and (title := target.select_one("p.admonition-title")):
        name = f"{number_of(title)} {title_words(title)}".strip()
        return {"name": Markup(name), "body": short(target.find("section") or target)}
    if target.name == "div" and "math" in kind:
        number = target.select_one(".eqno")
        return {"name": f"Equation {text_of(number) if number else ''}".strip(), "body": Markup(clean(target))}
    if "citation" in kind:
        return {"name": "Reference", "body": short(target)}
    if target.name == "dt" and (told := target.find_next_sibling("dd")):
        return {"name": text_of(target), "body": short(told)} if target.find_parent("dl", class_="glossary") else None
    if target.name == "tr":
        heads = [text_of(head) for head in target.find_parent("table").select("thead th")]
        cells = dict(zip(heads, map(inner, target.find_all("td")), strict=False))
        return {"name": "Notation", "body": Markup(render("symbol.html", cells={"code": "", "shape": ""} | cells))}
    if "claim" in kind and (said := target.select_one(".say")):
        return {"name": "Claim", "body": Markup(f"<p>{inner(said)}</p>")}
    return None


def clean(tag: Tag) -> str:
    """The HTML of a tag without what does not belong in a preview: links, ids, asides."""
    whole = Tag(name="div")
    whole.append(copy.copy(tag))
    for part in whole.select(DROPPED):
        part.decompose()
    for part in whole.find_all("a"):
        part.unwrap()
    for part in whole.find_all(id=True):
        del part["id"]
    return whole.decode_contents()


def inner(tag: Tag) -> Markup:
    """What stands in a tag, or in its only paragraph."""
    tag = tag.p if tag.p and tag.name != "p" else tag
    return Markup("".join(clean(c) if isinstance(c, Tag) else str(escape(c)) for c in tag.children)).strip()


def short(block: Tag) -> Markup:
    """The beginning of a block: a few lines of text, and its first formula on a line of its own."""
    left, display, lines = LETTERS, False, []
    for part in block.select("p, div.math") or [block]:
        if part.find_parent(ASIDE) != block.find_parent(ASIDE):
            continue
        if part.name == "div" and "math" in part["class"]:
            lines += [] if display else [clean(part)]
            display = True
        elif left > 0:
            line, left = cut(part, left)
            lines.append(f"<p>{line}</p>")
    return Markup("\n".join(lines))


def cut(part: Tag, left: int) -> tuple[str, int]:
    """The beginning of a paragraph, of so many letters; and how many are left."""
    line = ""
    for child in part.children:
        length = len(text_of(child))
        if length > left and isinstance(child, NavigableString):
            return line + str(escape(str(child)[:left].rpartition(" ")[0])) + "…", 0
        if left <= 0 or length > left + 40:
            return line + "…", 0
        line += clean(child) if isinstance(child, Tag) else str(escape(child))
        left -= length
    return line, left


# --- lists -----------------------------------------------------------------------------------------------------------


def list_of(kind: str, page: str, pages: dict[str, BeautifulSoup]) -> str:
    """Figures or statements of all pages, by page: number, words, link."""
    groups = []
    for other, html in pages.items():
        address = posixpath.relpath(f"{other}.html", posixpath.dirname(page))
        found = [
            {"number": number_of(target), "words": words_of(target), "address": f"{address}#{target['id']}"}
            for target in html.select(LISTS[kind])
        ]
        if found:
            groups.append({"title": title_of(html), "address": address, "found": found})
    return render("list-of.html", groups=groups)


def words_of(target: Tag) -> Markup:
    """The title of a statement, or the first sentence of a statement or a caption."""
    if (title := target.select_one("p.admonition-title")) and (words := title_words(title)):
        return Markup(words)
    line = ""
    for child in (target.select_one(".caption-text") or target.select_one("section p") or target).children:
        if isinstance(child, NavigableString) and (end := re.search(r"[.!?](?=\s|$)", child)):
            return Markup(line + str(escape(child[: end.start() + 1])))
        line += clean(child) if isinstance(child, Tag) else str(escape(child))
    return Markup(line)


def number_of(tag: Tag) -> str:
    number = tag.select_one(".caption-number")
    return text_of(number) if number else ""


def title_words(title: Tag) -> str:
    """The title of a statement, in HTML, without its number and its brackets."""
    words = "".join(clean(c) if isinstance(c, Tag) else str(escape(c)) for c in title.children if not drops(c)).strip()
    return re.sub(r"^\((.*)\)$", r"\1", words, flags=re.S)


def drops(part) -> bool:
    return isinstance(part, Tag) and bool({"caption-number", "headerlink"} & set(part.get("class", ())))


def title_of(html: BeautifulSoup) -> str:
    return text_of(html.h1) if html.h1 else ""


# --- text ------------------------------------------------------------------------------------------------------------

GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
LETTER = dict(zip(GREEK.split(), "αβγδεζηθικλμνξοπρστυφχψω", strict=True))
LETTER |= {name.capitalize(): letter.upper() for name, letter in LETTER.items()} | {"varepsilon": "ε", "varphi": "φ"}
SIGNS = {"le": "≤", "ge": "≥", "ne": "≠", "to": "→", "infty": "∞", "cdot": "·", "times": "×", "in": "∈", "sum": "Σ"}
SIGNS |= {"approx": "≈", "propto": "∝", "lVert": "‖", "rVert": "‖", "langle": "⟨", "rangle": "⟩", "sqrt": "√", "ll": "≪"}
NAMES = ("log", "exp", "max", "min", "softmax", "sign", "tr")


def plain(tex: str) -> str:
    """A formula in one line of text: letters and signs for their names."""
    tex = re.sub(r"\\\\|&|\\(begin|end|tag)\{\w+\*?\}|\\[()\[\],;:!]", " ", tex)
    names = LETTER | SIGNS | {name: name for name in NAMES}
    tex = re.sub(r"\\([A-Za-z]+)", lambda found: names.get(found[1], "") + " ", tex)
    tex = re.sub(r"\s*([_^])\s*", r"\1", re.sub(r"[{}\\]|\^(?=\{?[*∗⋆])|[′]", "", tex))
    return re.sub(r"\s+(?=[_^*])|(?<=[αβγδεηθκλμνξπρστφψω])\s+(?=[_^*,.)])", "", " ".join(tex.split()))


def text_of(part) -> str:
    """The words of a part of a page, without asides and permalinks, formulas in plain text."""
    if isinstance(part, NavigableString):
        return str(part)
    found = []
    gather(part, found)
    return " ".join("".join(found).split())


def gather(part: Tag, found: list[str]) -> None:
    for child in part.children:
        if isinstance(child, NavigableString):
            found.append(str(child))
        elif child.name in ("svg", "script", "style", "annotation", "form") or "headerlink" in child.get("class", ()):
            continue
        elif "math" in child.get("class", ()):
            whole = child.get_text()
            found.append(plain(whole) if "\\" in whole else re.sub(r"\s+", "", text_without(child)))
        else:
            gather(child, found)
            found.append(" " if child.name in ("p", "li", "td", "th", "dt", "dd", "div", "figure", "summary", "tr") else "")


def text_without(math: Tag) -> str:
    return "".join(s for s in math.find_all(string=True) if not s.find_parent("annotation"))


def entries(html: BeautifulSoup) -> list[list[str]]:
    """What can be found on a page: (id, heading, text, code) of each section, statement, symbol, term and name."""
    found: list[list[str]] = []
    if html.article:
        walk(html.article, ["", "", "", ""], found)
    return [[id, *(" ".join(part.split()) for part in rest)] for id, *rest in found]


def walk(node: Tag, entry: list[str], found: list[list[str]]) -> None:
    for child in node.children:
        if isinstance(child, NavigableString):
            entry[2] += str(child)
            continue
        kind = set(child.get("class", ()))
        if child.name in ("svg", "script", "style", "form", "template") or kind & {"headerlink", "list-of"}:
            continue
        if child.name == "pre":
            entry[3] += child.get_text() + " "
        elif kind & {"math"}:
            gather(BeautifulSoup(f"<p>{child}</p>", "html.parser"), told := [])
            entry[2] += "".join(told)
        elif heading := heading_of(child, kind):
            found.append([child["id"], text_of(heading), "", ""])
            if child.name == "dt":
                entry = found[-1]  # and what stands under it
            else:
                walk(child, found[-1], found)
        elif child.name not in ("h1", "h2", "h3", "h4") and "admonition-title" not in kind:
            walk(child, entry, found)
            entry[2] += " " if child.name not in ("span", "em", "strong", "a", "code", "b", "i", "sub", "sup") else ""


def heading_of(tag: Tag, kind: set[str]) -> Tag | None:
    """What an entry of the search is called; None for what is none."""
    if not tag.get("id"):
        return None
    if tag.name == "section":
        return tag.find(["h1", "h2", "h3", "h4"], recursive=False)
    if kind & {"proof", "exercise"}:
        return tag.select_one("p.admonition-title")
    if tag.name == "tr":
        return tag.find("td")
    return tag if tag.name == "dt" else None
