"""python -m press build: run what is stale, publish. … run: execute chapters, even changed. … export: for Binder."""

import argparse
import sys
from pathlib import Path

from press.build import execute, export, publish


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m press", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="execute the stale chapters and publish the book in _build/html")
    runs = commands.add_parser("run", help="execute chapters, by default the stale ones")
    runs.add_argument("chapter", nargs="*", help="a name or a path: convolution, paper/convolution")
    aside = "change a parameter; the notebook then goes to _build/runs"
    runs.add_argument("-p", dest="given", action="append", default=[], metavar="name=value", help=aside)
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
