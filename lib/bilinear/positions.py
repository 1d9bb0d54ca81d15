"""Positional encodings P = [p_1 … p_D], a code in each column; the theorems take them orthonormal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import checks


def haar(D: int, *, generator: torch.Generator) -> Tensor:
    """A random orthogonal P, D × D, uniform over the orthogonal group (Haar measure); float64.

    The Q of a Gaussian matrix's QR decomposition, with the signs of R's diagonal: without them it is not uniform.

    >>> P = haar(4, generator=torch.Generator().manual_seed(0))
    >>> bool((P.T @ P - torch.eye(4)).abs().max() < 1e-14)
    True
    """
    D = checks.integer("D", D, 1, checks.ROWS)
    checks.instance("generator", generator, torch.Generator)
    Q, R = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=generator, device=generator.device))
    return Q * R.diagonal().sign()


def sines(D: int) -> Tensor:
    """D × D codes p_j = (sin(jkπ/(D+1)))_k: orthogonal, ‖p_j‖² = (D+1)/2, so their norm grows with D.

    >>> (sines(3).T @ sines(3)).round(decimals=6).diagonal().tolist()
    [2.0, 2.0, 2.0]
    """
    k = torch.arange(1, checks.integer("D", D, 1, checks.ROWS) + 1, dtype=torch.float64)
    return torch.sin(torch.outer(k, k) * math.pi / (D + 1))


def sinusoidal(D: int, size: int | None = None, *, base: float = 10_000.0) -> Tensor:
    """The codes of Vaswani et al. (2017): sines and cosines of jω_k, ω_k = base^{−2k/size}; `size` × D.

    `size` is even, D rounded up by default; their Gram matrix has diagonal size/2 and is far from diagonal.

    >>> P = sinusoidal(6)
    >>> P.shape, (P.T @ P).diagonal().round(decimals=12).tolist()
    (torch.Size([6, 6]), [3.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    """
    D = checks.integer("D", D, 1, checks.ROWS)
    size = D + D % 2 if size is None else checks.integer("size", size, 2, checks.ROWS)
    if size % 2:
        raise ValueError(f"size must be even, got {size}")
    base = checks.real("base", base, above=1)
    frequencies = base ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.outer(frequencies, torch.arange(D, dtype=torch.float64))
    return torch.cat([angles.sin(), angles.cos()])


def low_rank(D: int, rank: int, *, generator: torch.Generator) -> Tensor:
    """D random unit codes in `rank` dimensions, rank × D.

    Their Gram matrix has this rank, so for rank < D the codes overlap.
    Raises ValueError unless 1 ≤ rank ≤ D.

    >>> P = low_rank(5, 2, generator=torch.Generator().manual_seed(0))
    >>> int(torch.linalg.matrix_rank(P.T @ P))
    2
    """
    D, rank = checks.integer("D", D, 1, checks.ROWS), checks.integer("rank", rank, 1)
    if rank > D:
        raise ValueError(f"rank must be at most D = {D}, got {rank}")
    checks.instance("generator", generator, torch.Generator)
    P = torch.randn(rank, D, dtype=torch.float64, generator=generator, device=generator.device)
    return P / P.norm(dim=0)
