"""Chapters: what stands in their text, where they are in the book, and what their last good run left."""

import ast
import contextlib
import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import yaml
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

from press import ROOT
from press.claims import Record

BUILD = ROOT / "_build"
LEFT = re.compile(  # names of what editors, systems and tools leave beside a file
    r"\..*|__pycache__|__MACOSX|.*~|~\$.*|#.*#|Icon\r|Thumbs\.db|desktop\.ini"
    r"|.*\.(egg-info|pyc|ipynb|sw[a-p]|tmp|bak|orig|rej)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Cell:
    """A cell of a chapter: its source begins at the line `first` of the file."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    first: int
    metadata: dict

    @property
    def tags(self) -> list[str]:
        return self.metadata.get("tags", [])


@dataclass(frozen=True)
class Chapter:
    """A page with code cells: `name` is its path in the book without the ending. Read once, by `find`."""

    name: str
    text: str = field(repr=False)
    front: dict = field(repr=False, compare=False)  # the front matter
    cells: tuple[Cell, ...] = field(repr=False, compare=False)

    @property
    def place(self) -> str:
        return f"book/{self.name}.md"

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code"]

    def path(self, folder: str) -> Path:
        """Where its notebook lies in `_build`: executed, failed, or runs."""
        return BUILD / folder / f"{self.name}.ipynb"

    def notebook(self) -> nbformat.NotebookNode:
        """The chapter as a notebook without outputs; ids and lines of its cells follow from the text."""
        notebook = myst_to_notebook(self.text, add_source_map=True)
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number}"
        return notebook

    def executed(self) -> dict:
        """The notebook of its last good run as parsed JSON, not to be changed; empty where it is not as left then."""
        return sealed(self.path("executed"))

    def kept(self) -> dict:
        """What is known of its last good run: hash, versions, seconds; empty where there is none."""
        return self.executed().get("metadata", {}).get("press", {})

    def records(self) -> dict[str, Record]:
        """What its last good run found of each claim, by id."""
        return {kept["id"]: Record(**kept) for kept in records(self.executed())}


def sealed(path: Path) -> dict:
    """An executed notebook as parsed JSON; empty where it is missing, or is not as its run left it."""
    try:
        found = path.stat()
        return _load(path, found.st_mtime_ns, found.st_size)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


@functools.cache
def _load(path: Path, changed: int, size: int) -> dict:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook if notebook["metadata"]["press"]["seal"] == seal(notebook) else {}


def seal(notebook: dict) -> str:
    """The hash of an executed notebook as parsed JSON, its own seal apart."""
    kept = {name: value for name, value in notebook["metadata"]["press"].items() if name != "seal"}
    return digest(notebook | {"metadata": notebook["metadata"] | {"press": kept}})


def digest(parts) -> str:
    """The hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def records(notebook: dict) -> list[dict]:
    """The records of claims that stand in a notebook's outputs."""
    outputs = [output for cell in notebook.get("cells", []) for output in cell.get("outputs", [])]
    return [output["metadata"]["claim"] for output in outputs if "claim" in output.get("metadata", {})]


def is_part_of_book(path: Path) -> bool:
    """Not what editors and systems leave behind: dot files, checkpoints, `x.md~`, a notebook beside its text."""
    return path.is_file() and not any(map(LEFT.fullmatch, path.relative_to(ROOT).parts))


@functools.cache
def find() -> tuple[Chapter, ...]:
    """Every page of the book whose front matter makes it a notebook, as it stands when first asked for.

    A ValueError names a link to a folder: Sphinx would follow it, and show its chapters without outputs.
    """
    for place in (ROOT / "book").rglob("*"):
        if place.is_symlink() and place.is_dir():
            raise ValueError(f"{place.relative_to(ROOT)}: is a link to a folder; put the folder itself there")
    pages = sorted(filter(is_part_of_book, (ROOT / "book").rglob("*.md")))
    return tuple(chapter for page in pages if (chapter := read(page)))


def read(page: Path) -> Chapter | None:
    """The chapter that a page is; None where it is prose. A ValueError names the page that cannot be read."""
    text = read_text(page)
    if not text.startswith("---\n"):
        return None
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
        form = notebook.metadata.get("jupytext", {}).get("text_representation", {}).get("format_name")
    except (MystMetadataParsingError, nbformat.ValidationError, yaml.YAMLError, AttributeError, TypeError) as error:
        reason = getattr(error, "message", None) or " ".join(str(error).split())
        raise ValueError(f"{page.relative_to(ROOT)}: {reason}") from None
    if form != "myst":
        return None
    lines, cells = text.splitlines(), []
    for cell, start in zip(notebook.cells, notebook.metadata.pop("source_map"), strict=True):
        body = cell.source.splitlines()
        places = (place for place in range(start, len(lines)) if lines[place : place + len(body)] == body)
        first = next(places, start) + 1
        cells.append(Cell(cell.cell_type, cell.source, first, dict(cell.metadata)))
    name = page.relative_to(ROOT / "book").with_suffix("").as_posix()
    return Chapter(name, text, dict(notebook.metadata), tuple(cells))


def read_text(file: Path) -> str:
    """A file's text, without a byte-order mark. A ValueError names the file that is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise ValueError(f"{file.relative_to(ROOT)}:{line}: is not UTF-8") from None


def toc() -> list[str]:
    """The pages that the table of contents names, in its order. A ValueError says what is wrong with it."""
    read_text(ROOT / "_toc.yml")
    try:
        return list(parse_toc_yaml(ROOT / "_toc.yml"))
    except (MalformedError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ValueError(f"_toc.yml: {' '.join(str(error).split())}") from None


@functools.cache
def calls(chapter: Chapter) -> list[tuple[int, str, ast.Call]]:
    """Line, name and call of each `claims.….(…)` and `figures.….(…)` in the chapter's cells.

    A cell that is not Python has none here; running it tells what is wrong.
    """
    found = []
    for cell in chapter.code:
        try:
            nodes = ast.walk(ast.parse(cell.source))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Call) and re.fullmatch(r"(claims|figures)\.\w+", name := ast.unparse(node.func)):
                found.append((cell.first + node.lineno - 1, name, node))
    return sorted(found, key=lambda call: call[0])


@functools.cache
def checked(chapter: Chapter) -> list[tuple[int, str | None]]:
    """Line and id of each claim in the chapter's cells; None where the id is not a plain string.

    Its `claims.check` counts, and not the `claims.not_measured` that stands in for it in another run.
    """

    def ids(function: str) -> list[tuple[int, str | None]]:
        found = [(line, call) for line, name, call in calls(chapter) if name == function]
        given = [[*call.args, *(k.value for k in call.keywords if k.arg == "id")] for _, call in found]
        return [
            (line, id[0].value if id and isinstance(id[0], ast.Constant) and isinstance(id[0].value, str) else None)
            for (line, _), id in zip(found, given, strict=True)
        ]

    checks = ids("claims.check")
    known = {claim for _, claim in checks if claim}
    return sorted(checks + [place for place in ids("claims.not_measured") if place[1] not in known], key=lambda c: c[0])


def parameters(chapter: Chapter) -> dict:
    """The names that the chapter's cell tagged `parameters` assigns, and to what; `...` where that is computed."""
    source = "\n".join(cell.source for cell in chapter.code if "parameters" in cell.tags)
    tree = ast.parse(source, filename=f"{chapter.place}, the cell of parameters")
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    found = {node.id: ... for node in names if isinstance(node.ctx, ast.Store)}
    for node in tree.body:
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if isinstance(targets[0], ast.Name) and len(targets) == 1:
            with contextlib.suppress(ValueError):
                found[targets[0].id] = ast.literal_eval(getattr(node, "value", None))
    return found
