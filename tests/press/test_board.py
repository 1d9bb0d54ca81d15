"""The scoreboard and the items: rows as they are built, and what they do in a browser; on the small book."""

import json
from collections import Counter

import pytest
from axe_playwright_python.sync_playwright import Axe

from press.site import boards

# --- as it is built --------------------------------------------------------------------------------------


def words(part) -> str:
    return " ".join(part.get_text(" ").split())


def test_the_board_begins_with_counts_and_a_strip_in_the_order_of_reading(built):
    board = built.page("scoreboard").article
    assert words(board.select_one("p.totals")) == "3 claims ✓ 1 holds ≠ 1 differs – 1 not measured"
    strip = {words(group.span): group.select("a") for group in board.select(".strip > div")}
    assert {chapter: [(a["href"], a["class"], a["aria-label"]) for a in cells] for chapter, cells in strip.items()} == {
        "One": [("#slope", ["holds"], "slope: holds"), ("#power", ["differs"], "power: differs")],
        "Without a run": [("#unmeasured", ["not-measured"], "unmeasured: not measured")],
    }
    sections = {words(section.h2).split(" ")[0]: section for section in board.select("section.rows")}
    assert {name: [row["id"] for row in section.select(".row")] for name, section in sections.items()} == {
        "Differs": ["power"],
        "Not": ["unmeasured"],
        "One": ["slope"],
        "Item": [],
    }


def test_a_row_has_its_numbers_in_a_line_and_opens_on_all_its_facts_and_the_place_of_its_check(built):
    rows = {row["id"]: row for row in built.page("scoreboard").select("details.row")}
    assert not [row for row in rows.values() if row.has_attr("open")]
    assert {id: words(row.summary) for id, row in rows.items()} == {
        "power": "≠ differs a short name measured 2 predicted by the paper 4 , by us 2 One",
        "unmeasured": "– not measured a short name measured – predicted ≥ 0.9",
        "slope": "✓ holds a short name ▸ measured −1 predicted −1 One",
    }
    assert rows["power"].select_one(".predicted s").text == "4", "what the paper says is struck out"
    facts = {id: {t.text: words(t.find_next("dd")) for t in row.select("dt")} for id, row in rows.items()}
    assert facts == {
        "slope": {
            "Tolerance": "0.01: exact here",
            "Control ✕": "half the rate: −0.5",
            "In words": "The loss falls as 1/T.",
            "Source": "Theorem 1, the slope",
            "Name": "slope",
        },
        "power": {
            "Tolerance": "0.01: exact here",
            "Control ✕": "the paper's power: 4",
            "In words": "The loss grows as the fourth power.",
            "Source": "derived in paper/one; Theorem 1",
            "Name": "power",
        },
        "unmeasured": {"Source": "Figure 1", "Name": "unmeasured"},
    }
    assert [a["href"] for a in rows["power"].select("dd a")] == ["items.html#theorem-1", "#power"]
    assert {id: row.select_one(".line")["aria-label"] for id, row in rows.items()} == {
        "slope": "Predicted −1, tolerance 0.01; measured −1; the control measures −0.5.",
        "power": "Predicted 4, by us 2, tolerance 0.01; measured 2; the control measures 4.",
        "unmeasured": "Predicted at least 0.9; not measured.",
    }
    for row in rows.values():
        whole, small = ([(i["class"][0], i["style"]) for i in row.select(f"{of} > i")] for of in (".line", ".mini"))
        assert whole == small, "the small line has the marks of the whole one"
        assert not row.select(".mini .label")
        assert words(row.select_one(".by")) == ("derived here" if row["id"] == "unmeasured" else "the paper's claim")
    assert "for x2." in rows["slope"].select_one(".say").text
    assert words(rows["unmeasured"].select_one(".reason")) == "Not measured: images not at hand"
    for claim in ("slope", "power"):
        place = rows[claim].select_one("a.place")
        assert (place["href"], place.text) == (f"paper/one.html#claim-{claim}", "One, where it is checked ›")
        assert built.page("paper/one").select_one(f"div.claim#claim-{claim}")
    assert not rows["unmeasured"].select("a.place")


