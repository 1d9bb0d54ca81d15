"""What a page says of itself where it is linked to; errors reported; the book on paper."""

import pytest
from PIL import Image
from pypdf import PdfReader

from press import ROOT
from press.site.public import address, report, version


def tags(page) -> dict[str, str]:
    return {tag["property"]: tag["content"] for tag in page.find_all("meta", property=True)}


def test_every_page_says_its_title_and_its_question(built):
    found = tags(built.page("paper/one"))
    assert found["og:title"].endswith("One")
    assert found["og:description"] == "What does this chapter ask?"
    assert tags(built.page("index"))["og:description"].startswith("A page with enough words")
    assert "og:url" not in found, "no address that is not known"
    assert not built.page("index").select(".public")


def test_a_public_book_says_where_it_is_and_how_to_report_an_error(book):
    book.environment |= {"GITHUB_REPOSITORY": "Some-One/a-book", "EDITION": "v7"}
    book.write("book/assets/cover.png", "a picture")
    assert book.press("build").returncode == 0
    page = book.page("paper/one")
    assert tags(page)["og:url"] == "https://some-one.github.io/a-book/book/paper/one.html"
    assert tags(page)["og:image"] == "https://some-one.github.io/a-book/_static/cover.png"
    links = {link.text: link["href"] for link in page.select(".public a")}
    assert links["Report an error on this page"].startswith("https://github.com/Some-One/a-book/issues/new?title=")
    assert "paper%2Fone.html" in links["Report an error on this page"]
    assert links["kept here for good"] == "https://some-one.github.io/a-book/editions/v7/book/paper/one.html"
    (claim,) = page.select("#claim-slope dl.facts a")
    assert "title=Claim%20slope" in claim["href"]


def test_what_is_reported_is_told_whole(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    assert report("x & y?", "1\n2#") == "https://github.com/a/b/issues/new?title=x%20%26%20y%3F&body=1%0A2%23"
    assert address() == "https://a.github.io/b"
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert report("x", "y") is None
    assert address() is None


def test_the_cover_is_as_large_as_those_who_show_it_want(built):
    with Image.open(ROOT / "book/assets/cover.png") as cover:
        assert cover.size == (1200, 630)
    assert version() in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_book_on_paper_is_whole_and_leads_to_no_file_of_this_machine(built, browser, tmp_path):
    target = tmp_path / "small.pdf"
    told = built.press("pdf", str(target))
    assert told.returncode == 0, told.stderr
    paper = PdfReader(target)
    assert [entry.title for entry in paper.outline][:3] == ["A small book", "1. One", "2. Two"]
    text = "".join(page.extract_text() for page in paper.pages)
    for words in (
        "What does this chapter ask?",
        "Since y is x",
        "It is 2, up to",
        "a number that is read",
        "exact here",
    ):
        assert words in " ".join(text.replace("\U0001d466", "y").replace("\U0001d465", "x").split()), words
    assert "from press import claims" not in text, "code is not printed"
    assert [file for file in tmp_path.iterdir() if file != target] == []
    links = [
        a.get_object()["/A"].get("/URI", "")
        for page in paper.pages
        for a in page.get("/Annots", ())
        if "/A" in a.get_object()
    ]
    assert not [link for link in links if not link.startswith("https:")]


def test_paper_is_refused_before_work_where_the_site_is_not_current(book, tmp_path):
    book.change("book/index.md", "enough words", "other words")
    told = book.press("pdf", str(tmp_path / "x.pdf"))
    assert told.returncode
    assert "not current: book/index.md changed" in told.stderr
    assert not list(tmp_path.glob("*.pdf"))


@pytest.mark.parametrize("name", ["site.zip", "book.pdf", "editions/"])
def test_the_workflow_keeps_every_edition(name):
    assert name in (ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8")
