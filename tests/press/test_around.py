"""Moving about: neighbours, previews, lists, the search, old addresses; on the small book, and from a file."""

import re
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from bs4 import BeautifulSoup
from tests.press.conftest import TOC, Book

from press.site.finish import plain, title

NOTATION = """# Notation

The symbols of the small book, with enough words to be read as a page of it, and a few more words for that.

| symbol | code | shape | meaning | defined in |
|---|---|---|---|---|
| $x^2$ | `x` | number | a square | [one](paper/one.md) |
| $\\eta$ | `eta` | number | a \\<step> | [two](paper/two.md) |
"""
GLOSSARY = """# Glossary

Words that the small book uses in one sense, each of them told in one sentence, and twenty words in all.

```{glossary}
slope
  How the loss falls ([one](paper/one.md)).
```
"""
LISTS = "# {0}\n\nAll {0} of the small book, with enough words to be read as a page of it.\n\n```{{list-of}} {0}\n```\n"
LONG = "many words in a row " * 30
TWO = f"""

(a-place)=
## A section

It cites {{cite}}`zhang2026teachers`, {{prf:ref}}`the-slope`, {{numref}}`fig-one`, {{eq}}`squares`,
{{term}}`slope` and {{claim}}`slope`.
It has $\\eta$, and $\\eta$ again, and a long one: {{prf:ref}}`a-lemma`.

$$
y = x^2
$$ (squares)

```{{prf:lemma}}
:label: a-lemma

Über allem: {LONG}

$$
z = \\tfrac12
$$
```

## Another section

Here $\\eta$ is once more, and $x^2$, which is a symbol of a chapter that this one does not need.
"""


@pytest.fixture(scope="module")
def around(built, tmp_path_factory) -> Book:
    """The small book with notation, glossary, lists, an old address, and links to all of it."""
    book = Book(Path(shutil.copytree(built.root, tmp_path_factory.mktemp("around") / "small", symlinks=True)))
    pages = {"notation": NOTATION, "glossary": GLOSSARY}
    pages |= {name: LISTS.format(name) for name in ("figures", "statements")}
    for name, text in pages.items():
        book.write(f"book/{name}.md", text)
    book.write("_toc.yml", TOC + "".join(f"      - file: book/{name}\n" for name in pages))
    book.write("_config.yml", book.text("_config.yml") + "redirects:\n  book/old/zero: book/paper/two\n")
    book.write("book/paper/two.md", book.text("book/paper/two.md") + TWO)
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    return book


# --- as it is built --------------------------------------------------------------------------------------


def test_neighbours_say_what_they_answer(around):
    one, index = around.page("paper/one"), around.page("index")
    after, before = one.select_one(".neighbours .next"), one.select_one(".neighbours .previous")
    assert (after["href"], after.b.text, after.q.text) == ("two.html", "2. Two", "What does this chapter ask?")
    assert (before["href"], before.q) == ("../index.html", None)
    assert not index.select(".neighbours .previous")


def test_what_is_linked_has_a_preview_in_the_page(around):
    shown = around.page("paper/two").select("template.preview")
    shown = {t["data-for"]: BeautifulSoup(t.decode_contents(), "html.parser") for t in shown}
    said = {address: " ".join(t.get_text(" ").split()) for address, t in shown.items()}
    assert said["one.html#the-slope"] == "Theorem 1.1 The slope The loss falls as 1 / T ."
    assert said["one.html#fig-one"] == "Fig. 1.1 A matrix of two rows and two columns."
    assert said["#equation-squares"].split(" ", 2)[:2] == ["Equation", "(2.1)"]
    assert said["../glossary.html#term-slope"] == "slope How the loss falls ( one )."
    assert said["one.html#claim-slope"] == "Claim It measures −1 for x 2 ."
    assert said["../notation.html#symbol-eta-two"] == "Notation η : a <step> eta , number, defined in two"
    assert any(name.startswith("../references.html#") and "Cao" in text for name, text in said.items())
    lemma = shown["#a-lemma"]
    assert lemma.p.text == "Lemma 2.1"
    assert lemma.find_all("p")[1].text.endswith("…")
    assert len(lemma.find_all("p")[1].text) <= 201
    assert lemma.select_one("div.math mfrac"), "its formula is there, whatever is cut"
    for template in shown.values():
        assert not template.select("a, details, svg, [id]")
    assert sum(len(str(template)) for template in shown.values()) < 60_000


