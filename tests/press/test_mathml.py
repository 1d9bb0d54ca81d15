"""Formulas, set when pages are made; and drawings, the same in fewer letters."""

import base64
import io
import re

import nbformat
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageChops

from press.site.lean import TWICE, shorter
from press.site.mathml import Unreadable, font, mathml


def marks(tex: str, display: bool = False) -> list[tuple]:
    """The operators of a formula, each with its spaces."""
    found = re.findall(r"<mo([^>]*)>([^<]*)</mo>", mathml(tex, display))
    return [(text, *re.findall(r'(?:lspace|rspace|form)="([^"]*)"', attributes)) for attributes, text in found]


@pytest.mark.parametrize(
    ("tex", "letters"),
    [
        (r"\mathbb{R}", "ℝ"),
        (r"\mathbb{E}", "𝔼"),
        (r"\mathcal{L}", "ℒ"),
        (r"\mathcal{Q}", "𝒬"),
        (r"\mathbf{x}", "𝐱"),
        (r"\mathbf{1}", "𝟏"),
        (r"\boldsymbol{\theta}", "𝜽"),
        (r"\mathrm{KQ}", "KQ"),
        (r"\Theta(x)", "Θ(x)"),
        (r"\|x\|", "‖x‖"),
        (r"\hat\gamma", "γˆ"),
    ],
)
def test_letters_of_other_alphabets_are_their_characters(tex, letters):
    assert re.sub("<[^>]*>", "", mathml(tex)) == letters
    assert not re.search(r'mathvariant="(?!normal)|data-|xmlns', mathml(tex))


def test_spaces_are_those_of_tex():
    none = ("0", "0")
    assert marks("a-b") == [("−",)], "a difference has the browser's own"
    assert marks("-b") == [("−", "prefix", *none)]
    assert marks("(-b)") == [("(",), ("−", "prefix", *none), (")",)]
    assert marks("a=-b") == [("=",), ("−", "prefix", *none)]
    assert marks("(a)-b") == [("(",), (")",), ("−",)]
    assert marks("a/b") == [("/", *none)]
    assert marks("x_{t+1}") == [("+", *none)], "none in a script"
    assert marks("|x|") == [("|", *none)] * 2
    assert marks(r"\lVert x\rVert") == [("‖", "prefix", *none), ("‖", "postfix", *none)]
    assert marks(r"\tfrac{a+b}{c}", True) == [("+", *none)]
    assert marks(r"\frac{a+b}{c}", True) == [("+",)]
    assert marks(r"\log x") == [("\u2061", ".167em")]
    assert marks(r"\log x_1") == [("\u2061", ".167em")]
    assert marks(r"\frac{\ln w}{2}") == [("\u2061", ".167em")], "also where letters are small"
    assert (mathml("f'"), marks("x'")) == (mathml("f'").replace("msup", "mrow"), [("′", *none)])
    assert marks(r"\log(x)")[0] == ("\u2061",)
    assert '<mn>2</mn><mspace width=".167em" /><mi>log</mi>' in mathml(r"2\log x")
    assert "mspace" not in mathml(r"=\log x")
    assert '<mi>tr</mi><mspace width=".167em" /><mi>W</mi>' in mathml(r"\operatorname{tr} W")
    assert "<msup><mi>cos</mi><mn>2</mn></msup>" in mathml(r"\cos^2 x")
    assert "mspace" not in mathml(r"\max_i x", True), "it has its own"
    assert marks("x : y") == [(":", ".278em", ".278em")]
    assert marks(r"f\colon X") == [(":", "0", ".167em")]
    assert marks(r"a+\cdots+b") == [("+",), ("⋯", *none), ("+",)]
    assert (marks(r"\overline{xy}"), marks(r"\underline{xy}")) == ([("‾",)], [("_",)])
    assert mathml(r"\sqrt{-r}").count('<msqrt><mspace height=".8em" /><mo') == 1, "its sign stands on the line"
    assert marks(r"\sqrt{-r}") == [("−", "prefix", *none)]


def test_columns_of_a_table_stand_where_tex_has_them():
    cells = re.findall(
        r'<mtd style="text-align:-webkit-(\w+);padding:.25em 0 .25em ([\w.]+)"',
        mathml(r"\begin{aligned}a&=b\\&=c\end{aligned}", True),
    )
    assert cells == [("right", "0"), ("left", "0em")] * 2
    cells = re.findall(r"text-align:-webkit-(\w+)", mathml(r"\begin{cases}a&b\\c&d\end{cases}", True))
    assert cells == ["left"] * 4


