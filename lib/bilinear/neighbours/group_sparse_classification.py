"""Group-sparse classification by one attention layer under the logistic loss (arXiv 2504.08638).

The label y = sign⟨x_{j*}, v*⟩ reads one of D Gaussian groups. A layer f = Σ_j vᵀZ softmax(ZᵀW z_j), z_j = [x_j; p_j],
whose scores S depend on positions only is f = ⟨B, X⟩ with B = v aᵀ, a = S1: bilinear in v and in the attention a.
Since log(1 + e^{−m}) is an even function of m less m/2, the population loss of every linear classifier B (d × D) is

    L(B) = E log(1 + e^{−A|h|}) + (A − (1 − 2ε)⟨B, B*⟩)/√(2π),    A = ‖B‖_F,  h ~ N(0, 1),

for labels sign⟨B*, X⟩ with ‖B*‖_F = 1 that are flipped with probability ε; here B* = v* e_{j*}ᵀ. The first term tends
to c/A. Everything is derived in the chapter `neighbours/group-sparse-classification`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, root
from torch import Tensor

from .. import checks, descent
from ..descent import Run
from ..scalar_dynamics import SIZES

HORIZON, LONGEST = 1e18, 1e30  # steps that the flow is followed for; norm of a code
PULL = 1 / math.sqrt(2 * math.pi)  # ½ E|h|: how hard a Gaussian label pulls at ⟨B, B*⟩
BOUNDARY = math.sqrt(2 / math.pi) * math.pi**2 / 12  # c: density of |h| at zero times ∫₀^∞ log(1 + e^{−m}) dm


def _half_normal_nodes(panels: int = 40, order: int = 12, top: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for E g(|h|): panels that halve towards zero, so that every scale 1/A has its own."""
    x, weights = np.polynomial.legendre.leggauss(order)
    edges = np.concatenate([[0.0], top * 0.5 ** np.arange(panels - 1, -1, -1)])
    half = np.diff(edges)[:, None] / 2
    h = ((edges[:-1] + edges[1:])[:, None] / 2 + half * x).ravel()
    return h, (half * weights).ravel() * math.sqrt(2 / math.pi) * np.exp(-h * h / 2)


_H, _WEIGHT = _half_normal_nodes()
_H_WEIGHT = _H * _WEIGHT


def boundary_loss(A):
    """E log(1 + e^{−A|h|}), h ~ N(0, 1): the loss of a classifier of norm A that points the right way.

    A ≥ 0, a number or an array; the same shape is returned. ln 2 at A = 0; c/A − (7π⁴/720)√(2/π)/A³ + … for large A.
    Error below 1e-13 relative up to A = 1e8. Raises ValueError for A < 0. Source: derived in the chapter.

    >>> float(boundary_loss(0.0).round(6)), float((1000 * boundary_loss(1000.0)).round(6)), round(BOUNDARY, 6)
    (0.693147, 0.656233, 0.656234)
    """
    return _boundary(_norms(A))[0]


def boundary_slope(A):
    """The derivative of `boundary_loss`: −E |h|/(1 + e^{A|h|}), which is −1/√(2π) at 0 and −c/A² for large A.

    >>> float((boundary_slope(0.0) + PULL).round(12)), float((-1e6 * boundary_slope(1000.0)).round(4))
    (0.0, 0.6562)
    """
    return _boundary(_norms(A))[1]


def _boundary(A) -> tuple:
    """`boundary_loss` and `boundary_slope`, which share e^{−A|h|}."""
    e = np.exp(-np.asarray(A)[..., None] * _H)
    return np.log1p(e) @ _WEIGHT, -(e / (1 + e)) @ _H_WEIGHT


def _norms(A) -> np.ndarray:
    return checks.numbers("A", A, least=0)


def population_loss(B, B_star, flip: float = 0.0) -> float:
    """The exact logistic loss of x ↦ ⟨B, X⟩ on labels sign⟨B*, X⟩, flipped with probability `flip`.

    Shapes: `B`, `B_star` d × D, ‖B*‖_F = 1; X has i.i.d. N(0, 1) entries. A layer has B = v (S1)ᵀ, of rank one;
    logistic regression on vec(X) has any B, and the loss is convex in it. Raises ValueError for shapes, a norm of B*
    that is not one, and `flip` outside [0, ½]. Source: derived in the chapter.

    >>> round(population_loss(torch.zeros(2, 3), torch.eye(2, 3) / 2**0.5), 12), round(math.log(2), 12)
    (0.69314718056, 0.69314718056)
    """
    B, B_star, flip = _problem(B, B_star, flip)
    loss = _loss_and_gradient(B, B_star, flip)[0]
    if not math.isfinite(loss):
        raise FloatingPointError(f"B is too large: the loss is {loss:g}")
    return loss


