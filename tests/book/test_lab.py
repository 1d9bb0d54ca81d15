"""A chapter in JupyterLab, as `make lab` opens it: its prose has its numbers, and a changed parameter changes them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from press import ROOT, settings
from press.build.chapters import find
from press.numbers import powers

STYLES = ("tokens", "product")
CHAPTER = next(chapter for chapter in find() if chapter.name == "paper/setting")  # one of the quickest
NEEDED = (".jupyter", "book", "_toc.yml", "jupytext.toml", *(f"lib/press/site/static/{s}.css" for s in STYLES))
NEEDED += (f"_build/executed/{CHAPTER.name}.ipynb",)
EXTENSION = ROOT / ".jupyter/labextensions/press/static/press.js"
WORDS = """() => [...document.querySelectorAll(".jp-MarkdownOutput, .press-caption")].map(part => {
    const words = part.cloneNode(true);
    words.querySelectorAll("mjx-container").forEach(formula => formula.replaceWith("…"));
    return words.textContent;
  }).join("\\n")"""
RAN = """() => [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].every(p => /\\d/.test(p.textContent))
    && document.querySelector(".jp-Notebook-ExecutionIndicator").dataset.status === "idle" """


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab that `make lab`'s command starts in a copy of the book, with settings of its own."""
    folder, runtime = tmp_path / "my book", tmp_path / "JUPYTER_RUNTIME_DIR"
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    command = re.search(r"^lab: .*\n\t@(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1]
    command = command.replace("$(PY)", f"exec '{sys.executable}'").replace("$$", "$")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        command += f" --no-browser --allow-root --IdentityProvider.token=t --port={free.getsockname()[1]}"
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = {name: value for name, value in os.environ.items() if name not in settings.ENVIRONMENT}
    environment |= {name: str(tmp_path / name) for name in own} | {"PYTHONPATH": str(ROOT / "lib")}
    with (tmp_path / "log").open("w") as log:
        options = {"cwd": folder, "env": environment, "stdout": log, "stderr": log, "start_new_session": True}
        server = subprocess.Popen(command, shell=True, **options)
    try:
        deadline = time.monotonic() + 60
        while not (told := list(runtime.glob("jpserver-*.json"))):
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield json.loads(told[0].read_text())["url"] + f"lab/tree/book/{CHAPTER.name}.md?token=t"
    finally:
        server.terminate()  # it ends its kernels, which have sessions of their own
        try:
            server.wait(20)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture
def page(browser):
    """A page that keeps what its console says of errors."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.errors = []
    page.on("console", lambda told: page.errors.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    page.context.close()


def test_a_chapter_runs_in_lab_with_a_changed_parameter_and_reads_as_its_page_does(lab, page):
    page.goto(lab)
    page.locator(".press-kept", has_text="20,000").first.wait_for(timeout=60_000)  # the book's, before anything ran
    parameters = page.locator(".jp-CodeCell", has_text="samples = 20_000").locator(".cm-content")
    parameters.click()  # an editor out of sight has no text
    assert "samples = 20_000" in parameters.inner_text()
    parameters.fill(parameters.inner_text().replace("20_000", "10_000"))
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function(RAN, timeout=120_000)
    page.wait_for_function("() => !document.querySelector('.press-kept')")  # every number is of this run
    page.locator(".press-caption", has_text="each from 10,000 samples").wait_for()

    cells = page.locator(".jp-CodeCell")
    assert cells.count() == len(CHAPTER.code)
    assert page.locator("[data-mime-type$=error], [data-mime-type$=stderr]").count() == 0
    assert "2 of 2 claims are as the ledger expects" in cells.last.inner_text()
    assert "unlike the book" not in cells.last.inner_text(), "the kernel has the book's settings"
    cards, drawn = page.locator(".jp-OutputArea .claim.holds [role=img]"), page.locator(".drawings > svg:first-child")
    assert cards.count() == len(CHAPTER.records()) == 2
    assert min(card.bounding_box()["width"] for card in cards.all()) > 300
    assert drawn.count() == 2 == page.locator(".press-caption").count()
    assert drawn.last.bounding_box()["height"] > 150

    prose = page.evaluate(WORDS)
    assert "[Cho and Saul, 2009]" in prose
    assert "those of Zhang et al. [2026]" in prose
    assert "each from 10,000 samples" in prose
    assert not re.findall(r"\{[\w:-]+\}|`|:label:|\$|not run|setting_", prose)
    assert page.locator(".press-own").count() > 20
    for closed in ("why?", "Solution", "The number"):
        assert page.locator("details:not([open]) > summary", has_text=closed).count()
    assert page.locator("mjx-container").count() > 100
    assert "Jupyter news" not in page.content()
    assert page.errors == []


def test_numbers_are_written_in_lab_as_python_and_the_pages_write_them(page):
    page.add_script_tag(path=EXTENSION)
    wanted = {}
    for chapter in find():
        numbers = {
            output["metadata"]["scrapbook"]["name"]: next(iter(output["data"].values()))
            for cell in chapter.executed()["cells"]
            for output in cell.get("outputs", ())
            if "scrapbook" in output.get("metadata", {})
        }
        glued = re.findall(r"\{glue:text\}`(\w+):([^`]+)`", chapter.text)
        assert glued or not chapter.records(), f"{chapter.name} measures, and its text says no number"
        for name, form in glued:
            wanted[numbers[name], form] = powers(format(json.loads(numbers[name]), form))
        for record in chapter.records().values():
            if record.measured is not None:
                wanted[json.dumps(record.measured), ".4g"] = powers(f"{record.measured:.4g}")
    shown = page.evaluate("all => all.map(([text, form]) => _JUPYTERLAB.press.written(text, form))", list(wanted))
    assert dict(zip(wanted, (text.replace("\N{NO-BREAK SPACE}", " ") for text in shown), strict=True)) == wanted


def test_every_directive_and_role_of_a_chapter_is_known_in_lab(page):
    page.add_script_tag(path=EXTENSION)
    texts = [cell.source for chapter in find() for cell in chapter.cells if cell.kind == "markdown"]
    said = "() => '…'"
    book = f"{{top: '/', number: {said}, claim: {said}, cited: {said}, label: {said}, included: {said}}}"
    shown = page.evaluate(f"texts => texts.map(text => _JUPYTERLAB.press.markdown(text, {book}))", texts)
    raw = [re.findall(r".*(?:[`:]{3,}\{|\{[a-z:]+\}`|^:\w+:|^---$).*", text, re.M) for text in shown]
    assert [lines for lines in raw if lines] == []
    assert sum(text.count("…") for text in shown) > 500


def test_a_kernel_in_lab_has_the_settings_of_the_book():
    spec = json.loads((ROOT / ".jupyter/kernels/python3/kernel.json").read_text(encoding="utf-8"))
    assert spec["env"] == settings.ENVIRONMENT
