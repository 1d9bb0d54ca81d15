"""Reading a curve: where to look, when it crosses a level, which power it falls with. Plain arrays; no teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from . import checks


def marks(steps: int, n: int, *, first: int = 1) -> np.ndarray:
    """At most `n` whole steps from `first` to `steps`, evenly spaced in log and rounded down; each once, in order.

    Raises ValueError unless 1 ≤ first ≤ steps and n ≥ 1.

    >>> marks(1000, 7).tolist()
    [1, 3, 10, 31, 100, 316, 1000]
    """
    first, n = checks.integer("first", first, 1), checks.integer("n", n, 1, checks.ENTRIES // 10)
    steps = checks.integer("steps", steps, first, 2**53)
    return np.unique(np.geomspace(first, steps, n).astype(int))


def crossing(x, y, level: float, *, log_y: bool = True) -> float:
    """The first x at which y reaches `level`, from either side, interpolated linearly in x and in log y.

    `x` increasing and `y`, of equal length; with `log_y` False the interpolation is linear in y, for curves that may be
    zero or negative. Raises ValueError where y never reaches the level, naming how near it comes.

    >>> crossing([0.0, 1.0, 2.0], [8.0, 4.0, 1.0], 2.0)
    1.5
    """
    x, y = _pair(x, y)
    level, log_y = checks.real("level", level), checks.instance("log_y", log_y, bool)
    if log_y:
        y, level = _logs(y), float(_logs(np.array([level]), "level")[0])
    side = np.sign(y[0] - level)
    beyond = np.nonzero((y - level) * side <= 0)[0]
    if not beyond.size:
        nearest = y[np.abs(y - level).argmin()]
        told, wanted = (np.exp(nearest), np.exp(level)) if log_y else (nearest, level)
        raise ValueError(f"y never reaches the level {wanted:.6g}; the nearest that it comes is {told:.6g}")
    i = int(beyond[0])
    if i == 0:
        return float(x[0])
    share = (level - y[i - 1]) / (y[i] - y[i - 1])
    return float(x[i - 1] + share * (x[i] - x[i - 1]))


def power(x, y, between: tuple[float, float] | None = None, *, log_y: bool = True) -> float:
    """The slope of log|y| in log x, by least squares: the power of x that y goes with.

    `between` (low, high), which may be infinite: only low ≤ x ≤ high. With `log_y` False the slope of y in log x.
    Raises ValueError for fewer than two points, x ≤ 0 and, in logs, y = 0.

    >>> round(power([1.0, 2.0, 4.0, 50.0], [3.0, 12.0, 48.0, 0.1], between=(1, 10)), 12)
    2.0
    """
    x, y = _pair(x, y)
    if between is not None:
        if len(ends := checks.collection("between", between)) != 2:
            raise ValueError(f"between must be two numbers, low and high, got {len(ends)}")
        infinite = [isinstance(end, float) and math.isinf(end) for end in ends]
        low, high = (end if no else checks.real("between", end) for end, no in zip(ends, infinite, strict=True))
        inside = (x >= low) & (x <= high)
        x, y = x[inside], y[inside]
    if len(x) < 2:
        raise ValueError(f"a power needs two points or more in x and y, got {len(x)} between {between}")
    log_x, y = _logs(x, "x"), _logs(np.abs(y)) if checks.instance("log_y", log_y, bool) else y
    if not np.ptp(log_x) > 0:
        raise ValueError(f"a power needs two points or more of different x, got x = {x[0]:g} alone")
    return float(np.polyfit(log_x, y, 1)[0])


def z_score(values, expected: float) -> float:
    """(mean − expected)/(standard error): how many standard errors a sample's mean lies from what it should be.

    `values`: two or more independent draws, of any shape. Beyond 4 with chance 6e-5, where the mean is near Gaussian.

    >>> z_score([1.0, 2.0, 3.0, 4.0], 2.5)
    0.0
    """
    values = checks.numbers("values", values).ravel()
    if len(values) < 2:
        raise ValueError(f"values must be two or more numbers, got {len(values)}")
    if values.min() == values.max():
        raise ValueError(f"values must differ, got {values[0]:g} each time: their mean has no standard error")
    size = abs(values).max()  # squares may underflow
    error = (values / size).std(ddof=1) / np.sqrt(len(values))
    if not error > 0:
        raise ValueError(f"values must differ by more than rounding, got {values[0]:g} to {values[-1]:g}")
    return float(((values / size).mean() - checks.real("expected", expected) / size) / error)


def furthest(values, target: float = 0.0):
    """Of several numbers the one that lies furthest from `target`; of a mapping, the key of that number.

    Raises ValueError where there are none, for NaN and for infinity.

    >>> furthest([0.9, 1.3, 0.8], 1.0), furthest({"a": 0.9, "b": 1.3}, 1.0)
    (1.3, 'b')
    """
    keys = list(values) if isinstance(values, Mapping) else None
    values = checks.collection("values", values if keys is None else values.values())
    for key, value in zip(keys or (), values, strict=False):
        if np.size(value) != 1:
            raise ValueError(f"values must have one number a key, got {np.size(value)} at {key!r}")
    numbers = np.array([number for value in values for number in checks.numbers("values", value).ravel()])
    if not numbers.size:
        raise ValueError("values must be one or more numbers, got none")
    i = int(np.abs(numbers - checks.real("target", target)).argmax())
    return float(numbers[i]) if keys is None else keys[i]


def _pair(x, y) -> tuple[np.ndarray, np.ndarray]:
    x, y = checks.numbers("x", x, line=True), checks.numbers("y", y, line=True)
    if len(x) != len(y) or not len(x):
        raise ValueError(f"x and y must have one length, at least 1, got {len(x)} and {len(y)}")
    return x, y


def _logs(values, name: str = "y") -> np.ndarray:
    if not (values > 0).all():
        raise ValueError(f"{name} must be greater than 0 to take its logarithm, got {values.min():g}")
    return np.log(values)
