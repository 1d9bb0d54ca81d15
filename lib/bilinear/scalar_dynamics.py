"""Two numbers carry the whole training run.

From zero weights, gradient descent on the population keeps W_V = C₁ V*, and the scores have two levels: p on the
support and p·x off it, x = e^{−gap}. So two scalars, C₁ and the gap, say everything, whatever V*, P, the support
pattern or the task (section 5 of the paper, Lemma D.2; the exact map is derived in `paper/two-scalars`, its laws in
`paper/sharp-law`).
With r = (D−K)/K, θ = atan(√r x), a = ½(1+κ²) and β = (1−κ)²/(π(1+κ²)):

    C₁⁺  = C₁ − (ηaD/K) [ C₁(1+rx²)/(1+rx)² − (1 + β(tan θ − θ))/(1+rx) ]
    gap⁺ = gap + (ηa‖V*‖²/K³) · C₁x/(1+rx)² · [ 1 − βθ + β(1−x) sin θ cos θ − C₁(1−x)/(1+rx) ]
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from . import checks
from .activations import Activation, angle_defect
from .teachers import Teacher


class ScalarRun(NamedTuple):
    """Aligned arrays: `t` (steps), `C1`, `gap` (natural log units), `excess_loss` (exact)."""

    t: np.ndarray
    C1: np.ndarray
    gap: np.ndarray
    excess_loss: np.ndarray


class LateLaws(NamedTuple):
    """Late laws that carry a: `off_support` δ, `value_error` ‖W_V − V*‖_F, `score_error` ‖S − S*‖_F, and `gap`."""

    off_support: np.ndarray
    value_error: np.ndarray
    score_error: np.ndarray
    gap: np.ndarray


def late_loss_law(teacher: Teacher, eta: float, T):
    """Σ_i K_i(D−K_i)/(4ηT), K_i the non-zeros of column i of S*: the late excess loss of a teacher with mixed columns.

    Each zero costs K_i/(4ηT), whatever V*, σ and the positive values in the column. T in steps.
    Raises ValueError where a column of S* has a negative entry or does not sum to one: no softmax reaches it.
    Assumes η below the largest stable step. Source: derived in `paper/sharp-law`.

    >>> from bilinear.teachers import convolution
    >>> f = convolution(np.ones((1, 2)), D=6, groups=[[0], [1, 2, 3, 4, 5]])   # columns with K_i = 1, 5, 5, 5, 5, 5
    >>> float(late_loss_law(f, eta=0.5, T=100))                                # 6 · 5/(4 · 0.5 · 100)
    0.15
    """
    columns = teacher.S_star.sum(0)
    if (teacher.S_star < 0).any() or ((columns - 1).abs() > 1e-6).any():
        least = teacher.S_star.min().item()
        worst = columns[(columns - 1).abs().argmax()].item()
        raise ValueError(f"columns of S_star must be at least 0 and sum to 1; least entry {least:g}, a sum {worst:g}")
    counts = teacher.support.sum(0)
    zeros = float((counts * (teacher.D - counts)).sum())
    return zeros / (4 * checks.real("eta", eta, above=0) * np.asarray(T, dtype=float))


@dataclass(frozen=True)
class ScalarDynamics:
    """The two scalars of a teacher with D tokens, K per column, ‖V*‖_F² = `V_norm_sq`, at step size η and slope κ.

    Assumes Gaussian inputs, zero initial weights, one η for both matrices (3.3)–(3.4).
    Raises ValueError unless 1 ≤ K ≤ D, V_norm_sq > 0, η > 0 and 0 ≤ κ ≤ 1.

    >>> ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05).escape_time
    3240.0
    """

    D: int
    K: int
    V_norm_sq: float
    eta: float
    slope: float = 1.0

    def __post_init__(self):
        checks.integer("D", self.D, 1)
        if checks.integer("K", self.K, 1) > self.D:
            raise ValueError(f"K must be at most D = {self.D}, got {self.K}")
        checks.real("V_norm_sq", self.V_norm_sq, above=0)
        checks.real("eta", self.eta, above=0)
        Activation(self.slope)

    @classmethod
    def of(cls, teacher: Teacher, eta: float) -> ScalarDynamics:
        """The scalars of `teacher`. Raises ValueError where its S* is not uniform (see `Teacher.K`)."""
        checks.instance("teacher", teacher, Teacher)
        return cls(teacher.D, teacher.K, float((teacher.V_star**2).sum()), eta, teacher.sigma.slope)

    @property
    def r(self) -> float:
        """(D−K)/K, zeros per non-zero in a column of S*."""
        return (self.D - self.K) / self.K

    @property
    def escape_time(self) -> float:
        """T* = K D²/(η‖V*‖²) steps: the scale on which attention switches on (Theorem 3.1)."""
        return self.K * self.D**2 / (self.eta * self.V_norm_sq)

    @property
    def largest_stable_eta(self) -> float:
        """η_max = 2K/(aD): above it C₁ overshoots its fixed point at full attention by more than it was off."""
        return 2 * self.K / (Activation(self.slope).a * self.D)

    def excess_loss_law(self, T):
        """K D (D−K)/(4ηT), the late excess loss for every σ and V*; T in steps (derived in `paper/sharp-law`)."""
        with np.errstate(divide="ignore"):  # infinite at T = 0
            return self.K * self.D * (self.D - self.K) / (4 * self.eta * np.asarray(T, dtype=float))

    def excess_loss(self, C1, gap):
        """The exact excess loss at (C₁, gap), as a sum without cancellation:

        (a‖V*‖²D/2K) [ (1−m)² + m² tan²θ − 2mβ(tan θ − θ) ],  m = C₁/(1+rx) the weight that reaches the support.
        """
        x = np.exp(-np.asarray(gap, dtype=float))
        activation, tan = Activation(self.slope), np.sqrt(self.r) * x
        cos = 1 / np.sqrt(1 + tan * tan)
        defect = angle_defect(np.arctan(tan), tan * cos, cos) / cos  # tan θ − θ
        m = C1 / (1 + self.r * x)
        bracket = (1 - m) ** 2 + (m * tan) ** 2 - 2 * m * activation.beta * defect
        return activation.a * self.V_norm_sq * self.D / (2 * self.K) * bracket

    def slow_manifold(self, gap):
        """C₁*(gap) = (1+rx)(1 + β(tan θ − θ))/(1+rx²), where C₁ has come to rest for a given gap."""
        x = np.exp(-np.asarray(gap, dtype=float))
        tan = np.sqrt(self.r) * x
        return (1 + self.r * x) * (1 + Activation(self.slope).beta * (tan - np.arctan(tan))) / (1 + self.r * x * x)

    def slow_time(self, gap):
        """τ = T/T* at which the gap is reached while C₁ rests on its slow manifold:

        τ = ∫ (1+rx²)² / (a(1+r)²x² (1−βθ)(1+β(tan θ−θ))) dgap from 0, one quadrature for any κ.
        Identity: r[sinh 2u + 2u − sinh 2u₀ − 2u₀]/(1+r)², u = gap − ½ ln r. Assumes K < D and T* ≫ 1/η; see `lag`.
        Source: derived in `paper/sharp-law`.

        >>> scalars = ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05, slope=0.0)
        >>> float(scalars.slow_time(math.log(8)).round(3))       # half of the attention is on the support
        2.818
        """
        r, activation = self._positive_r(), Activation(self.slope)
        gap = np.asarray(gap, dtype=float)
        if activation.beta == 0:
            u, start = gap - 0.5 * math.log(r), -0.5 * math.log(r)
            return r / (1 + r) ** 2 * (np.sinh(2 * u) + 2 * u - math.sinh(2 * start) - 2 * start)

        def per_gap(gap):
            x = math.exp(-gap)
            tan = math.sqrt(r) * x
            theta = math.atan(tan)
            speed = (1 - activation.beta * theta) * (1 + activation.beta * (tan - theta))
            return (1 + tan * tan) ** 2 / (activation.a * (1 + r) ** 2 * x * x * speed)

        return _integrals(per_gap, gap)

    def lag(self, gap):
        """s(gap): C₁ trails its slow manifold, and this delays the gap by s/η steps; s = 1/a at the start.

        Identity: s = 1 + (r/(1+r)) ∫ (ry²+2y−1)²/(1+ry²)² dgap, y = e^{−gap}; any κ by one quadrature. First order in
        1/(ηT*) = ‖V*‖²/(KD²). Assumes K < D. Source: derived in `paper/sharp-law`.

        >>> float(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05).lag(1.0).round(4))
        1.5478
        """
        r, activation = self._positive_r(), Activation(self.slope)
        a, beta = activation.a, activation.beta

        def per_gap(gap):
            x = math.exp(-gap)
            tan = math.sqrt(r) * x
            theta, cos_sq, mass = math.atan(tan), 1 / (1 + tan * tan), 1 / (1 + r * x)
            drive = 1 + beta * (tan - theta)
            C1_log_slope = -x * (r * mass + beta * math.sqrt(r) * tan**2 * cos_sq / drive - 2 * r * x * cos_sq)
            force_log_slope = 1 - drive * (1 - x) * mass / ((1 - beta * theta) * x)  # C₁ ∂ log(gap's rate)/∂C₁
            return C1_log_slope * force_log_slope * cos_sq / (a * (1 + r) * mass**2)

        return 1 / a + _integrals(per_gap, np.asarray(gap, dtype=float))

    def arrival(self, gap):
        """Steps until the gap is reached, T* slow_time + lag/η, for any κ (derived in `paper/sharp-law`).

        Off by O(1) steps and, relative, by the square of the lag's share. η below `largest_stable_eta`.

        >>> float(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05).arrival(1.0).round(1))
        1905.5
        """
        return self.escape_time * self.slow_time(gap) + self.lag(gap) / self.eta

    @property
    def half_attention_time(self) -> float:
        """Steps until half of the attention is on the support, gap = ln r, by `arrival`. ValueError where 2K ≥ D.

        Identity, in T*: (r²−1+2r ln r)/(1+r)², plus the lag. Source: derived in `paper/sharp-law`.
        """
        if not 2 * self.K < self.D:
            raise ValueError(f"attention starts on the support with mass K/D = {self.K}/{self.D}, half or more")
        return float(self.arrival(math.log(self.r)))

    def closed_form(self, T) -> ScalarRun:
        """The identity's whole run in closed form, T in steps: a Fermi function of u = gap − ½ ln r,

        excess loss = (‖V*‖²D/2K)/(1 + e^{2u}),   sinh 2u + 2u = D²τ/(K(D−K)) − (r − 1/r)/2 − ln r,
        with τ = (T − s/η)/T*, s of `lag`. C₁ is on its slow manifold. Raises ValueError for κ < 1 and K = D.
        Source: derived in `paper/sharp-law`.

        >>> scalars = ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05)
        >>> float(scalars.closed_form(3000).excess_loss[0].round(3)), float(scalars.run(3000).excess_loss[-1].round(3))
        (28.813, 28.814)
        """
        if self.slope != 1:
            raise ValueError(f"the closed form needs the identity, slope 1, got slope {self.slope:g}")
        T = np.atleast_1d(np.asarray(T, dtype=float))
        r = self._positive_r()
        most = 1 + abs(math.log(r)) + 0.5 * np.arcsinh((1 + r) ** 2 * (T / self.escape_time) / r + r + 1 / r)
        start = float(self.arrival(0.0))
        gap = np.array(
            [
                brentq(lambda gap, t=t: float(self.arrival(gap)) - t, 0.0, high, xtol=1e-13) if t > start else 0.0
                for t, high in zip(T, most, strict=True)
            ]
        )
        initial = self.V_norm_sq * self.D / (2 * self.K)
        return ScalarRun(T, self.slow_manifold(gap), gap, initial / (1 + np.exp(2 * gap) / r))

    def late_laws(self, T) -> LateLaws:
        """What the two scalars tend to at step T, to leading order; T in steps. Unlike the loss these carry a:

        δ → (D−K)√(K/(2aη‖V*‖²T)),         ‖W_V − V*‖ → (D−K)√(K/(2aηT)),
        ‖S − S*‖ → D√((D−K)/(2aηT))/‖V*‖,   gap → ½ ln(2aη‖V*‖²T/K³).
        Assumes K < D and η below `largest_stable_eta`. Source: derived in `paper/sharp-law`.

        >>> laws = ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05).late_laws(1e6)
        >>> [round(float(law), 4) for law in laws]
        [0.0358, 0.2024, 0.1138, 5.4099]
        """
        w, r = self._late_root(T), self.r
        delta = math.sqrt(r) / w
        to_scores = self.D / math.sqrt(self.K * (self.D - self.K))
        return LateLaws(delta, delta * math.sqrt(self.V_norm_sq), delta * to_scores, np.log(math.sqrt(r) * w))

    def next_order(self, T):
        """ε(T), the late law's relative correction: the loss is excess_loss_law(T) times 1 + ε + smaller terms.

        ε = 4β/(3w) + [2A − 1/3 + (2+β²) ln w²]/w², w² = 2a(1+r)²τ/r, A the finite part of `slow_time` (one quadrature;
        identity: 2A = r − 1/r + 2 ln r − 2/3). The delay of `lag` adds s/(ηT). Assumes K < D.
        Source: derived in `paper/sharp-law`.

        >>> float(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05).next_order(32400).round(4))
        0.1069
        """
        w, beta, to_log = self._late_root(T), Activation(self.slope).beta, 2 + Activation(self.slope).beta ** 2

        def regular(theta):  # slow_time's integrand over θ, less what diverges at θ = 0
            speed = (1 - beta * theta) * (1 + beta * (math.tan(theta) - theta))
            return (
                1 / ((math.sin(theta) * math.cos(theta)) ** 3 * speed) - (1 / theta + beta) / theta**2 - to_log / theta
            )

        start = math.atan(math.sqrt(self.r))
        A = quad(regular, 0, start, limit=500, epsabs=1e-7, epsrel=1e-7)[0]
        A += to_log * math.log(start) - 0.5 / start**2 - beta / start
        return 4 * beta / (3 * w) + (2 * A - 1 / 3 + 2 * to_log * np.log(w)) / w**2

    def _late_root(self, T):
        """w = (1+r)√(2aτ/r), large late in training: θ → 1/w."""
        r = self._positive_r()
        tau = np.asarray(T, dtype=float) / self.escape_time
        return (1 + r) * np.sqrt(2 * Activation(self.slope).a * tau / r)

    def _positive_r(self) -> float:
        if self.K == self.D:
            raise ValueError(f"K must be less than D = {self.D}, got {self.K}: with no zeros the scores never move")
        return self.r

    def _force(self, C1: float, gap: float) -> tuple[float, float]:
        """(−dL/dC₁, the gap's rate): what one step adds, per unit of η."""
        r, activation = self.r, Activation(self.slope)
        a, beta = activation.a, activation.beta
        x = math.exp(-gap)
        tan = math.sqrt(r) * x
        theta, cos_sq, mass = math.atan(tan), 1 / (1 + tan * tan), 1 / (1 + r * x)
        to_C1 = a * self.D / self.K * mass * (1 + beta * (tan - theta) - C1 * (1 + r * x * x) * mass)
        if r == 0:  # every token is in the support: the scores are uniform for ever
            return to_C1, 0.0
        bracket = 1 - beta * theta + beta * (1 - x) * tan * cos_sq - C1 * (1 - x) * mass
        return to_C1, a * self.V_norm_sq / self.K**3 * C1 * x * mass**2 * bracket

    def _first_step(self) -> float:
        """C₁ after step one: at W_V = 0 the loss has a kink, and σ'(0) = ½(1+κ) gives η(1+κ)²/4; the scores stay."""
        return self.eta * (1 + self.slope) ** 2 / 4

    def run(self, steps: int) -> ScalarRun:
        """The exact map, t = 0 … `steps`. A few microseconds a step. Raises FloatingPointError where it diverges."""
        steps = checks.integer("steps", steps, 0)
        C1, gap = np.zeros(steps + 1), np.zeros(steps + 1)
        c, g, bound = self._first_step(), 0.0, 1e3 * math.sqrt(self.D / self.K)
        for t in range(1, steps + 1):
            C1[t], gap[t] = c, g
            if not (abs(c) < bound and g > -300):  # a gap so negative that e^{−gap} is about to overflow
                self._diverged(t, c)
            to_C1, to_gap = self._force(c, g)
            c, g = c + self.eta * to_C1, g + self.eta * to_gap
        return ScalarRun(np.arange(steps + 1), C1, gap, self.excess_loss(C1, gap))

    def solve(self, times: Iterable[float], *, map_steps: int = 1000) -> ScalarRun:
        """The same record at `times` (steps, any order, any horizon) by an ODE solver.

        The first `map_steps` steps are the exact map, which the fast transient of C₁ needs; from there the flow
        dC₁/dt, dgap/dt is solved (scipy's LSODA, relative tolerance 1e-10). The flow runs ahead of or behind the map
        by O(1) steps, so the relative difference falls as 1/t. Between whole steps of the map: linear interpolation.
        """
        times = checks.reals("times", times, least=0)
        if self.eta > self.largest_stable_eta:
            raise ValueError(f"the flow needs eta at most 2K/(aD) = {self.largest_stable_eta:g}, got {self.eta:g}")
        head = self.run(checks.integer("map_steps", map_steps, 1))
        C1, gap = np.interp(times, head.t, head.C1), np.interp(times, head.t, head.gap)
        late = np.unique(times[times > map_steps])
        if late.size:
            flow = solve_ivp(
                lambda _, y: [self.eta * force for force in self._force(*y)],
                (float(map_steps), late[-1]),
                [head.C1[-1], head.gap[-1]],
                method="LSODA",
                t_eval=late,
                rtol=1e-10,
                atol=1e-13,
            )
            if not flow.success:
                raise FloatingPointError(f"the flow could not be solved beyond t = {flow.t[-1]:g}: {flow.message}")
            where = times > map_steps
            index = np.searchsorted(late, times[where])
            C1[where], gap[where] = flow.y[0][index], flow.y[1][index]
        return ScalarRun(times, C1, gap, self.excess_loss(C1, gap))

    def _safe_eta(self) -> float:
        """A step at which neither scalar overshoots: C₁ has curvature aD at most; x/(1+rx)² ≤ 1/4r bounds the gap."""
        a, r = Activation(self.slope).a, max(self.r, 1 / self.D)
        return min(1 / (a * self.D), 4 * r * self.K**3 / (a * self.V_norm_sq * math.sqrt(self.D / self.K)))

    def _diverged(self, step: int, C1: float):
        raise FloatingPointError(
            f"the two scalars diverged at step {step}: C1 = {C1:.3g} at eta = {self.eta:g}; "
            f"eta ≤ {self._safe_eta():.3g} would hold: no scores let C₁ overshoot, and the gap moves by one at most"
        )


def _integrals(integrand, ends):
    """∫₀^end for each of `ends`."""
    values = [quad(integrand, 0.0, end, limit=500, epsrel=1e-11)[0] for end in ends.ravel()]
    return np.array(values).reshape(ends.shape)
