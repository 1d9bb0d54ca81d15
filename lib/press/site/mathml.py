"""Formulas set while pages are made: MathJax reads the TeX, and what a browser needs stands in the page as MathML.

So a page needs no script to be read. MathML Core leaves to the writer what TeX knows of spaces and of other alphabets.
"""

import base64
import functools
import html
import importlib.metadata
import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from py_mini_racer import MiniRacer
from sphinx.errors import ExtensionError

OPENED = r'<(span|div) class="[^"]*\bmath\b[^"]*"[^>]*>(?:\s*<span class="eqno">.*?</span>)?'  # maybe with its number
FORMULA = re.compile(rf"({OPENED})\s*\\([(\[])(.*?)\\[)\]]\s*</\2>", re.S)  # as Sphinx and our templates write it
PARTS = ("loader", "core", "adaptors/liteDOM", "input/tex-full")
START = """
const {mathjax} = MathJax._.mathjax, {TeX} = MathJax._.input.tex_ts, {STATE} = MathJax._.core.MathItem;
MathJax._.handlers.html_ts.RegisterHTMLHandler(MathJax._.adaptors.liteAdaptor.liteAdaptor());
const formatError = (jax, error) => { throw error; };
const sheet = mathjax.document("", {InputJax: new TeX({packages: ["base", "ams", "boldsymbol"], formatError})});
const visitor = new MathJax._.core.MmlTree.SerializedMmlVisitor.SerializedMmlVisitor();
const set = (tex, display) => visitor.visitTree(sheet.convert(tex, {display, end: STATE.CONVERT}));
"""
ALPHABETS = {name: name.upper().replace("D-I", "D I").replace("D-SC", "D SC") for name in (
    "italic", "bold", "bold-italic", "script", "bold-script", "double-struck", "fraktur", "sans-serif", "monospace"
)}  # fmt: skip
ACCENTS = {"^": "ˆ", "~": "˜", "¯": "¯", "˙": "˙"}  # marks as high as letters want them
DRAWN = "√‖|(){}[]⟨⟩‾_⏟"  # characters that a formula may draw and not write
THIN, THICK = ".167em", ".278em"
CLASS = "data-mjx-texclass"  # TeX's kind of a mark, where it is not the usual one
ROWS = ("math", "mrow", "mstyle", "mtd", "msqrt")  # what sets its parts side by side
CLOSERS = set(")]}⟩⌉⌋|‖!′…⋯")


class Unreadable(ValueError):
    """TeX that MathJax cannot read; the message is MathJax's."""


@functools.cache
def engine() -> MiniRacer:
    """MathJax without a browser; it starts in a tenth of a second."""
    files = {file.as_posix().partition("static/mathjax/")[2]: file for file in package_files("sphinx-mathjax-offline")}
    racer = MiniRacer()
    racer.eval("var window = globalThis, global = globalThis; MathJax = {loader: {load: []}, startup: {}}; 0")
    for part in PARTS:
        racer.eval(files[f"{part}.js"].locate().read_text(encoding="utf-8") + ";0")
    racer.eval(START + "0")
    return racer


def package_files(name: str) -> list[importlib.metadata.PackagePath]:
    return importlib.metadata.files(name) or []


