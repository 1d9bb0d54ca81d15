"""Numbers for the prose: glued for the page, and printed so that the notebook shows them too."""

import json
import math
from numbers import Integral

import myst_nb

from press import ROOT

BENCH = "book/records/bench.json"


def glue(**values) -> None:
    """Glue each value under its name, for `` {glue:text}`name:.2f` ``, and print it."""
    for name, value in values.items():
        if isinstance(value, str):
            plain, shown = value, value
        else:
            plain = int(value) if isinstance(value, Integral) else float(value)
            shown = f"{plain:,}" if isinstance(plain, int) else f"{plain:.6g}"
            if not math.isfinite(plain):
                raise ValueError(f"numbers.glue: {name} is {plain}; a glued number must be finite")
        myst_nb.glue(name, plain, display=False)
        print(f"{name} = {shown}")


def bench() -> dict:
    """The record of `make bench`: how long a step took, what it held, and on which machine.

    A chapter that shows it says `data: press.numbers:bench` in its front matter, and so is run again when it changes.
    """
    return json.loads((ROOT / BENCH).read_text(encoding="utf-8"))
