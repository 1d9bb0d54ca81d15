"""Score maps: how logits become scores, column by column, and how a slope goes back.

Every map sends a column z of the scaled logits W/√D to a column S ≥ 0 of sum one, the same for z and for z plus a
constant or, for the last family, starting from the same uniform S at z = 0. α-entmax contains the paper's softmax
(α = 1) and sparsemax (α = 2); its Jacobian is one line for every α. With q = S^{2−α} on the support and 0 off it,

    dL/dz = q ⊙ (dL/dS − ⟨q, dL/dS⟩/Σq).

Softmax has q = S; sparsemax has q = 1 on its support. Source: (2.4) for softmax; Peters, Niculae and Martins (2019)
for the family.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import checks


class ScoreMap:
    """A map from logits to scores, down each column (2.4), with the slope's way back.

    A call takes logits (…, D, n) to S of the same shape; D, the number of tokens, sets the scale 1/√D.
    NaN stays NaN. `pull_back(logits, S, to_S)` is dL/dlogits from dL/dS, the same shape.
    Autograd goes through a call too.
    """

    def __call__(self, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def pull_back(self, logits: Tensor, S: Tensor, to_S: Tensor) -> Tensor:
        """dL/dlogits from S, the scores of these logits, and dL/dS."""
        raise NotImplementedError


@dataclass(frozen=True)
class Entmax(ScoreMap):
    """α-entmax: S = ((α−1)z − τ)₊^{1/(α−1)}, with the τ that makes the sum one; softmax at α = 1.

    Shift-invariant. For α > 1 a token whose logit is far enough below the largest gets a score of exactly zero.
    Raises ValueError unless 1 ≤ α ≤ 2.

    >>> Entmax(2.0)(torch.tensor([[0.0], [1.0], [4.0]]))           # sparsemax; √3 is the scale
    tensor([[0.],
            [0.],
            [1.]])
    """

    alpha: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "alpha", checks.real("alpha", self.alpha, least=1.0, most=2.0))

    def __call__(self, logits):
        _look(logits, numpy=self.alpha == 1)
        if self.alpha != 1:
            return _Entmax.apply(logits, self)
        if isinstance(logits, np.ndarray):  # of a loop over small arrays, where its calls are the cheaper ones
            S = np.exp((logits - logits.max(-2, keepdims=True)) / math.sqrt(logits.shape[-2]))
            S /= S.sum(-2, keepdims=True)
            return S
        return torch.softmax(logits / math.sqrt(logits.shape[-2]), dim=-2)

    def pull_back(self, logits, S, to_S):
        """q ⊙ (dL/dS − ⟨q, dL/dS⟩/Σq)/√D; for softmax q = S."""
        root_D = math.sqrt(S.shape[-2])
        if self.alpha == 1:
            return S * (to_S - (S * to_S).sum(-2, keepdims=True)) / root_D
        q = torch.where(S > 0, S, 1.0) ** (2 - self.alpha) * (S > 0)
        return q * (to_S - (q * to_S).sum(-2, keepdim=True) / q.sum(-2, keepdim=True)) / root_D


def _look(logits, numpy: bool = False) -> None:
    """Refuse what are no logits; their numbers are not looked at, since this is done at every step: NaN stays NaN."""
    if not (numpy and type(logits) is np.ndarray and logits.dtype.kind == "f"):
        checks.dense("logits", logits)
    if logits.ndim < 2 or 0 in logits.shape[-2:]:
        raise ValueError(f"logits must have shape (…, D, n), got {tuple(logits.shape)}")


class _Entmax(torch.autograd.Function):
    """The threshold τ by bisection, with `Entmax.pull_back` as its backward pass."""

    @staticmethod
    def forward(context, logits, entmax):
        D, power = logits.shape[-2], 1 / (entmax.alpha - 1)
        z = logits * ((entmax.alpha - 1) / math.sqrt(D))
        z = z - z.amax(-2, keepdim=True)
        low = torch.full_like(z[..., :1, :], -1.0)  # here the largest alone makes one
        high = torch.full_like(low, -(D ** (1 - entmax.alpha)))  # here all of them, each at most 1/D
        for _ in range(60):
            middle = (low + high) / 2
            above = (z - middle).clamp(min=0).pow(power).sum(-2, keepdim=True) > 1
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        S = (z - low).clamp(min=0).pow(power)
        S = S / S.sum(-2, keepdim=True)
        context.save_for_backward(logits, S)
        context.entmax = entmax
        return S

    @staticmethod
    def backward(context, to_S):
        return context.entmax.pull_back(*context.saved_tensors, to_S), None


@dataclass(frozen=True)
class ReluNormalised(ScoreMap):
    """S = (1 + z)₊/Σ(1 + z)₊: uniform at z = 0, as softmax is, and with softmax's Jacobian there.

    The 1 is ours: without it zero logits have no scores. dL/dz = 1[1 + z > 0] (dL/dS − ⟨S, dL/dS⟩)/Σ(1 + z)₊.
    Raises ValueError where a column has no entry with z > −1: it has no scores.

    >>> ReluNormalised()(torch.tensor([[0.0], [2.0]]) * 2**0.5)
    tensor([[0.2500],
            [0.7500]])
    """

    def __call__(self, logits):
        _look(logits)
        positive = (1 + logits / math.sqrt(logits.shape[-2])).clamp(min=0)
        total = positive.sum(-2, keepdim=True)
        if not (total > 0).all():
            raise ValueError("every column of logits/√D must have an entry above -1, got a column without one")
        return positive / total

    def pull_back(self, logits, S, to_S):
        """1[1 + z > 0] (dL/dS − ⟨S, dL/dS⟩)/(√D Σ(1 + z)₊)."""
        root_D = math.sqrt(S.shape[-2])
        total = (1 + logits / root_D).clamp(min=0).sum(-2, keepdim=True)
        return (S > 0) * (to_S - (S * to_S).sum(-2, keepdim=True)) / (total * root_D)


def entmax(alpha: float) -> Entmax:
    """The score map of α-entmax, 1 ≤ α ≤ 2."""
    return Entmax(alpha)


SOFTMAX = Entmax(1.0)
SPARSEMAX = Entmax(2.0)
RELU_NORMALISED = ReluNormalised()