def slopes(B_star, flip: float = 0.0) -> Callable:
    """B ↦ (`population_loss`, {"B": its gradient}), for `descent.descend`: logistic regression, B of any rank.

    dL/dB = Λ'(A) B/A − (1 − 2ε)B*/√(2π); Λ'(A) = 1/√(2π) plus the slope of the boundary loss at A, see
    `boundary_slope`. Errors as in `population_loss`.

    >>> B_star = torch.tensor([[1.0, 0.0]])
    >>> run = descent.descend(slopes(B_star), {"B": torch.ones(1, 2)}, eta=1.0, steps=500)
    >>> round(error_rate(run.B, B_star), 3)
    0.0
    """
    _, B_star, flip = _problem(B_star, B_star, flip)
    B_star = B_star.clone()  # what a caller does to his changes nothing

    def of(B):
        B = checks.array("B", B, tuple(B_star.shape), like=B_star).detach()
        loss, to_B = _loss_and_gradient(B, B_star, flip)
        return loss, {"B": to_B}

    return of


def _problem(B, B_star, flip):
    B_star = checks.array("B_star", B_star, ("d", "D")).detach()
    B = checks.array("B", B, tuple(B_star.shape), like=B_star).detach()
    norm = float(B_star.norm())
    if abs(norm - 1) > 1e-6:
        raise ValueError(f"B_star must have Frobenius norm 1, got {norm:g}")
    return B, B_star, checks.real("flip", flip, least=0.0, most=0.5)


def _loss_and_gradient(B, B_star, flip) -> tuple[float, Tensor]:
    A, along = float(B.norm()), float(B.ravel() @ B_star.ravel())
    rest = float((B - along * B_star).norm()) ** 2  # A − along without cancellation, where along > 0
    short = rest / (A + along) if along > 0 else A - along
    loss, slope = _boundary(A)
    per_norm = (PULL + float(slope)) / A if A > 1e-8 else 0.25  # E h²/4 at zero
    to_B = per_norm * B - (1 - 2 * flip) * PULL * B_star
    return float(loss) + PULL * (short + 2 * flip * along), to_B


def error_rate(B, B_star) -> float:
    """P(sign⟨B, X⟩ ≠ sign⟨B*, X⟩) for Gaussian X: the angle of B and B* over π.

    Shapes: `B` ≠ 0 and `B_star` d × D, of any norm. Raises ValueError for shapes and for a zero B.

    >>> error_rate([[1.0, 1.0]], [[1.0, 0.0]])
    0.25
    """
    B_star = checks.array("B_star", B_star, ("d", "D")).detach()
    B = checks.array("B", B, tuple(B_star.shape), like=B_star).detach()
    if not (B.any() and B_star.any()):
        raise ValueError("B and B_star must not be zero")
    B, B_star = B / B.abs().max(), B_star / B_star.abs().max()  # squares may underflow
    B, B_star = B / B.norm(), B_star / B_star.norm()
    return float(2 * torch.atan2((B - B_star).norm(), (B + B_star).norm()) / math.pi)


