"""What can be said against the text and the ledger before anything runs, one line each, with its place."""

import re

from press import ROOT, ledger
from press.build.chapters import Chapter, calls, checked, find, toc

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
    mute = [
        f"{chapter.place}:{cell.first}: the figure {figure['name']} has no caption"
        for chapter in chapters
        for cell in chapter.code
        if (figure := cell.metadata.get("mystnb", {}).get("figure", {})) and figure.keys() == {"name"}
    ]
    return [*unfenced, *mute] + [
        f"{chapter.place}:{line}: {name} without {needed}"
        for chapter in chapters
        for line, name, call in calls(chapter)
        for needed in NEEDED.get(name, ())
        if not {needed, None} & {keyword.arg for keyword in call.keywords}  # None: **, known only to the run
    ]


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
    pages = {page.removeprefix("book/") for page in toc()}
    return sorted(faults) + ledger.source_faults({f"derived in {chapter.name}" for chapter in find()}, pages)


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
