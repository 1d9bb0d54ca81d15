"""The picture of a product of matrices: what stands in it, and what a reader does with it, in a browser."""

import json
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from press import ROOT, figures

STATIC = ROOT / "lib/press/site/static"
LABELS = {name: f"the matrix {name} of this small example" for name in (*"ABCY", "image", "learned", "answer", "curve")}
WORDS = {
    "cases": "Case", "A": "A", "B": "B", "of_B": "four columns", "C": "C", "Y": "Y", "of_Y": "choose",
    "image": "B, cut", "column": "Column", "learner": "A learner", "of_learner": "its curve", "learned": "C",
    "answer": "Y",
    "of_answer": "answers", "time": "Time", "times": ["t = 0", "t = 1", "t = 2", "t = 3", "t = 4"], "axis": "t",
    "ticks": [(50, "2")], "labels": LABELS,
}  # fmt: skip


def case(name: str, C: np.ndarray, rows: int) -> dict:
    """A case with `rows` rows of A and Y, which is learned in five steps."""
    A, shares = np.ones((rows, 2)), [0, 0.25, 0.5, 0.75, 1]
    return {
        "A": A,
        "C": C,
        "Y": A @ B @ C,
        "weight": name,
        "of": {"A": f"values of {name}", "C": f"scores of {name}"},
        "reads": [column.nonzero()[0].tolist() for column in C.T],
        "says": [f"{name} <{place}>" for place in range(1, 5)],
        "learned": [share * C for share in shares],
        "answer": [share * A @ B @ C for share in shares],
        "found": [f"{share:.0%} of {name}" for share in shares],
        "gives": [f"{name} gives {share}" for share in shares],
        "curve": [(25 * place, 10 * rows * place) for place in range(5)],  # another in each
        "law": [(0, 50), (100, 90)],
        "marks": [(10, 10, "start", f"mark of {name}")],
    }


B = np.array([[0.0, 0.5, 1.0, 0.5], [1.0, 0.5, 0.0, 0.5]])
CASES = {"one": case("one", np.eye(4), 2), "two": case("two", np.eye(4)[::-1] / 2 + np.eye(4) / 2, 1)}
GIVEN = {"B": B, "column": 1, "across": 2, "within": 2, "words": WORDS}
GIVEN["scales"] = {"A": (-1, 1), "B": (0, 1), "C": (0, 1), "Y": (0, 2)}
ALT = "Two products of matrices, and what learns them."
PAGE = """<!DOCTYPE html><html lang="en" data-theme="THEME"><meta charset="utf-8"><title>A picture</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="tokens.css"><link rel="stylesheet" href="product.css">
<style>body { margin: 16px; background: var(--bg); color: var(--ink); }</style>
<script src="product.js" defer></script><main><h1>A picture</h1>PICTURE</main>"""


def html(shown) -> str:
    figures.product(CASES, alt=ALT, **GIVEN)
    data, _ = shown.pop()
    assert data["text/plain"] == f"Figure: {ALT}"
    return data["text/html"]


# --- as it is displayed ----------------------------------------------------------------------------------


def test_a_matrix_is_a_text_of_levels_column_by_column(shown):
    picture = BeautifulSoup(html(shown), "html.parser")
    told = json.loads(picture.script.text)
    one, two = told["cases"]
    assert (one["rows"], two["rows"]) == (2, 1)
    assert one["C"] == "y0000y0000y0000y"
    assert two["C"] == "h00h0hh00hh0h00h"
    assert [len(levels) for levels in one["learned"]] == [16] * 5
    assert one["learned"][2] == "h0000h0000h0000h"
    assert len(one["A"]) == 4, "1 on a scale from -1 to 1 is the top"
    assert one["A"] == "yyyy"
    assert told["times"] == WORDS["times"]


def test_before_its_script_it_is_the_first_case_one_column_and_the_last_time(shown):
    picture = BeautifulSoup(html(shown), "html.parser").select_one(".product")
    assert picture["aria-label"] == ALT
    assert picture.select_one(".tell").text == "one <2>"
    assert picture.select_one(".found").text == "100% of one"
    lit = {
        m["data-name"]: [i for i, c in enumerate(m.find_all("span")) if c.get("class")]
        for m in picture.select(".matrix")
    }
    assert lit == {"A": [], "B": [1], "C": [1], "Y": [1], "learned": [1], "answer": [1]}
    assert all(control.has_attr("disabled") for control in picture.select("fieldset")), "until a script is there"
    assert [cell["style"] for cell in picture.select_one("[data-name=C] span").find_all("i")] == [
        "--v:1.00", "--v:0.00", "--v:0.00", "--v:0.00",
    ]  # fmt: skip


