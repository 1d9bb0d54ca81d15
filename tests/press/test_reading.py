"""The form of a chapter's page: what is built, and what it does in a browser; on the small book."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe

from press.site.reading import summary

# --- as it is built --------------------------------------------------------------------------------------


def lines_of_code(page) -> list[str]:
    return [" ".join(line.summary.text.split()) for line in page.article.select("details.code")]


def test_code_is_in_closed_lines_with_words_and_counts_and_neighbours_are_one(built):
    one, two = built.page("paper/one"), built.page("paper/two")
    assert lines_of_code(one) == [
        "code › the parameters: change them and run; the claim, checked 8 lines",
        "code › the figure, drawn 3 lines",
        "code › count the steps of size h 3 lines",
        "code › the end of the checks 1 line",
    ]
    assert lines_of_code(two)[0].endswith("16 lines")
    assert [len(line.select(".cell_input")) for line in one.select("details.code")] == [3, 1, 1, 1]
    for page in (one, two):
        assert not page.select("details.code[open], details.code + details.code")
        for block in page.article.select(".cell_input"):
            assert block.find_parent(class_="keep") or block.find_parent("details", class_="code")


@pytest.mark.parametrize(
    ("metadata", "source", "words"),
    [
        ({"summary": "in words"}, "# a comment\nx = 1", "in words"),
        ({"tags": ["parameters"]}, "# a comment\nx = 1", "the parameters: change them and run"),
        ({}, "# a comment\nimport os", "a comment"),
        ({}, "import os", "what is imported"),
        ({}, "x = 1\nfigures.show(fig, alt=x)", "the figure, drawn"),
        ({}, 'def f():\n    """What it does.\n\n    More."""', "What it does"),
        ({}, "def f(): pass", "f"),
        ({}, "a = b = 1\nc = 2\nd = 3", "compute a, b, c"),
        ({}, "print(1)", "run and look"),
        ({}, "%%time\nx", "a cell"),
    ],
)
def test_what_a_cell_does_in_words(metadata, source, words):
    assert summary(metadata, source) == words


def test_what_is_kept_stays_and_text_that_is_printed_is_behind_its_line_unless_it_is_shown(built):
    one, two = built.page("paper/one").article, built.page("paper/two").article
    (kept,) = two.select(".cell.keep")
    assert "frames = {" in kept.text
    assert not kept.find_parent("details")
    behind = [line for line in one.select("details.code") if "printed words" in line.text]
    assert behind
    assert one.text.count("printed words") == 2, "the call, and what it printed"
    shown = two.find(string=lambda text: text.strip() == "a number that is read" and not text.find_parent("details"))
    assert shown


ASIDES = ("slope = -1", "tiny = -2e-15", "many = 1200\nhalf = 600", "2 of 2 claims are as the ledger expects")


def test_what_is_glued_and_the_close_are_in_the_notebook_and_not_on_the_page(built):
    article = built.page("paper/one").article.text
    offered = json.loads(built.site()["_sources/book/paper/one.ipynb"])
    outputs = [output for cell in offered["cells"] for output in cell.get("outputs", ())]
    said = "".join("".join(output.get("data", {}).get("text/plain", "")) + "\n" for output in outputs)
    for aside in ASIDES:
        assert aside in said
        assert aside not in article


def test_the_opening_has_strip_question_and_hero_before_the_first_paragraph(built):
    article = built.page("paper/one").article
    head = article.h1.find_next_siblings()[:4]
    assert [(part.name, (part.get("class") or [""])[0]) for part in head] == [
        ("dl", "opening"),
        ("p", "question"),
        ("figure", "hero"),
        ("p", ""),
    ]
    strip = {term.text: " ".join(term.find_next("dd").text.split()) for term in head[0].select("dt")}
    assert strip == {
        "You need first": "Two",
        "To read": "1 minute",
        "It runs in": "less than 5 s",
        "The paper proves": "that x2 is a formula",
        "We derive": "nothing",
        "We measure": "a slope 2 claims, 2 of them the paper's",
    }
    assert head[0].a["href"] == "two.html"
    assert head[1].text == "What does this chapter ask?"
    assert (head[2]["id"], len(article.select("#fig-one"))) == ("fig-one", 1), "moved, and not copied"
    hash = json.loads(built.executed()["paper/one"])["metadata"]["press"]["hash"]
    assert head[2].select_one("details.source p").text == f"paper/one, cell 4, run {hash}"
    assert not built.page("index").select(".opening, .question")


def test_the_first_page_may_open_with_a_question_and_a_figure_and_a_verdict_is_quoted(book):
    figure = "---\nmystnb:\n  figure:\n    name: fig-front\n    caption: Two dots and the line between them.\n---\n"
    draws = (
        'fig, ax = figures.plt.subplots()\nax.plot([0, 1])\nfigures.show(fig, alt="A line goes up from zero to one.")\n'
    )
    book.change("book/index.md", "---\n", "---\nopening:\n  asks: Does it open?\n  hero: fig-front\n")
    book.change(
        "book/index.md",
        'print("a landing',
        f'from press import figures\n```\n\n```{{code-cell}} python3\n{figure}{draws}print("a landing',
    )
    book.change("book/index.md", "{claim}`slope`,", "{claim}`slope`, it {claim}`slope:verdict`,")
    told = book.press("build")
    assert told.returncode == 0, told.stderr
    article = book.page("index").article
    line, question, figure = article.h1.find_next_siblings()[:3]
    assert (line.name, line.text[:6], question["class"]) == ("p", "A page", ["question"])
    assert (figure["id"], "hero" in figure["class"]) == ("fig-front", True)
    assert not article.select("dl.opening")
    assert " it ✓holds, and one" in " ".join(article.text.split())
    offered = json.loads(book.site()["_sources/book/index.ipynb"])
    assert "it *holds*, and" in "".join("".join(cell["source"]) for cell in offered["cells"])


def test_a_solution_is_closed_without_a_script_and_its_numbers_are_as_in_print(built):
    article = built.page("paper/one").article
    solution = article.select_one("details.solution")
    assert solution.summary.text == "Solution to Exercise 1.1 (The power)"
    assert not solution.has_attr("open")
    text = " ".join(solution.section.text.split())
    assert text == "It is 2, up to −2 · 10⁻¹⁵. Here is a formula (z).", "each mark in its place"
    assert solution.select_one(".together").text == "(z)."
    assert article.select_one(f"a[href='#{solution['id']}']").text == solution.summary.text
    assert not article.select(".dropdown, .cell_output.shown:empty")


def test_a_table_of_claims_is_in_sight_and_their_cards_are_behind_their_cell(built):
    article = built.page("paper/one").article
    assert not article.select_one("table.matrix").find_parent("details")
    assert article.select_one("#claim-power").find_parent("details", class_="code")
    assert not article.select_one("#claim-slope").find_parent("details")


def test_what_an_author_writes_of_theorem_derivation_and_prediction(built):
    article = built.page("paper/one").article
    strip = article.select_one("dl.strip-of-four")
    assert [term.text for term in strip.find_all("dt")] == ["Hypotheses", "What it says", "What breaks it"]
    assert [(li["class"], li.text) for li in strip.select("li")] == [
        (["met"], "there is a rate"),
        (["not-met"], "it is large"),
    ]
    assert "1/T" in strip.text
    first, second = article.select(".steps > ol > li")
    assert first.select_one("details.why").summary.text == "why?"
    assert not first.select_one("details.why").has_attr("open")
    assert "Since" in first.details.text
    assert second.text == "Then the slope is left."
    form = article.select_one("form.predict")
    assert form.has_attr("hidden"), "without a script there is no field"
    assert (form["data-answer"], form.select_one("data.right").text) == ("1200.0", "✓ <Twelve> 122.")
    assert [(mistake["value"], mistake.text) for mistake in form.select("data.mistake")] == [
        ("600.0", "This is <half> of it.")
    ]
    assert form.label["for"] == form.input["id"]


WRONG = {
    "```{derivation}\nNo list.\n```": "derivation: give one ordered list, and nothing else",
    "```{derivation}\n1. One.\n\nMore.\n```": "derivation: give one ordered list, and nothing else",
    "```{hypotheses}\n```": "hypotheses: say what is met, and what is not",
    "```{predict} what?\n:answer: nothing\n:right: so\n```": "predict: 'nothing' is no number that this chapter glues",
    "```{predict} what?\n:answer: many\n:right: so\n:mistakes: 'hal: so'\n```": "predict: 'hal' is no number that this",
    "```{predict} what?\n:right: so\n```": "predict: 'answer' is missing",
    "```{predict} what?\n:answer: many\n```": "predict: 'right' is missing",
}


def test_wrong_use_is_told_with_page_and_line_and_stops_publication(book):
    text = "\n\n".join(WRONG)
    book.change("book/paper/one.md", "Here the slope is", f"{text}\n\nHere the slope is")
    told = book.press("build")
    assert told.returncode == 1
    assert "running" not in told.stdout
    page = book.text("book/paper/one.md")
    for wrong, fault in WRONG.items():
        line = page[: page.index(wrong)].count("\n") + 1
        assert any(f"book/paper/one.md:{line}: ERROR: {fault}" in said for said in told.stderr.splitlines()), fault


# --- in a browser ----------------------------------------------------------------------------------------

WIDE, PHONE = {"width": 1280, "height": 500}, {"width": 360, "height": 740}
OPEN = "[...document.querySelectorAll('details.code')].map(line => line.open)"
TOP = "id => document.getElementById(id).getBoundingClientRect().top"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *told) -> None:
        pass


@pytest.fixture(scope="module")
def address(built):
    """The small book's pages, served."""
    served = partial(Quiet, directory=built.root / "_build/html")
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/book/paper/"
    server.shutdown()


