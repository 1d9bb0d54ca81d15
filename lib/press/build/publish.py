"""The site: built whole and afresh beside the last good book, looked at, and put in its place."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

from press import ROOT
from press.build import audit
from press.build.chapters import BUILD, call_faults, find, ledger_faults, notation_faults
from press.build.execute import lock, refuse, run

HTML, NEXT, PREVIOUS = BUILD / "html", BUILD / "next", BUILD / "previous"
KEPT = "_build/html is still the last good book"


def build() -> None:
    """Execute what is stale and publish the book; a SystemExit says why where the last good book stays."""
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