def test_a_symbol_leads_to_the_notation_once_in_a_section(around):
    links = around.page("paper/two").select("article a.symbol")
    assert [link["href"] for link in links] == ["../notation.html#symbol-eta-two"] * 2
    assert {link["aria-label"] for link in links} == {"η"}
    assert around.page("notation").select_one("tr#symbol-eta-two td").text.strip() == "η"
    assert "x2" in around.page("paper/two").select_one("#another-section").text, "and leads nowhere"


def test_lists_have_every_figure_and_statement_by_page(around):
    figures, statements = around.page("figures"), around.page("statements")
    assert [h.text for h in figures.select(".list-of h2")] == ["1. One", "2. Two"]
    rows = [(li.a["href"], li.a.text, li.span.text) for li in figures.select(".list-of li")]
    assert rows == [
        ("paper/one.html#fig-one", "Fig. 1.1", "A matrix of two rows and two columns."),
        ("paper/two.html#fig-two", "Fig. 2.1", "A line falls to the slope −1.000."),
    ]
    rows = [(li.a["href"], li.a.text) for li in statements.select(".list-of li")]
    assert rows == [("paper/one.html#the-slope", "Theorem 1.1"), ("paper/two.html#a-lemma", "Lemma 2.1")]
    assert statements.select_one(".list-of span").text == "The slope"


def test_no_page_but_the_search_loads_a_text_and_none_sphinxs_index(around):
    pages = {name: text.decode() for name, text in around.site().items() if name.endswith(".html")}
    assert "searchindex.js" not in around.site()
    for name, text in pages.items():
        assert ("searchtext.js" in text) == (name == "search.html"), name
        assert not re.search(r"searchindex|searchtools|language_data|doctools|sphinx_highlight", text), name


def test_an_old_address_leads_to_the_new_one(around):
    page = around.site()["book/old/zero.html"].decode()
    assert '<meta http-equiv="refresh" content="0; url=../../book/paper/two.html">' in page
    assert '<link rel="canonical" href="../../book/paper/two.html">' in page


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("book/old: book/nowhere", "redirects: book/old: leads to book/nowhere, which is no page"),
        ("book/paper/one: book/paper/two", "redirects: book/paper/one: must be where a page was"),
        ("book/../old: book/paper/two", "redirects: book/../old: must be where"),
        ("book/old.html#x: book/paper/two", "redirects: book/old.html#x: must be where"),
        ("- book/old", "redirects must be a table"),
    ],
)
def test_a_wrong_old_address_is_told_before_anything_is_made(book, table, told):
    book.write("_config.yml", book.text("_config.yml") + f"redirects:\n  {table}\n")
    before = book.site()
    answer = book.press("build")
    assert answer.returncode == 1
    (line,) = answer.stderr.strip().splitlines()
    assert f"_config.yml: {told}" in line
    assert book.site() == before


def test_a_renamed_heading_stops_publication_where_it_is_linked(book):
    book.change("book/paper/one.md", "\n# One\n", "\n# First\n")
    answer = book.press("build")
    assert answer.returncode == 1
    assert "book/items: the link to paper/one.html#one leads to no place on that page" in answer.stderr
    book.change("book/paper/two.md", "The second chapter", "[See](one.md#one). The second chapter")
    (line,) = [line for line in book.press("build").stderr.splitlines() if "WARNING" in line]
    assert re.search(r"book/paper/two\.md:\d+: .*'one'", line)


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\(\eta\)", "η"),
        (r"\[ V^* X, \quad W_{KQ} \]", "V* X, W_KQ"),
        (r"\tfrac12\Lambda_{\min} + \frac{a}{b}", "1/2Λ_min + a/b"),
        (r"\begin{aligned} a &\le \varepsilon \\ b \end{aligned}", "a ≤ ε b"),
        ("V*", "V*"),
    ],
)
def test_a_formula_in_one_line(tex, text):
    assert plain(tex) == text


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("(A & <em>b</em>)", "A &amp; <em>b</em>"),
        ('(What <span class="together"><i>x</i>)</span>', 'What <span class="together"><i>x</i></span>'),
        ("", ""),
    ],
)
def test_the_title_of_a_statement_without_number_and_brackets(head, told):
    html = f'<div><p class="admonition-title"><span class="caption-number">Lemma 1 </span> {head}</p></div>'
    assert title(BeautifulSoup(html.replace(" & ", " &amp; "), "html.parser")) == told