@pytest.fixture
def reader(browser, built, address):
    """Opens pages as one reader, who has a window and maybe habits; no script of a page may fail."""
    said, contexts = [], []

    def read(path: str = "one.html", context=None, **habits):
        context = context or browser.new_context(**{"viewport": WIDE, "color_scheme": "light"} | habits)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address + path, wait_until="load")
        return page

    yield read
    for context in contexts:
        context.close()
    assert said == []


def mode(page) -> tuple[str, set[bool]]:
    return page.evaluate("document.documentElement.dataset.read"), set(page.evaluate(OPEN))


TEXT, CODE = ("text", {False}), ("code", {True})


def test_the_switch_works_by_keyboard_is_remembered_and_the_address_wins(reader):
    page = reader()
    assert mode(page) == TEXT
    page.locator(".reading-mode input[value=text]").focus()
    page.keyboard.press("ArrowRight")
    assert mode(page) == CODE
    assert page.url.endswith("one.html#~code")
    assert mode(reader("two.html", page.context)) == CODE, "remembered"
    other = reader("two.html#~text", page.context)
    assert mode(other) == TEXT, "the address wins"
    assert other.locator(".reading-mode input:checked").get_attribute("value") == "text"
    placed = reader("one.html#the-power~code")
    assert mode(placed) == CODE
    assert 0 <= placed.evaluate(TOP, "the-power") < WIDE["height"]
    placed.locator(".reading-mode input[value=code]").focus()
    placed.keyboard.press("ArrowLeft")
    assert placed.url.endswith("#the-power~text"), "the place stays"