def test_a_short_alternative_text_is_refused(shown):
    with pytest.raises(ValueError, match="alt="):
        figures.product(CASES, alt="a picture", **GIVEN)
    assert shown == []


def test_its_colours_are_those_of_the_figures():
    tokens = (STATIC / "tokens.css").read_text(encoding="utf-8")
    for name, palette in {"lit": figures.LIT, "signed": figures.SIGNED}.items():
        stops = [bytes.fromhex(stop) for stop in re.findall(r"#(\w{6})", re.search(rf"--{name}: ([^;]+)", tokens)[1])]
        drawn = palette(np.linspace(0, 1, len(stops)), bytes=True)[:, :3]
        assert np.abs(drawn - np.array([list(stop) for stop in stops])).max() <= 1


# --- in a browser ----------------------------------------------------------------------------------------


@pytest.fixture
def picture(browser, shown, tmp_path):
    """Opens the picture on a page of its own; its console stays empty."""
    said, contexts, markup = [], [], html(shown)
    for file in ("tokens.css", "product.css", "product.js"):
        (tmp_path / file).write_bytes((STATIC / file).read_bytes())

    def open_picture(theme: str = "light", width: int = 1280, **habits):
        file = tmp_path / f"{theme}.html"
        file.write_text(PAGE.replace("THEME", theme).replace("PICTURE", markup), encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, **habits))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri(), wait_until="load")
        return page

    yield open_picture
    for context in contexts:
        context.close()
    assert said == []


LIT = """name => [...document.querySelectorAll(`[data-name=${name}]`)].map(
  matrix => [...matrix.children].flatMap((column, place) => column.classList.contains('on') ? [place] : []))"""
CELLS = """name => [...document.querySelector(`[data-name=${name}]`).children].map(
  column => [...column.children].map(cell => Number(cell.style.getPropertyValue('--v'))))"""
TELL, COLUMN, FOUND = ".tell", "input[name=product-column]", ".found"


def state(page) -> tuple[str, list[int]]:
    """The sentence, and the columns that are lit in Y: one."""
    [lit] = page.evaluate(LIT, "Y")
    assert lit == page.evaluate(LIT, "C")[0] == page.evaluate(LIT, "learned")[0]
    assert [i for i, radio in enumerate(page.locator(COLUMN).all()) if radio.is_checked()] == lit
    return page.locator(TELL).text_content(), lit


def test_arrows_home_and_end_move_the_choice_and_the_sentence(picture):
    page = picture()
    page.locator(COLUMN).nth(1).focus()
    for key, place in {"ArrowRight": 2, "ArrowDown": 3, "ArrowLeft": 2, "Home": 0, "End": 3, "ArrowUp": 2}.items():
        page.keyboard.press(key)
        assert state(page) == (f"one <{place + 1}>", [place]), key
        assert page.evaluate("document.activeElement.value") == str(place)
    assert page.locator(TELL).get_attribute("aria-live") == "polite"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "a ring shows the focus"
    assert page.evaluate(LIT, "B") == [[2], [2]], "in the matrix and in its image"


def test_a_pointer_anywhere_on_a_column_lights_what_it_reads(picture):
    page = picture()
    page.get_by_label("two", exact=True).check()
    for name in ("C", "Y", "learned", "answer"):
        for place in (0, 3):
            box = page.locator(f"[data-name={name}]").bounding_box()
            page.mouse.move(box["x"] + box["width"] * (place + 0.5) / 4, box["y"] + box["height"] / 2)
            assert state(page) == (f"two <{place + 1}>", [place]), name
            assert page.evaluate(LIT, "B")[0] == [0, 3]


def test_a_finger_chooses_too(picture):
    page = picture(width=390, has_touch=True)
    page.locator(COLUMN).nth(3).tap()
    assert state(page) == ("one <4>", [3])


