"""The Sphinx side: each chapter's executed notebook becomes its page, with a footer and permalinks.

And the library's docstrings as pages show them, the roles and directives of `boards`, and what is done to all pages.
"""

import os
import re
from pathlib import Path

import nbformat
from docutils import nodes
from myst_nb.core.read import read_myst_markdown_notebook
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform

from press.build.export import buttons
from press.build.prose import write_out
from press.build.publish import published
from press.build.staleness import is_current
from press.site import around, boards, finish, reading
from press.site.cards import render
from press.site.lean import lean
from press.site.mathml import set_formulas
from press.site.policy import own_scripts
from press.site.reading import chapter_of
from press.site.sharing import share

STATIC = Path(__file__).with_name("static")
THEBE = re.compile(r"<script( type=.text/x-thebe-config.)?>(?(1)|kernelName = ).*?</script>", re.S)


def give_executed(app, docname: str, source: list[str]) -> None:
    """Hand Sphinx the executed notebook in place of a chapter's text."""
    if chapter := chapter_of(docname):
        if not is_current(chapter):
            raise ExtensionError(f"{docname}.md: no current executed notebook; run `python -m press build`")
        notebook = published(chapter)
        reading.asides(notebook)
        source[0] = nbformat.writes(notebook)


def read(text: str) -> nbformat.NotebookNode:
    """The reader for `.md`: an executed notebook as it is, a page of prose as one cell."""
    if text.startswith("{"):
        return nbformat.reads(text, as_version=4)
    return read_myst_markdown_notebook(text, add_source_map=True)


class Permalinks(SphinxPostTransform):
    """Statements and exercises get the permalink that headings have."""

    default_priority = 900  # after their titles are resolved
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for box in self.document.findall(nodes.Admonition):
            if {"proof", "exercise"} & set(box["classes"]) and box["ids"] and isinstance(box.children[0], nodes.title):
                link = {"refid": box["ids"][0], "reftitle": "Link here", "classes": ["headerlink"]}
                box.children[0] += nodes.reference("", "#", **link)


def finish_page(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """On an executed page: its notebook to download, and what it was run with. On every page: no thebe.

    Jupyter Book writes thebe's settings twice, which is an error in the browser, and nothing here uses it.
    """
    scripts = context.get("script_files", [])
    scripts[:] = [s for s in scripts if "thebe" not in f"{s.filename} {s.attributes}".lower()]
    if "body" in context:  # the list of references is no list
        body = THEBE.sub("", context["body"])
        context["body"] = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    chapter = chapter_of(pagename)
    if not (chapter and doctree):
        return
    notebook = f"{pagename}.ipynb"
    copy = Path(app.outdir, "_sources", notebook)
    copy.parent.mkdir(parents=True, exist_ok=True)
    executed = published(chapter)
    write_out(executed)
    copy.write_text(nbformat.writes(executed) + "\n", encoding="utf-8")
    context["ipynb_source"] = notebook  # the theme's download button offers it too
    repository = os.environ.get("GITHUB_REPOSITORY")  # set where the workflow publishes both pages and notebooks
    kept = chapter.kept()
    context["body"] += render(
        "footer.html",
        notebook=context["pathto"]("_sources/" + notebook, 1),
        places=buttons(repository, chapter.name) if repository else {},
        versions=kept["versions"],
        hash=kept["hash"],
    )


def plain_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Give autodoc our docstrings as reST: plain text with `code`, tables, indented formulas, and doctests.

    A table's line is `names`, two spaces or more, and what they are; it becomes an item of a list.
    """
    shown, text = [], re.sub(r"(?m)^(`\S.*?`)  +(\S.*)$", r"\n- \1: \2\n", "\n".join(lines))
    for block in re.split(r"\n\n+", text):
        if block.lstrip().startswith(">>>"):
            shown.append(block)
        elif all(line.startswith("    ") for line in block.splitlines()):
            shown.append(f"::\n\n{block}")
        else:  # outside backticks, what reST would read as markup
            parts = block.split("`")
            parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
            shown.append("``".join(parts))
    lines[:] = "\n\n".join(shown).split("\n")


def finish_site(app, error) -> None:
    """What is done to the pages once they are written, in this order."""
    if not error:
        site = Path(app.outdir)
        for step in (finish.finish, set_formulas, lean, own_scripts):
            step(site)


def setup(app) -> dict:
    app.connect("builder-inited", lambda app: app.config.html_static_path.append(str(STATIC)))
    for style in ("tokens.css", "press.css", "reading.css", "formulas.css", "product.css", "icons.css", "print.css"):
        app.add_css_file(style)
    app.add_js_file("formulas.js")
    for script in ("mode.js", "predict.js", "product.js"):
        app.add_js_file(script, loading_method="defer")
    reading.setup(app)
    around.setup(app)
    app.connect("source-read", give_executed)
    app.connect("html-page-context", finish_page, priority=100)  # before the theme makes its buttons
    app.connect("html-page-context", share, priority=200)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("build-finished", finish_site)
    app.add_post_transform(Permalinks)
    boards.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
