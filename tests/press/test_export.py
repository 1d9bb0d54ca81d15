"""What is exported runs elsewhere: the notebooks, the library, the ledger, and a first cell for Colab."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from press import ROOT
from press.build.chapters import find
from press.build.export import buttons


def export(folder, **environment):
    environment = {k: v for k, v in os.environ.items() if k != "GITHUB_REPOSITORY"} | environment
    command = [sys.executable, "-m", "press", "export", str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "branch"
    told = export(folder, GITHUB_REPOSITORY="someone/some-book")
    assert told.returncode == 0, told.stderr
    return folder


def test_every_chapter_is_there_and_fetches_the_library_on_colab(exported):
    for chapter in find():
        notebook = nbformat.read(exported / f"{chapter.name}.ipynb", as_version=4)
        assert "--branch executed https://github.com/someone/some-book " in notebook.cells[0].source
        assert any(cell.get("outputs") for cell in notebook.cells)
        prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert not re.findall(r"\{(?:glue:text|claim|cite\S*)\}`", prose)
        for address in buttons("someone/some-book", chapter.name).values():
            assert f"{chapter.name}.ipynb" in address


def test_an_exported_notebook_says_its_numbers_and_whom_it_cites(exported):
    text = (exported / "paper/setting.ipynb").read_text(encoding="utf-8")
    for words in ("Of 12 losses, each from 20,000 samples", "in the right places to"):
        assert words in text
    assert "those of Zhang *et al.* [2026]" in text
    assert "arc-cosine kernel of degree one [Cho and Saul, 2009]" in text


def test_an_exported_notebook_runs_with_nothing_but_the_exported_folder(exported, tmp_path):
    chapter = min(find(), key=lambda chapter: chapter.kept()["seconds"])
    folder = shutil.copytree(exported, tmp_path / "elsewhere")
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar", "--kernel", "python3"]
    environment = os.environ | {"PYTHONPATH": str(folder / "lib")}
    command = [*papermill, f"{chapter.name}.ipynb", "again.ipynb"]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


def test_wrong_calls_are_refused(exported, tmp_path):
    assert "GITHUB_REPOSITORY" in export(tmp_path / "new").stderr
    assert "exists already" in export(exported, GITHUB_REPOSITORY="a/b").stderr
    assert not (tmp_path / "new").exists()
