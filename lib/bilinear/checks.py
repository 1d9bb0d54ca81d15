"""Argument checks. Each raises one error that names the value and the bound, before any work is done."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

HUGE = 1e150  # what is larger, or nearer to zero than 1/HUGE, has no square that is a float
MOST = 2**63 - 1
ROWS, ENTRIES = 30_000, 10**9  # of a square matrix, of a list: 8 GB
FLOATS = torch.float64, torch.float32
WHOLE = torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8


def integer(name: str, value, least: int, most: int = MOST) -> int:
    """`value` as an int that is at least `least` and at most `most`, or less than 2**63."""
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    value = int(value)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value if value >= -MOST else 'less than -2**63'}")
    if value > most:
        bound = "less than 2**63" if most == MOST else f"at most {most:,}"
        raise ValueError(f"{name} must be {bound}, got {value if value <= MOST else 'more'}")
    return value


def real(name: str, value, *, above: float | None = None, least: float | None = None, most: float | None = None):
    """`value` as a finite float with `above` < value, `least` ≤ value and value ≤ `most`, where given.

    It is at most 1e150 in size; where `above` is 0 it is at least 1e-150: products of a few such numbers are numbers.
    """
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r} of type {type(value).__name__}")
    value = _float(value)
    for fails, bound in _bounds(above, least, most):
        if fails(value):
            raise ValueError(f"{name} must be {bound}, got {value:g}")
    if above == 0 and value < 1 / HUGE:
        raise ValueError(f"{name} must be at least {1 / HUGE:g}, got {value:g}")
    return value


def numbers(
    name: str,
    value,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    line: bool = False,
) -> np.ndarray:
    """`value`, a number or an array of them, as float64: finite, at most 1e150 in size, and in the range given.

    Any shape; with `line` one dimension. No words, truth values, dates, complex or masked numbers.
    """
    given = value
    if isinstance(value, Tensor):
        whole = not value.is_floating_point() and not value.is_complex()
        value = dense(name, value, whole=whole).detach().cpu().numpy()
    elif line and not isinstance(value, np.ndarray):
        value = collection(name, value)
    if _holds_others(value):
        raise TypeError(f"{name} must be numbers, got {repr(given)[:60]} of type {type(given).__name__}")
    if isinstance(value, Real) and not isinstance(value, bool | np.generic):
        value = _float(value)
    try:
        found = np.asarray(value)
        good = found.dtype.kind in "iuf" or not found.size
    except (TypeError, ValueError, RuntimeError):
        good = False
    if not good or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be numbers, got {repr(given)[:60]} of type {type(given).__name__}")
    with np.errstate(over="ignore"):  # a long double may be too large: refused below
        found = found.astype(float)
    if line and found.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got {found.ndim} dimensions")
    for fails, bound in _bounds(above, least, most):
        if (bad := found[fails(found)]).size:
            raise ValueError(f"{name} must be {bound}, got {bad.flat[0]:g}")
    return found


def _holds_others(value) -> bool:
    """Whether a list holds, at any depth, what numpy takes for numbers: truth values, bytes, masked entries."""
    if isinstance(value, list | tuple):
        return any(map(_holds_others, value))
    return isinstance(value, bool | np.bool_ | bytes | bytearray | memoryview | np.ma.MaskedArray) or (
        value is np.ma.masked
    )


def _bounds(above, least, most):
    """(whether a number or an array fails, the bound in words) of each bound that is given."""
    yield (lambda x: ~np.isfinite(x)), "finite"
    if above is not None:
        yield (lambda x: x <= above), f"greater than {above:g}"
    if least is not None:
        yield (lambda x: x < least), f"at least {least:g}"
    if most is not None:
        yield (lambda x: x > most), f"at most {most:g}"
    yield (lambda x: abs(x) > HUGE), f"at most {HUGE:g} in size"


def _float(value) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def instance(name: str, value, kind: type):
    """`value`, which must be of the class `kind`, or of `Callable`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of the class {kind.__name__}, got {type(value).__name__}")
    return value