def descend(
    B_star, eta: float, steps: int, *, code_norm: float = 1.0, flip: float = 0.0, record: Iterable[int] | None = None
) -> Run:
    """Gradient descent from zero on the exact loss of the position-only layer: full v (d) and full logits (D × D).

    `B_star` d × D of norm 1; `code_norm` ρ = ‖p_j‖ ≥ 0: codes ρ·(orthonormal) make the step on the logits ηρ⁴.
    `record` as in `descent.descend`. Columns: `t`, `loss`, `v_norm` |v|, and, for the top singular pair of B* (v* and
    e_{j*} for rank one), `cosine` of v and v* and `support_mass`, the mean score on j*. Weights: `v`, `logits`, `S`.
    Raises as `population_loss` and `descent.descend`, and for η ≤ 0, ρ < 0.

    >>> run = descend([[0.0, 1.0, 0.0]], eta=0.5, steps=200, code_norm=2.0)
    >>> run.S.shape, bool(run.support_mass[-1] > 0.9)
    (torch.Size([3, 3]), True)
    """
    _, B_star, flip = _problem(B_star, B_star, flip)
    eta, rho = checks.real("eta", eta, above=0), checks.real("code_norm", code_norm, least=0, most=LONGEST)
    left, _, right = torch.linalg.svd(B_star)
    j_star, S = int(right[0].abs().argmax()), None
    v_star = left[:, 0] * right[0, j_star].sign()

    def of_layer(v, logits):
        nonlocal S
        S = torch.softmax(logits, dim=0)
        a = S.sum(1)
        loss, G = _loss_and_gradient(torch.outer(v, a), B_star, flip)
        to_S = (G.T @ v)[:, None]
        return loss, {"v": G @ a, "logits": S * (to_S - (S * to_S).sum(0))}

    def watch(v, logits):
        return _direction(v, v_star) | {"support_mass": float(S[j_star].mean())}

    start = {"v": B_star.new_zeros(len(B_star)), "logits": B_star.new_zeros(2 * B_star.shape[1:])}
    run = descent.descend(of_layer, start, {"v": eta, "logits": eta * rho**4}, steps, record=record, watch=watch)
    return Run(run.columns, run.weights | {"S": S})


def _direction(v, v_star) -> dict:
    norm = float(v.norm())
    return {"v_norm": norm, "cosine": float(v @ v_star) / norm if norm > 0 else 0.0}


