"""Chapters: where they are, what they claim, and the hash of everything that can change what they show."""

import ast
import functools
import hashlib
import importlib.metadata
import json
import pkgutil
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from press import ROOT, claims

BUILD = ROOT / "_build"
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "networkx", "matplotlib", "seaborn")
IMPORTED = ("__init__.py", "claims.py", "figures.py", "figures.mplstyle", "numbers.py")  # what chapters run of press


@dataclass(frozen=True)
class Chapter:
    """A page with code cells: `name` is its path in the book without the ending."""

    name: str

    @property
    def source(self) -> Path:
        return ROOT / "book" / f"{self.name}.md"

    @property
    def text(self) -> str:
        return self.source.read_text(encoding="utf-8")

    def notebook(self, folder: str) -> Path:
        return BUILD / folder / f"{self.name}.ipynb"

    def kept(self) -> dict:
        """What is known of its last good run: hash, seconds, versions, claims; nothing where there is none."""
        try:
            return json.loads(self.notebook("executed").read_text(encoding="utf-8"))["metadata"]["press"]
        except (OSError, ValueError, KeyError):
            return {}

    def is_current(self) -> bool:
        return self.kept().get("hash") == digest(self)


def find() -> list[Chapter]:
    """Every page of the book whose front matter makes it a notebook."""
    front = re.compile(r"---\n(?:(?!---).*\n)*?\s+format_name: myst\n")
    pages = sorted((ROOT / "book").rglob("*.md"))
    return [
        Chapter(page.relative_to(ROOT / "book").with_suffix("").as_posix())
        for page in pages
        if front.match(page.read_text(encoding="utf-8"))
    ]


def toc() -> list[str]:
    """The pages that the table of contents names, in its order."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in contents.get("parts", []) for chapter in part["chapters"]]
    return [contents["root"], *chapters]


def calls(chapter: Chapter) -> list[tuple[int, str, ast.Call]]:
    """Line, name and call of each `claims.….(…)` and `figures.….(…)` in the chapter's cells.

    A cell that is not Python has none here; running it tells what is wrong.
    """
    found, text = [], chapter.text
    for cell in re.finditer(r"^```\{code-cell\}.*\n(---\n(?:.*\n)*?---\n|(?::.*\n)*)((?:.*\n)*?)```\s*$", text, re.M):
        first = text.count("\n", 0, cell.start(2)) + 1
        try:
            nodes = ast.walk(ast.parse(cell[2]))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Call) and re.fullmatch(r"(claims|figures)\.\w+", name := ast.unparse(node.func)):
                found.append((first + node.lineno - 1, name, node))
    return sorted(found, key=lambda call: call[0])


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


NEEDED = {"claims.check": ("tolerance", "why", "control"), "figures.show": ("alt",)}


def call_faults(chapters: list[Chapter]) -> list[str]:
    """What can be said of the chapters without running them: a call that leaves something out, one line each."""
    return [
        f"{chapter.source.relative_to(ROOT)}:{line}: {name} without {needed}"
        for chapter in chapters
        for line, name, call in calls(chapter)
        for needed in NEEDED.get(name, ())
        if not {needed, None} & {keyword.arg for keyword in call.keywords}  # None: **, known only to the run
    ]


def ledger_faults(chapters: list[Chapter], whole: bool = True) -> list[str]:
    """Where the chapters and the ledger do not meet, one line each."""
    rows, seen, faults = claims.ledger(), {}, []
    for chapter in chapters:
        place = chapter.source.relative_to(ROOT)
        for line, claim in checked(chapter):
            if claim is None:
                faults.append(f"{place}:{line}: the id of a claim must be written out as a string")
            elif claim not in rows:
                faults.append(f"{place}:{line}: claim '{claim}' is not in {claims.LEDGER}")
            elif claim in seen:
                faults.append(f"{place}:{line}: claim '{claim}' is checked already at {seen[claim]}")
            else:
                seen[claim] = f"{place}:{line}"
        if checked(chapter) and calls(chapter)[-1][1] != "claims.close":
            faults.append(f"{place}: has claims, but its last cell does not call claims.close()")
    for claim in rows.keys() - seen.keys() if whole else ():
        if rows[claim]["expect"] != "not measured":
            faults.append(f"{claims.LEDGER}: claim '{claim}' is checked by no chapter")
    return sorted(faults) + (source_faults(rows) if whole else [])


def source_faults(rows: dict[str, dict]) -> list[str]:
    """Claims from nowhere, and items of the papers that have neither a claim nor a note why, one line each."""
    items = [item for section in claims.sections().values() for item in section]
    known = {item["name"] for item in items} | {f"derived in {chapter.name}" for chapter in find()}
    used = {name for row in rows.values() for name in claims.named(row)}
    return [
        f"{claims.LEDGER}: claim '{id}': its source names '{name}', which no [[section]] lists"
        for id, row in rows.items()
        for name in claims.named(row)
        if name not in known
    ] + [
        f"{claims.LEDGER}: '{item['name']}' has neither a claim nor a note that says why"
        for item in items
        if item["name"] not in used and "note" not in item
    ]


def notation_faults() -> list[str]:
    """Rows of the notation page's tables in which a cell is empty or the code is no name, one line each."""
    page, faults, head = ROOT / "book/notation.md", [], []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines() if page.exists() else (), start=1):
        row = [part.strip() for part in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if row[:1] == ["symbol"]:
            head = row
        elif row and (len(row) != len(head) or not all(row)):
            faults.append(f"book/notation.md:{number}: a row needs {', '.join(head)}: {line}")
        elif row and "code" in head and not re.fullmatch(r"`[^`]+`", row[head.index("code")]):
            faults.append(f"book/notation.md:{number}: the symbol {row[0]} has no name in the code")
    return faults


@functools.cache
def versions() -> dict[str, str]:
    """The versions that the outputs may depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def data(chapter: Chapter):
    """What the function returns that the front matter names as `data: package.module:function`; None without one.

    Such a function gives the checksums of the files that the chapter would read now.
    """
    named = re.match(r"---\n(?:(?!---).*\n)*?data: (\S+)\n", chapter.text)
    if not named:
        return None
    try:
        function = pkgutil.resolve_name(named[1])
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{chapter.source.relative_to(ROOT)}: data: {named[1]} is not found: {error}") from None
    return function()


def digest(chapter: Chapter) -> str:
    """The hash of the chapter's text, claims and data, of the code that it imports, and of the versions."""
    rows = claims.ledger()
    imported = [*(ROOT / "lib/bilinear").rglob("*.py"), *(ROOT / "lib/press" / name for name in IMPORTED)]
    inputs = [
        chapter.text,
        [rows.get(claim) for _, claim in checked(chapter)],
        data(chapter),
        {str(f.relative_to(ROOT)): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(imported)},
        versions(),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def parameters(chapter: Chapter) -> list[str]:
    """The names that the chapter's cell tagged `parameters` assigns."""
    import jupytext  # takes longer to import than everything else here

    notebook = jupytext.reads(chapter.text, fmt="md:myst")
    tagged = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    names = [node for node in ast.walk(ast.parse("\n".join(tagged))) if isinstance(node, ast.Name)]
    return [node.id for node in names if isinstance(node.ctx, ast.Store)]
