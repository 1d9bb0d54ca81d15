"""Numbers for the prose: glued for the page, and printed so that the notebook shows them too."""

import json
import math
from numbers import Integral

from IPython.display import display

from press import ROOT

BENCH, CERTIFIED = "book/records/bench.json", "book/records/certified.json"


def plain(value) -> int | float:
    """One finite number as Python has it; a ValueError says what the value is instead.

    A number, or an array or tensor that holds just one. Not a truth value, a text, a date or a masked entry.
    """
    kind, mask = getattr(getattr(value, "dtype", None), "kind", "f"), getattr(value, "mask", False)  # of numpy
    try:
        number = value.item() if hasattr(value, "item") else value
        if (
            isinstance(number, bool | str | bytes | bytearray | memoryview)
            or kind not in "iuf"
            or (mask and not callable(mask))
        ):
            raise TypeError
        number = int(number) if isinstance(number, Integral) else float(number)
        float(number)  # an integer may be too large
    except Exception:  # whatever an odd value raises
        raise ValueError(f"is {brief(value)}, which is not one number") from None
    if not math.isfinite(number):
        raise ValueError(f"is {number}; it must be finite")
    return number


def told(value: float) -> str:
    """A number in print: four significant figures, 1.2 · 10⁻¹³ where it is small or large, a true minus, no −0."""
    if 9999.5 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.4g}"
    return powers(text) if float(text) else "0"


def powers(text: str) -> str:
    """A number that Python wrote as print has it: 2 · 10⁻¹⁵ for 2e-15, and a true minus."""
    digits, _, power = text.partition("e")
    if power and float(digits) == 0:
        return "0"
    if power:
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        digits = digits.removesuffix("1") + f"10{raised}" if digits in ("1", "-1") else f"{digits} · 10{raised}"
    return digits.replace("-", "−")


def brief(value) -> str:
    """A value in print, in at most 80 characters on a line."""
    try:
        shown = " ".join(repr(value).split())
    except Exception:
        shown = f"a {type(value).__name__}"
    return shown if len(shown) < 80 else shown[:77] + "…"


def glue(**values) -> None:
    """Glue each value under its name, for `` {glue:text}`name:.2f` ``, and say it in the notebook.

    A text, or one finite number; a ValueError names what is neither.
    """
    import myst_nb  # takes long

    said = []
    for name, value in values.items():
        try:
            number = value if isinstance(value, str) else plain(value)
        except ValueError as error:
            raise ValueError(f"numbers.glue: {name} {error}") from None
        myst_nb.glue(name, number, display=False)
        form = {int: ",", float: ".6g"}.get(type(number), "")
        said.append(f"{name} = {number:{form}}")
    aside("\n".join(said))


def aside(text: str) -> None:
    """Say something in the notebook that its page leaves out."""
    display({"text/plain": text}, metadata={"press": "aside"}, raw=True)


def bench() -> dict:
    """The record of `make bench`: how long a step took, what it held, and on which machine.

    A chapter that shows it says `data: press.numbers:bench` in its front matter, and so is run again when it changes.
    """
    return json.loads((ROOT / BENCH).read_text(encoding="utf-8"))


def certified() -> dict:
    """The record of `make certify`: numbers that were proved, each within `radius`. `data: press.numbers:certified`."""
    return json.loads((ROOT / CERTIFIED).read_text(encoding="utf-8"))