# --- in a browser ----------------------------------------------------------------------------------------

BOX = ".preview-box"


@pytest.fixture
def reader(browser, around):
    """Opens pages from the disk; at the end the console has said nothing."""
    said, contexts = [], []

    def read(path: str, **habits):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | habits)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
        page.goto((around.root / "_build" / "html").as_uri() + "/" + path, wait_until="load")
        return page

    yield read
    for context in contexts:
        context.close()
    assert said == []


def test_a_preview_opens_by_pointer_and_by_key_and_closes(reader):
    page = reader("book/paper/two.html")
    link, box = page.locator("a[href='one.html#the-slope']"), page.locator(BOX)
    link.scroll_into_view_if_needed()
    link.hover()
    box.wait_for()
    assert "The loss falls as" in box.inner_text()
    assert page.locator(f"{BOX} math").count() == 1
    box.hover()
    page.wait_for_timeout(600)  # longer than it waits before it closes
    assert box.is_visible(), "it stays while the pointer is in it"
    page.keyboard.press("Escape")
    assert box.is_hidden()
    page.mouse.move(1, 1)
    page.evaluate("document.querySelector(\"a[href='one.html#fig-one']\").focus()")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "one.html#the-slope"
    assert "The loss falls as" in box.inner_text(), "at once on focus"
    assert page.evaluate("document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText")
    page.keyboard.press("Enter")
    page.wait_for_url("**/one.html#the-slope")


def test_on_a_phone_a_tap_opens_a_sheet_and_its_link_leads_there(reader):
    page = reader("book/paper/two.html", viewport={"width": 390, "height": 800}, has_touch=True)
    link, box = page.locator("a[href='one.html#the-slope']"), page.locator(BOX)
    link.tap()
    box.wait_for()
    place = box.bounding_box()
    assert (place["x"], place["width"], place["y"] + place["height"]) == (0, 390, 800)
    assert page.locator(f"{BOX} .end").bounding_box()["height"] >= 32
    page.locator(f"{BOX} .end").tap()
    assert box.is_hidden()
    assert page.evaluate("document.activeElement.getAttribute('href')") == "one.html#the-slope"
    link.tap()
    page.locator(f"{BOX} .there").tap()
    page.wait_for_url("**/one.html#the-slope")


def found(page) -> list[str]:
    return page.eval_on_selector_all("#search-results li a", "links => links.map(a => a.getAttribute('href'))")


def test_the_search_finds_titles_before_headings_before_text_with_what_is_around(reader):
    page = reader("book/paper/two.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("SLOP")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li")
    order = found(page)
    assert set(order[:2]) == {"book/glossary.html#term-slope", "book/paper/one.html#the-slope"}
    assert order.index("book/paper/one.html#the-slope") < order.index("book/paper/two.html#two")
    assert page.locator("#search-results mark").first.inner_text().lower() == "slop"
    assert f"{len(order)} places found" in page.inner_text("[role=status]")
    page.fill("form.find input", "slope")
    assert found(page)[0] == "book/glossary.html#term-slope", "first what is called so"
    page.goto(page.url.partition("?")[0] + "?q=uber+WORDS")
    assert found(page) == ["book/paper/two.html#a-lemma"], "accents and case do not count, and all words do"
    for query in ("η", "eta", "\\eta"):
        page.fill("form.find input", query)
        assert found(page)[0] == "book/notation.html#symbol-eta-two", query
    page.locator("#search-results a").first.click()
    page.wait_for_url("**/notation.html#symbol-eta-two")


@pytest.mark.parametrize(
    "query",
    [
        "<img src=x onerror=document.body.dataset.ran=1>",
        "%",
        "%zz%80",
        "__proto__ constructor",
        "((((a*",
        "x" * 10_000,
        "^$",
    ],
)
def test_an_odd_query_is_only_text(reader, query):
    page = reader(f"search.html?q={query if query.startswith('%') else quote(query)}")
    assert page.evaluate("document.body.dataset.ran") is None
    assert page.locator("#search-results img").count() == 0
    assert "Nothing is found. Try" in page.inner_text("[role=status]") or page.input_value("form.find input") == "^$"


def test_an_old_address_takes_the_place_along(reader):
    reader("book/old/zero.html#a-section").wait_for_url("**/book/paper/two.html#a-section")
    plain_reader = reader("book/old/zero.html", java_script_enabled=False)
    plain_reader.wait_for_url("**/book/paper/two.html")