@pytest.mark.parametrize(
    ("relation", "predicted", "told"),
    [("=", -1.0, "−1"), ("≤", 0.5, "≤ 0.5"), ("≥", 1e-13, "≥ 10⁻¹³"), ("in", (0.9, 1.1), "0.9 to 1.1")],
)
def test_a_prediction_in_a_column(relation, predicted, told):
    assert boards.brief(relation, predicted) == told


def test_items_are_rows_too_and_lead_to_their_claims_and_their_page(built):
    rows = {row.select_one(".name").text: row for row in built.page("items").select("details.row")}
    assert list(rows) == ["Theorem 1", "Definition 2", "Figure 1"]
    theorem, definition, figure = rows.values()
    assert theorem["id"] == "theorem-1"
    assert words(theorem.summary) == "Theorem 1 the rates ✓ 1 holds ≠ 1 differs One"
    assert [(a["href"], words(a)) for a in theorem.select("li a")] == [
        ("scoreboard.html#slope", "✓ holds a short name"),
        ("scoreboard.html#power", "≠ differs a short name"),
    ]
    assert (theorem.select_one("a.place")["href"], words(theorem.select_one("a.place"))) == (
        "paper/one.html#one",
        "One ›",
    )
    assert words(definition.select_one(".told")) == "no claim"
    assert words(definition.select_one("p.note")) == "a definition"
    assert not figure.select("a.place"), "an item that has no page"


def test_each_place_has_one_name_and_those_that_others_have_kept_are_there(built):
    for name in ("scoreboard", "items"):
        ids = Counter(tag["id"] for tag in built.page(name).find_all(id=True))
        assert [id for id, count in ids.items() if count > 1] == []
    board = built.page("scoreboard")
    for old, new in {
        "theorem-1": "items.html#theorem-1",
        "section-3-theorems": "items.html#section-3-theorems",
    }.items():
        assert board.find(id=old)["href"] == new
        assert built.page("items").find(id=old)
    assert board.find(id="derived-here-one").find_parent("section").select_one("#slope")


def test_claims_for_programs_stand_beside_the_board(built):
    told = json.loads(built.site()["book/claims.json"])
    assert (told["version"], [row["id"] for row in told["claims"]]) == ("0.1.0", ["slope", "power", "unmeasured"])
    assert told["claims"][1] == {
        "id": "power",
        "source": "derived in paper/one; Theorem 1",
        "by": "paper",
        "statement": "The loss grows as the fourth power.",
        "relation": "=",
        "predicted": 4.0,
        "ours": 2.0,
        "expect": "differs",
        "verdict": "differs",
        "measured": 2.0,
        "tolerance": 0.01,
        "why": "exact here",
        "control": {"broken": "the paper's power", "measured": 4.0},
        "outside": None,
        "reason": None,
        "chapter": "paper/one",
        "address": "paper/one.html#claim-power",
    }
    last = told["claims"][2]
    assert (last["measured"], last["control"], last["address"]) == (None, None, None)
    assert last["reason"] == "images not at hand"
    assert built.page("scoreboard").select("a[href='claims.json']")


# --- in a browser ----------------------------------------------------------------------------------------

WIDE, PHONE = {"width": 1280, "height": 500}, {"width": 360, "height": 740}
FOUND = "[...document.querySelectorAll('.row')].filter(row => row.checkVisibility()).map(row => row.id)"
OPEN = "[...document.querySelectorAll('.row[open]')].map(row => row.id)"
FADED = "[...document.querySelectorAll('.strip .dim')].map(cell => cell.hash.slice(1))"
ON = "document.activeElement.closest('.row')?.id ?? document.activeElement.name"
ALL = ["power", "unmeasured", "slope"]


@pytest.fixture
def reader(browser, built):
    """Opens pages from their files, as one reader who has a window and maybe habits; no script may fail."""
    said, contexts = [], []

    def read(path: str = "scoreboard.html", blocked: str = "", **habits):
        context = browser.new_context(**{"viewport": WIDE, "color_scheme": "light"} | habits)
        contexts.append(context)
        page = context.new_page()
        if blocked:
            page.route(blocked, lambda route: route.abort())
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((built.root / "_build/html/book").as_uri() + f"/{path}", wait_until="load")
        return page

    yield read
    for context in contexts:
        context.close()
    assert said == []


def count(page) -> str:
    return page.locator(".finder output").text_content()


