"""The notation table and the library agree, in both directions."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import bilinear
from bilinear import descent, laws
from bilinear.activations import leaky_relu
from bilinear.neighbours import group_sparse_classification as gsc
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.students import FullTransformer, PositionOnlyTransformer, SeparateTransformer
from bilinear.teachers import convolution

PAGE = Path(__file__).parents[2] / "book/notation.md"
ROWS = re.findall(r"^\| *(.+?) *\| *`(.+?)` *\| *(.+?) *\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)

SIZES = {"M": 2, "d": 3, "D": 8, "K": 4, "n": 5, "t": 10}  # all different, so that no two shapes are confused
M, d, D, K, n, steps = 2, 3, 8, 4, 5, 9
GREEK = {"alpha", "beta", "gamma", "delta", "eta", "theta", "kappa", "lambda_", "rho", "sigma", "tau", "xi", "phi"}
NOT_SYMBOLS = {"t", "p", "i", "n", "x", "y"}  # loop words and the axes of a curve, not the book's symbols


def objects():
    sigma = leaky_relu(0.1)
    teacher = convolution(torch.ones(M, d, dtype=torch.float64), D, K, sigma)
    return {
        "teacher": teacher,
        "sigma": sigma,
        "student": PositionOnlyTransformer(M, d, D, sigma),
        "full": FullTransformer(M, d, D, sigma),
        "separate": SeparateTransformer(M, d, D, sigma),
        "run": descent.population(teacher, 0.1, steps),
        "scalars": ScalarDynamics.of(teacher, 0.1),
        "laws": laws,
        "classifier": gsc.descend(torch.eye(d, D) / d**0.5, 0.1, steps),
        "X": torch.ones(n, d, D, dtype=torch.float64),
        "T": 100,
    }


def parameters_named_after_symbols() -> set[str]:
    """Names of public parameters and fields that are one letter, a capital with a suffix, or a Greek letter."""
    found = set()
    for module in pkgutil.walk_packages(bilinear.__path__, "bilinear."):
        if module.name == "bilinear.compiled":  # called by the library only
            continue
        members = inspect.getmembers(importlib.import_module(module.name))
        for name, member in members:
            if name.startswith("_") or getattr(member, "__module__", "") != module.name:
                continue
            methods = [m for n, m in vars(member).items() if not n.startswith("_")] if inspect.isclass(member) else []
            for callable_ in [member, *methods]:
                if callable(callable_):
                    found |= set(inspect.signature(callable_).parameters)
    return {
        name
        for name in found - NOT_SYMBOLS
        if re.fullmatch(r"[A-Za-z]|[A-Zv]_\w+|[A-Z]\d", name) or name.split("_")[0] in GREEK
    }


def words_of(code: str) -> str:
    """`teacher.V_star` is listed as V_star, `student.scores()` as scores."""
    return re.sub(r"\(.*\)$", "", code).split(".")[-1]


@pytest.mark.parametrize(("symbol", "code", "shape"), ROWS, ids=[code for _, code, _ in ROWS])
def test_every_row_names_something_of_that_shape(symbol, code, shape):
    if code in parameters_named_after_symbols():  # a plain parameter: it exists, and nothing more can be asked
        assert "." not in code
        return
    value = eval(code, {}, objects())
    if shape == "function":
        assert callable(value)
        return
    want = () if shape == "number" else tuple(eval(size, {}, SIZES) for size in shape.split(" × "))
    assert tuple(np.shape(value.detach() if isinstance(value, torch.Tensor) else value)) == want


def test_every_parameter_named_after_a_symbol_has_a_row():
    listed = {words_of(code) for _, code, _ in ROWS}
    assert parameters_named_after_symbols() - listed == set()


def test_the_table_was_read():
    assert len(ROWS) > 30
