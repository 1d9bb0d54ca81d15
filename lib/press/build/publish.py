"""The site: built whole and afresh beside the last good book, looked at, and put in its place."""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from press import ROOT, ledger
from press.build import audit
from press.build.chapters import BUILD, Chapter, digest, find, is_part_of_book
from press.build.execute import chosen, jobs, lock, refuse, run, tell
from press.build.faults import book_faults, call_faults, ledger_faults, notation_faults, site_faults
from press.build.seeds import read, recorded
from press.build.staleness import is_current, reasons
from press.claims import Record
from press.site import cards
from press.site.public import version

HTML, NEXT, PREVIOUS, PREVIEW = (BUILD / folder for folder in ("html", "next", "previous", "preview"))
TELLING = "WARNING|ERROR|CRITICAL"
# What a preview of one page may lack.
ELSEWHERE = "Unknown source document|unknown document|bibtex key|label .* not found|undefined label|not in glossary"
KEPT = "_build/html is still the last good book"


def build() -> None:
    """Execute what is stale and publish the book; a SystemExit says why where the last good book stays."""
    read()
    refuse(book_faults() + call_faults(find()) + ledger_faults(find()) + notation_faults())
    if not all(map(is_current, find())) or site_reasons():
        refuse(site_faults())
        with lock():
            if not HTML.exists() and PREVIOUS.exists():
                PREVIOUS.rename(HTML)  # an earlier build was ended between its two renames
            if not tell(run(jobs([chapter for chapter in find() if not is_current(chapter)]))):
                raise SystemExit(f"\nnot published: chapters failed; {KEPT}")
            print(*slow(), sep="\n", end="\n" if slow() else "")
            publish() if site_reasons() else print("nothing changed")
    else:
        print("nothing changed")
    print(f"open {(HTML / 'index.html').as_uri()}")


def slow() -> list[str]:
    """Chapters whose opening says that they run in much less time than their last run took."""
    said = {chapter: chapter.front.get("opening", {}).get("runs") for chapter in find()}
    took = {chapter: chapter.kept().get("seconds", 0.0) for chapter in find()}
    return [
        f"note: {c.place} says that it runs in {said[c]} s; its last run took {took[c]:.0f} s"
        for c in find()
        if said[c] and took[c] > 1.5 * said[c]
    ]


def dry_run() -> None:
    """Say what a build would do, and why; do nothing."""
    read()
    refuse(book_faults() + call_faults(find()) + ledger_faults(find()) + notation_faults() + site_faults())
    stale = {chapter.name: why for chapter in find() if (why := reasons(chapter))}
    for name, why in stale.items():
        print(f"would run {name}: {', '.join(why)}")
    why = ["chapters would run"] if stale else site_reasons()
    print(f"would make the pages: {', '.join(why)}" if why else "nothing changed")


def site_reasons() -> list[str]:
    """Why the site would be made again, in words; every chapter must be current."""
    try:
        kept = json.loads((HTML / ".made-from").read_text())
        before, found = kept["inputs"], inputs()
        changed = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
        more = [f"and {len(changed) - 9} more"] if len(changed) > 9 else []
        edited = [] if kept["contents"] == contents(HTML) else ["its files are not as their build left them"]
        return [f"{name} changed" for name in changed[:9]] + more + edited
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ["there is none, or it does not say what it was made from"]


def preview(name: str) -> None:
    """Execute one chapter if it is stale, and make its page alone in _build/preview, whatever the others do."""
    (chapter,) = chosen([name])
    refuse(call_faults([chapter]) + ledger_faults([chapter], whole=False))
    with lock():
        if not is_current(chapter) and not tell(run(jobs([chapter]))):
            raise SystemExit(1)
        shutil.rmtree(PREVIEW, ignore_errors=True)
        PREVIEW.mkdir()
        (PREVIEW / "_toc.yml").write_text(f"format: jb-book\nroot: {json.dumps('book/' + chapter.name)}\n")
        told = sphinx(PREVIEW, "--toc", str(PREVIEW / "_toc.yml"))
    page = PREVIEW / "_build" / "html" / "book" / f"{chapter.name}.html"
    if not page.exists():
        refuse([*telling(told), "no preview: the page could not be made"])
    print(f"links and numbers of other pages are missing here\nopen {page.as_uri()}")
    if wrong := [line for line in telling(told) if re.search(TELLING, line) and not re.search(ELSEWHERE, line)]:
        refuse([*wrong, "the page has warnings"])


