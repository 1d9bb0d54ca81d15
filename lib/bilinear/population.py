"""The exact population loss of a student with scores S and value matrix W_V, and its gradient.

For Gaussian X every pair of pre-activations (u, v) = (v*_mᵀ X s*_i, w_mᵀ X s_i) is a centred Gaussian pair, so the
excess loss ½ Σ_{m,i} E(σ(u) − σ(v))² needs no sampling. Derived in the chapter `paper/setting`:

    E(σ(u) − σ(v))² = a [ E(u−v)² − 2β √(Var u Var v) h(θ) ]

with θ the angle between u and v. The differential of the second term is elementary:

    d(√(Var u Var v) h) = √Var u sin θ d√Var v − θ d Cov.

Everything is written to stay accurate when the student is close to the teacher: E(u−v)² is a sum of squares (each
column s_i is split into its part along s*_i and the rest), and θ comes from sines, never from 1 − cos.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import checks
from .activations import angle_defect
from .scores import SOFTMAX
from .teachers import Teacher


def excess_loss(teacher: Teacher, W_V, S) -> Tensor:
    """L − L_opt = ½ E‖f*(X) − σ(W_V X S)‖_F² for X with i.i.d. N(0, 1) entries, exactly (3.2).

    Shapes: `W_V` M × d, `S` D × D (any finite matrix, not only a softmax); returns a 0-dim tensor. Work O(D² + M(d+D)).
    Relative error of order 1e-10 down to 1e-12 of the loss at zero weights, for every σ. Assumes Gaussian inputs.
    A value only: its slopes are `gradients`, not autograd's, which is NaN at zero weights and at the teacher.
    Raises ValueError for shapes that do not meet the teacher's and for NaN, FloatingPointError where it overflows.

    >>> from bilinear.activations import RELU
    >>> from bilinear.teachers import convolution
    >>> f = convolution(torch.ones(1, 2, dtype=torch.float64), D=4, K=2, sigma=RELU)
    >>> excess_loss(f, f.V_star, f.S_star).item(), excess_loss(f, 0 * f.V_star, f.S_star).item()
    (0.0, 1.0)
    """
    checks.instance("teacher", teacher, Teacher)
    W_V = checks.array("W_V", W_V, (teacher.M, teacher.d), like=teacher.V_star)
    S = checks.array("S", S, (teacher.D, teacher.D), like=teacher.V_star)
    loss = ExactLoss(teacher).loss(W_V, S)
    if not loss.isfinite():
        raise FloatingPointError(f"W_V and S are too large: the loss is {loss.item():g}")
    return loss


def gradients(teacher: Teacher, W_V, W_KQ, P=None) -> tuple[Tensor, Tensor, Tensor]:
    """(excess loss, dL/dW_V, dL/dW_KQ) of the student (2.4) on the population, in closed form.

    Shapes: `W_V` M × d, `W_KQ` D × D, `P` D × D orthogonal (None is I); returns a 0-dim tensor and two of these shapes.
    At W_V = 0 the loss has a kink; there the gradient is that of the symmetric derivative σ'(0) = ½(1+κ).
    Raises ValueError for shapes that do not meet the teacher's, NaN, and a P that is not orthogonal.
    Source: derived in `paper/setting` from (3.1)–(3.4).
    """
    checks.instance("teacher", teacher, Teacher)
    W_V = checks.array("W_V", W_V, (teacher.M, teacher.d), like=teacher.V_star)
    W_KQ = checks.array("W_KQ", W_KQ, (teacher.D, teacher.D), like=teacher.V_star)
    if P is not None:
        P = checks.orthogonal("P", P, teacher.D, like=teacher.V_star)
    logits = W_KQ if P is None else P.T @ W_KQ @ P
    S = SOFTMAX(logits)
    loss, to_W_V, to_S = ExactLoss(teacher).slopes(W_V, S)
    to_logits = SOFTMAX.pull_back(logits, S, to_S)
    if not loss.isfinite():
        raise FloatingPointError(f"W_V and W_KQ are too large: the loss is {loss.item():g}")
    return loss, to_W_V, to_logits if P is None else P @ to_logits @ P.T


class ExactLoss:
    """The formulas, with what depends on the teacher alone computed once. Their one home: `compiled` repeats them."""

    def __init__(self, teacher: Teacher):
        self.V_star, self.S_star = teacher.V_star, teacher.S_star
        self.a, self.beta = teacher.sigma.a, teacher.sigma.beta
        self.s_star_sq = (self.S_star * self.S_star).sum(0)  # ‖s*_i‖²      (D,)
        self.s_star_norm = self.s_star_sq.sqrt()
        self.per_s_star_sq = 1 / torch.where(self.s_star_sq > 0, self.s_star_sq, 1.0)
        v_sq = (self.V_star * self.V_star).sum(1)
        self.v_norm = torch.sqrt(v_sq)  # ‖v*_m‖      (M,)
        self.v_sq = torch.where(v_sq > 0, v_sq, 1.0)  # a zero row is divided by one
        self.per_v_norm = 1 / torch.where(self.v_norm > 0, self.v_norm, 1.0)
        self.V_star_sq = v_sq.sum()
        self.per_V_star_sq = 1 / self.V_star_sq if self.V_star_sq > 0 else 0.0

    def loss(self, W_V, S):
        """The excess loss at (W_V, S)."""
        return self._loss(W_V, S)[0]

    def _loss(self, W_V, S):
        b = (self.S_star * S).sum(0) * self.per_s_star_sq  # s_i = b_i s*_i + rest_i, orthogonal
        rest = S - b * self.S_star
        rest_sq = (rest * rest).sum(0)  # (D,)
        w_sq, w_dot = (W_V * W_V).sum(1), (W_V * self.V_star).sum(1)  # ‖w_m‖², w_m·v*_m      (M,)
        W_sq, WV = w_sq.sum(), w_dot.sum()
        c = WV * self.per_V_star_sq
        across = W_V - c * self.V_star  # W_V = c V* + across, orthogonal too
        along = (b * c - 1) ** 2 * self.V_star_sq + b * b * (across * across).sum()  # ‖b_i W_V − V*‖²
        linear = (self.s_star_sq * along + W_sq * rest_sq).sum()  # Σ_{m,i} E(u−v)²
        if self.beta == 0:
            return 0.5 * self.a * linear, b, rest, W_sq, WV, None
        s_norm, w_norm = torch.sqrt(b * b * self.s_star_sq + rest_sq), torch.sqrt(w_sq)  # ‖s_i‖ (D,), ‖w_m‖ (M,)
        per_s, per_w = 1 / (s_norm + (s_norm == 0)), 1 / (w_norm + (w_norm == 0))
        w_rest = W_V - (w_dot / self.v_sq)[:, None] * self.V_star  # the part of w_m across v*_m
        w_dot = w_dot * self.per_v_norm  # w_m·v*_m/‖v*_m‖
        sin_w_sq = (w_rest * w_rest).sum(1) * per_w * per_w + (w_norm == 0)  # a zero row stands at a right angle
        sin_s_sq = rest_sq * per_s * per_s
        sin = torch.sqrt(sin_s_sq + (1 - sin_s_sq) * sin_w_sq[:, None])  # sin θ_{mi}      (M, D)
        cos = (w_dot * per_w)[:, None] * (b * self.s_star_norm * per_s)
        theta = torch.arctan2(sin, cos)
        lengths = (self.v_norm * w_norm)[:, None] * (self.s_star_norm * s_norm)
        even = (lengths * angle_defect(theta, sin, cos)).sum()
        value = 0.5 * self.a * linear - self.a * self.beta * even
        return value, b, rest, W_sq, WV, (theta, sin, w_norm, per_w, w_dot, s_norm, per_s)

    def slopes(self, W_V, S):
        """(excess loss, dL/dW_V, dL/dS), S any matrix: the score map, and its pull-back, are `scores`."""
        loss, b, rest, W_sq, WV, angles = self._loss(W_V, S)
        to_W = (S * S).sum() * W_V - (b * self.s_star_sq).sum() * self.V_star
        on_teacher = b * W_sq - WV  # dL/ds_i = on_teacher_i s*_i + W_sq rest_i − …
        on_rest = W_sq
        if angles is not None:
            theta, sin, w_norm, per_w, w_dot, s_norm, per_s = angles
            d_w_norm = self.v_norm * (sin @ (self.s_star_norm * s_norm))  # (M,)
            d_w_dot = self.v_norm * (theta @ (self.s_star_sq * b))
            to_W = to_W - self.beta * (
                (d_w_norm * per_w)[:, None] * W_V - (d_w_dot * self.per_v_norm)[:, None] * self.V_star
            )
            d_s_norm = self.s_star_norm * ((self.v_norm * w_norm) @ sin) * per_s  # (D,), multiplies s_i
            d_s_dot = (self.v_norm * w_dot) @ theta  # (D,), multiplies s*_i
            on_teacher = on_teacher - self.beta * (d_s_norm * b - d_s_dot)
            on_rest = W_sq - self.beta * d_s_norm
        return loss, self.a * to_W, self.a * (on_teacher * self.S_star + on_rest * rest)
