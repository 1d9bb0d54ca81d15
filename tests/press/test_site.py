"""The pages of a small book: what was run, the claims on boards and in sentences, footers, links, the current text."""

import json
import re
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

from press.build import audit
from press.build.chapters import seal
from press.build.execute import Job, longest_first
from press.claims import Record
from press.ledger import Claim
from press.site import boards, cards, policy

# --- what was run ----------------------------------------------------------------------------------------


def test_the_footer_says_what_was_run(built):
    kept = json.loads(built.executed()["paper/one"])["metadata"]["press"]
    footer = built.page("paper/one").select_one("p.executed")
    assert kept["versions"].keys() >= {"python", "torch", "matplotlib", "ipykernel", "papermill", "myst-nb"}
    told = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    said = f"It ran with {told}; content hash {kept['hash']}."
    assert " ".join(footer.text.split()) == f"Download the executed notebook. {said}"
    assert footer.a["href"] == "../../_sources/book/paper/one.ipynb"
    assert "Download notebook file" in str(built.page("paper/one")), "the theme's own button offers it too"
    assert not built.page("scoreboard").select("p.executed")


def test_the_notebook_to_download_is_what_was_run_asides_too(built):
    ran = json.loads(built.executed()["paper/one"])
    offered = json.loads(built.site()["_sources/book/paper/one.ipynb"])
    assert [cell.get("outputs") for cell in ran["cells"]] == [cell.get("outputs") for cell in offered["cells"]]
    code = [[cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"] for book in (ran, offered)]
    assert code[0] == code[1]
    assert offered["metadata"]["language_info"] == ran["metadata"]["language_info"]
    assert offered["metadata"]["press"] == {k: ran["metadata"]["press"][k] for k in ("hash", "versions")}


def test_the_notebook_to_download_says_its_numbers_and_whom_it_cites(built):
    one, index = (
        "".join("".join(cell["source"]) for cell in json.loads(built.site()[f"_sources/book/{name}.ipynb"])["cells"])
        for name in ("paper/one", "index")
    )
    assert "It is 2, up to −2 · 10⁻¹⁵." in one
    assert "Here the slope is −1.00, and {ref}`its-solution` is above." in one
    assert "a citation [Zhang *et al.*, 2026],\nand a number from another chapter: −1.00." in index
    assert "A claim of another chapter measured −1, and one is *not measured*." in index


def test_a_figure_says_where_it_comes_from(built):
    two = json.loads(built.executed()["paper/two"])
    caption = built.page("paper/two").select_one("figure#fig-two figcaption")
    source = caption.select_one("details.source")
    assert not source.has_attr("open")
    assert source.p.text == f"paper/two, cell 4, run {two['metadata']['press']['hash']}"
    assert "A line falls to the slope −1.000." in caption.text, "a claim in a caption"


def test_chapters_run_with_one_thread_and_the_same_hashes(built):
    two = built.executed()["paper/two"].decode()
    for told in ("OMP_NUM_THREADS is 1", "MKL_NUM_THREADS is 1", "OPENBLAS_NUM_THREADS is 1", "PYTHONHASHSEED is 0"):
        assert told in two


def untimed(notebook: bytes) -> dict:
    """A notebook without the seconds of its run, and the seal that covers them."""
    notebook = json.loads(notebook)
    assert notebook["metadata"]["press"].pop("seconds") > 0
    assert len(notebook["metadata"]["press"].pop("seal")) == 16
    return notebook


def test_a_second_run_gives_the_same_notebooks_and_the_same_pages_longest_first(book):
    before, pages = book.executed(), book.site()
    for name, seconds in {"paper/two": 100, "index": 50, "paper/one": 10}.items():
        notebook = json.loads(before[name])
        notebook["metadata"]["press"] |= {"seconds": seconds, "hash": "0"}
        notebook["metadata"]["press"]["seal"] = seal(notebook)
        book.write(f"_build/executed/{name}.ipynb", json.dumps(notebook))
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert re.findall("running (.*)", told.stdout) == ["paper/two", "index", "paper/one"]
    assert {name: untimed(text) for name, text in book.executed().items()} == {
        name: untimed(text) for name, text in before.items()
    }
    assert "nothing changed" in told.stdout, "the pages do not depend on the seconds"
    (book.root / "_build/html/index.html").unlink()
    assert "running" not in book.press("build").stdout
    assert book.site() == pages


def test_the_longest_run_first_and_before_it_what_has_never_run():
    chapters = [SimpleNamespace(kept=lambda s=s: {"seconds": s} if s else {}) for s in (3, None, 100, 20)]
    jobs = [Job(chapter, {}, None, None) for chapter in chapters]
    assert longest_first(jobs) == [jobs[i] for i in (1, 2, 3, 0)]


# --- the text as it is -----------------------------------------------------------------------------------


def test_prose_words_of_the_ledger_and_looks_reach_the_pages_without_a_run(book):
    book.change("book/paper/one.md", "The first chapter has", "Now the first chapter has")
    book.change("book/paper/one.md", "rate = 1.0", "rate = 1.0  # one a step")
    book.change("book/claims.toml", "The loss falls as 1/T.", "The loss falls as <1/T>.")
    book.change("lib/press/site/templates/facts.html", "<dt ", "<dt class='new' ")
    book.change("lib/press/site/templates/row.html", "<dt>", "<dt class='row-new'>")
    book.change("book/paper/two.md", "A line falls", "It falls")
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "running" not in told.stdout
    one, two = book.page("paper/one"), book.page("paper/two")
    assert "Now the first chapter has" in one.text
    assert "# one a step" in one.text
    assert "The loss falls as <1/T>." in one.select_one("#claim-slope").text
    assert one.select("#claim-slope dt.new")
    assert book.page("scoreboard").select("#slope dt.row-new")
    assert "It falls to the slope" in two.figcaption.text
    offered = json.loads(book.site()["_sources/book/paper/one.ipynb"])
    assert "Now the first chapter has" in "".join(offered["cells"][0]["source"])
    shown = next(o for c in offered["cells"] for o in c.get("outputs", []) if "claim" in o.get("metadata", {}))
    assert "&lt;1/T&gt;" in "".join(shown["data"]["text/html"])
    assert "<1/T>" in "".join(shown["data"]["text/plain"])
    assert shown["metadata"]["claim"]["id"] == "slope"


def test_another_repository_is_another_site(book):
    assert "Open it in" not in book.page("paper/one").text
    book.environment["GITHUB_REPOSITORY"] = "someone/some-book"
    assert book.press("build").returncode == 0
    links = {a.text: a["href"] for a in book.page("paper/one").select("p.executed a")}
    assert "someone/some-book" in links["Open it in Binder"]
    assert links["Open it in Colab"].endswith("someone/some-book/blob/executed/paper/one.ipynb")


# --- claims ----------------------------------------------------------------------------------------------

SAY = "It falls <fast> as {measured}."
ROW = Claim("an-id", "Theorem 1", "paper", "It falls.", SAY, "it falls", "differs", "in", (0.25, 0.5), 2.0)
RUN = Record("an-id", 3, "differs", 2.01, 0.1, "a bound", ("broken <b>hypothesis", 4.0), "D <= 3")
UNMEASURED = Claim("an-id", "Theorem 1", "paper", "It <falls>.", SAY, "it falls", "not measured", reason="no <images>")
FACTS = {
    "Tolerance": "0.1: a bound",
    "Control ✕": "broken <b>hypothesis: 4",
    "Outside the hypotheses": "D <= 3",
    "In words": "It falls.",
    "Source": "Theorem 1",
}


def test_every_fact_of_a_record_is_put_in_words():
    assert cards.facts(ROW, RUN) == FACTS
    unrun = Record("an-id", verdict="not measured", reason="no time")
    for told in (cards.facts(UNMEASURED, None), cards.facts(ROW, unrun)):
        assert told == {"Source": "Theorem 1"}, "the words are its sentence"
    assert cards.facts(None, Record("no-id", problems=["is not in the ledger"])) == {}


def said(dl) -> dict[str, str]:
    """A list of terms: what stands under each."""
    return {term.text: term.find_next_sibling("dd").text for term in dl.select("dt")}


@pytest.mark.parametrize("verdict", cards.MARKS)
def test_a_card_shows_all_of_it_and_escapes(verdict):
    record = Record(**vars(RUN) | {"verdict": verdict, "problems": ["a <b> c"]})
    card = BeautifulSoup(cards.html(ROW, record), "html.parser").select_one("div.claim#claim-an-id")
    assert verdict.replace(" ", "-") in card["class"]
    assert card.select_one(".verdict").text == cards.MARKS[verdict] + verdict
    assert said(card.select_one("dl.facts")) == FACTS | {"Name": "an-id"}
    assert card.select_one(".say").text == "It falls <fast> as 2.01."
    assert card.select_one(".line")["aria-label"] in cards.plain(ROW, record)
    for told in (verdict, "an-id", "It falls.", "a <b> c"):
        assert told in card.text
        assert told in cards.plain(ROW, record)
    for label, fact in FACTS.items():
        assert label == "In words" or f"{label}: {fact}" in cards.plain(ROW, record)


def test_a_card_that_is_not_measured_has_its_reason_in_sight():
    record = Record("an-id", verdict="not measured", reason="no <time>")
    for given, reason in ((record, "no <time>"), (None, "no <images>")):
        card = BeautifulSoup(cards.html(UNMEASURED, given), "html.parser")
        assert card.select_one(".say").text == "It <falls>."
        assert card.select_one(".reason").text == f"Not measured: {reason}"
        assert not card.select_one("details").select(".reason")
        assert f"not measured, because {reason}" in cards.plain(UNMEASURED, given)
        assert not card.select("falls, time, images"), "markup in a text"


def test_a_page_quotes_a_claim_and_links_to_its_place(built):
    front, one = built.page("index"), built.page("paper/one")
    assert "−1.00" in front.text, "a number glued from another chapter"
    link = front.select_one("a[href='paper/one.html#claim-slope']")
    assert (link.text, link["title"]) == ("−1", "The loss falls as 1/T.")
    assert "one is not measured" in " ".join(front.text.split())
    assert front.find("em", string="not measured")
    assert one.select_one("a[href='#claim-slope']").text == "−1.00", "a claim of the same page, in a format"


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("slip", "the ledger has no claim 'slip'"),
        ("slope:.2x", "the claim 'slope' cannot be written as '.2x'"),
    ],
)
def test_a_wrong_quotation_stops_publication(book, role, told):
    book.change("book/index.md", "{claim}`slope`", f"{{claim}}`{role}`")
    answer = book.press("build")
    assert answer.returncode == 1
    assert told in answer.stderr
    assert "book/index.md:" in answer.stderr