def contents(site: Path) -> str:
    """The hash of every file of a built site, by its place; without the record of what it was made from."""
    files = sorted(file for file in site.rglob("*") if file.is_file() and file.name != ".made-from")
    return digest([[str(f.relative_to(site)), hashlib.sha256(f.read_bytes()).hexdigest()] for f in files])


def published(chapter: Chapter) -> nbformat.NotebookNode:
    """The chapter as readers get it: the text as it is now, the outputs of its last good run, cards as they look now.

    The run must be current; then its cells are those of the text, in order.
    """
    notebook, executed = chapter.notebook(), chapter.executed()
    claims, records, seeds = ledger.claims(), chapter.records(), recorded(chapter)
    ran = (cell for cell in executed["cells"] if cell["cell_type"] == "code")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kept = nbformat.from_dict(next(ran))
            cell.outputs, cell.execution_count = kept.outputs, kept.execution_count
            for output in cell.outputs:
                if table := output.get("metadata", {}).get("matrix"):
                    output.data["text/html"] = cards.matrix(**table, claims=claims, records=records, seeds=seeds)
                if "claim" in output.get("metadata", {}):
                    record = Record(**output.metadata.claim)
                    shown = claims.get(record.id), record, seeds.get(record.id)
                    output.data |= {"text/html": cards.html(*shown), "text/plain": cards.plain(*shown)}
    notebook.metadata["source_map"] = [cell.first - 2 for cell in chapter.cells]  # Sphinx tells these lines
    notebook.metadata["language_info"] = executed["metadata"].get("language_info", {})
    notebook.metadata["press"] = {name: chapter.kept()[name] for name in ("hash", "versions")}
    return notebook


def inputs() -> dict[str, str]:
    """The hashes of all that the site is made from: files, executed notebooks, versions, the repository; no seconds."""
    files = [ROOT / name for name in ("_config.yml", "_toc.yml", "CHANGELOG.md")]
    files += [*(ROOT / "book").rglob("*"), *(ROOT / "lib").rglob("*")]
    parts = {
        str(f.relative_to(ROOT)): hashlib.sha256(f.read_bytes()).hexdigest() for f in filter(is_part_of_book, files)
    }
    for chapter in find():
        executed = chapter.executed()
        ran = [executed["cells"], executed["metadata"].get("language_info"), chapter.kept()["hash"]]
        parts[f"executed {chapter.name}"] = digest(ran)
    parts["version"] = version()
    parts["python"] = platform.python_version()
    parts["what is installed"] = digest(
        sorted([known.name, known.version] for known in importlib.metadata.distributions())
    )
    parts |= {name: os.environ.get(name, "") for name in ("GITHUB_REPOSITORY", "EDITION")}
    return parts


def sphinx(target: Path, *options: str) -> subprocess.CompletedProcess:
    """Make pages by Jupyter Book in `target`, and keep what it says."""
    command = [sys.executable, "-m", "press.site.make", "build", *options, "--path-output", str(target), str(ROOT)]
    from press.build.kernel import end_with_maker  # takes long

    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, preexec_fn=end_with_maker)


def telling(told: subprocess.CompletedProcess) -> list[str]:
    """Of what Jupyter Book said, the lines that tell what is wrong."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", told.stdout + told.stderr).splitlines()  # no colours
    if full := [line for line in lines if "No space left on device" in line]:
        return [f"the disk is full: {full[-1].strip()}"]
    found = [line for line in lines if line.startswith("ERROR: ")] + [
        line for line in lines if re.search(TELLING, line)
    ]
    return list(dict.fromkeys(found)) or lines[-20:]


def publish() -> None:
    """Build the whole site afresh, look at it, and put it in the place of the last one."""
    made_from = inputs()
    shutil.rmtree(NEXT, ignore_errors=True)
    told = sphinx(NEXT, "-W", "-n", "--keep-going")
    if told.returncode:
        refuse([*telling(told), f"not published: the pages have warnings; {KEPT}"])
    site = NEXT / "_build" / "html"
    faults, counts = audit.audit(site)
    if faults:
        refuse([*faults, f"not published: the pages have faults; {KEPT}"])
    print("the book holds " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    (site / ".made-from").write_text(json.dumps({"inputs": made_from, "contents": contents(site)}))
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    if HTML.exists():
        HTML.rename(PREVIOUS)
    os.replace(site, HTML)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    shutil.rmtree(NEXT)
