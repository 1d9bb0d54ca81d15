"""Readings of curves, on curves that are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bilinear import curves


def test_marks():
    assert curves.marks(1, 5).tolist() == [1]
    assert curves.marks(10, 3, first=10).tolist() == [10]
    found = curves.marks(5000, 40, first=20)
    assert found[0] == 20
    assert found[-1] == 5000
    assert (np.diff(found) > 0).all()
    assert len(found) <= 40
    for bad, named in (({"steps": 0}, "steps"), ({"n": 0}, "n must"), ({"first": 6}, "steps must be at least 6")):
        with pytest.raises(ValueError, match=named):
            curves.marks(**{"steps": 5, "n": 3} | bad)


@given(st.floats(0.1, 10), st.floats(-3, 3).filter(lambda p: abs(p) > 0.1), st.floats(1.5, 90))
def test_crossing_of_an_exponential_is_exact(scale, rate, at):
    """In log y an exponential is a line, whichever side it comes from."""
    x = np.linspace(1, 100, 34)
    y = scale * np.exp(rate * x / 10)
    assert curves.crossing(x, y, scale * math.exp(rate * at / 10)) == pytest.approx(at, rel=1e-9)


def test_crossing_takes_the_first_and_says_when_there_is_none():
    x, y = np.arange(6.0), np.array([4.0, 2.0, 1.0, 4.0, 0.5, 8.0])
    assert curves.crossing(x, y, 1.0) == 2.0
    assert curves.crossing(x, y, 4.0) == 0.0
    assert curves.crossing(x, y - 2, -0.5, log_y=False) == 1.5
    with pytest.raises(ValueError, match=r"never reaches the level 9; the nearest that it comes is 8"):
        curves.crossing(x, y, 9.0)
    with pytest.raises(ValueError, match="y must be greater than 0"):
        curves.crossing(x, y - 2, 1.0)
    with pytest.raises(ValueError, match="one length"):
        curves.crossing(x, y[:-1], 1.0)


def test_power():
    x = np.geomspace(1, 1e4, 50)
    y = 3 * x**-1.5
    y[:10] = 7.0
    assert curves.power(x, y, between=(10, 1e4)) == pytest.approx(-1.5, abs=1e-12)
    assert abs(curves.power(x, y) + 1.5) > 0.1
    assert curves.power(x, -y, between=(10, 1e4)) == pytest.approx(-1.5, abs=1e-12)
    assert curves.power(x, 2 * np.log(x) - 5, log_y=False) == pytest.approx(2, abs=1e-12)
    for bad, named in (({"between": (2e4, 3e4)}, "two points"), ({"y": 0 * y}, "y must"), ({"x": x - 1}, "x must")):
        with pytest.raises(ValueError, match=named):
            curves.power(**{"x": x, "y": y} | bad)


def test_furthest():
    assert curves.furthest([1.0, -3.0, 2.5]) == -3.0
    assert curves.furthest({"a": 1.0, "b": -3.0, "c": 2.5}, -2.0) == "c"
    assert curves.furthest(np.array([[1.0, 2.0], [4.0, 3.0]]), 3.5) == 1.0
    assert curves.furthest({"a": 1.0, "b": -3.0}.values()) == curves.furthest(iter([1.0, -3.0])) == -3.0
    for many in ({"a": [1.0, 9.0], "b": 1.0}, {"a": 1.0, "b": []}):
        with pytest.raises(ValueError, match="one number a key"):
            curves.furthest(many, 1.0)
    for bad in ([], [1.0, math.nan], {}):
        with pytest.raises(ValueError, match=r"one or more numbers|values must be finite"):
            curves.furthest(bad)


def test_z_score():
    values = np.array([1.0, 3.0, 5.0, 7.0])
    error = math.sqrt((9 + 1 + 1 + 9) / 3 / 4)
    assert curves.z_score(values, 3.0) == pytest.approx(1 / error, rel=1e-14)
    draws = np.random.default_rng(0).normal(2, 5, (400, 250))
    z = np.array([curves.z_score(row, 2.0) for row in draws])
    assert abs(z.mean()) < 4 / 20  # standard error 1/√400
    assert abs(z.std() - 1) < 4 / math.sqrt(800)
    with pytest.raises(ValueError, match="two or more"):
        curves.z_score([1.0], 0.0)