def test_another_case_has_its_own_matrices_words_and_curve(picture):
    page = picture()
    drawn = (
        "[...document.querySelectorAll('.path line')].map(line => [line.getAttribute('x1'), line.getAttribute('y2')])"
    )
    assert page.evaluate(drawn) == [[f"{25 * place}.0%", f"{20 * (place + 1)}.0%"] for place in range(4)]
    assert len(page.evaluate(CELLS, "Y")[0]) == 2
    page.get_by_label("one", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert state(page) == ("two <2>", [1]), "the column stays"
    assert [len(column) for column in page.evaluate(CELLS, "Y")] == [1] * 4
    assert page.evaluate(CELLS, "C")[0] == [0.5, 0, 0, 0.5]
    assert page.locator("[data-of=C]").text_content() == "scores of two"
    assert page.locator("text.mark").text_content() == "mark of two"
    assert page.locator(FOUND).text_content() == "100% of two"
    assert page.evaluate(drawn) == [[f"{25 * place}.0%", f"{10 * (place + 1)}.0%"] for place in range(4)]
    assert page.evaluate("getComputedStyle(document.querySelector('.factors > .B .on'), '::after').content") == '"two"'


def test_the_slider_and_play_go_through_time(picture):
    page = picture()
    slider, button = page.locator("input[type=range]"), page.locator(".play button")
    slider.focus()
    page.keyboard.press("Home")
    assert page.evaluate(CELLS, "learned") == [[0] * 4] * 4
    assert page.locator(".clock").text_content() == "t = 0"
    assert slider.get_attribute("aria-valuetext") == "t = 0, 0% of one"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(CELLS, "learned")[0] == [0.24, 0, 0, 0], "a quarter, in levels"
    thumb, dot = (page.locator(part).bounding_box() for part in ("input[type=range]", "circle"))
    assert thumb["x"] + 8 + (thumb["width"] - 16) / 4 == pytest.approx(dot["x"] + dot["width"] / 2, abs=1.5)
    button.click()
    assert button.text_content() == "Stop"
    page.wait_for_function("document.querySelector('.clock').textContent === 't = 4'")
    page.wait_for_function("document.querySelector('.play button').textContent === 'Play'")
    button.click()
    assert page.locator(".clock").text_content() == "t = 0", "from the end it begins anew"
    button.click()
    stopped = page.locator(".clock").text_content()
    page.wait_for_timeout(300)
    assert page.locator(".clock").text_content() == stopped


def test_with_reduced_motion_play_jumps_between_stills(picture):
    page = picture(reduced_motion="reduce")
    page.evaluate("""() => { window.seen = [performance.now()]
      new MutationObserver(() => seen.push(performance.now()))
        .observe(document.querySelector('.clock'), {childList: true}) }""")
    page.locator("input[type=range]").fill("1")
    page.locator(".play button").click()
    page.wait_for_function("seen.length >= 4")
    first, second = page.evaluate("seen").copy()[-2:]
    assert second - first > 900, "with time to look"


@pytest.mark.parametrize("habits", [{"java_script_enabled": False}, {}], ids=["without scripts", "in print"])
def test_without_scripts_and_in_print_it_is_a_still_that_can_be_read(picture, habits):
    page = picture(**habits)
    page.emulate_media(media="screen" if habits else "print")
    for control in page.locator(".control").all():
        assert not control.is_visible()
    for seen in (".tell", ".found", ".gives", "[data-name=C]", "[data-name=learned]", ".time svg >> nth=0"):
        assert page.locator(seen).is_visible(), seen
    assert page.locator(TELL).text_content() == "one <2>"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 360])
def test_it_fits_and_axe_finds_nothing(picture, width, theme):
    page = picture(theme, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = {name: page.locator(f"[data-name={name}] >> nth=0").bounding_box() for name in ("B", "C", "Y", "learned")}
    if width == 360:
        assert names["B"]["x"] == names["C"]["x"] == names["Y"]["x"], "an output stands under its column"
        assert names["B"]["y"] < names["C"]["y"] < names["Y"]["y"]
    else:
        assert names["B"]["y"] == names["C"]["y"] == names["Y"]["y"], "one row"
        assert names["C"]["x"] == names["learned"]["x"], "what is learned under what is to be learned"
    found = Axe().run(page, options={"preload": False}).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found if rule["id"] != "region"] == []
