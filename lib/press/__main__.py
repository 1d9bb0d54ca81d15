"""python -m press build: run what is stale and publish. python -m press run: execute chapters, also changed ones."""

import argparse
import ast
import difflib
import hashlib
import os
import re
import shutil
import subprocess
import sys

import yaml

from press import ROOT, audit
from press.chapters import BUILD, Chapter, call_faults, find, ledger_faults, notation_faults, parameters
from press.execute import lock, run

HTML, NEXT, PREVIOUS = BUILD / "html", BUILD / "next", BUILD / "previous"
KEPT = "_build/html is still the last good book"


def refuse(faults: list[str]) -> None:
    if faults:
        raise SystemExit("\n".join(faults))


def chosen(names: list[str]) -> list[Chapter]:
    """The chapters that the names mean: `convolution`, `paper/convolution` or `book/paper/convolution.md`."""
    chapters, found = {chapter.name: chapter for chapter in find()}, []
    for name in names:
        short = name.removeprefix("./").removeprefix("book/").removesuffix(".md")
        matches = [chapter for known, chapter in chapters.items() if f"/{known}".endswith(f"/{short}")]
        if len(matches) != 1:
            close = difflib.get_close_matches(short, [*chapters, *(known.split("/")[-1] for known in chapters)])
            raise SystemExit(f"press: '{name}' names {len(matches)} chapters; choose: {', '.join(close or chapters)}")
        found += matches
    return found


def settings(chapters: list[Chapter], given: list[str]) -> dict:
    """The changed parameters, each value a Python literal or else YAML; names that a chapter lacks are refused."""
    changed = {}
    for setting in given:
        name, equals, text = setting.partition("=")
        if not (equals and chapters):
            raise SystemExit(f"press: -p {setting}: give name=value, and the chapter that it is for")
        for chapter in chapters:
            if name not in (known := parameters(chapter)):
                allowed = ", ".join(known) or "none"
                raise SystemExit(f"press: {chapter.name} has no parameter '{name}'; it has: {allowed}")
        try:
            changed[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            changed[name] = yaml.safe_load(text)
    return changed


def run_chapters(names: list[str], given: list[str]) -> int:
    chapters = chosen(names)
    changed = settings(chapters, given)
    chapters = chapters or [chapter for chapter in find() if not chapter.is_current()]
    refuse(call_faults(chapters) + ledger_faults(chapters, whole=False))
    with lock():
        if not run(chapters, changed):
            return 1
    for chapter in chapters:
        print(chapter.notebook("runs" if changed else "executed").relative_to(ROOT))
    return 0


def build() -> int:
    refuse(call_faults(find()) + ledger_faults(find()) + notation_faults())
    with lock():
        if not HTML.exists() and PREVIOUS.exists():
            PREVIOUS.rename(HTML)  # an earlier build was ended between its two renames
        if not run([chapter for chapter in find() if not chapter.is_current()]):
            raise SystemExit(f"\nnot published: chapters failed; {KEPT}")
        made_from, record = inputs(), HTML / ".made-from"
        if record.exists() and record.read_text() == made_from:
            print("nothing changed")
        else:
            publish(made_from)
    print(f"open {(HTML / 'index.html').as_uri()}")
    return 0


def inputs() -> str:
    """The hash of all that the site is made from."""
    files = [ROOT / name for name in ("_config.yml", "_toc.yml", "constraints.txt")]
    files += [*(ROOT / "book").rglob("*"), *(ROOT / "lib").rglob("*.py"), *(c.notebook("executed") for c in find())]
    parts = (str(f.relative_to(ROOT)).encode() + f.read_bytes() for f in sorted(files) if f.is_file())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def publish(made_from: str) -> None:
    """Build the whole site afresh, look at it, and put it in the place of the last one."""
    shutil.rmtree(NEXT, ignore_errors=True)
    start = "from jupyter_book.cli.main import main; main()"
    options = ["-W", "-n", "--keep-going", "--path-output", str(NEXT)]
    command = [sys.executable, "-c", start, "build", *options, str(ROOT)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if told.returncode:
        lines = re.sub(r"\x1b\[[\d;]*m", "", told.stdout + told.stderr).splitlines()  # no colours
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        refuse([*telling, f"not published: the pages have warnings; {KEPT}"])
    site = NEXT / "_build" / "html"
    faults, counts = audit.audit(site)
    if faults:
        refuse([*faults, f"not published: the pages have faults; {KEPT}"])
    print("the book holds " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    (site / ".made-from").write_text(made_from)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    if HTML.exists():
        HTML.rename(PREVIOUS)
    os.replace(site, HTML)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    shutil.rmtree(NEXT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m press", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="execute the stale chapters and publish the book in _build/html")
    runs = commands.add_parser("run", help="execute chapters, by default the stale ones")
    runs.add_argument("chapter", nargs="*", help="a name or a path: convolution, paper/convolution")
    aside = "change a parameter; the notebook then goes to _build/runs"
    runs.add_argument("-p", dest="given", action="append", default=[], metavar="name=value", help=aside)
    options = parser.parse_args()
    try:
        return build() if options.command == "build" else run_chapters(options.chapter, options.given)
    except KeyboardInterrupt as ended:
        print(f"press: ended by Ctrl-C. {ended}", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        raise SystemExit(f"press: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