@pytest.mark.parametrize("tex", [r"\frac{1", r"\nothing", "a}", r"\left(x", r"\begin{aligned}a"])
def test_what_is_no_formula_is_refused(tex):
    with pytest.raises(Unreadable):
        mathml(tex)
    assert mathml("x") == "<math><mi>x</mi></math>", "the next one is set"


def test_the_font_has_what_is_written_what_is_slanted_and_roots_of_one_width():
    letters = TTFont(io.BytesIO(font(set("xhθϵ∂𝒬=<"))))
    known = letters.getBestCmap()
    assert {ord(c) for c in "ℎ𝜖𝜕<"} <= known.keys()
    assert {ord(c) for c in "x𝑥θ𝜃𝒬=√‖"} <= known.keys()
    assert len(known) < 60
    assert "MATH" in letters
    root, variants = known[ord("√")], letters["MATH"].table.MathVariants
    sizes = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(root)]
    signs = [sign.VariantGlyph for sign in sizes.MathGlyphVariantRecord]
    signs += [part.glyph for part in sizes.GlyphAssembly.PartRecords]
    assert len(set(signs)) > 3
    assert {letters["hmtx"][name][0] for name in signs} == {letters["hmtx"][root][0]}
    assert font(set("xθ𝒬=")) == font(set("=𝒬θx")), "the same bytes"


def test_pages_hold_their_formulas_and_load_none(built, browser, tmp_path):
    page = built.page("paper/one")
    assert len(page.select(".math > math")) == len(page.select(".math")) > 3
    style = built.site()["_static/formulas.css"].decode()
    assert TTFont(io.BytesIO(base64.b64decode(style.partition("base64,")[2].partition(")")[0])))
    seen = browser.new_page()
    seen.goto((built.root / "_build/html/book/paper/one.html").as_uri())
    seen.evaluate("document.fonts.ready")
    assert seen.evaluate("[...document.fonts].filter(f => f.family == 'Formulas').map(f => f.status)") == ["loaded"]
    cut = "[...document.querySelectorAll('span.math')].filter(e => getComputedStyle(e).overflow != 'visible').length"
    assert seen.evaluate(cut) == 0, "nothing of a formula is cut"
    box = "e => { const r = e.getBoundingClientRect(); return [r.width, r.height] }"
    for formula in seen.locator("article math").all():
        if formula.is_visible():
            width, height = formula.evaluate(box)
            assert min(width, height) > 4
    seen.close()


def test_a_formula_that_cannot_be_read_stops_the_build_with_its_page(book):
    book.change("book/paper/one.md", "has a formula $x^2$", r"has a formula $\frac{1$")
    told = book.press("build")
    assert told.returncode
    assert r"book/paper/one: a formula that MathJax cannot read: \frac{1" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_drawing_in_fewer_letters_looks_the_same(built, browser):
    cells = nbformat.reads(built.executed()["paper/two"].decode(), as_version=4).cells
    kinds = [output["data"] for cell in cells for output in cell.get("outputs", ()) if "data" in output]
    found = re.findall(r"<svg\b.*?</svg>", "".join(str(text) for data in kinds for text in data.values()), re.S)
    drawings = [svg for svg in found if "<use" in svg]
    assert drawings
    page = browser.new_page(viewport={"width": 700, "height": 600})
    for svg in drawings:
        assert len(shorter(svg)) < 0.8 * len(svg)
        shown = []
        for drawing in (svg, shorter(svg)):
            page.set_content(f"<body style='font-family:sans-serif'>{drawing.replace('display:none', '')}")
            shown.append(Image.open(io.BytesIO(page.screenshot())).convert("L"))
        assert shown[0].getextrema()[0] < 100, "something is drawn"
        assert ImageChops.difference(*shown).getextrema()[1] < 60, "no point moved by as much as a quarter of a pixel"
    page.close()


def test_what_stands_in_every_box_is_told_once():
    box = (
        '<details class="proof" id="proof"><summary>Proof</summary>\n<p>Proof. By the lemma. Proof. Again</p></details>'
    )
    assert TWICE.sub("", box) == (
        '<details class="proof"><summary>Proof</summary>\n<p>By the lemma. Proof. Again</p></details>'
    )
    kept = '<div id="proof"><section id="solution-content">', '<div id="proof"><section>'
    assert TWICE.sub("", kept[0]) == kept[1], "what can be linked keeps its name"
