"""python -m press build: run what is stale, publish. … run: execute chapters, even changed.

… seeds: every claim at every seed. … export: for Binder.
"""

import argparse
import sys
from pathlib import Path

from press.build import execute, export, publish, seeds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m press", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="execute the stale chapters and publish the book in _build/html")
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
    options = parser.parse_args()
    try:
        match options.command:
            case "build":
                publish.build()
            case "run":
                execute.run_chapters(options.chapter, options.given)
            case "seeds":
                seeds.run_seeds(options.chapter, options.n)
            case "export":
                export.export(options.folder)
    except KeyboardInterrupt as ended:
        print(f"press: ended by Ctrl-C. {ended}", file=sys.stderr)
        return 130
    except (OSError, ValueError, SyntaxError) as error:
        raise SystemExit(f"press: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