@dataclass(frozen=True)
class ClassifierScalars:
    """The two scalars of the position-only layer: v = V v*, and a gap between the scores on j* and the others.

    With p = 1/(1 + (D−1)e^{−gap}), q = p e^{−gap}, s² = p² + (D−1)q², A = D V s and Λ' as in `slopes`,

        V⁺   = V − η D [ s Λ'(A) − (1−2ε) p/√(2π) ]
        gap⁺ = gap − (ηρ⁴/(D−1)) D V p(1−p) [ Λ'(A)(p−q)/s − (1−2ε)/√(2π) ].

    D ≥ 2 groups, step η, `code_norm` ρ ≥ 0, label noise `flip` ε ∈ [0, ½). Raises ValueError otherwise. ρ = 0 keeps the
    attention uniform; the laws need ρ > 0. A run has `t`, V as `C1`, `gap`, and what follows from them, computed when
    it is read: `loss`, `support_mass` p, `off_support` δ.
    Source: derived in the chapter; equal to `descend` for every v*, j* and d.

    >>> scalars = ClassifierScalars(D=6, eta=0.1, code_norm=2.0)
    >>> float(scalars.run(1000).C1[-1].round(3)), float(scalars.V_law(1000).round(3))
    (3.163, 3.201)
    """

    D: int
    eta: float
    code_norm: float = 1.0
    flip: float = 0.0

    def __post_init__(self):
        plain = {"D": checks.integer("D", self.D, 2), "eta": checks.real("eta", self.eta, **SIZES)}
        plain["code_norm"] = checks.real("code_norm", self.code_norm, least=0, most=LONGEST)
        plain["flip"] = checks.real("flip", self.flip, least=0.0, most=0.5)
        for name, least in (("code_norm", 1e-20), ("flip", 1e-15)):
            if 0 < plain[name] < least:
                raise ValueError(f"{name} must be 0 or at least {least:g}, got {plain[name]:g}")
        if plain["flip"] == 0.5:
            raise ValueError("flip must be less than 0.5: labels of pure noise teach nothing")
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def _late(self, t, least: float = 1.0, *, noisy: bool = False) -> np.ndarray:
        """t of a law, at least `least`, after a look at the law's hypotheses: label noise or none, and ρ > 0."""
        if noisy and not self.flip > 0:
            raise ValueError(f"flip must be greater than 0, got {self.flip:g}: this law is one of label noise")
        if self.flip > 0 and not noisy:
            raise ValueError(f"flip must be 0, got {self.flip:g}: this law is one without label noise")
        if not self.code_norm > 0:
            raise ValueError(f"code_norm must be greater than 0, got {self.code_norm:g}: the attention stays uniform")
        return checks.numbers("t", t, least=least)

    def V_law(self, t):
        """(3cηt/D)^{1/3}, late |v₁| without label noise: it diverges. t in steps."""
        return np.cbrt(3 * BOUNDARY * self.eta * self._late(t, 0.0) / self.D)

    def loss_law(self, t):
        """c/(D V_law), the late loss without label noise: t^{−1/3}."""
        return BOUNDARY / (self.D * self.V_law(self._late(t)))

    @property
    def attention_constant(self) -> float:
        """b with δ → 1/(b V²), the positive root of 2b² = g (b + 6D²/(π²(D−1))), g = ρ⁴/(D−1); no label noise.

        >>> round(ClassifierScalars(D=6, eta=0.1, code_norm=2.0).attention_constant, 4)
        3.5647
        """
        g, spread = self.code_norm**4 / (self.D - 1), 6 * self.D**2 / (math.pi**2 * (self.D - 1))
        return (g + math.sqrt(g * g + 8 * g * spread)) / 4

    def next_order(self, t) -> tuple:
        """Relative corrections of V_law and loss_law at t, without label noise, up to terms that decay as ln(t)/t:

        e/V² for V, and (e' − e)/V² for the loss, with w = 3D²/(π²(D−1)b²),
        e = 1/b − w − 7π²/(20D²) and e' = 1/b + w − 7π²/(60D²). Source: derived in the chapter.
        """
        b, per_square = self.attention_constant, 1 / self.V_law(self._late(t)) ** 2
        wide = 3 * self.D**2 / (math.pi**2 * (self.D - 1) * b * b)
        e = 1 / b - wide - 7 * math.pi**2 / (20 * self.D**2)
        to_loss = 1 / b + wide - 7 * math.pi**2 / (60 * self.D**2)
        return e * per_square, (to_loss - e) * per_square

    def off_law(self, t):
        """1/(b V_law²), the attention δ that is left off j* late, without label noise: t^{−2/3}."""
        return 1 / (self.attention_constant * self.V_law(self._late(t)) ** 2)

    @property
    def noisy_optimum(self) -> tuple[float, float]:
        """(A, loss) of the best classifier under label noise: E|h|/(1 + e^{A|h|}) = ε E|h|. ValueError for ε = 0.

        A → π/√(12ε) for small ε.

        >>> A, loss = ClassifierScalars(D=6, eta=0.1, flip=0.01).noisy_optimum
        >>> round(A, 3), round(math.pi / math.sqrt(12 * 0.01), 3)
        (8.88, 9.069)
        """
        if self.flip == 0:
            raise ValueError("without label noise there is no best classifier: the norm diverges")
        most = 10 / math.sqrt(self.flip)
        A = brentq(lambda A: float(boundary_slope(A)) + 2 * self.flip * PULL, 0.0, most, xtol=1e-13)
        return A, float(boundary_loss(A)) + 2 * self.flip * PULL * A

    def noisy_excess_law(self, t):
        """(D−1)/(4ηρ⁴t): the late loss above `noisy_optimum`, for every flip probability ε > 0. t in steps."""
        return (self.D - 1) / (4 * self.eta * self.code_norm**4 * self._late(t, noisy=True))

    def noisy_off_law(self, t):
        """δ under label noise: (D−1)/(ρ²√(2ηt(1−2ε)A/√(2π))), A the optimum's: t^{−1/2} instead of t^{−2/3}."""
        t = self._late(t, noisy=True)
        pull = (1 - 2 * self.flip) * PULL * self.noisy_optimum[0]
        return (self.D - 1) / (self.code_norm**2 * np.sqrt(2 * self.eta * pull * t))

    def loss(self, V, gap):
        """The exact population loss at (V, gap); arrays that broadcast."""
        V = checks.numbers("V", V, least=0, most=1e100)
        p, q = self._scores(checks.numbers("gap", gap, least=-300))
        short = self.D * V * (self.D - 1) * q * q / (np.sqrt(p * p + (self.D - 1) * q * q) + p)  # A − D V p
        A = self.D * V * np.sqrt(p * p + (self.D - 1) * q * q)
        return boundary_loss(A) + PULL * (short + 2 * self.flip * self.D * V * p)

    def _scores(self, gap):
        x = np.exp(-gap)
        p = 1 / (1 + (self.D - 1) * x)
        return p, p * x

    def _force(self, V: float, gap: float) -> tuple[float, float]:
        """What one step adds to V and to the gap, per unit of η."""
        D, (p, q) = self.D, self._scores(gap)
        s = math.sqrt(p * p + (D - 1) * q * q)
        pull = (1 - 2 * self.flip) * PULL
        push = PULL + float(boundary_slope(abs(D * V * s)))  # Λ'(A), odd in V
        push = math.copysign(push, V)
        to_gap = self.code_norm**4 * D * V * p * q * (pull - push * (p - q) / s)  # 1 − p = (D−1) q
        return D * (pull * p - push * s), to_gap

    def run(self, steps: int) -> Run:
        """The exact map, t = 0 … `steps`; about 15 µs a step. Raises FloatingPointError where it diverges."""
        steps = checks.integer("steps", steps, 0, checks.ENTRIES)
        V, gap = np.zeros(steps + 1), np.zeros(steps + 1)
        for t in range(steps):
            to_V, to_gap = self._force(V[t], gap[t])
            V[t + 1], gap[t + 1] = V[t] + self.eta * to_V, gap[t] + self.eta * to_gap
            _refuse_divergence(t + 1, V[t + 1], gap[t + 1], self.eta, self.code_norm)
        return self._as_run(np.arange(steps + 1), V, gap)

    def solve(self, times: Iterable[float], *, map_steps: int = 1000) -> Run:
        """The record at `times` from `map_steps` to 1e18: the map for `map_steps`, then its gradient flow.

        Flow and map differ by a relative O(1/t): a step late in training is small. The record is in increasing order.
        Raises ValueError for earlier times, FloatingPointError where the flow cannot be solved.

        >>> scalars = ClassifierScalars(D=6, eta=0.1, code_norm=2.0)
        >>> float((scalars.solve([1e8]).loss[0] / scalars.loss_law(1e8)).round(4))
        1.0
        """
        map_steps = checks.integer("map_steps", map_steps, 0, checks.ENTRIES)
        times = np.sort(checks.numbers("times", times, least=map_steps, most=HORIZON, line=True))
        if not len(times):
            raise ValueError("times must name at least one time, got none")
        start = self.run(map_steps)

        def flow(log_t, state):
            return self.eta * math.exp(log_t) * np.array(self._force(*state))

        logs, where = np.unique(np.log(np.maximum(times, 1.0)), return_inverse=True)
        begin = math.log(max(map_steps, 1))
        state = (start.C1[-1], start.gap[-1])
        found = solve_ivp(
            checks.bounded(flow),
            (begin, max(logs[-1], begin + 1e-9)),
            state,
            method="LSODA",
            t_eval=logs,
            rtol=1e-10,
            atol=1e-12,
        )
        if not found.success:
            raise FloatingPointError(f"the flow could not be solved: {found.message}")
        return self._as_run(times, *found.y[:, where])

    def _as_run(self, t, V, gap) -> Run:
        return Run(
            {
                "t": t,
                "C1": V,
                "gap": gap,
                "loss": lambda: self.loss(V, gap),
                "support_mass": lambda: self._scores(gap)[0],
                "off_support": lambda: (self.D - 1) * self._scores(gap)[1],
            },
            {},
        )


