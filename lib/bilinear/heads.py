"""Several heads: the exact loss of σ(Σ_h W_h X S_h) against a one-head teacher, and its slopes.

A pair of pre-activations is still a centred Gaussian pair, u = v*_mᵀ X s*_i and v = Σ_h w_{h,m}ᵀ X s_{h,i}, with

    Var u = ‖v*_m‖²‖s*_i‖²,
    Var v = Σ_{h,g} ⟨w_{h,m}, w_{g,m}⟩⟨s_{h,i}, s_{g,i}⟩,
    Cov   = Σ_h ⟨v*_m, w_{h,m}⟩⟨s*_i, s_{h,i}⟩.

So the loss is `population`'s, ½ Σ_{m,i} a [E(u−v)² − 2β √(Var u Var v) h(θ)], and needs no sampling. One head is
`population` itself, which stays accurate nearer to the teacher: here E(u−v)² = Var u + Var v − 2 Cov cancels, so that
a loss below 1e-14 of the initial one is rounding, of either sign. Several heads have no two-scalar form: train them
with `descent.descend`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from . import checks
from .activations import angle_defect
from .scores import SOFTMAX, ScoreMap
from .teachers import Teacher


def excess_loss(teacher: Teacher, W_V, S) -> Tensor:
    """½ E‖f*(X) − σ(Σ_h W_h X S_h)‖_F² for Gaussian X, exactly. Shapes: `W_V` heads × M × d, `S` heads × D × D; 0-dim.

    A value only: its slopes are `slopes`, not autograd's. Raises ValueError for shapes that do not meet the teacher's
    and for NaN, FloatingPointError where the loss overflows.

    >>> from bilinear.teachers import convolution
    >>> f = convolution(torch.ones(1, 2, dtype=torch.float64), D=4, K=2)
    >>> halves = torch.stack([f.V_star, f.V_star]) / 2          # two heads that share the work
    >>> excess_loss(f, halves, torch.stack([f.S_star, f.S_star])).item()
    0.0
    """
    W_V, S = _weights(teacher, W_V, S, "S")
    loss = _loss_and_moments(teacher, W_V, S)[0]
    if not loss.isfinite():
        raise FloatingPointError(f"W_V and S are too large: the loss is {loss.item():g}")
    return loss


def slopes(teacher: Teacher, *, scores: ScoreMap = SOFTMAX) -> Callable:
    """The function (W_V, W_KQ) → (excess loss, {"W_V": dL/dW_V, "W_KQ": dL/dW_KQ}) that `descent.descend` takes.

    Shapes: `W_V` heads × M × d, `W_KQ` heads × D × D (logits: P = I), the same for the slopes.
    Where a pre-activation of the student is zero, the slope is that of the symmetric σ'(0) = ½(1+κ).

    >>> from bilinear.descent import descend
    >>> from bilinear.teachers import convolution
    >>> f = convolution(torch.ones(1, 2), D=4, K=2)
    >>> W_V = 0.1 * torch.randn(2, 1, 2, generator=torch.Generator().manual_seed(0))   # equal heads would stay equal
    >>> run = descend(slopes(f), {"W_V": W_V, "W_KQ": torch.zeros(2, 4, 4)}, eta=0.2, steps=2000)
    >>> bool(run.loss[-1] < 0.05 * run.loss[0]), run.W_V.shape
    (True, torch.Size([2, 1, 2]))
    """
    checks.instance("teacher", teacher, Teacher)
    checks.instance("scores", scores, ScoreMap)

    def of(W_V, W_KQ):
        W_V, W_KQ = _weights(teacher, W_V, W_KQ, "W_KQ")
        S = scores(W_KQ)
        with torch.enable_grad():
            w, s = W_V.detach().requires_grad_(), S.detach().requires_grad_()
            loss, var, cov, to_var, to_cov = _loss_and_moments(teacher, w, s)
            to_W, to_S = torch.autograd.grad((to_var * var + to_cov * cov).sum(), (w, s))
        return loss.detach(), {"W_V": to_W, "W_KQ": scores.pull_back(W_KQ, S, to_S)}

    return of


def _loss_and_moments(teacher: Teacher, W_V: Tensor, S: Tensor):
    """(loss, Var v, Cov, dL/dVar v, dL/dCov), all M × D but the loss.

    The last two by hand, since autograd fails where teacher and student agree: with e = √(Var u Var v) h(θ),
    de = √(Var u/Var v) sin θ dVar v/2 − θ dCov.
    """
    V_star, S_star, a, beta = teacher.V_star, teacher.S_star, teacher.sigma.a, teacher.sigma.beta
    var_u = V_star.square().sum(1)[:, None] * S_star.square().sum(0)
    var = torch.einsum("hmk,gmk,hji,gji->mi", W_V, W_V, S, S)
    cov = torch.einsum("mk,hmk,ji,hji->mi", V_star, W_V, S_star, S)
    u, v, c = var_u.detach(), var.detach().clamp(min=0), cov.detach()
    lengths = u.sqrt() * v.sqrt()  # the product of the squares may underflow
    cosine = torch.where(lengths > 0, c / torch.where(lengths > 0, lengths, 1.0), 0.0).clamp(-1, 1)
    theta = torch.atan2(((1 - cosine) * (1 + cosine)).sqrt(), cosine)  # a student of zero stands at a right angle
    sin, cos = theta.sin(), theta.cos()
    loss = 0.5 * a * (u + v - 2 * c - 2 * beta * lengths * angle_defect(theta, sin, cos)).sum()
    per_v = 1 / torch.where(v > 0, v, 1.0).sqrt() * (v > 0)
    to_var = 0.5 * a * (1 - beta * u.sqrt() * sin * per_v)
    to_cov = a * (beta * theta - 1)
    return loss, var, cov, to_var, to_cov


def _weights(teacher, W_V, S, name) -> tuple[Tensor, Tensor]:
    checks.instance("teacher", teacher, Teacher)
    W_V = checks.array("W_V", W_V, ("heads", teacher.M, teacher.d), like=teacher.V_star)
    return W_V, checks.array(name, S, (len(W_V), teacher.D, teacher.D), like=teacher.V_star)
