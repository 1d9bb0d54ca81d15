"""What no student of a kind can beat: the least loss that is left, and who attains it.

`best_student`   position-only attention, on a teacher that its columns may not reach
`nearest`        position-only attention with one output, on any linear predictor

The scores of a student are at least 0 and each of its columns sums to one. A floor is the distance to the nearest of
what that allows. Each is derived in the chapter that its docstring names.
"""

from __future__ import annotations

from itertools import combinations

import torch
from scipy.optimize import brentq
from torch import Tensor

from . import checks
from .population import excess_loss
from .teachers import Teacher


def best_student(teacher: Teacher) -> tuple[Tensor, Tensor, Tensor]:
    """(excess loss, W_V, S) of the best student of an identity teacher: no W_V and no attention do better.

    For given S the best W_V is c V*, so the loss is ½‖V*‖²‖cS − S*‖². Over column-stochastic S and all c, Q = cS runs
    through the cone {Q ≥ 0, every column sums to c}: S is the projection of S* on it (or of −S*, whichever is nearer),
    Q = max(S* + λ_i, 0) with one shift λ_i per column and Σ_i λ_i = 0.
    Shapes: 0-dim, M × d, D × D. The loss is zero for every S* whose columns are at least 0 and have equal sums; where a
    zero of S* stays zero, softmax comes as close as one likes. Raises ValueError for κ < 1.
    Source: derived in `paper/irregular-graphs`.

    >>> from bilinear.activations import IDENTITY
    >>> loss, W_V, S = best_student(Teacher([[1.0]], [[0.5, 0.4], [0.0, 0.4]], IDENTITY))    # columns: 0.5 and 0.8
    >>> round(loss.item(), 5), round(W_V.item(), 5), S[1].numpy().round(4).tolist()       # column 0 leaks to token 1
    (0.01125, 0.65, [0.1154, 0.5])
    """
    checks.instance("teacher", teacher, Teacher)
    if teacher.sigma.slope != 1:
        raise ValueError(f"the best student is known for the identity, slope 1, got slope {teacher.sigma.slope:g}")
    found = []
    for sign in (1, -1):
        Q, c = _equal_sums(sign * teacher.S_star)
        S = Q / c if c > 0 else torch.full_like(Q, 1 / teacher.D)
        W_V = sign * c * teacher.V_star
        found.append((excess_loss(teacher, W_V, S), W_V, S))
    return min(found, key=lambda student: student[0])


def _equal_sums(A: Tensor) -> tuple[Tensor, float]:
    """The matrix nearest to A with entries at least 0 and equal column sums, and that sum c (0 where it is 0)."""
    D = len(A)
    ordered = A.sort(0, descending=True).values
    sums, counts = ordered.cumsum(0), torch.arange(1, D + 1).to(A)[:, None]

    def shifts(c):  # λ_i with Σ_j max(a_ji + λ_i, 0) = c; k_i the number of entries that stay positive
        each = (c - sums) / counts
        k = (ordered + each > 0).sum(0).clamp(min=1)
        return each.gather(0, k[None] - 1)[0], k

    high = A.clamp(min=0).sum(0).max().item()  # here every shift is at least 0
    if high == 0 or A.max(0).values.sum() <= 0:
        return torch.zeros_like(A), 0.0
    above = high * (1 + 1e-12 * D)  # columns of equal sums: their cumulative sums round otherwise than `high`
    c = brentq(lambda c: shifts(c)[0].sum().item(), 0.0, above, xtol=1e-14 * high)
    return (A + shifts(c)[0]).clamp(min=0), c


def nearest(B) -> tuple[Tensor, Tensor, Tensor]:
    """(‖B − w sᵀ‖_F², w, s) for the w sᵀ that is nearest to B, s ≥ 0 of sum one.

    A student with the identity and one output computes ⟨w sᵀ, X⟩, w its values and s its scores: the predictors ⟨B, X⟩
    of D groups of d variables (Example 2.5) that it can be are those whose B is of rank one with a factor of one sign.
    Shapes: `B` d × D; returns a 0-dim tensor, d and D. The squared distance is ‖B‖_F² − max ‖B h‖² over unit h ≥ 0: the
    best h is the top eigenvector of BᵀB on its own support, so every support is tried; columns of zeros are left out.
    Raises ValueError for more than 12 other columns, for B = 0, NaN and wrong shapes.
    Source: derived in `paper/group-sparse`.

    >>> distance_sq, w, s = nearest([[1.0, -1.0, 0.0]])       # a contrast: one of its two groups is all one can have
    >>> distance_sq.item(), w.tolist(), s.tolist()
    (1.0, [1.0], [1.0, 0.0, 0.0])
    """
    B = checks.array("B", B, ("d", "D"), not_tiny=True)
    used = B.abs().sum(0).nonzero()[:, 0]
    if not 1 <= len(used) <= 12:
        raise ValueError(f"B must have 1 to 12 columns that are not zero, got {len(used)}")
    gram = (B.T @ B)[used][:, used]
    best, h = gram.new_zeros(()), B.new_zeros(B.shape[1])
    for size in range(1, len(used) + 1):
        for support in combinations(range(len(used)), size):
            values, vectors = torch.linalg.eigh(gram[list(support)][:, list(support)])
            top = vectors[:, -1] * vectors[:, -1].sum().sign()
            if values[-1] > best and (top > 0).all():
                best, h = values[-1], B.new_zeros(B.shape[1])
                h[used[list(support)]] = top
    s = h / h.sum()
    w = B @ s / s.square().sum()
    return (B - torch.outer(w, s)).square().sum(), w, s
