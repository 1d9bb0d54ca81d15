"""The range that each chapter states for its parameters: runs inside it, and values outside it, in parameters.toml."""

import re
import tomllib

import nbformat
import papermill
import pytest

from press import ROOT, claims
from press.build.chapters import BUILD, calls, find, parameters
from press.build.execute import Job, lock, run

GRID = tomllib.loads((ROOT / "tests/book/parameters.toml").read_text(encoding="utf-8"))
CHAPTERS = [chapter for chapter in find() if parameters(chapter)]

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def opening(chapter):
    """The cell of parameters, and those right after it that state their range."""
    [first] = [place for place, cell in enumerate(chapter.code) if "parameters" in cell.tags]
    last = first + 1
    while "claims.require(" in chapter.code[last].source:
        last += 1
    return chapter.code[first], chapter.code[first + 1 : last]


def enter(chapter, changed):
    """Set the parameters, change them as papermill does, and let the chapter judge them: no more than that runs."""
    cell, ranges = opening(chapter)
    names = {"claims": claims}
    exec(cell.source, names)
    names |= changed
    for cell in ranges:
        exec(cell.source, names)


def test_every_chapter_with_parameters_has_its_section():
    assert sorted(GRID) == sorted(chapter.name for chapter in CHAPTERS)


@each_chapter
def test_parameters_are_listed_with_a_comment_each(chapter, tmp_path):
    """One assignment a line: papermill's `--help-notebook` then shows every parameter and what it is."""
    file = str(tmp_path / "chapter.ipynb")
    nbformat.write(chapter.notebook(), file)
    listed = papermill.inspect_notebook(file)
    assert sorted(listed) == sorted(parameters(chapter))
    assert [name for name, found in listed.items() if not found["help"].strip()] == []


@each_chapter
def test_the_range_is_stated_right_after_the_parameters(chapter):
    stated = sum(cell.source.count("claims.require(") for cell in opening(chapter)[1])
    assert 0 < stated == sum(name == "claims.require" for _, name, _ in calls(chapter))


@each_chapter
def test_what_lies_inside_is_let_in(chapter):
    for changed in [{}, *GRID[chapter.name]["inside"]]:
        enter(chapter, changed)


@each_chapter
def test_what_lies_outside_is_refused_by_name(chapter):
    """Each parameter somewhere: one error, before any work, that names what was changed."""
    outside = GRID[chapter.name]["outside"]
    assert sorted(parameters(chapter)) == sorted({name for changed in outside for name in changed})
    for changed in outside:
        with pytest.raises(ValueError, match=r"\Athis chapter holds where ") as refused:
            enter(chapter, changed)
        told = str(refused.value)
        assert [name for name in changed if not re.search(rf"\b{name}\b", told)] == [], f"{changed}: {told}"


@pytest.mark.grid
@each_chapter
def test_claims_hold_inside(chapter):
    """Whole runs, each kept as a notebook in _build/grid."""
    places = [BUILD / "grid" / chapter.name / f"{n}.ipynb" for n, _ in enumerate(GRID[chapter.name]["inside"])]
    grid = zip(GRID[chapter.name]["inside"], places, strict=True)
    with lock():
        ended = run([Job(chapter, changed, place, place) for changed, place in grid])
    assert {job.name: error for job, (error, _, _) in ended.items() if error} == {}