def collection(name: str, value) -> list:
    """`value` as a list; refuses what cannot be gone through."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{name} must be a collection, got {value!r} of type {type(value).__name__}") from None


def array(name: str, value, shape: tuple, like: Tensor | None = None, *, not_tiny: bool = False) -> Tensor:
    """`value` as a finite tensor of floats of `shape`; an entry of `shape` is a size, or a letter for any size ≥ 1
    (the same letter twice: the same size).

    A tensor keeps its dtype (float32 or float64) and device unless `like` gives others; anything else becomes float64.
    With `not_tiny` a tensor of which every square underflows, and that is not zero, is refused.
    """
    tensor = value
    if not isinstance(value, Tensor):
        tensor = torch.from_numpy(np.array(numbers(name, value), order="C"))
    elif value.dtype in WHOLE:
        tensor = dense(name, value, whole=True).to(torch.float64)
    dense(name, tensor)
    if like is not None:
        tensor = tensor.to(dtype=like.dtype, device=like.device)
    sizes = dict(zip(shape, tensor.shape, strict=False))
    fits = tensor.ndim == len(shape) and all(
        got >= 1 and got == (sizes[want] if isinstance(want, str) else want)
        for got, want in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        wanted = " × ".join(str(size) for size in shape)
        raise ValueError(f"{name} must have shape {wanted}, got {' × '.join(map(str, tensor.shape)) or 'a scalar'}")
    finite(name, tensor, not_tiny)
    return tensor


def dense(name: str, value, *, whole: bool = False) -> Tensor:
    """`value`, which must be a tensor that holds float32 or float64 numbers (with `whole` integers), all of them."""
    tensor = instance(name, value, Tensor)
    kind = (
        "meta tensor"
        if tensor.is_meta
        else "nested tensor"
        if tensor.is_nested
        else "quantized tensor"
        if tensor.is_quantized
        else str(tensor.layout).removeprefix("torch.")
    )
    if kind != "strided":
        raise TypeError(f"{name} must be a dense tensor with numbers in it, got a {kind}")
    if tensor.dtype not in (WHOLE if whole else FLOATS):
        real = "real and " if tensor.is_complex() else ""
        raise TypeError(
            f"{name} must be {real}of {'integers' if whole else 'dtype float64 or float32'}, got {tensor.dtype}"
        )
    return tensor


def finite(name: str, tensor: Tensor, not_tiny: bool = False) -> None:
    """Refuse NaN, infinity and what has no square in its dtype, saying where the first one is.

    With `not_tiny` also a tensor that is so near to zero that all of its squares are zero, and that is not zero.
    """
    dense(name, tensor)
    largest = torch.finfo(tensor.dtype).max ** 0.5
    size = tensor.detach().abs()
    if not (good := size <= largest).all():
        index = tuple((~good).nonzero()[0].tolist())
        bound = "finite" if not math.isfinite(value := tensor[index].item()) else f"at most {largest:.2g} in size"
        raise ValueError(f"{name} must be {bound}, got {value:g} at index {index}")
    if not_tiny and size.numel() and 0 < (most := size.max().item()) < (least := torch.finfo(tensor.dtype).tiny ** 0.5):
        raise ValueError(
            f"{name} must be zero or have an entry of {least:.2g} or more in size, the largest is {most:g}"
        )


def orthogonal(name: str, P, D: int, like: Tensor | None = None) -> Tensor:
    """`P` as an orthogonal D × D tensor: every entry of PᵀP − I is at most 100 D ulps."""
    P = array(name, P, (D, D), like)
    if _is_identity(P):
        return P
    error = (P.T @ P - torch.eye(D, dtype=P.dtype, device=P.device)).abs().max().item()
    bound = 100 * D * torch.finfo(P.dtype).eps
    if not error <= bound:
        raise ValueError(
            f"{name} must be orthogonal: the largest entry of |PᵀP − I| is {error:.2e}, allowed {bound:.2e}"
        )
    return P


def _is_identity(P: Tensor) -> bool:
    """Whether P is I exactly: then products with it, dear where D is large, need not be taken."""
    return int(P.count_nonzero()) == len(P) and bool((P.diagonal() == 1).all())


def tokens(X, d: int, D: int, like: Tensor) -> None:
    """Refuse an input that is not a finite tensor of shape (…, d, D) in `like`'s dtype."""
    if not isinstance(X, Tensor):
        raise TypeError(f"X must be a tensor, got {type(X).__name__}")
    if X.dtype != like.dtype:
        raise TypeError(f"X must have dtype {like.dtype} like the weights, got {X.dtype}")
    if X.ndim < 2 or X.shape[-2:] != (d, D):
        raise ValueError(f"X must have shape (…, {d}, {D}), got {tuple(X.shape)}")
    finite("X", X)


def bounded(flow: Callable, most: int = 200_000) -> Callable:
    """A flow that a solver may ask for `most` times: a stiff one ends in a FloatingPointError, and not in hours."""
    calls = itertools.count(1)

    def asked(*state):
        if next(calls) > most:
            raise FloatingPointError(f"the flow could not be solved with {most:,} evaluations: it is too stiff")
        return flow(*state)

    return asked
