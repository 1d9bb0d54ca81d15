"""Argument checks. Each raises one error that names the value and the bound, before any work is done."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor


def integer(name: str, value, least: int) -> int:
    """`value` as an int that is at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def real(name: str, value, *, above: float | None = None, least: float | None = None, most: float | None = None):
    """`value` as a finite float with `above` < value, `least` ≤ value and value ≤ `most`, where given."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r} of type {type(value).__name__}")
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    if above is not None and not value > above:
        raise ValueError(f"{name} must be greater than {above:g}, got {value:g}")
    if least is not None and not value >= least:
        raise ValueError(f"{name} must be at least {least:g}, got {value:g}")
    if most is not None and not value <= most:
        raise ValueError(f"{name} must be at most {most:g}, got {value:g}")
    return value


def reals(name: str, value, least: float | None = None) -> np.ndarray:
    """`value` as a one-dimensional float array of finite numbers that are at least `least`, where given."""
    try:
        numbers = np.asarray(value if isinstance(value, np.ndarray) else collection(name, value), dtype=float)
    except ValueError:
        raise TypeError(f"{name} must be numbers, got {value!r}") from None
    if numbers.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got {numbers.ndim} dimensions")
    if (bad := numbers[~np.isfinite(numbers)]).size:
        raise ValueError(f"{name} must be finite, got {bad[0]:g}")
    if least is not None and (bad := numbers[numbers < least]).size:
        raise ValueError(f"{name} must be at least {least:g}, got {bad[0]:g}")
    return numbers


def instance(name: str, value, kind: type):
    """`value`, which must be of the class `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of the class {kind.__name__}, got {type(value).__name__}")
    return value


def collection(name: str, value) -> list:
    """`value` as a list; refuses what cannot be gone through."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{name} must be a collection, got {value!r} of type {type(value).__name__}") from None


def array(name: str, value, shape: tuple, like: Tensor | None = None) -> Tensor:
    """`value` as a finite floating tensor of `shape`; an entry of `shape` is a size, or a letter for any size ≥ 1
    (the same letter twice: the same size).

    A tensor keeps its dtype and device unless `like` gives others; anything else becomes float64.
    """
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(value).__name__
        raise TypeError(f"{name} must be a tensor or an array of numbers, got a {kind} ({error})") from None
    if tensor.is_complex():
        raise TypeError(f"{name} must be real, got dtype {tensor.dtype}")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float64)
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
    finite(name, tensor)
    return tensor


def finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity, saying where the first one is."""
    good = torch.isfinite(tensor)
    if not good.all():
        index = tuple((~good).nonzero()[0].tolist())
        raise ValueError(f"{name} must be finite, got {tensor[index].item()} at index {index}")


def orthogonal(name: str, P, D: int, like: Tensor | None = None) -> Tensor:
    """`P` as an orthogonal D × D tensor: every entry of PᵀP − I is at most 100 D ulps."""
    P = array(name, P, (D, D), like)
    if is_identity(P):
        return P
    error = (P.T @ P - torch.eye(D, dtype=P.dtype, device=P.device)).abs().max().item()
    bound = 100 * D * torch.finfo(P.dtype).eps
    if error > bound:
        raise ValueError(
            f"{name} must be orthogonal: the largest entry of |PᵀP − I| is {error:.2e}, allowed {bound:.2e}"
        )
    return P


def is_identity(P: Tensor) -> bool:
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