def test_the_line_under_the_eye_stays_where_it_is(reader):
    page = reader()
    page.add_style_tag(content="html {overflow-anchor: none; scroll-behavior: auto !important} body {height: 9000px}")
    page.evaluate("scrollBy({top: document.getElementById('the-power').getBoundingClientRect().top - 175})")
    eye = "document.elementFromPoint(innerWidth / 2, 180).closest('#the-power')?.getBoundingClientRect().top"
    before = page.evaluate(eye)
    assert before is not None
    height = page.evaluate("document.querySelector('article').offsetHeight")
    for value in ("code", "text"):
        page.evaluate(f"document.querySelector('.reading-mode input[value={value}]').click()")
        assert page.evaluate(eye) == pytest.approx(before, abs=1.5)
        assert (page.evaluate("document.querySelector('article').offsetHeight") > height + 100) == (value == "code")


def test_a_link_into_a_closed_line_opens_it(reader):
    page = reader()
    page.locator("table.matrix a").click()
    assert page.url.endswith("#claim-power")
    page.wait_for_function("document.querySelector('#claim-power').closest('details').open")
    assert page.evaluate(OPEN).count(True) == 1, "and no other"
    assert 0 <= page.evaluate(TOP, "claim-power") < WIDE["height"]
    for hash in ("#claim-power", "#claim-power~text"):  # with a mode, the browser alone finds no place
        from_elsewhere = reader(f"one.html{hash}")
        assert from_elsewhere.evaluate(OPEN).count(True) == 1
        assert 0 <= from_elsewhere.evaluate(TOP, "claim-power") < WIDE["height"]