def test_a_claim_that_a_run_cannot_measure_says_why_on_page_and_scoreboard(book):
    text = 'claims.check("power", 2.0'
    book.change(
        "book/paper/one.md", text, f'if rate < 5:\n    claims.not_measured("power", "no images")\nelse:\n    {text}'
    )
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    row = book.page("scoreboard").find(id="power")
    assert row["data-v"] == "not-measured"
    assert "Not measured: no images" in row.text
    assert not row.select(".cross, .dot")
    assert "Control ✕" not in row.text
    assert row.select_one("a.place")["href"] == "paper/one.html#claim-power"
    assert "no images" in book.page("paper/one").select_one("#claim-power").text


# --- links -----------------------------------------------------------------------------------------------


def test_pages_carry_nothing_that_is_not_used(built):
    unused = re.compile("thebe|mathjax|fontawesome|togglebutton", re.I)
    assert not [name for name in built.site() if unused.search(name) or name.endswith(".map")]
    for name in ("index", "paper/one", "references"):
        page = built.page(name)
        assert not unused.search("".join(map(str, page.find_all(["script", "link"]))))
        assert not page.select('.citation-list[role="list"]')


def test_statements_exercises_and_headings_have_permalinks(built):
    one = built.page("paper/one")
    for place in ("the-slope", "the-power"):
        box = one.find(id=place)
        links = box.select("p.admonition-title > a.headerlink")
        assert [(link["href"], link.text) for link in links] == [(f"#{place}", "#")]
    assert one.article.h1.select("a.headerlink")


