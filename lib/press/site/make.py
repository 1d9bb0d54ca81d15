"""python -m press.site.make: Jupyter Book, which says cause, page and line where it breaks off."""

import sys
import traceback

import press.build  # noqa: F401 (starts faster)


def place(error: BaseException) -> str:
    """The page and the line that were being made when an exception was raised, as far as its frames know them."""
    page = line = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        known = frame.f_locals
        page = known.get("docname", page)
        if spot := getattr(known.get("token"), "map", None):  # of the Markdown parser: MyST-NB has added two to it
            line = spot[0] - 1
    return f"{page}.md" + (f":{line}" if line else "") if page else "the book"


def main() -> None:
    from jupyter_book.cli.main import main

    try:
        main()
    except Exception as error:
        places = []
        while error.__cause__:
            error = error.__cause__
            places.append(place(error))
        where = max(places or [place(error)], key=lambda told: (told != "the book", ":" in told))
        print(f"ERROR: {where}: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
