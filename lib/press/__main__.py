"""python -m press build: run what is stale, publish. … run: execute chapters, even changed.

… preview: one page. … seeds: every claim at every seed. … export: for Binder. … pdf: the book on paper.
… doctor: what a bug report needs.
"""

import os
import signal
import sys
from pathlib import Path

from press import ROOT, settings


def start_afresh() -> None:
    """Where Python's own variables could change what is imported, or how: start again without them, in their place."""
    names = [name for name in os.environ if name.startswith("PYTHON") and name not in settings.PASSED]
    if {name: os.environ[name] for name in names} != settings.PYTHON:
        others = {name: value for name, value in os.environ.items() if name not in names}
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C waits until the new start can tell of it
        os.execve(sys.executable, [sys.executable, "-m", "press", *sys.argv[1:]], others | settings.PYTHON)


def refuse_elsewhere() -> None:
    """One environment, two checkouts: the one that is installed must be the one where this is called."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "lib/press/__main__.py").is_file() and folder != ROOT:
            raise SystemExit(f"press: {folder} is another checkout than {ROOT}, which this environment would build")


def leave(*_) -> None:
    """Ctrl-C while modules are loaded: nothing has begun."""
    os.write(2, b"press: ended by Ctrl-C. Nothing had begun\n")
    os._exit(130)


def main() -> int:
    refuse_elsewhere()
    start_afresh()
    usual = signal.getsignal(signal.SIGINT)
    if usual == signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    import argparse

    from press.build import doctor, execute, export, paper, publish, seeds

    signal.signal(signal.SIGINT, usual)
    parser = argparse.ArgumentParser(prog="python -m press", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    builds = commands.add_parser("build", help="execute the stale chapters and publish the book in _build/html")
    builds.add_argument("--dry-run", action="store_true", help="only say what would be done, and why")
    previews = commands.add_parser("preview", help="execute one chapter and make its page in _build/preview")
    previews.add_argument("chapter")
    commands.add_parser("doctor", help="one screen of what a bug report needs, and what looks wrong")
    runs = commands.add_parser("run", help="execute chapters, by default the stale ones")
    runs.add_argument("chapter", nargs="*", help="a name or a path: convolution, paper/convolution")
    aside = "change a parameter; the notebook then goes to _build/runs"
    runs.add_argument("-p", dest="given", action="append", default=[], metavar="name=value", help=aside)
    drawn = commands.add_parser("seeds", help="check every claim at seed = 0, 1, …, and record it for the pages")
    drawn.add_argument("chapter", nargs="*", help="as of run; by default all that have a parameter seed")
    drawn.add_argument("--n", type=int, default=20, help="how many seeds, %(default)s by default")
    exports = commands.add_parser("export", help="write the executed notebooks with all that they need elsewhere")
    exports.add_argument(
        "folder", type=Path, help="a new folder; GITHUB_REPOSITORY=owner/name says for which repository"
    )
    papers = commands.add_parser("pdf", help="print the published book into one file, by a browser (extra: pdf)")
    papers.add_argument("file", type=Path, nargs="?", default=ROOT / "_build" / "book.pdf")
    options = parser.parse_args()
    try:
        match options.command:
            case "build":
                publish.dry_run() if options.dry_run else publish.build()
            case "preview":
                publish.preview(options.chapter)
            case "doctor":
                doctor.examine()
            case "run":
                execute.run_chapters(options.chapter, options.given)
            case "seeds":
                seeds.run_seeds(options.chapter, options.n)
            case "export":
                export.export(options.folder)
            case "pdf":
                paper.pdf(options.file)
    except KeyboardInterrupt as ended:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        print(f"press: ended by Ctrl-C. {ended}", file=sys.stderr)
        return 130
    except (OSError, ValueError, SyntaxError) as error:
        raise SystemExit(f"press: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
