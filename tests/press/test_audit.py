"""What the audit finds on built pages, each fault planted once; and what is told before anything runs."""

import pytest

from press import ledger
from press.build import audit, chapters

PAGE = """<html><body><main><article>
<h1 id="top">A page</h1><p>It has words enough to be taken for a page of a book, and a few more than twenty of them,
so that the audit goes on to look at the rest of it.</p>
<div class="proof theorem" id="thm"><p class="admonition-title">Theorem</p></div>
<figure id="fig-one"><div class="cell_output"><svg role="img" aria-label="a curve that falls with time"></svg></div>
<figcaption>The curve falls with time, dashed.</figcaption></figure>
<div class="claim" id="claim-one">holds</div><a href="#top">up</a> <a href="two.html#top">two</a>
</article></main></body></html>"""

FAULTS = {
    "no alternative text": (' aria-label="a curve that falls with time"', "", "an image without alternative text"),
    "no name": ('id="fig-one"', "", "a figure whose name does not start with fig-"),
    "no caption": ("The curve falls with time, dashed.", "Curve.", "or with no caption: fig-one"),
    "a figure outside": ("<figure", "<div class='cell_output'><svg aria-label='x'></svg></div><figure", "without name"),
    "dead file": ("two.html#top", "three.html", "the link to three.html leads to no file"),
    "dead place": ("two.html#top", "two.html#nowhere", "two.html#nowhere leads to no place"),
    "dead place here": ('href="#top"', 'href="#nowhere"', "#nowhere leads to no place"),
    "dead end of a drawing": ("<svg", "<svg><a xlink:href='four.html'></a></svg><svg", "the link to four.html leads"),
    "a load": ("<article>", "<article><script src='https://a.org/x.js'></script>", "loads https://a.org/x.js"),
    "a style": ("<article>", "<link rel='stylesheet' href='//a.org/x.css'><article>", "loads //a.org/x.css"),
    "a script": ("<article>", "<article><script>alert(1)</script>", "a <script> of its own"),
    "a script of a kind": ("<article>", "<article><script type='module'>1</script>", "a <script> of its own"),
    "a handler": ("<h1", "<h1 OnClick='alert(1)'", "a <h1> that runs onclick"),
    "a link that runs": ('href="two.html#top"', "href=' JavaScript:alert(1)'", "a <a> that runs href"),
    "a link that runs, in pieces": ('href="two.html#top"', "href=' java&#10;script:alert(1)'", "a <a> that runs href"),
    "a script of an old kind": ("<article>", "<article><script type='application/ecmascript'>1</script>", "a <script>"),
    "an import map": ("<article>", "<article><script type='importmap'>{}</script>", "a <script> of its own"),
    "a page that leaves": (
        "<article>",
        "<meta http-equiv='refresh' content='0; URL=//a.org'><article>",
        "a <meta> of its own",
    ),
    "a load by style": ("<h1", "<h1 style='background:url(https://a.org/x.png)'", "loads https://a.org/x.png"),
    "an import of style": ("<article>", "<style>@import '//a.org/x.css'</style><article>", "loads //a.org/x.css"),
    "a set of images": (
        "<h1",
        "<img alt='x' srcset='a.png 1x, https://a.org/b.png 2x'><h1",
        "loads https://a.org/b.png",
    ),
    "a preload": ("<article>", "<link rel='modulepreload' href='https://a.org/x.js'><article>", "loads https://a.org/"),
    "a load in a drawing": (
        "<svg",
        "<svg aria-label='x'><image href='https://a.org/x.png'/></svg><svg",
        "loads https:",
    ),
    "a load with turned slashes": ("<article>", "<article><script src='/\\\\a.org/x.js'></script>", "loads /"),
    "a frame": ("<article>", "<article><iframe srcdoc='x'></iframe>", "a <iframe> of its own"),
    "an empty page": ("<article>", "<article></article><article>", "fewer than 20 words"),
    "a heavy page": ("<h1", f"<!--{'x' * audit.HEAVIEST}--><h1", "allowed: 2,000,000"),
    "a claim fewer": ('class="claim"', "", "[floors] claims = 2, and the book has 1"),
    "a statement fewer": ('class="proof theorem"', "", "[floors] statements = 2, and the book has 1"),
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Two sound pages, and the floors that they just meet."""
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: one\nparts:\n  - chapters:\n      - file: two\n")
    floors = "pages = 2\nstatements = 2\nfigures = 2\nclaims = 2\nlinks = 4\n"
    (tmp_path / "book" / "claims.toml").write_text(f"[floors]\n{floors}")
    for name in ("one", "two"):
        (tmp_path / f"{name}.html").write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    monkeypatch.setattr(chapters, "ROOT", tmp_path)
    return tmp_path


def test_sound_pages_pass_and_are_counted(site):
    faults, counts = audit.audit(site)
    assert faults == []
    assert counts == {"pages": 2, "statements": 2, "figures": 2, "claims": 2, "links": 4}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(site, name):
    old, new, told = FAULTS[name]
    assert old in PAGE
    (site / "one.html").write_text(PAGE.replace(old, new, 1), encoding="utf-8")
    faults, _ = audit.audit(site)
    assert any(told in fault for fault in faults), faults


def test_a_page_that_was_not_built_is_found(site):
    (site / "two.html").unlink()
    assert "two: is in _toc.yml, but was not built" in audit.audit(site)[0]


ROW = "| symbol | code | shape | meaning | defined in |\n|---|---|---|---|---|\n"
BEFORE = {
    "figure without alt": (
        "book/paper/two.md",
        "sum(range(10))",
        "figures.show(fig)",
        "two.md:26: figures.show without alt",
    ),
    "check without control": (
        "book/paper/one.md",
        ', control=("half the rate", -0.5)',
        "",
        "one.md:39: claims.check without control",
    ),
    "check without why": ("book/paper/one.md", ', why="exact here"', "", "one.md:39: claims.check without why"),
    "symbol without name": ("book/notation.md", None, ROW + "| $D$ |  | number | tokens | here |\n", "notation.md:3: "),
    "symbol in prose": ("book/notation.md", None, ROW + "| $D$ | D | number | tokens | here |\n", "has no name in the"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_left_out_is_told_with_file_and_line_before_anything_runs(book, name):
    path, old, new, told = BEFORE[name]
    book.change(path, old, new) if old else book.write(path, new)
    before = book.site()
    answer = book.press("build")
    assert answer.returncode == 1
    assert told in answer.stderr
    assert "running" not in answer.stdout
    assert book.site() == before


def test_faults_of_the_text_stop_publication_with_file_and_line(book):
    """An unknown glue key, a dead link: one build tells both; an image without alternative text by its page."""
    book.write("book/dot.svg", '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    faults = "{glue:text}`no-such-number`\n\n[nowhere](no-such-page.md)\n"
    book.change("book/references.md", "# References\n", f"# References\n\n{faults}")
    before = book.site()
    answer = book.press("build")
    assert answer.returncode == 1
    for told in ("no-such-number", "no-such-page.md"):
        lines = [line for line in answer.stderr.splitlines() if told in line]
        assert any("book/references.md:" in line for line in lines), (told, answer.stderr)
    book.change("book/references.md", faults, "![](dot.svg)\n")
    assert "book/references: an image without alternative text" in book.press("build").stderr
    assert book.site() == before
