"""The built site as a reader's browser shows it: each page, wide and narrow, light and dark."""

import contextlib

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import TimeoutError

from press import ROOT, audit

SITE = ROOT / "_build" / "html"
SCREENS = {"desktop": (1280, 900), "phone": (360, 740)}

FIGURES = """() => [...document.querySelectorAll('article svg[role=img]')].map(svg => {
  const box = svg.getBoundingClientRect()
  const behind = []
  for (let e = svg; e; e = e.parentElement) behind.push(getComputedStyle(e).backgroundColor)
  return {label: svg.getAttribute('aria-label') || '', width: box.width, height: box.height, left: box.left,
          colour: getComputedStyle(svg).color, behind: behind.find(c => c !== 'rgba(0, 0, 0, 0)')}
})"""


def channels(colour: str) -> list[float]:
    return [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_site_is_published_and_sound():
    assert SITE.is_dir(), "there is no published book; run `python -m press build`"
    assert audit.faults(SITE) == []


@pytest.fixture(scope="module", params=[(s, t) for s in SCREENS for t in ("light", "dark")], ids="-".join)
def view(request, browser):
    screen, theme = request.param
    width, height = SCREENS[screen]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    yield context, theme, width
    context.close()


@pytest.mark.parametrize("name", audit.pages())
def test_page(name, view):
    context, theme, width = view
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    file = SITE / f"{name}.html"
    page.goto(file.as_uri(), wait_until="load")
    written = len(BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser").select(".math"))
    with contextlib.suppress(TimeoutError):
        page.wait_for_function("n => document.querySelectorAll('mjx-container').length >= n", arg=written, timeout=5000)
    assert page.locator("mjx-container").count() == written, "formulas rendered and formulas written differ"
    assert page.locator("mjx-merror").count() == 0, "a formula that MathJax cannot read"
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    for figure in page.evaluate(FIGURES):
        assert len(figure["label"].split()) >= 5, figure
        assert figure["width"] > 200, figure
        assert figure["height"] > 80, figure
        assert figure["left"] >= 0, figure
        assert contrast(figure["colour"], figure["behind"]) >= 4.5, figure
    page.close()