def fragment(page) -> str:
    return page.evaluate("location.hash.slice(1)")


def test_a_claim_is_found_by_a_word_and_opened_from_the_keyboard(reader):
    page = reader()
    page.keyboard.press("/")
    assert page.evaluate(ON) == "q"
    page.keyboard.type("IMAGES")
    assert (page.evaluate(FOUND), count(page)) == (["unmeasured"], "1 of 3 claims")
    assert page.evaluate(FADED) == ["slope", "power"]
    page.keyboard.press("Enter")
    assert (page.evaluate(OPEN), page.evaluate(ON)) == (["unmeasured"], "unmeasured")
    assert page.locator("#unmeasured .reason").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("short")
    assert page.evaluate(FOUND) == ALL, "what was searched for is replaced"
    for key, on in (("ArrowDown", "power"), ("ArrowDown", "unmeasured"), ("ArrowUp", "power"), ("ArrowUp", "q")):
        page.keyboard.press(key)
        assert page.evaluate(ON) == on


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("fourth  LOSS", ["power"]),
        ("loss fourth falls", []),
        ("théorem 1", ["power", "slope"]),
        ("derived in paper/one", ["power"]),
        ("One measures", ["power", "slope"]),
        ("slope", ["slope"]),
        ("exact here", []),
        ("<b>", []),
        (".*", []),
        (" ", ALL),
    ],
)
def test_each_word_is_looked_for_in_sentence_name_chapter_and_source(reader, typed, found):
    page = reader()
    page.locator(".bar [name=q]").fill(typed)
    assert page.evaluate(FOUND) == found
    told = {0: "No claim matches: clear a filter, or search for fewer words", 3: "All 3 claims"}
    assert count(page) == told.get(len(found), f"{len(found)} of 3 claims")


def test_what_is_chosen_is_in_the_address_and_the_address_chooses(reader):
    page = reader()
    page.locator(".bar [value=differs]").focus()
    page.keyboard.press("Space")
    assert (page.evaluate(FOUND), fragment(page)) == (["power"], "v=differs")
    page.locator(".bar [value=not-measured]").check()
    assert (page.evaluate(FOUND), fragment(page)) == (["power", "unmeasured"], "v=differs,not-measured")
    page.locator(".bar [value=paper]").check()
    page.locator(".bar select").select_option("one")
    page.locator(".bar [name=q]").fill("a&b=~c")
    kept = fragment(page)
    assert kept.startswith("v=differs,not-measured&by=paper&ch=one&q=")
    assert "~" not in kept
    other = reader(f"scoreboard.html#{kept}~code")
    assert other.locator(".bar [name=q]").input_value() == "a&b=~c"
    other.locator(".bar [name=q]").fill("")
    assert (other.evaluate(FOUND), fragment(other)) == (["power"], "v=differs,not-measured&by=paper&ch=one~code")
    assert other.evaluate("[...document.querySelectorAll('.bar :checked')].map(e => e.value)") == [
        *("differs", "not-measured", "paper", "one")
    ]
    other.locator(".bar button").click()
    assert (other.evaluate(FOUND), other.evaluate(ON), count(other)) == (ALL, "q", "All 3 claims")
    page.locator(".bar button").click()
    assert page.evaluate("location.href.includes('#')") is False


def test_a_claims_own_address_clears_the_filters_and_opens_its_row(reader):
    page = reader("scoreboard.html#v=differs")
    assert page.evaluate(FOUND) == ["power"]
    page.locator(".strip a[href='#slope']").click()
    page.wait_for_function("document.activeElement.parentElement.id === 'slope'")
    assert (page.evaluate(FOUND), page.evaluate(OPEN)) == (ALL, ["slope"])
    assert page.locator(".bar :checked").count() == 1, "of the select"
    under = page.evaluate("document.querySelector('.finder').getBoundingClientRect().bottom")
    assert under - 1 <= page.evaluate("document.querySelector('#slope').getBoundingClientRect().top") < WIDE["height"]
    there = reader("scoreboard.html#unmeasured~text")
    assert (there.evaluate(OPEN), there.evaluate(ON)) == (["unmeasured"], "unmeasured")
    page.locator(".strip a").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.hash") == "#power"
    assert page.locator(".strip a[tabindex='0']").count() == 1, "one stop on the way to the search"


