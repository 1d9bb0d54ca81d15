"""The first page: its picture says what teachers do and works by hand; it is short, and its routes keep their word."""

import json
import re
from functools import cache

import pytest
from bs4 import BeautifulSoup

from press import ROOT
from press.build.chapters import find
from press.site.reading import minutes, named

SITE = ROOT / "_build" / "html" / "book"
FIRST = next(chapter for chapter in find() if chapter.name == "index")
SAYS = {
    "Convolution, pooled": "Output 7 = σ(V* · mean of tokens 3, 4, 7, 8): each with weight 1/4.",
    "Graph convolution": "Output 7 = σ(V* · mean of tokens 3, 6, 7, 8, 11): each with weight 1/5.",
    "Token selection": "Output 7 = V* · mean of tokens 6, 7, 10, 11: each with weight 1/4.",
    "Group-sparse": "Output 7 = V* · token 10, as every output.",
}


@cache
def page() -> BeautifulSoup:
    return BeautifulSoup((SITE / "index.html").read_text(encoding="utf-8"), "html.parser")


def test_it_opens_with_what_it_is_a_question_and_the_picture():
    section = page().select_one("article section")
    parts = [(part.name, " ".join(part.get("class", ()))) for part in section.find_all(recursive=False)]
    assert [name for name, _ in parts[:4]] == ["h1", "p", "p", "figure"]
    assert parts[2][1] == "question"
    assert section.figure["id"] == "fig-index"
    assert "only shows" in section.figure.figcaption.text, "which part is the theorem's law, and which is shown"


def test_it_is_short_and_its_picture_is_light():
    text = " ".join(cell.source for cell in FIRST.cells if cell.kind == "markdown")
    assert len(re.findall(r"[^\W\d_]{2,}", text)) <= 900
    assert len(str(page().select_one(".product")).encode()) <= 120_000


def test_the_sentences_of_the_picture_say_what_lights_and_what_a_student_found():
    told = json.loads(page().select_one(".product script").text)
    assert len(told["cases"]) == len(SAYS)
    for case, says in zip(told["cases"], SAYS.values(), strict=True):
        reads = case["told"]["reads"]
        assert case["told"]["says"][6] == says
        for output, column in enumerate(reads):
            levels = case["C"][16 * output : 16 * output + 16]
            assert [token for token, level in enumerate(levels) if level == "y"] == column, "S* is lit there"
            assert set(levels) == {"0", "y"}
            listed = re.search(r"tokens? ([\d, ]+\d)", case["told"]["says"][output])[1]
            assert [int(token) - 1 for token in listed.split(", ")] == column
        shares = [int(found.split(" ")[0]) for found in case["told"]["found"]]
        assert shares == sorted(shares), "it goes on finding"
        assert shares[0] == round(100 * len(reads[0]) / 16)
        assert shares[-1] >= 85
        for share, gives in zip(shares, case["told"]["gives"], strict=True):
            each, other = map(float, re.findall(r"\d\.\d+", gives))
            assert len(reads[0]) * each == pytest.approx(share / 100, abs=0.009)
            assert len(reads[0]) * each + (16 - len(reads[0])) * other == pytest.approx(1, abs=0.01)


def test_three_findings_have_a_picture_a_number_a_verdict_and_a_link():
    cards = page().select("#three-findings figure")
    assert len(cards) == 3
    for card in cards:
        caption = card.figcaption
        assert caption.select("a[href*='#claim-']")
        assert len(caption.select(".verdict")) == 1
        assert caption.select("a[href$='.html']")
        assert card.select("svg[aria-label]")


def test_the_routes_take_as_long_as_they_say():
    routes = {term.text: term.find_next("dd") for term in page().select("#three-routes dt")}
    hour = [named(link["href"].removesuffix(".html").rpartition("/")[2]) for link in routes["An hour"].select("a")]
    assert len(hour) >= 3
    assert minutes(FIRST) + sum(map(minutes, hour)) <= 60
    assert minutes(FIRST) <= 4


@pytest.mark.parametrize("width", [1280, 360])
def test_each_teacher_is_chosen_and_read_by_keyboard(browser, width):
    context, said = browser.new_context(viewport={"width": width, "height": 900}), []
    shown = context.new_page()
    shown.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto((SITE / "index.html").as_uri(), wait_until="load")
    shown.get_by_label("Convolution, pooled", exact=True).focus()
    for place, says in enumerate(SAYS.values()):
        if place:
            shown.keyboard.press("ArrowRight")
        assert shown.locator(".tell").text_content() == says
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
    shown.get_by_label("Output 7").focus()
    shown.keyboard.press("Home")
    assert shown.locator(".tell").text_content() == "Output 1 = V* · token 10, as every output."
    context.close()
    assert said == []
