"""What can be said against the text and the ledger before anything runs, one line each, with its place."""

import os
import re
import shutil

import yaml

from press import ROOT, ledger
from press.build.chapters import BUILD, Cell, Chapter, calls, checked, find, is_part_of_book, parameters, read_text, toc

ROOM = 50_000_000  # bytes: what a build needs of its disk at the least
WRITTEN = ("executed", "failed", "partial", "next", "previous", "preview")
ODD = re.compile(r'["<>\\#?%*|:\x00-\x1f]')  # what an address, or the theme, reads otherwise
CELL = re.compile(r"^\s*(`{3,}|:{3,})\s*\{code-cell\}", re.M)
RUNS = (5, 10, 20, 40, 60)  # seconds: the classes of how long a chapter runs
KEPT = 8  # lines of a cell that stays in sight
NEEDED = {"claims.check": ("tolerance", "why", "control"), "figures.show": ("alt",)}


def call_faults(chapters: list[Chapter]) -> list[str]:
    """Calls that leave something out, cells that would not be run, and figures without a caption."""
    unfenced = [
        f"{chapter.place}:{cell.first + row}: a code cell needs a fence of backticks; one of colons is not run"
        for chapter in chapters
        for cell in chapter.cells
        for row, line in enumerate(cell.source.splitlines())
        if cell.kind == "markdown" and re.match(r"\s*:{3,}\s*\{code-cell\}", line)
    ]
    for chapter in chapters:
        parameters(chapter)  # a SyntaxError says which chapter
    mute = [fault for chapter in chapters for cell in chapter.code for fault in figure_faults(chapter, cell)]
    form = [fault for chapter in chapters for fault in (*opening_faults(chapter), *cell_faults(chapter))]
    return [*unfenced, *mute, *form] + [
        f"{chapter.place}:{line}: {name} without {needed}"
        for chapter in chapters
        for line, name, call in calls(chapter)
        for needed in NEEDED.get(name, ())
        if not {needed, None} & {keyword.arg for keyword in call.keywords}  # None: **, known only to the run
    ]


OPENING = ("asks", "needs", "runs", "hero", "proves", "derives", "measures")


def opening_faults(chapter: Chapter) -> list[str]:
    """What is wrong with the `opening` in a chapter's front matter, and with what its cells say of themselves."""
    told, place = chapter.front.get("opening"), f"{chapter.place}:1: the front matter's opening"
    first = chapter.name == toc()[0].removeprefix("book/")  # it may open without a strip, and in its own way
    if first and told is None:
        return []
    names = ("asks", "hero") if first else OPENING
    if not isinstance(told, dict):
        return [f"{place} is missing; it has {', '.join(names)}"]
    found = [f"{place} has '{name}', which is none of {', '.join(names)}" for name in told if name not in names]
    found += [
        f"{place}: {name} must be a text"
        for name in sorted({"asks", "hero", "proves", "derives", "measures"} & {*names})
        if not (isinstance(told.get(name), str) and told[name].strip() and told[name].count("$") % 2 == 0)
    ]
    if "$" in str(told.get("asks")):
        found.append(f"{place}: asks is a question in plain words, without symbols")
    if told.get("hero") not in [name for cell in chapter.code if (name := figure_of(cell).get("name"))]:
        found.append(f"{place}: hero names '{told.get('hero')}', which is no figure of this chapter")
    if first:
        return found
    if told.get("runs") not in RUNS:
        found.append(f"{place}: runs must be one of {', '.join(map(str, RUNS))} seconds")
    known = [name for other in find() for name in (other.name, other.name.rpartition("/")[2])]
    needs = told.get("needs")
    if not isinstance(needs, list):
        found.append(f"{place}: needs must be a list of chapters, [] for none")
    else:
        found += [f"{place}: needs names '{name}', which is no chapter" for name in needs if name not in known]
    return found


def cell_faults(chapter: Chapter) -> list[str]:
    """Cells whose marks are wrong."""
    found = []
    for cell in chapter.code:
        place = f"{chapter.place}:{cell.first}"
        for name in ("keep", "summary", "show"):
            if name in cell.metadata and not (isinstance(cell.metadata[name], str) and cell.metadata[name].strip()):
                found.append(f"{place}: {name} needs its reason, or its words, as a text")
        if "keep" in cell.metadata and (lines := len(cell.source.splitlines())) > KEPT:
            found.append(f"{place}: a kept cell has at most {KEPT} lines, and this one has {lines}")
    return found


def figure_of(cell: Cell) -> dict:
    """What a cell's metadata say of its figure; empty where they say none, or nothing that can be read."""
    shown = cell.metadata.get("mystnb")
    figure = shown.get("figure") if isinstance(shown, dict) else None
    return figure if isinstance(figure, dict) else {}


def figure_faults(chapter: Chapter, cell: Cell) -> list[str]:
    """A cell whose figure has no name, or no words below it."""
    place, shown = f"{chapter.place}:{cell.first}", cell.metadata.get("mystnb", {})
    figure = shown.get("figure", {"name": "", "caption": ""}) if isinstance(shown, dict) else None
    if not isinstance(figure, dict):
        return [f"{place}: mystnb needs `figure:` with a name and a caption below it, got {shown!r:.60}"]
    if "figure" not in shown:
        return []
    lost = [part for part in ("name", "caption") if not (isinstance(figure.get(part), str) and figure[part].strip())]
    return [f"{place}: the figure {figure.get('name') or ''} has no {part}".replace("  ", " ") for part in lost]