def test_no_page_holds_a_script_or_a_handler_of_its_own_and_each_file_that_it_names_is_there(built):
    pages = {name: BeautifulSoup(text, "html.parser") for name, text in built.site().items() if name.endswith(".html")}
    assert len(pages) > 5
    for name, page in pages.items():
        if not name.startswith("_static/"):
            assert audit.runs(page) == []
            for script in page.find_all("script", src=True):
                place = (built.root / "_build/html" / name).parent / script["src"].partition("?")[0]
                assert place.is_file(), (name, script)
    one = pages["book/paper/one.html"]
    assert "thebe" not in str(one.find_all("script"))
    assert one.select("button[data-onclick]"), "the button that prints"


def test_scripts_keep_their_order_and_what_stands_in_the_article_stays(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_static").mkdir()
    text = """<head><script>a = 1</script><script src="b.js"></script><script type="application/json">{}</script></head>
<body><button onclick="go(&quot;x&quot;)">go</button><article><script>c</script><i onclick="d"></i></article>
<script>a = 1</script></body>"""
    (tmp_path / "book/one.html").write_text(text, encoding="utf-8")
    policy.own_scripts(tmp_path)
    page = BeautifulSoup((tmp_path / "book/one.html").read_text(encoding="utf-8"), "html.parser")
    files = [script.get("src", script.string) for script in page.find_all("script")]
    assert [files[0], files[4]] == [files[4], files[0]]
    assert files[1:4] == ["b.js", "{}", "c"]
    assert (tmp_path / "book" / files[0]).read_text(encoding="utf-8") == "a = 1"
    handler = (tmp_path / "book" / files[5]).read_text(encoding="utf-8")
    assert 'go("x")' in handler
    assert page.button["data-onclick"] in handler
    assert page.i["onclick"] == "d"


def test_the_scoreboard_counts_the_odd_calls_that_are_recorded(monkeypatch, tmp_path):
    monkeypatch.setattr(boards, "TRIED", tmp_path / "fuzz.json")
    assert boards.tried() == []
    counts = {"calls": 14000, "refused": 11000, "as_the_plain_value": 1100, "accepted": 1400, "faults": 0}
    told = json.dumps({"names": 159, "date": "2026-11-26", "command": "a command"} | counts)
    boards.TRIED.write_text(told, encoding="utf-8")
    (section,) = boards.tried()
    assert "159 public names" in section.astext()
    assert "14,000 calls on 2026-11-26" in section.astext()
