"""The students: position-only attention (2.4), which the theorems are about, and the full layers (2.5) and (2.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from . import checks
from .activations import Activation
from .scores import SOFTMAX, ScoreMap
from .teachers import Teacher


class PositionOnlyTransformer(nn.Module):
    """TF(X) = σ(W_V X S) with S = softmax(Pᵀ W_KQ P/√D): one layer whose scores depend on positions only (2.4).

    Parameters: `W_V` M × d and `W_KQ` D × D, both zero unless a start is given; `P` D × D orthogonal, None is I;
    `scores`, another score map than the paper's softmax. A call maps X (…, d, D) to (…, M, D).
    Weights have the dtype and device of P, float64 without one.
    Raises ValueError for sizes below 1, a P that is not orthogonal, shapes that do not meet and NaN, TypeError for
    types.

    >>> student = PositionOnlyTransformer(M=2, d=3, D=4, sigma=Activation(0.0))
    >>> student.scores()[:, 0].tolist(), student(torch.ones(5, 3, 4, dtype=torch.float64)).shape
    ([0.25, 0.25, 0.25, 0.25], torch.Size([5, 2, 4]))
    """

    def __init__(
        self, M: int, d: int, D: int, sigma: Activation, P=None, *, scores: ScoreMap = SOFTMAX, W_V=None, W_KQ=None
    ):
        super().__init__()
        M, d, D, self.sigma, P = _common(M, d, D, sigma, P)
        self.score_map = checks.instance("scores", scores, ScoreMap)
        self.register_buffer("P", P)
        for name, W, shape in (("W_V", W_V, (M, d)), ("W_KQ", W_KQ, (D, D))):
            W = P.new_zeros(shape) if W is None else checks.array(name, W, shape, like=P).detach().clone()
            setattr(self, name, nn.Parameter(W))

    @classmethod
    def of(
        cls, teacher: Teacher, P=None, *, scores: ScoreMap = SOFTMAX, W_V=None, W_KQ=None
    ) -> PositionOnlyTransformer:
        """The student of `teacher`'s sizes, activation, dtype and device; the rest as above.

        >>> from bilinear.teachers import convolution
        >>> f = convolution(torch.ones(1, 2), D=4, K=2)
        >>> PositionOnlyTransformer.of(f, W_V=f.V_star).W_V.tolist()
        [[1.0, 1.0]]
        """
        checks.instance("teacher", teacher, Teacher)
        f = teacher
        if P is not None:
            P = checks.orthogonal("P", P, f.D, like=f.V_star)
        return cls(f.M, f.d, f.D, f.sigma, P, scores=scores, W_V=W_V, W_KQ=W_KQ).to(f.V_star)

    def logits(self) -> Tensor:
        """Pᵀ W_KQ P, D × D."""
        return turn(self.P, self.W_KQ)

    def scores(self) -> Tensor:
        """S, D × D; each column sums to one."""
        return self.score_map(self.logits())

    def forward(self, X: Tensor) -> Tensor:
        """TF(X), (…, d, D) to (…, M, D)."""
        checks.tokens(X, self.W_V.shape[1], self.P.shape[0], like=self.W_V)
        return self.sigma(self.W_V @ X @ self.scores())


def turn(P: Tensor, W: Tensor) -> Tensor:
    """PᵀWP, D × D: the logits of weights W. W itself where P is I: products of D × D are dear where D is large.

    Turned by P.T: PWPᵀ, the weights that have the logits W; of a slope in the logits, the slope in W_KQ.
    """
    return W if checks._is_identity(P) else P.T @ W @ P


def sampled_slopes(sigma: Activation, W_V: Tensor, S: Tensor, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, dL/dW_V, dL/dS) of ½·mean ‖Y − σ(W_V X S)‖² over a batch, three products of matrices each way.

    Shapes: `W_V` M × d, `S` D × D, `X` N × d × D, `Y` N × M × D. At 0 the symmetric σ'(0) = ½(1+κ), as in `Activation`.
    Source: the derivative of (3.1), which autograd takes too.
    """
    (N, M, D), linear, even = Y.shape, 0.5 * (1 + sigma.slope), 0.5 * (1 - sigma.slope)
    values = torch.bmm(W_V.expand(N, *W_V.shape), X).reshape(N * M, D)
    Z = values @ S
    error = (Z if sigma.slope == 1 else linear * Z + even * Z.abs()) - Y.reshape(N * M, D)
    loss = 0.5 * error.square().sum() / N
    to_Z = error if sigma.slope == 1 else error * (linear + even * Z.sign())
    to_values = (to_Z @ S.T).reshape(N, M, D)
    return loss, torch.bmm(to_values, X.mT).sum(0) / N, values.T @ to_Z / N