def _refuse_divergence(step: int, V: float, gap: float, eta: float, code_norm: float):
    if not (abs(V) < 1e6 and gap > -300):  # NaN, infinity, or e^{−gap} is about to overflow
        raise FloatingPointError(
            f"the two scalars diverged at step {step}: V = {V:.3g}, gap = {gap:.3g} at eta = {eta:g}, "
            f"code_norm = {code_norm:g}; a smaller eta or shorter codes would hold"
        )


def margin_run(D: int, eta: float, code_norm: float, gamma: float, steps: int) -> Run:
    """The two scalars where ⟨x_{j*}, v*⟩ = ±γ instead of Gaussian: no density at the boundary, and a margin γ > 0.

    The other groups stay Gaussian, so a sample's margin is D V(pγ + q√(D−1) g), g ~ N(0, 1): one trapezoidal sum, which
    converges geometrically. Late law: loss → 1/(ηD²γ²t) and V → ln(ηD²γ²t)/(Dγ). Columns as in `ClassifierScalars`.
    Raises ValueError for D < 2, and η, `code_norm`, γ ≤ 0, FloatingPointError where it diverges.
    Source: derived in the chapter.

    >>> run = margin_run(D=4, eta=0.1, code_norm=2.0, gamma=1.0, steps=5000)
    >>> float((run.loss[-1] * 0.1 * 4**2 * 5000).round(2))
    1.02
    """
    D, steps = checks.integer("D", D, 2), checks.integer("steps", steps, 0, checks.ENTRIES)
    eta, gamma = checks.real("eta", eta, above=0), checks.real("gamma", gamma, above=0)
    code_norm = checks.real("code_norm", code_norm, above=0, most=LONGEST)
    g = np.linspace(-9, 9, 181)
    weight = np.exp(-g * g / 2) / np.exp(-g * g / 2).sum()
    rows, V, gap = [], 0.0, 0.0
    for t in range(steps + 1):
        _refuse_divergence(t, V, gap, eta, code_norm)
        x = math.exp(-gap)
        p = 1 / (1 + (D - 1) * x)
        q, noise = p * x, math.sqrt(D - 1) * g
        per_V = D * (p * gamma + q * noise)
        losses = np.logaddexp(0, -V * per_V)
        rows.append((V, gap, p, weight @ losses))
        wrong = weight * -np.expm1(-losses)  # −dL/dm, sample by sample: 1/(1 + e^m) for a margin m
        to_gap = code_norm**4 * D * V * p * q * (wrong @ (gamma - noise / (D - 1)))
        V, gap = V + eta * (wrong @ per_V), gap + eta * to_gap
    V, gap, p, loss = np.array(rows).T
    columns = {"t": np.arange(steps + 1), "C1": V, "gap": gap, "loss": loss, "support_mass": p}
    return Run(columns | {"off_support": (D - 1) * p * np.exp(-gap)}, {})