def ledger_faults(chapters: list[Chapter], whole: bool = True) -> list[str]:
    """Where the chapters and the ledger do not meet."""
    rows, seen, faults = ledger.claims(), {}, []
    for chapter in chapters:
        for line, claim in checked(chapter):
            place = f"{chapter.place}:{line}"
            if claim is None:
                faults.append(f"{place}: the id of a claim must be written out as a string")
            elif claim not in rows:
                faults.append(f"{place}: claim '{claim}' is not in {ledger.LEDGER}")
            elif claim in seen:
                faults.append(f"{place}: claim '{claim}' is checked already at {seen[claim]}")
            else:
                seen[claim] = place
        if checked(chapter) and calls(chapter)[-1][1] != "claims.close":
            faults.append(f"{chapter.place}: has claims, but its last cell does not call claims.close()")
    if not whole:
        return sorted(faults)
    for claim in rows.keys() - seen.keys():
        if rows[claim].expect != "not measured":
            faults.append(f"{ledger.LEDGER}: claim '{claim}' is checked by no chapter")
    ledger.floors()  # what is wrong with them is told now
    pages = {page.removeprefix("book/") for page in toc()}
    return sorted(faults) + ledger.source_faults({f"derived in {chapter.name}" for chapter in find()}, pages)


def book_faults() -> list[str]:
    """Pages that are missing, whose code would not be run, or of odd names; links and addresses that lead nowhere."""
    pages, known = toc(), {chapter.place for chapter in find()}
    lost = [f"_toc.yml: {page} is named, and there is no {page}.md" for page in pages if not is_page(page)]
    unread = [
        f"{page}.md: has code cells, and its front matter makes it no notebook: nothing would run them"
        for page in pages
        if is_page(page) and f"{page}.md" not in known and CELL.search(read_text(ROOT / f"{page}.md"))
    ]
    links = [
        f"{place.relative_to(ROOT)}: a link that leads to no file; delete it"
        for place in sorted((ROOT / "book").rglob("*"))
        if place.is_symlink() and not place.is_file() and not place.name.startswith((".", "#"))
    ]
    named = [f"{page}.md: a page's name cannot hold {odd[0]}" for page in pages if (odd := ODD.search(page))]
    return lost + unread + links + named + redirect_faults()


def is_page(page: str) -> bool:
    return is_part_of_book(ROOT / f"{page}.md")


def site_faults() -> list[str]:
    """What is wrong with _config.yml."""
    from jupyter_book.config import get_validator  # takes long

    try:
        settings = yaml.safe_load(read_text(ROOT / "_config.yml"))
    except yaml.YAMLError as error:
        return [f"_config.yml: {' '.join(str(error).split())}"]
    errors = get_validator().iter_errors(settings)
    return [f"_config.yml: {'/'.join(map(str, error.path)) or 'the file'}: {error.message}" for error in errors]


def folder_faults() -> list[str]:
    """Folders of _build that cannot be written to, and a disk without room for a build."""
    folders = [BUILD, *(BUILD / name for name in WRITTEN)]
    folders += [chapter.path(kind).parent for chapter in find() for kind in ("executed", "failed")]
    there = [next(place for place in (folder, *folder.parents) if os.path.lexists(place)) for folder in folders]
    found = []
    for place in dict.fromkeys(there):
        if not place.is_dir():
            found.append(f"press: {place} is in the way: a folder must be there")
        elif not os.access(place, os.W_OK | os.X_OK):
            found.append(f"press: {place} cannot be written to, and a build must")
    free = shutil.disk_usage(there[0]).free
    if free < ROOM:
        found.append(
            f"press: the disk is full: {there[0]} has {free / 1e6:.0f} MB left; a build needs {ROOM / 1e6:.0f}"
        )
    return found


def notation_faults() -> list[str]:
    """Rows of the notation page's tables in which a cell is empty or the code is no name, one line each."""
    page, faults, head = ROOT / "book/notation.md", [], []
    for number, line in enumerate(page.read_text(encoding="utf-8-sig").splitlines() if page.exists() else (), start=1):
        row = [part.strip() for part in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if row[:1] == ["symbol"]:
            head = row
        elif row and (len(row) != len(head) or not all(row)):
            faults.append(f"book/notation.md:{number}: a row needs {', '.join(head)}: {line}")
        elif row and "code" in head and not re.fullmatch(r"`[^`]+`", row[head.index("code")]):
            faults.append(f"book/notation.md:{number}: the symbol {row[0]} has no name in the code")
    return faults


def redirects() -> dict[str, str]:
    """Old addresses of pages and the new ones, as _config.yml has them, written as in _toc.yml."""
    try:
        return yaml.safe_load(read_text(ROOT / "_config.yml")).get("redirects") or {}
    except (yaml.YAMLError, AttributeError):
        return {}  # `site_faults` says what is wrong


def redirect_faults() -> list[str]:
    """Old addresses that are a page's, or no address of the book; and those that lead to no page."""
    if not isinstance(told := redirects(), dict):
        return ["_config.yml: redirects must be a table, `old: new`"]
    pages, found = toc(), []
    for old, new in told.items():
        if old in pages or ODD.search(str(old)) or not re.fullmatch(r"book(/[^/.][^/]*)+", str(old)):
            found.append(
                f"_config.yml: redirects: {old}: must be where a page was, such as book/paper/old, and none is"
            )
        if new not in pages:
            found.append(f"_config.yml: redirects: {old}: leads to {new}, which is no page of _toc.yml")
    return found