def test_an_address_that_has_moved_leads_to_the_item(reader):
    page = reader("scoreboard.html#theorem-1")
    page.wait_for_url("**/items.html#theorem-1")
    assert (page.evaluate(OPEN), page.evaluate(ON)) == (["theorem-1"], "theorem-1")
    page.locator("#theorem-1 li a").last.click()
    page.wait_for_url("**/scoreboard.html#power")
    assert page.evaluate(OPEN) == ["power"]


ODD = {
    "#%": "%",
    "#%E0%A4%A": "%E0%A4%A",
    "#nowhere": "nowhere",
    "#<img src=x onerror=document.body.dataset.ran=1>": "nerror=document.body.dataset.ran=1>",
    "#__proto__": "__proto__",
    "#v=__proto__": "__proto__",
    "#v=constructor,differ": "constructor",
    "#ch=toString": "toString",
    "#ch=<img src=x>": "<img src=x>",
    "#hasOwnProperty=1&v=": "hasOwnProperty",
    "#=&&==": "",
    f"#q={'x' * 5000}": "x" * 40,
    f"#{'y' * 5000}": "y" * 40,
}


@pytest.mark.parametrize("hash", ODD)
def test_an_odd_address_changes_nothing_but_a_message(reader, hash):
    page = reader(f"scoreboard.html?v=differs&<b>{hash}")
    assert page.evaluate(FOUND) == ALL
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.body.dataset.ran") is None
    assert count(page).startswith("All 3 claims. The address names “") or ODD[hash] == ""
    assert len(count(page)) < 110


def test_without_scripts_all_but_the_bar_is_there_and_rows_open(reader):
    page = reader(java_script_enabled=False)
    assert not page.locator(".bar").is_visible()
    assert page.locator(".row > summary:visible").count() == 3
    page.locator("#power > summary").click()
    assert page.locator("#power .facts").is_visible()
    there = reader("scoreboard.html#slope", java_script_enabled=False)
    assert there.locator("#slope .facts").is_visible(), "its address opens it"


def test_the_bar_has_its_room_before_its_script_comes(reader):
    place = "e => document.querySelector('section.rows').getBoundingClientRect().top"
    for window in (WIDE, PHONE):
        before, after = reader(blocked="**/board.js*", viewport=window), reader(viewport=window)
        assert not before.locator(".bar").is_visible()
        assert before.evaluate(place) == after.evaluate(place)


SMALL = """() => [...document.querySelectorAll('.bar :is(button, select, input), .row > summary')]
  .filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 32).map(e => e.outerHTML)"""
LETTERS = """() => [...document.querySelectorAll('article *')]
  .filter(e => e.checkVisibility() && e.childElementCount === 0 && e.textContent.trim())
  .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML)"""


@pytest.mark.parametrize("path", ["scoreboard.html#power", "items.html#theorem-1"])
def test_on_a_phone_nothing_is_wider_than_it_and_all_can_be_read_and_touched(reader, path):
    page = reader(path, viewport=PHONE)
    for window in (PHONE, WIDE):
        page.set_viewport_size(window)
        assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
        assert page.evaluate(SMALL) == []
        assert page.evaluate(LETTERS) == []
    if path.startswith("scoreboard"):
        page.set_viewport_size(PHONE)
        tops = page.evaluate("[...document.querySelectorAll('.bar > *')].map(e => e.getBoundingClientRect().bottom)")
        assert max(tops) - min(tops) < 8, "the bar is one row"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["scoreboard.html#v=differs,holds", "items.html"])
def test_rows_can_be_read_in_both_themes(reader, path, theme):
    page = reader(path, color_scheme=theme)
    page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
    page.evaluate("document.querySelectorAll('.row').forEach(row => { row.open = true })")
    options = {"preload": False} | ({} if theme == "light" else {"runOnly": ["color-contrast"]})
    found = Axe().run(page, context={"exclude": [["mjx-container"]]}, options=options).response
    bad = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], node["html"][:150]) for rule in bad for node in rule["nodes"]] == []


def test_in_print_rows_are_open_and_there_is_no_bar(reader):
    page = reader()
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    for row in ALL:
        assert page.locator(f"#{row} .facts").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(OPEN) == ALL, "for browsers whose styles cannot open them"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(OPEN) == []