def layer(X: Tensor, v: Tensor, W: Tensor, P: Tensor) -> tuple[Tensor, Tensor]:
    """(f, S): the paper's full layer f = Σ_j vᵀZ softmax(ZᵀW z_j), z_j = [x_j; p_j], and its scores.

    Shapes: `X` n × d × D, `v` d+D, `W` (d+D) × (d+D), `P` D × D (a code a column); returns n and n × D × D. No 1/√D.

    >>> zero = torch.zeros(5, 5)
    >>> f, S = layer(torch.ones(6, 2, 3), torch.ones(5), zero, torch.eye(3))
    >>> f[0].item(), S.shape                        # every token: the mean of [1; 1; p_j], so 2 + 1
    (9.0, torch.Size([6, 3, 3]))
    """
    X = checks.array("X", X, ("n", "d", "D"))
    P = checks.array("P", P, (X.shape[2], X.shape[2]), like=X)
    size = X.shape[1] + X.shape[2]
    v, W = checks.array("v", v, (size,), like=X), checks.array("W", W, (size, size), like=X)
    Z = torch.cat([X, P.expand(len(X), *P.shape)], dim=1)  # n × (d+D) × D
    keys = (Z.mT.reshape(-1, len(W)) @ W).reshape(len(X), -1, len(W))  # z_kᵀW, one matrix product for the whole batch
    S = torch.softmax(keys @ Z, dim=1)
    f = (Z.mT @ v * S.sum(2)).sum(1)
    if not f.isfinite().all():
        raise FloatingPointError("X, v and W are too large together: the scores or the outputs are no numbers")
    return f, S