@functools.cache
def mathml(tex: str, display: bool = False) -> str:
    """A formula as MathML that browsers set as TeX would; ValueError where it is none."""
    jax = engine()
    try:
        found = jax.call("set", tex, display)
    except Exception as error:  # whatever the engine calls it
        raise Unreadable(str(error).partition("\n")[0]) from None
    root = ET.fromstring(found.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
    clean(root, display, small=False)
    for node in root.iter():
        for name in [name for name in node.attrib if name.startswith("data-")]:
            del node.attrib[name]
    return ET.tostring(root, encoding="unicode")


def clean(node: ET.Element, display: bool, small: bool) -> None:
    """Spaces, alphabets and tables of a formula, written out; `small` is in a script, where TeX has no spaces."""
    if node.tag in ("mstyle", "mtable", "math"):
        display = node.get("displaystyle", str(display).lower()) == "true"
    for place, child in enumerate(node):
        script = node.tag in ("msub", "msup", "msubsup", "munder", "mover", "munderover", "mroot") and place > 0
        clean(
            child,
            display and not script and node.tag != "mfrac",
            small or script or (node.tag == "mfrac" and not display),
        )
    children = list(node)
    if node.tag == "msup" and children[1].text == "′":  # it stands high already
        node.tag = "mrow"
        children[1].attrib.update(lspace="0", rspace="0")
    if node.tag in ("munder", "mover") and children[1].text == "―":  # a rule as wide as what it marks
        children[1].text = "_" if node.tag == "munder" else "‾"
    if node.tag == "mover" and (mark := ACCENTS.get(children[1].text)):
        node.set("accent", "true")
        children[1].text = mark
    if node.tag == "mtable":
        columns(node)
    node.text, node.tail = (node.text or "").strip(" \n") or None, None
    if node.tag in ("mi", "mn", "mo", "mtext"):
        letters(node)
    for place, child in enumerate(children):
        before = children[place - 1] if place else None
        behind = children[place + 1] if place + 1 < len(children) else None
        if child.tag == "mo":
            spaces(child, before, behind, small)
        elif is_function(child) and node.tag in ROWS:
            for side, beside in enumerate((before, behind)):
                if is_ordinary(beside) and not (side and "mo" in (beside.tag, base(child).tag)):
                    node.insert(list(node).index(child) + side, ET.Element("mspace", width=THIN))
    for place, child in enumerate(list(node)):  # groups of one, but for what has a meaning of its own
        if child.tag == "mrow" and len(child) == 1 and child[0].tag != "mo" and not child.get("class"):
            node[place] = child[0]
    if node.tag == "mrow" and len(node) == 1 and node[0].tag == "mo":
        spaces(node[0], None, None, small, node.get(CLASS))
    if node.tag == "msqrt":  # over a low letter the sign would hang far below the line
        node.insert(0, ET.Element("mspace", height=".8em"))
    if node.tag == "menclose":  # MathML Core has no boxes
        node.tag = "mrow"
        node.attrib = {"class": f"enclosed-{node.get('notation')}"}


def letters(node: ET.Element) -> None:
    """Letters of another alphabet are other characters."""
    variant = node.attrib.pop("mathvariant", None)
    if variant == "normal":
        if len(node.text or "") == 1:
            node.set("mathvariant", "normal")
    elif variant and variant != "italic":
        node.text = "".join(map(functools.partial(letter, variant=variant), node.text))


def letter(character: str, variant: str) -> str:
    """A letter or digit in another of the alphabets of mathematics; any other character as it is."""
    if variant not in ALPHABETS:
        raise Unreadable(f"there are no letters of the kind {variant}")
    if character == "h" and variant == "italic":
        return "ℎ"  # Planck's
    name = re.sub("(LATIN|GREEK|LUNATE|LETTER) ", "", unicodedata.name(character, ""))
    for found in (f"MATHEMATICAL {ALPHABETS[variant]} {name}", f"{ALPHABETS[variant]} {name}"):
        try:
            return unicodedata.lookup(found)
        except KeyError:
            continue
    return character


def spaces(mark: ET.Element, before, behind, small: bool, kind: str | None = None) -> None:
    """Around an operator: none in a script, none for a sign, a thin one after a function's name."""
    kind, text = kind or mark.get(CLASS), mark.text or ""
    if text == "\u2061":
        opened = behind is None or behind.text in ("(", "[", "{") or behind.get(CLASS) in ("INNER", "OPEN")
        mark.attrib.update({} if opened else {"rspace": THIN})
    elif kind in ("OPEN", "CLOSE"):
        mark.attrib.update(form="prefix" if kind == "OPEN" else "postfix", lspace="0", rspace="0")
    elif kind == "OP" and len(text) > 1:
        mark.attrib.update(lspace="0", rspace=THIN)
    elif text == ":" and not small:
        mark.attrib.update({"lspace": "0", "rspace": THIN} if kind == "PUNCT" else {"lspace": THICK, "rspace": THICK})
    elif kind == "ORD" or text in ("/", "|", "‖", "…", "⋯") or small:
        mark.attrib.update(lspace="0", rspace="0")
    elif text in ("+", "−", "±", "∓") and (before is None or (before.tag == "mo" and before.text not in CLOSERS)):
        mark.attrib.update(form="prefix", lspace="0", rspace="0")


def base(node: ET.Element) -> ET.Element:
    return node[0] if node.tag in ("msub", "msup", "msubsup", "munder") else node


def is_function(node: ET.Element) -> bool:
    name = base(node)
    long = len(name.text or "") > 1
    return (name.tag == "mi" and long) or (name.tag == "mo" and long and name.get(CLASS) == "OP")


def is_ordinary(node: ET.Element | None) -> bool:
    return node is not None and (node.tag not in ("mo", "mtext", "mspace") or (node.text or "") in CLOSERS)


def columns(table: ET.Element) -> None:
    """Where the columns of a table stand; browsers read no attribute for it."""
    sides, gaps = (table.attrib.pop(name, "").split() for name in ("columnalign", "columnspacing"))
    table.attrib.pop("rowspacing", None)
    for row in table:
        for place, cell in enumerate(row):
            side = sides[min(place, len(sides) - 1)] if sides else "center"
            gap = gaps[min(place, len(gaps)) - 1] if gaps and place else ("1em" if place else "0")
            cell.set("style", f"text-align:-webkit-{side};padding:.25em 0 .25em {gap}")


def set_formulas(site: Path) -> None:
    """Every formula of a built site; and in the style of formulas the one font that they need, with their characters.

    The font is in the style, not beside it: so no line moves when it comes, and a page opened as a file has it too.
    """
    characters, wrong = set(), []

    def put(found: re.Match, page: str) -> str:
        before, tag, kind, tex = found.groups()
        tex = html.unescape(tex).strip()
        try:
            formula = mathml(tex, kind == "[")
        except Unreadable as error:
            wrong.append(f"{page}: a formula that MathJax cannot read: {tex[:80]}: {error}")
            return found[0]
        characters.update(html.unescape(re.sub(r"<[^>]*>", "", formula)))
        return f"{before}{formula}</{tag}>"

    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site).with_suffix("").as_posix()
        text = page.read_text(encoding="utf-8")
        page.write_text(FORMULA.sub(functools.partial(put, page=name), text), encoding="utf-8")
    if wrong:
        raise ExtensionError("\n".join(wrong))
    style = site / "_static" / "formulas.css"
    data = base64.b64encode(font(characters)).decode()
    style.write_text(style.read_text().replace("formulas.woff", f"data:font/woff;base64,{data}"))


def font(characters: set[str]) -> bytes:
    """STIX Two Math, which ziamath carries, with these characters alone, and the letters that browsers slant.

    Browsers reserve for a root the width of its widest sign: here all are as wide as the smallest.
    """
    (source,) = (file for file in package_files("ziamath") if file.name == "STIXTwoMath-Regular.ttf")
    letters = TTFont(source.locate(), recalcTimestamp=False)
    options = subset.Options(layout_features=["ssty"], hinting=False, name_IDs=[0, 1, 13, 14])
    chosen = subset.Subsetter(options)
    chosen.populate(text="".join(characters | {letter(c, "italic") for c in characters}) + DRAWN)
    chosen.subset(letters)
    root = letters.getBestCmap()[ord("√")]
    for name, (width, side) in letters["hmtx"].metrics.items():
        if name.startswith(f"{root}."):
            ratio = letters["hmtx"][root][0] / width
            outline = letters["glyf"][name]
            outline.coordinates.scale((ratio, 1))
            outline.coordinates.toInt()
            outline.recalcBounds(letters["glyf"])
            letters["hmtx"][name] = (round(width * ratio), round(side * ratio))
    letters.flavor = "woff"
    letters.save(kept := io.BytesIO())
    return kept.getvalue()
