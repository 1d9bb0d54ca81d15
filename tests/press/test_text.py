"""Reading chapters: what is a chapter, what is a cell of it, and on which line each thing stands."""

import pickle

import pytest

from press.build import chapters, faults

FRONT = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec: {name: python3, display_name: Python 3}
data: some:where
---
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Write a page of a book in a temporary folder, and read it."""
    monkeypatch.setattr(chapters, "ROOT", tmp_path)
    chapters.find.cache_clear()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")  # the first page needs no opening

    def write(text: str, name: str = "page", **options):
        file = tmp_path / "book" / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding=options.get("encoding", "utf-8"))
        return chapters.read(file)

    yield write
    chapters.find.cache_clear()


CELLS = {
    "plain": "```{code-cell} python3\nclaims.close()\n```",
    "without a language": "```{code-cell}\nclaims.close()\n```",
    "with options": "```{code-cell} python3\n:tags: [a, b]\n:other: 1\n\nclaims.close()\n```",
    "with a block of options": "```{code-cell} python3\n---\nmystnb:\n  a: 1\ntags: [a, b]\n---\nclaims.close()\n```",
    "with more backticks": "````{code-cell} python3\nx = '''\n```\n'''\nclaims.close()\n````",
    "with tildes": "~~~{code-cell} python3\nclaims.close()\n~~~",
    "after blank lines": "```{code-cell} python3\n\nx = 1\n\nclaims.close()\n```",
    "after colons": ":::{note}\nA note.\n:::\n\n```{code-cell} python3\nclaims.close()\n```",
    "twice the same": "```{code-cell} python3\nx = 1\n```\n\n```{code-cell} python3\nx = 1\nclaims.close()\n```",
}


@pytest.mark.parametrize("way", CELLS)
def test_a_cell_is_found_as_jupytext_finds_it_with_the_line_of_its_calls(page, way):
    chapter = page(f"{FRONT}\n# A page\n\n{CELLS[way]}\n")
    line = chapter.text.splitlines().index("claims.close()") + 1
    assert [(place, name) for place, name, _ in chapters.calls(chapter)] == [(line, "claims.close")]


@pytest.mark.parametrize(
    "text",
    [
        "```python\nclaims.close()\n```",
        "- ```{code-cell} python3\n  claims.close()\n  ```",
        ":::{code-cell} python3\nclaims.close()\n:::",
        "````\n```{code-cell} python3\nclaims.close()\n```\n````",
    ],
)
def test_what_is_not_run_is_no_cell(page, text):
    chapter = page(f"{FRONT}\n# A page\n\n{text}\n\n```{{code-cell}} python3\n1\n```\n")
    assert [cell.source for cell in chapter.code] == ["1"]
    assert chapters.calls(chapter) == []


def test_a_cell_of_colons_is_told_before_anything_runs(page):
    chapter = page(f"{FRONT}\n# A page\n\nProse.\n\n:::{{code-cell}} python3\nsum([1])\n:::\n")
    told = "book/page.md:13: a code cell needs a fence of backticks; one of colons is not run"
    assert faults.call_faults([chapter]) == [told]


def test_front_matter_tags_and_metadata_are_read(page):
    chapter = page(
        FRONT
        + "\n# A page\n\n```{code-cell} python3\n:tags: [parameters]\n\nx = y = 1\na, b = 2, 3\n"
        + "c = -4\ne: float = 2 * 3\ng: int = 7\n```\n"
        + "\n```{code-cell} python3\n---\nmystnb:\n  figure: {name: fig-a}\n---\nz = 1\n```\n"
    )
    assert chapter.front["data"] == "some:where"
    assert [cell.tags for cell in chapter.code] == [["parameters"], []]
    assert chapter.code[1].metadata["mystnb"]["figure"] == {"name": "fig-a"}
    computed = dict.fromkeys(["x", "y", "a", "b", "e"], ...)
    assert chapters.parameters(chapter) == computed | {"c": -4, "g": 7}
    assert [cell.first for cell in chapter.cells] == [9, 14, 26]
    assert pickle.loads(pickle.dumps(chapter)) == chapter


def test_a_byte_order_mark_is_no_part_of_the_text(page):
    text = f"{FRONT}\n# A page\n\n```{{code-cell}} python3\n1\n```\n"
    assert page(text, encoding="utf-8-sig") == page(text)


def test_prose_is_no_chapter_and_a_notebook_of_another_kind_neither(page):
    assert page("# A page\n\nWords.\n") is None
    assert page("---\nmyst: {}\n---\n# A page\n") is None


UNREADABLE = {
    "front matter": "---\na: [\n---\n# A page\n",
    "a list": "---\n- a list\n---\n# A page\n",
    "the kernel": FRONT.replace("Python 3", "[]"),
    "a cell": FRONT + "\n```{code-cell}\n---\na: [\n---\n1\n```\n",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_told_by_page(page, text):
    with pytest.raises(ValueError, match=r"^book/page\.md: "):
        page(text)


def test_what_editors_leave_behind_is_no_chapter(page, tmp_path):
    text = f"{FRONT}\n# A page\n"
    for name in ("a", "deep/b", ".ipynb_checkpoints/a-checkpoint", "deep/.hidden", ".#a"):
        page(text, name)
    (tmp_path / "book/a.md~").write_text(text)
    (tmp_path / "book/folder.md").mkdir()
    assert [chapter.name for chapter in chapters.find()] == ["a", "deep/b"]


def test_a_figure_without_a_caption_is_told_before_anything_runs(page):
    cell = "\n```{code-cell} python3\n---\nmystnb:\n  figure: {name: fig-a%s}\n---\nz = 1\n```\n"
    mute, said = page(FRONT + cell % ""), page(FRONT + cell % ", caption: A line")
    assert faults.call_faults([mute, said]) == ["book/page.md:14: the figure fig-a has no caption"]