def train_layer(
    v_star,
    position: int,
    P,
    eta: float,
    steps: int,
    *,
    batch: int = 512,
    flip: float = 0.0,
    seed: int,
    record: Iterable[int] | None = None,
) -> Run:
    """The full layer trained from zero by gradient descent on fresh batches: `v` and `W`, all their blocks.

    Shapes: `v_star` d of norm 1, `P` D × D; labels are flipped with probability `flip`. `record` and the columns as in
    `descend`, for v₁; but the loss is the batch's, and `support_mass` a mean over the batch. Weights: `v`, `W`.
    Raises ValueError for shapes and ranges, FloatingPointError where it diverges.

    >>> from bilinear.positions import sines
    >>> run = train_layer([1.0, 0.0], 0, sines(3), eta=0.1, steps=20, seed=0, record=[20])
    >>> run.v.shape, run.W.shape, bool(run.cosine[0] > 0.99)
    (torch.Size([5]), torch.Size([5, 5]), True)
    """
    v_star = checks.array("v_star", v_star, ("d",)).detach()
    if abs(norm := float(v_star.norm()) - 1) > 1e-6:
        raise ValueError(f"v_star must have norm 1, got {1 + norm:g}")
    P = checks.array("P", P, ("D", "D"), like=v_star)
    d, D = len(v_star), len(P)
    if (position := checks.integer("position", position, 0)) >= D:
        raise ValueError(f"position must be less than D = {D}, got {position}")
    eta = checks.real("eta", eta, above=0)
    batch, flip = checks.integer("batch", batch, 1), checks.real("flip", flip, least=0.0, most=0.5)
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, 0))
    S = None

    def loss(v, W):
        nonlocal S
        X = torch.randn(batch, d, D, generator=generator, dtype=v_star.dtype)
        y = torch.sign(v_star @ X[:, :, position].T)
        y = torch.where(torch.rand(batch, generator=generator, dtype=y.dtype) < flip, -y, y) if flip else y
        f, scores = layer(X, v, W, P)
        S = scores.detach()
        return torch.nn.functional.softplus(-y * f).mean()

    def watch(v, W):
        return _direction(v[:d], v_star) | {"support_mass": float(S[:, position].mean())}

    start = {"v": v_star.new_zeros(d + D), "W": v_star.new_zeros(d + D, d + D)}
    return descent.descend(descent.by_autograd(loss), start, eta, steps, record=record, watch=watch)


def logistic_regression_error(n: int, features: int, C: float = 1.0) -> float:
    """Expected test error of ridge logistic regression, ½‖w‖² + C Σ log(1 + e^{−y⟨w, x⟩}), on n noiseless samples.

    x ~ N(0, I) with `features` entries, y = sign⟨x, w*⟩; exact where n and `features` are large, off by a relative
    O(1/features) otherwise. w = μw* + w⊥, ‖w⊥‖ = σ; a margin is z = μ|u| + σg and settles at the proximal point
    m = z + γ/(1 + e^m), with (ℓ' = −1/(1 + e^m), α = n/features, λ = 1/(Cn)),

        σ² = αγ² E ℓ'²,   E ℓ'|u| + λμ = 0,   E ℓ'g + λσ = σ/(αγ);   error = atan(σ/μ)/π.

    Source: a special case of Salehi, Abbasi and Hassibi (2019); see the chapter.
    Raises ValueError for n or features < 1 and for C ≤ 0.

    >>> round(logistic_regression_error(1000, 100), 4)
    0.0464
    """
    n, features = checks.integer("n", n, 1), checks.integer("features", features, 1)
    alpha, C = n / features, checks.real("C", C, above=0, most=1e6)
    u, u_weight = _half_normal_nodes(panels=6, order=6, top=7.0)
    g = np.linspace(-7, 7, 57)
    weight = np.outer(u_weight, np.exp(-g * g / 2) / np.exp(-g * g / 2).sum())

    def conditions(logs):
        mu, sigma, gamma = np.exp(logs)
        z = mu * u[:, None] + sigma * g
        m = np.zeros_like(z)
        for _ in range(60):  # Newton from 0 is monotone: m − z − γ/(1 + e^m) is convex below 0 and concave above
            pull = np.exp(-np.logaddexp(0, m))
            step = (m - z - gamma * pull) / (1 + gamma * pull * (1 - pull))
            m = m - step
            if np.abs(step).max() < 1e-9:  # the next step would be of order 1e-18
                break
        slope = -np.exp(-np.logaddexp(0, m))
        along, across = (weight * slope * u[:, None]).sum(), (weight * slope * g).sum()
        return [
            math.sqrt(alpha * (weight * slope**2).sum()) * gamma / sigma - 1,
            along / (ridge * mu) + 1,
            (across + ridge * sigma) * alpha * gamma / sigma - 1,
        ]

    # Follow the solution up from a small C, where ℓ' = −1/2 and μ = Cn E|u|/2, σ = C√(n·features)/2, γ = C·features.
    small = min(C, 0.01 / n)
    logs = np.log([PULL * small * n, small * math.sqrt(n * features) / 2, small * features])
    for size in np.geomspace(small, C, 2 + math.ceil(math.log(C / small))):
        ridge = 1 / (size * n)
        found = root(conditions, logs, tol=1e-12)
        if np.abs(found.fun).max() > 1e-6:
            raise ArithmeticError(f"no fixed point found for n = {n}, features = {features}, C = {size:g}")
        logs = found.x
    return math.atan(math.exp(logs[1] - logs[0])) / math.pi
