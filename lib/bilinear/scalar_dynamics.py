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
from scipy.integrate import solve_ivp

from . import checks
from .activations import Activation, angle_defect
from .teachers import Teacher


class ScalarRun(NamedTuple):
    """Aligned arrays: `t` (steps), `C1`, `gap` (natural log units), `excess_loss` (exact)."""

    t: np.ndarray
    C1: np.ndarray
    gap: np.ndarray
    excess_loss: np.ndarray


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
        c, g, bound = self._first_step(), 0.0, 1e6 * math.sqrt(self.D / self.K)
        for t in range(1, steps + 1):
            C1[t], gap[t] = c, g
            if not abs(c) < bound:
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
        times = np.atleast_1d(np.asarray(list(times) if not isinstance(times, np.ndarray) else times, dtype=float))
        if times.size and not (np.isfinite(times).all() and times.min() >= 0):
            raise ValueError(f"times must be finite and at least 0, got {times[~(times >= 0)][:1] or times.max()}")
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

    def _diverged(self, step: int, C1: float):
        raise FloatingPointError(
            f"the two scalars diverged at step {step}: C1 = {C1:.3g} at eta = {self.eta:g}; "
            f"eta ≤ {self.largest_stable_eta:.3g} = 2K/(aD) would hold"
        )