class FullTransformer(nn.Module):
    """TF(X) = σ(W̃_V Z softmax(Zᵀ W̃_KQ Z/√D)) with Z = [X; P]: the merged one-layer transformer (2.5).

    Parameters: `W_V_tilde` M × (d+D) and `W_KQ_tilde` (d+D) × (d+D), both zero at the start. Its scores depend on the
    tokens; with all blocks but `V_X` and `PP` at zero it is the position-only student. Errors as there.

    >>> blocks = FullTransformer(M=2, d=3, D=4, sigma=Activation(1.0)).blocks()
    >>> print(*(f"{name} {tuple(block.shape)}" for name, block in blocks.items()))
    V_X (2, 3) V_P (2, 4) XX (3, 3) XP (3, 4) PX (4, 3) PP (4, 4)
    """

    def __init__(self, M: int, d: int, D: int, sigma: Activation, P=None):
        super().__init__()
        M, d, D, self.sigma, P = _common(M, d, D, sigma, P)
        self.register_buffer("P", P)
        self.W_V_tilde = nn.Parameter(P.new_zeros(M, d + D))
        self.W_KQ_tilde = nn.Parameter(P.new_zeros(d + D, d + D))

    def blocks(self) -> dict[str, Tensor]:
        """Views of the weights by what they join: `V_X`, `V_P` of W̃_V; `XX`, `XP`, `PX`, `PP` of W̃_KQ (row, column)."""
        return _blocks(self.W_V_tilde, self.W_KQ_tilde, self.P.shape[0])

    def forward(self, X: Tensor) -> Tensor:
        """TF(X), (…, d, D) to (…, M, D)."""
        Z = _with_positions(X, self.P, self.W_V_tilde)
        return self.sigma(self.W_V_tilde @ Z @ SOFTMAX(Z.mT @ self.W_KQ_tilde @ Z))


class SeparateTransformer(nn.Module):
    """TF(X) = σ(W̃_V Z softmax((W_K Z)ᵀ W_Q Z/√D)) with Z = [X; P]: the layer with its own keys and queries (2.3).

    Parameters: `W_V_tilde` M × (d+D), zero at the start, and `W_K`, `W_Q` (d+D) × (d+D): no rank is lost. Their entries
    start as N(0, scale²/(d+D)), drawn from `generator`; at `scale` 0 both gradients vanish, and the scores never move.
    It computes the merged layer (2.5) with W̃_KQ = W_Kᵀ W_Q. Errors as there; ValueError for a negative scale.

    >>> student = SeparateTransformer(M=2, d=3, D=4, sigma=Activation(1.0), scale=0.1, generator=torch.Generator())
    >>> student.blocks()["PP"].shape, student(torch.ones(5, 3, 4, dtype=torch.float64)).shape
    (torch.Size([4, 4]), torch.Size([5, 2, 4]))
    """

    def __init__(self, M: int, d: int, D: int, sigma: Activation, P=None, *, scale: float = 0.0, generator=None):
        super().__init__()
        M, d, D, self.sigma, P = _common(M, d, D, sigma, P)
        std = checks.real("scale", scale, least=0, most=1e9) / math.sqrt(d + D)
        if generator is not None:
            checks.instance("generator", generator, torch.Generator)
        self.register_buffer("P", P)
        self.W_V_tilde = nn.Parameter(P.new_zeros(M, d + D))
        self.W_K, self.W_Q = (
            nn.Parameter(std * torch.randn(d + D, d + D, generator=generator, dtype=P.dtype, device=P.device))
            for _ in range(2)
        )

    def blocks(self) -> dict[str, Tensor]:
        """The blocks of W̃_V and of the product W_Kᵀ W_Q, by the names of `FullTransformer.blocks`."""
        return _blocks(self.W_V_tilde, self.W_K.T @ self.W_Q, self.P.shape[0])

    def forward(self, X: Tensor) -> Tensor:
        """TF(X), (…, d, D) to (…, M, D)."""
        Z = _with_positions(X, self.P, self.W_V_tilde)
        return self.sigma(self.W_V_tilde @ Z @ SOFTMAX((self.W_K @ Z).mT @ (self.W_Q @ Z)))


def _blocks(V: Tensor, KQ: Tensor, D: int) -> dict[str, Tensor]:
    d = V.shape[1] - D
    return {
        "V_X": V[:, :d],
        "V_P": V[:, d:],
        "XX": KQ[:d, :d],
        "XP": KQ[:d, d:],
        "PX": KQ[d:, :d],
        "PP": KQ[d:, d:],
    }


def _with_positions(X: Tensor, P: Tensor, like: Tensor) -> Tensor:
    """Z = [X; P], (…, d, D) to (…, d+D, D)."""
    D = P.shape[0]
    checks.tokens(X, like.shape[1] - D, D, like=like)
    return torch.cat([X, P.expand(*X.shape[:-2], D, D)], dim=-2)


def _common(M, d, D, sigma, P):
    M, d, D = (checks.integer(name, size, 1, checks.ROWS) for name, size in (("M", M), ("d", d), ("D", D)))
    checks.instance("sigma", sigma, Activation)
    P = torch.eye(D, dtype=torch.float64) if P is None else checks.orthogonal("P", P, D).detach().clone()
    return M, d, D, sigma, P
