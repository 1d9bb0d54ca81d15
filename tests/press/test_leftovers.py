"""What lies in the folder, and what its path holds: ignored, handled, or refused early by name."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from press import ROOT

LITTER = {  # what is left beside a chapter, the assets, the library and the templates
    "JupyterLab": "{folder}/.ipynb_checkpoints/{stem}-checkpoint{ending}",
    "vim": "{folder}/.{stem}{ending}.swp",
    "vim, a second one": "{folder}/{stem}{ending}.swo",
    "emacs": "{folder}/#{stem}{ending}#",
    "emacs, a copy": "{folder}/{stem}{ending}~",
    "an office": "{folder}/~${stem}{ending}",
    "macOS": "{folder}/.DS_Store",
    "macOS, on a foreign disk": "{folder}/._{stem}{ending}",
    "macOS, an icon": "{folder}/Icon\r",
    "macOS, in an archive": "{folder}/__MACOSX/._{stem}{ending}",
    "Windows": "{folder}/Thumbs.db",
    "Windows, a folder": "{folder}/Desktop.ini",
    "a download": "{folder}/{stem}{ending}.tmp",
    "git": "{folder}/{stem}{ending}.orig",
    "patch": "{folder}/{stem}{ending}.rej",
    "a copy": "{folder}/{stem}{ending}.bak",
    "jupytext": "{folder}/{stem}.ipynb",
    "compiled Python": "{folder}/__pycache__/{stem}.cpython-311.pyc",
}
BESIDE = ("book/paper/two.md", "book/claims.toml", "lib/bilinear/activations.py", "lib/press/claims.py")
ODD = 'l\'été – a "book" [1] #2 %20 & more'


def litter(name: str) -> list[str]:
    return [LITTER[name].format(folder=file.parent, stem=file.stem, ending=file.suffix) for file in map(Path, BESIDE)]


@pytest.fixture(scope="module")
def after(built):
    changes = {f"{name}: {path}": (path, None, "---\njupytext: [\n") for name in LITTER for path in litter(name)}
    return built.after(changes)


@pytest.mark.parametrize("name", LITTER)
def test_what_editors_and_systems_leave_makes_nothing_stale(after, name):
    for path in litter(name):
        assert after[f"{name}: {path}"] == (set(), False), path


@pytest.mark.parametrize("path", BESIDE)
def test_a_byte_order_mark_and_the_ends_of_lines_make_no_chapter_stale(book, path):
    file = book.root / path
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert book.stale() == set()


def test_an_odd_path_with_all_that_may_lie_in_it_gives_the_same_pages(book, tmp_path):
    """A checkout without git, behind a link, under a name with spaces, accents, quotes and brackets."""
    pages, text = book.site(), book.text("book/paper/two.md")
    for path in (path for name in LITTER for path in litter(name)):
        book.write(path, text)
    (book.root / "book/paper/.#two.md").symlink_to("nobody@nowhere.1234")
    two = book.root / "book/paper/two.md"
    two.write_bytes(b"\xef\xbb\xbf" + two.read_bytes().replace(b"\n", b"\r\n"))
    one = two.with_name("one.md")
    shutil.move(one, tmp_path / "elsewhere.md")
    one.symlink_to(tmp_path / "elsewhere.md")
    book.root.rename(tmp_path / ODD)
    book.root = tmp_path / "link"
    book.root.symlink_to(tmp_path / ODD, target_is_directory=True)
    book.environment["PYTHONPATH"] = str(book.root / "lib")
    shutil.rmtree(book.root / "_build")
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "nothing changed" in book.press("build").stdout
    there = book.site()
    assert there.keys() == pages.keys()
    for name in ("book/paper/one.html", "book/paper/two.html", "book/scoreboard.html"):
        article, known = (BeautifulSoup(site[name], "html.parser").article.text for site in (there, pages))
        assert re.sub(r"about \d+ s", "", article) == re.sub(r"about \d+ s", "", known)


def test_a_chapter_with_an_odd_name_is_a_chapter(book):
    name = "l'été à deux – 100 & more"
    book.write(f"book/paper/{name}.md", book.text("book/paper/two.md").replace("fig-two", "fig-three"))
    entry = "      - file: book/paper/two\n"
    book.change("_toc.yml", entry, f'{entry}      - file: "book/paper/{name}"\n')
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Download the executed notebook" in book.page(f"paper/{name}").text
    assert f"_sources/book/paper/{name}.ipynb" in book.site()


def test_a_link_to_a_folder_is_refused_by_name_and_so_is_a_page_that_is_not_utf8(book, tmp_path):
    shutil.move(book.root / "book/paper", tmp_path / "paper")
    (book.root / "book/paper").symlink_to(tmp_path / "paper")
    told = book.press("build")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "press: book/paper: is a link to a folder; put the folder itself there\n"
    (book.root / "book/paper").unlink()
    shutil.move(tmp_path / "paper", book.root / "book/paper")
    (book.root / "book/references.md").write_bytes("# Références\n".encode("utf-16"))
    told = book.press("build")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "press: book/references.md:1: is not UTF-8\n"


# --- make ------------------------------------------------------------------------------------------------

PYTHON = """#!/bin/sh
case "$*" in
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *"import "*) exit 0 ;;
  *) for given; do printf '<%s>' "$given"; done; echo " in <$PWD> with <$JUPYTER_CONFIG_PATH>" ;;
esac
"""


@pytest.mark.parametrize("name", ["a book", "l'été", 'a "book"', "$HOME & #1", "(a) [b] {c}; *"])
def test_make_works_in_a_folder_of_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for file in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, folder)
    python = folder / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "JUPYTER"))}
    told = {}
    for target in ("book", "test", "lab"):
        run = subprocess.run(
            ["make", target, "PYTHON=./python"], cwd=folder, env=known, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, run.stderr
        told[target] = run.stdout
    assert f"<-m><press><build> in <{folder}>" in told["book"]
    assert "<-m><pytest>" in told["test"]
    assert f"<-m><jupyterlab> in <{folder}> with <{folder}/.jupyter>" in told["lab"]
    assert "setting up" not in told["lab"], "what is set up is known again"
