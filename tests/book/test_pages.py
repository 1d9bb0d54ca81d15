"""The built site in a browser: each page wide and narrow, light and dark, by eye, by hand and by keyboard."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from press import ROOT
from press.build import audit
from press.build.chapters import find, toc
from press.ledger import floors

SITE = ROOT / "_build" / "html"
SEARCHED = "/found/.test(document.querySelector('p.count')?.textContent)"
WIDTHS = (1280, 768, 360)
OWN = ("file:", "data:", "blob:")  # what a page has in itself; a blob is the text of the bench's worker
OPENED = [f"book/{chapter.name}" for chapter in find() if chapter.front.get("opening")]

FIGURES = """() => [...document.querySelectorAll('article svg[role=img]')].filter(e => e.checkVisibility()).map(svg => {
  const box = svg.getBoundingClientRect()
  const behind = []
  for (let e = svg; e; e = e.parentElement) behind.push(getComputedStyle(e).backgroundColor)
  return {label: svg.getAttribute('aria-label') || '', width: box.width, height: box.height, left: box.left,
          colour: getComputedStyle(svg).color, behind: behind.find(c => c !== 'rgba(0, 0, 0, 0)')}
})"""

# What a reader meets without a click: by height the share of code; where the first figure lies; small letters in
# figures; figures without letters; raw numbers; broken names; labels of a number line that meet or leave the page.
READING = r"""() => {
  const shown = e => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().height > 0
  const all = selector => [...document.querySelectorAll('article ' + selector)].filter(shown)
  const box = e => e.getBoundingClientRect()
  const figures = all('svg, img, .product').filter(e => box(e).height > 120 && box(e).width > 250)
  const first = figures.length ? figures.map(box).reduce((a, b) => a.top < b.top ? a : b) : null
  const size = (e, m) => parseFloat(getComputedStyle(e).fontSize) * Math.hypot(m.a, m.b)
  const letters = all('svg text, svg tspan').filter(e => e.textContent.trim()).map(e => size(e, e.getScreenCTM()))
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2
  const lines = all('.line').map(line => [...line.querySelectorAll('.label')])
  const raw = /np\.float64\(|dtype=|tensor\(|\d\.\d{10,}/
  return {
    code: all('pre').reduce((sum, e) => sum + box(e).height, 0) / box(document.querySelector('article')).height,
    first: first && [first.top + scrollY, first.bottom + scrollY],
    tiny: Math.min(...letters),
    mute: figures.filter(e => e.matches('figure svg') && !e.querySelector('text')).length,
    raw: all('.cell_output, pre').filter(e => !e.closest('.cell_input, details') && raw.test(e.textContent)).length,
    broken: all('code').concat(all('dt'), all('th')).filter(e => /^[\w.-]{3,24}$/.test(e.textContent)).filter(e => {
      const range = document.createRange()
      range.selectNodeContents(e)
      return new Set([...range.getClientRects()].map(r => Math.round(r.top))).size > 1
    }).map(e => e.textContent),
    met: lines.flatMap(labels => labels.flatMap((a, i) => labels.slice(i + 1).filter(b => meet(box(a), box(b)))))
      .map(e => e.textContent),
    out: lines.flat().filter(e => box(e).left < 0 || box(e).right > innerWidth).map(e => e.textContent),
  }
}"""

# How far what was there has moved by itself, as browsers measure it.
SHIFTS = """window.shifted = 0
new PerformanceObserver(list => list.getEntries().forEach(e => { if (!e.hadRecentInput) shifted += e.value }))
  .observe({type: 'layout-shift', buffered: true})"""

# Formulas and figures are emptied and code keeps one word of each colour: a rule looks at every node that is left.
THIN = """() => {
  document.querySelectorAll('math, article svg[role=img][aria-label]').forEach(e => e.replaceChildren())
  const seen = new Set()
  document.querySelectorAll('.highlight span').forEach(e => {
    if (seen.has(e.className)) e.replaceWith(...e.childNodes)
    else seen.add(e.className)
  })
}"""


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
    assert floors(), "the ledger has no [floors], so that an empty book would pass"
    assert audit.audit(SITE)[0] == []


def opened(context, name: str, said: list, asked: list):
    """The page; what the console said and what was asked for is kept."""
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(SHIFTS)
    page.goto((SITE / f"{name}.html").as_uri(), wait_until="load")
    page.evaluate("document.fonts.ready")
    return page


def weight(asked: list[str]) -> int:
    """The bytes of the files that a page asked for, without fonts."""
    files = {Path(unquote(urlsplit(url).path)) for url in asked if url.startswith("file:")}
    return sum(file.stat().st_size for file in files if not file.suffix.startswith((".woff", ".ttf")))


@pytest.mark.parametrize("name", toc())
def test_page(name, browser):
    context = browser.new_context(color_scheme="light")
    said, asked, serious = [], [], []
    page = opened(context, name, said, asked)
    assert weight(asked) <= 1.5e6, f"loads {weight(asked):,} bytes"
    assert page.evaluate("shifted") < 0.05, "what is read moves while the page loads"
    page.add_style_tag(content="* {transition: none !important}")  # nothing is measured on its way
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"scrolls sideways at {width} px"
            for figure in page.evaluate(FIGURES):
                assert len(figure["label"].split()) >= 5, figure
                assert figure["width"] > 200, figure
                assert figure["height"] > 80, figure
                assert figure["left"] >= 0, figure
                assert contrast(figure["colour"], figure["behind"]) >= 4.5, figure
            seen = page.evaluate(READING)
            assert (seen["tiny"] or 10) >= 9.9, f"letters of {seen['tiny']:.1f} px in a figure at {width} px"
            if name not in OPENED:
                seen["raw"] = 0  # doctests show what Python prints
            found = {kind: seen[kind] for kind in ("mute", "raw", "broken", "met", "out") if seen[kind]}
            assert found == {}, f"at {width} px"
            if width == WIDTHS[0] and name in OPENED:
                assert seen["code"] <= 0.15, f"code takes {100 * seen['code']:.0f} % of the height"
                assert seen["first"][0] < 800, "the first figure begins below the first screen"
                assert seen["first"][1] < 1250, "the first figure ends below one screen and a half"
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.evaluate(THIN)
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        # every rule on the light page; on the dark one what the colours change.
        options = {"preload": False} | ({} if theme == "light" else {"runOnly": ["color-contrast"]})
        found = Axe().run(page, options=options).response["violations"]
        bad = [violation for violation in found if violation["impact"] in ("serious", "critical")]
        serious += [(theme, violation["id"], violation["nodes"][0]["html"][:120]) for violation in bad]
    assert serious == []
    assert said == []
    assert [url for url in asked if not url.startswith(OWN)] == []
    context.close()


@pytest.fixture
def landing(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    said, asked = [], []
    yield opened(context, toc()[0], said, asked)
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(OWN)] == []


def test_the_theme_toggle_turns_the_page_and_its_figures(landing):
    def state():
        theme = landing.evaluate("document.documentElement.dataset.theme")
        return theme, landing.evaluate(FIGURES)[0]["colour"]

    seen = {state()}
    for _ in range(3):  # the button goes round: light, dark, as the system says
        landing.locator("button.theme-switch-button:visible").first.click()
        seen.add(state())
    assert {theme for theme, _ in seen} == {"light", "dark"}
    assert len({colour for _, colour in seen}) == 2


def test_keyboard_reaches_the_text_and_the_search(landing):
    landing.keyboard.press("Tab")
    assert "Skip to main content" in landing.evaluate("document.activeElement.textContent")
    landing.keyboard.press("Enter")
    assert landing.evaluate("location.hash") == "#main-content"
    reached = set()
    for _ in range(60):
        landing.keyboard.press("Tab")
        reached.add(landing.evaluate("document.activeElement.getAttribute('href') || ''"))
    assert any("setting" in href for href in reached), "Tab does not reach the link to the first chapter"


def search(browser, word: str):
    """What the offline search finds for `word`, typed into the box that Ctrl+K opens."""
    context, asked = browser.new_context(viewport={"width": 1280, "height": 900}), []
    page = opened(context, toc()[0], [], asked)
    page.keyboard.press("Control+k")
    page.keyboard.type(word)
    page.keyboard.press("Enter")
    page.wait_for_function(SEARCHED)
    links = page.eval_on_selector_all("#search-results li a", "links => links.map(a => a.getAttribute('href'))")
    context.close()
    assert [url for url in asked if not url.startswith(OWN)] == []
    return links


def test_search_finds_a_word_offline(browser):
    assert any("book/paper/setting.html" in link for link in search(browser, "softmax"))
    assert search(browser, "xylophonist") == []


def test_a_claim_is_found_by_a_word_from_wherever_the_reader_is(browser):
    context, said = browser.new_context(viewport={"width": 1280, "height": 800}), []
    page = opened(context, "book/scoreboard", said, [])
    page.keyboard.press("End")
    page.wait_for_function("scrollY > 3000")
    page.keyboard.press("/")
    page.keyboard.type("plateau")
    left = page.locator("details.row:visible")
    assert 1 <= left.count() <= 5
    under = page.locator(".finder").bounding_box()
    assert under["y"] + under["height"] <= left.first.bounding_box()["y"] < 800
    page.keyboard.press("Enter")
    assert left.first.locator("dl.facts").is_visible()
    assert "plateau" in left.first.text_content().lower()
    context.close()
    assert said == []


# --- under a policy --------------------------------------------------------------------------------------

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src data:; worker-src blob:"  # the one font is in the style of formulas
)
MARKUP = "<img src=x onerror=document.body.dataset.ran=1>"


class Strict(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *told) -> None:
        pass


@pytest.fixture
def strict(browser):
    """Opens a page of the site, served with the policy; what the console said is empty at the end."""
    server, said = ThreadingHTTPServer(("127.0.0.1", 0), partial(Strict, directory=SITE)), []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")

    def open_page(path: str):
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_port}/{path}", wait_until="load")
        return page

    yield open_page
    context.close()
    server.shutdown()
    assert said == []


def test_a_page_works_where_only_the_scripts_of_the_site_may_run(strict):
    page = strict("book/paper/setting.html")
    page.locator("button.theme-switch-button:visible").first.click()
    assert page.evaluate("document.documentElement.dataset.mode") != "auto"
    assert page.locator(".copybtn").count() > 0
    page.evaluate("window.print = () => { document.body.dataset.printed = 1 }")
    page.evaluate("document.querySelector('.btn-download-pdf-button').click()")
    assert page.evaluate("document.body.dataset.printed") == "1"


def test_the_bench_runs_under_the_policy_in_its_worker(strict):
    page = strict("book/bench.html#t=conv&D=12")
    page.locator(".play").click()
    step = page.locator(".bench tbody tr").first.locator("td").first
    for _ in range(100):  # the page's own way to wait is a script of a string, which the policy forbids
        if step.text_content().replace(",", "").isdigit() and step.text_content() not in ("0", "1"):
            break
        page.wait_for_timeout(100)
    assert page.evaluate("bench.now.t") > 1
    assert page.evaluate("bench.now.worker") is True


@pytest.mark.parametrize("path", [f"search.html?q=softmax+{MARKUP}", f"{toc()[1]}.html?highlight={MARKUP}#{MARKUP}"])
def test_an_address_puts_no_markup_into_a_page(strict, path):
    page = strict(path)
    if path.startswith("search"):
        page.wait_for_function(SEARCHED)
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.body.dataset.ran") is None
