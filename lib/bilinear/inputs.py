"""Laws of the tokens: the Gaussian one of training, and those that out-of-distribution runs use.

Every law takes the sizes, such as (n, d, D), and returns independent entries on the generator's device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import checks


def gaussian(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """N(0, 1) entries, the training law of section 3. Mean 0, second moment 1.

    >>> gaussian(5, 3, 4, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([5, 3, 4])
    """
    return torch.randn(_sizes(shape, generator, dtype), generator=generator, dtype=dtype, device=generator.device)


def exponential(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Exp(1) entries: P(x > t) = e^{−t}. Mean 1, second moment 2. The out-of-distribution inputs of section 4.1.

    The paper does not give the rate; 1 is ours. Another rate scales every token, and σ is homogeneous.

    >>> bool((exponential(5, 3, 4, generator=torch.Generator().manual_seed(0)) > 0).all())
    True
    """
    x = torch.empty(_sizes(shape, generator, dtype), dtype=dtype, device=generator.device)
    return x.exponential_(generator=generator)


def centred_exponential(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Exp(1) entries minus one. Mean 0, second moment 1, as the Gaussian; third moment 2.

    >>> bool((centred_exponential(5, 3, 4, generator=torch.Generator().manual_seed(0)) > -1).all())
    True
    """
    return exponential(*shape, generator=generator, dtype=dtype) - 1


def pareto(*shape: int, index: float, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Symmetric Pareto entries: P(|x| > t) = t^{−index} for t ≥ 1, either sign with probability ½.

    `index` > 1: mean 0. Second moment index/(index − 2) for index > 2, and infinite otherwise: then no bound ξ exists
    and Theorem 3.2 says nothing. Raises ValueError for index ≤ 1.

    >>> pareto(5, 3, 4, index=1.5, generator=torch.Generator().manual_seed(0)).abs().min().item() >= 1
    True
    """
    index = checks.real("index", index, above=1)
    y = 1 - 2 * torch.rand(
        _sizes(shape, generator, dtype), generator=generator, dtype=dtype, device=generator.device
    )  # in (−1, 1]
    tiny = torch.finfo(dtype).tiny
    return torch.copysign(y.abs().clamp(min=tiny) ** (-1 / index), y)


def equicorrelated(
    *shape: int, correlation: float = 0.5, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> Tensor:
    """N(0, 1) entries √(1−ρ) x_i + √ρ x_0: tokens i of an input share x_0, and have `correlation` ρ with each other.

    Sizes end in (d, D): feature and token. Each token alone is as under `gaussian`; only independence is broken.
    Raises ValueError unless 0 ≤ ρ ≤ 1.

    >>> X = equicorrelated(5, 3, 4, correlation=1.0, generator=torch.Generator().manual_seed(0))
    >>> bool((X == X[..., :1]).all())
    True
    """
    rho = checks.real("correlation", correlation, least=0, most=1)
    *sizes, tokens = _sizes(shape, generator, dtype)
    X = torch.randn((*sizes, tokens + 1), generator=generator, dtype=dtype, device=generator.device)
    return (1 - rho) ** 0.5 * X[..., :-1] + rho**0.5 * X[..., -1:]


def _sizes(shape: tuple, generator, dtype) -> tuple:
    """The sizes of a draw, after a look at what else every law takes."""
    checks.instance("generator", generator, torch.Generator)
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"dtype must be torch.float64 or torch.float32, got {dtype!r}")
    if not shape:
        raise TypeError("give the sizes, such as n, d, D")
    sizes = tuple(checks.integer("a size", size, 1) for size in shape)
    if math.prod(sizes) > checks.ENTRIES:
        raise ValueError(f"sizes must have a product of at most {checks.ENTRIES:,}, got {' × '.join(map(str, sizes))}")
    return sizes
