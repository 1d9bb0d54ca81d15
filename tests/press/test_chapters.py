"""The real chapters: they open and save unchanged, and run by plain jupytext and papermill from anywhere."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jupytext.cli import jupytext

from press import ROOT
from press.build.chapters import find, parameters

CHAPTERS = find()
EXPERIMENTS = [chapter for chapter in CHAPTERS if parameters(chapter)]  # the others only draw and cite
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_opening_and_saving_as_a_notebook_changes_nothing(chapter, tmp_path):
    copy = shutil.copy(ROOT / chapter.place, tmp_path)
    shutil.copy(ROOT / "jupytext.toml", tmp_path)
    jupytext(["--quiet", "--to", "md:myst", copy])
    remedy = f"normalise it once: jupytext --to md:myst {chapter.place}"
    assert Path(copy).read_text(encoding="utf-8") == chapter.text, remedy


def test_the_quickest_chapter_runs_by_plain_jupytext_and_papermill_from_anywhere(tmp_path):
    chapter = min(EXPERIMENTS, key=lambda chapter: chapter.kept().get("seconds", math.inf))
    line = f"'{BIN}/jupytext' --to ipynb -o - '{ROOT / chapter.place}' | '{BIN}/papermill' - out.ipynb"
    run = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out.ipynb").is_file()


def test_most_chapters_are_experiments():
    assert {chapter.name for chapter in CHAPTERS} - {chapter.name for chapter in EXPERIMENTS} == {"neighbours/map"}


@pytest.mark.parametrize("chapter", EXPERIMENTS, ids=lambda chapter: chapter.name)
def test_parameters_can_be_changed_by_the_names_that_the_text_assigns(chapter):
    cell = chapter.text.split(":tags: [parameters]")[1].split("```")[0]
    assigned = [name.strip() for line in cell.splitlines() if " = " in line for name in line.split(" = ")[0].split(",")]
    assert sorted(assigned) == sorted(parameters(chapter))