@pytest.mark.parametrize("hash", ["#%", "#%E0%A4%A", "#~", "#~nothing", "#nowhere~code~text"])
def test_an_odd_address_changes_nothing(reader, hash):
    page = reader(f"one.html{hash}")
    assert page.locator(".reading-mode input:checked").count() == 1
    assert mode(page) in (TEXT, CODE)


def test_without_scripts_all_is_there_and_closed_and_nothing_that_does_not_work(reader):
    page = reader(java_script_enabled=False)
    assert page.locator("details.code").count() == 4
    assert page.locator("details[open]").count() == 0
    assert page.locator(".reading-mode").count() == 0
    assert not page.locator("form.predict").is_visible()
    page.locator("details.code > summary").first.click()
    assert page.locator("#claim-power").is_visible()


def test_a_prediction_is_checked(reader):
    page = reader()
    field, answer = page.locator("form.predict input"), page.locator("form.predict output")
    for guess, told in {
        "1200": "✓ <Twelve>",
        "1.17e3": "✓ <Twelve>",
        " 1,210 ": "✓ <Twelve>",
        "600": "This is <half> of it.",
        "612": "This is <half> of it.",
        "12": "A factor of 100 off",
        "120000": "A factor of 100 off",
        "1100": "Too small",
        "0": "Too small",
        "−1200": "Too small",
        "1300": "Too large",
        "many": "Enter a number",
        "": "Enter a number",
        "1e999": "Enter a number",
    }.items():
        field.fill(guess)
        field.press("Enter")
        assert answer.text_content().startswith(told), guess
        assert answer.locator(".math").count() == (1 if told.startswith("✓") else 0)
    assert page.locator("form.predict").get_by_text("<half>").count() <= 1, "mistakes stay hidden"
    assert not page.locator("form.predict data.mistake").is_visible()
    assert "#" not in page.url


LETTERS = """() => [...document.querySelectorAll('.drawings > svg')].filter(e => e.checkVisibility()).map(svg => ({
  last: !svg.nextElementSibling, width: svg.getBoundingClientRect().width,
  least: Math.min(...[...svg.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize)))
    * svg.getScreenCTM().a }))"""


@pytest.mark.parametrize("path", ["one.html#~code", "two.html#~code"])
def test_on_a_phone_one_drawing_is_shown_with_letters_that_can_be_read_and_nothing_is_wider(reader, path):
    page = reader(path, viewport=PHONE)
    (phone,) = page.evaluate(LETTERS)
    assert phone["last"]
    assert phone["width"] <= 360
    assert phone["least"] >= 10
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".reading-mode").is_visible()
    page.set_viewport_size(WIDE)
    (wide,) = page.evaluate(LETTERS)
    assert not wide["last"]
    assert wide["least"] >= 10


def test_the_strip_is_low_enough(reader):
    page = reader(viewport={"width": 1280, "height": 800})
    height = "document.querySelector('dl.opening').getBoundingClientRect().height"
    assert page.evaluate(height) <= 130
    assert page.evaluate("document.querySelector('figure.hero').getBoundingClientRect().top") < 800
    page.set_viewport_size(PHONE)
    assert page.evaluate(height) <= 190


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["one.html", "two.html"])
def test_text_can_be_read_in_both_themes(reader, path, theme):
    page = reader(f"{path}#~code", color_scheme=theme)
    page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
    page.evaluate("document.querySelectorAll('details').forEach(line => { line.open = true })")
    options = {"preload": False, "runOnly": ["color-contrast"]}
    found = Axe().run(page, options=options).response
    assert [node["html"][:150] for rule in found["violations"] for node in rule["nodes"]] == []
    assert sum(len(rule["nodes"]) for rule in found["passes"]) > 20, "it looked"


def test_in_print_there_is_no_code_and_no_control(reader):
    page = reader("one.html#~code")
    page.emulate_media(media="print")
    for hidden in ("details.code", ".reading-mode", "form.predict"):
        assert not page.locator(hidden).first.is_visible(), hidden
    for visible in ("figure.hero", "#claim-slope", "table.matrix", "dl.opening"):
        assert page.locator(visible).is_visible(), visible
    two = reader("two.html")
    two.emulate_media(media="print")
    assert two.locator(".cell.keep").is_visible()
