"""The library's page: every module is on it, and its examples and the README's print what they say."""

import io
import pkgutil
import re
from contextlib import redirect_stdout

import pytest

import bilinear
from press import ROOT

PAGES = {"book/api.md": 4, "README.md": 2}  # how many examples each has
FENCED = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
EXAMPLES = {page: FENCED.findall((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
LISTED = re.findall(r"automodule:: bilinear\.(\S+)", (ROOT / "book/api.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("page", "place"), [(page, i) for page, count in PAGES.items() for i in range(count)])
def test_an_example_is_short_and_prints_what_its_comments_say(page, place):
    code, told = EXAMPLES[page][place], io.StringIO()
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    said = ", ".join(re.findall(r"print\(.*\)  # (.+)$", code, re.M))
    with redirect_stdout(told):
        exec(compile(code, f"{page}, example {place + 1}", "exec"), {})
    assert said
    assert ", ".join(told.getvalue().splitlines()) == said


def test_each_page_has_its_examples():
    assert {page: len(found) for page, found in EXAMPLES.items()} == PAGES


def test_every_module_is_on_the_page_once():
    modules = {m.name for m in pkgutil.walk_packages(bilinear.__path__, "bilinear.") if not m.ispkg}
    modules.remove("bilinear.compiled")  # called by the library only
    assert sorted(LISTED) == sorted(name.removeprefix("bilinear.") for name in modules)
