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
from press.chapters import BUILD, Chapter, find, ledger_faults, parameters
from press.execute import lock, run

HTML, NEXT, PREVIOUS = BUILD / "html", BUILD / "next", BUILD / "previous"


def value(text: str):
    """A value from the command line: a Python literal, or else YAML."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return yaml.safe_load(text)


def refuse(faults: list[str]) -> None:
    if faults:
        raise SystemExit("\n".join(faults))


def chosen(names: list[str]) -> list[Chapter]:
    """The chapters that the names mean: `convolution`, `paper/convolution` or `book/paper/convolution.md`."""
    chapters, found = {chapter.name: chapter for chapter in find()}, []
    for name in names:
        short = name.removeprefix("./").removeprefix("book/").removesuffix(".md")
        matches = [c for n, c in chapters.items() if n == short or n.endswith(f"/{short}")]
        if len(matches) != 1:
            close = difflib.get_close_matches(short, [*chapters, *(n.split("/")[-1] for n in chapters)])
            known = ", ".join(close or chapters)
            raise SystemExit(f"press: '{name}' names {len(matches)} chapters; did you mean: {known}?")
        found += matches
    return found


def run_chapters(names: list[str], settings: list[str]) -> int:
    chapters = chosen(names) if names else [c for c in find() if not c.is_current()]
    changed = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (equals and names):
            raise SystemExit(f"press: -p {setting}: give name=value, and the chapter that it is for")
        changed[name] = value(text)
    for chapter in chapters if changed else []:
        known = parameters(chapter)
        if unknown := [name for name in changed if name not in known]:
            allowed = ", ".join(known) or "none"
            raise SystemExit(f"press: {chapter.name} has no parameter '{unknown[0]}'; it has: {allowed}")
    refuse(ledger_faults(chapters, whole=False))
    with lock():
        good = run(chapters, changed)
    print("\n".join(str(c.notebook("runs" if changed else "executed").relative_to(ROOT)) for c in chapters if good))
    return 0 if good else 1


def build() -> int:
    refuse(ledger_faults(find()))
    with lock():
        if not HTML.exists() and PREVIOUS.exists():
            PREVIOUS.rename(HTML)  # an earlier build was ended between its two renames
        if not run([chapter for chapter in find() if not chapter.is_current()]):
            print("\nnot published: _build/html is still the last good book")
            return 1
        made_from = inputs()
        record = HTML / ".made-from"
        if record.exists() and record.read_text() == made_from:
            print("nothing changed")
        else:
            publish(made_from)
    print(f"open {(HTML / 'index.html').as_uri()}")
    return 0


def inputs() -> str:
    """The hash of all that the site is made from."""
    folders = [ROOT / "book", ROOT / "lib", *(c.notebook("executed") for c in find())]
    files = [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "constraints.txt"]
    for folder in folders:
        files += [folder] if folder.is_file() else sorted(f for f in folder.rglob("*") if f.suffix != ".pyc")
    return hashlib.sha256(b"".join(f.name.encode() + f.read_bytes() for f in files if f.is_file())).hexdigest()


def publish(made_from: str) -> None:
    """Build the whole site afresh, look at it, and put it in the place of the last one."""
    shutil.rmtree(NEXT, ignore_errors=True)
    options = ["-W", "-n", "--keep-going", "--path-output", str(NEXT)]
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", *options, str(ROOT)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if told.returncode:
        lines = re.sub(r"\x1b\[[\d;]*m", "", told.stdout + told.stderr).splitlines()  # no colours
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        refuse([*telling, "not published: the pages have warnings; _build/html is still the last good book"])
    site = NEXT / "_build" / "html"
    if faults := audit.faults(site):
        refuse([*faults, "not published: the pages have faults; _build/html is still the last good book"])
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
    runs.add_argument(
        "-p",
        dest="settings",
        action="append",
        default=[],
        metavar="name=value",
        help="change a parameter; the notebook then goes to _build/runs",
    )
    arguments = parser.parse_args()
    try:
        return build() if arguments.command == "build" else run_chapters(arguments.chapter, arguments.settings)
    except KeyboardInterrupt as ended:
        print(f"press: ended by Ctrl-C. {ended}", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        raise SystemExit(f"press: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
