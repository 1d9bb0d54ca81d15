"""Two numbers carry the whole training run.

From zero weights, gradient descent on the population keeps W_V = C₁ V*, and the scores have two levels: p on the
support and p·x off it, x = e^{−gap}. So two scalars, C₁ and the gap, say everything, whatever V*, P, the support
pattern or the task (section 5 of the paper, Lemma D.2; the exact map is derived in `paper/two-scalars`, what it tends
to stands in `laws`). With r = (D−K)/K, θ = atan(√r x), a = ½(1+κ²) and β = (1−κ)²/(π(1+κ²)):

    C₁⁺  = C₁ − (ηaD/K) [ C₁(1+rx²)/(1+rx)² − (1 + β(tan θ − θ))/(1+rx) ]
    gap⁺ = gap + (ηa‖V*‖²/K³) · C₁x/(1+rx)² · [ 1 − βθ + β(1−x) sin θ cos θ − C₁(1−x)/(1+rx) ]

θ is the angle of teacher and student. Where C₁ < 0, as past η_max, it is π − atan(√r x), with the tangent −√r x.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from . import checks, laws
from .activations import Activation, angle_defect
from .descent import Run
from .teachers import Teacher

SIZES = {"above": 0, "least": 1e-50, "most": 1e50}  # of η and ‖V*‖²: times and laws of them are floats
HORIZON = 1e25  # steps that the flow is followed for; `laws` have no end
AT_ONCE = 1_000_000  # steps of the map before it listens to Ctrl-C again


@dataclass(frozen=True)
class ScalarDynamics:
    """The two scalars of a teacher with D tokens, K per column, ‖V*‖_F² = `V_norm_sq`, at step size η and slope κ.

    Assumes Gaussian inputs, zero initial weights, one η for both matrices (3.3)–(3.4).
    Raises ValueError unless 1 ≤ K ≤ D, 0 ≤ κ ≤ 1, and V_norm_sq and η are positive, from 1e-50 to 1e50.

    >>> ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05).escape_time
    3240.0
    """

    D: int
    K: int
    V_norm_sq: float
    eta: float
    slope: float = 1.0

    def __post_init__(self):
        D, K = checks.integer("D", self.D, 1), checks.integer("K", self.K, 1)
        if K > D:
            raise ValueError(f"K must be at most D = {D}, got {K}")
        reals = {name: checks.real(name, getattr(self, name), **SIZES) for name in ("V_norm_sq", "eta")}
        for name, value in {"D": D, "K": K, "slope": Activation(self.slope).slope, **reals}.items():
            object.__setattr__(self, name, value)  # plain numbers: numpy's small integers would overflow

    @classmethod
    def of(cls, teacher: Teacher, eta: float) -> ScalarDynamics:
        """The scalars of `teacher`. Raises ValueError where its S* is not uniform (see `Teacher.K`)."""
        checks.instance("teacher", teacher, Teacher)
        return cls(teacher.D, teacher.K, float((teacher.V_star**2).sum()), eta, teacher.sigma.slope)

    def at(self, fraction: float) -> ScalarDynamics:
        """The same teacher at a step size that is this fraction of `largest_stable_eta`."""
        return replace(
            self, eta=checks.real("fraction", fraction, above=0, least=1e-20, most=1e20) * self.largest_stable_eta
        )

    @property
    def r(self) -> float:
        """(D−K)/K, zeros per non-zero in a column of S*."""
        return (self.D - self.K) / self.K

    @property
    def escape_time(self) -> float:
        """T* = K D²/(η‖V*‖²) steps: the scale on which attention switches on (Theorem 3.1)."""
        return laws.escape_time(self)

    @property
    def largest_stable_eta(self) -> float:
        """η_max = 2K/(aD): above it C₁ overshoots its fixed point at full attention by more than it was off."""
        return laws.largest_stable_eta(self)

    def excess_loss_law(self, T):
        """K D (D−K)/(4ηT), the late excess loss for every σ and V*; T in steps."""
        return laws.late_loss(self, T)

    def excess_loss(self, C1, gap):
        """The exact excess loss at (C₁, gap), as a sum without cancellation:

        (a‖V*‖²D/2K) [ (1−m)² + m² tan²θ − 2mβ(tan θ − θ) ],  m = C₁/(1+rx) the weight that reaches the support.
        """
        C1 = checks.numbers("C1", C1, least=-1e70, most=1e70)
        x = np.exp(-checks.numbers("gap", gap, least=-laws.FURTHEST))
        activation, tan = Activation(self.slope), np.sqrt(self.r) * x
        cos = 1 / np.sqrt(1 + tan * tan)
        defect = angle_defect(np.arctan(tan), tan * cos, cos) / cos  # tan θ − θ
        defect = np.where(C1 < 0, np.arctan(tan) - np.pi - tan, defect)
        m = C1 / (1 + self.r * x)
        bracket = (1 - m) ** 2 + (m * tan) ** 2 - 2 * m * activation.beta * defect
        return activation.a * self.V_norm_sq * self.D / (2 * self.K) * bracket

    def _force(self, C1: float, gap: float) -> tuple[float, float]:
        """(−dL/dC₁, the gap's rate): what one step adds, per unit of η. `compiled.force` repeats it for the loops."""
        r, activation = self.r, Activation(self.slope)
        a, beta = activation.a, activation.beta
        x = math.exp(-gap)
        tan = math.sqrt(r) * x
        theta, cos_sq, mass = math.atan(tan), 1 / (1 + tan * tan), 1 / (1 + r * x)
        if C1 < 0:
            theta, tan = math.pi - theta, -tan
        to_C1 = a * self.D / self.K * mass * (1 + beta * (tan - theta) - C1 * (1 + r * x * x) * mass)
        if r == 0:  # every token is in the support: the scores are uniform for ever
            return to_C1, 0.0
        bracket = 1 - beta * theta + beta * (1 - x) * tan * cos_sq - C1 * (1 - x) * mass
        return to_C1, a * self.V_norm_sq / self.K**3 * C1 * x * mass**2 * bracket

    def _numbers(self) -> tuple[float, ...]:
        """What `compiled` wants to know of these scalars, beside η."""
        activation = Activation(self.slope)
        return self.D, self.K, self.V_norm_sq, activation.a, activation.beta

    def run(self, steps: int) -> Run:
        """The exact map, t = 0 … `steps`, tens of millions of steps a second.

        Raises FloatingPointError where it diverges.
        """
        from . import compiled  # brings numba

        steps = checks.integer("steps", steps, 0, checks.ENTRIES)
        C1, gap, bound = np.zeros(steps + 1), np.zeros(steps + 1), 1e3 * math.sqrt(self.D / self.K)
        C1[1:2] = laws.first_step(self)
        if not abs(C1[1:2].sum()) < bound:
            raise self._diverged(1, C1[1])
        for first in range(2, steps + 1, AT_ONCE):
            part = slice(0, first + AT_ONCE)
            if (t := compiled.scalars(C1[part], gap[part], first, self.eta, *self._numbers(), bound)) >= 0:
                raise self._diverged(t, C1[t])
        return self.as_run(np.arange(steps + 1), C1, gap)

    def solve(self, times: Iterable[float], *, map_steps: int = 1000) -> Run:
        """The same record at `times` (steps up to 1e25, any order) by an ODE solver.

        The first `map_steps` steps are the exact map, which the fast transient of C₁ needs; from there the flow
        dC₁/dt, dgap/dt is solved (scipy's LSODA, relative tolerance 1e-10). The flow runs ahead of or behind the map
        by O(1) steps, so the relative difference falls as 1/t. Between whole steps of the map: linear interpolation.
        """
        times = checks.numbers("times", times, least=0, most=HORIZON, line=True)
        if self.eta > self.largest_stable_eta:
            raise ValueError(f"the flow needs eta at most 2K/(aD) = {self.largest_stable_eta:g}, got {self.eta:g}")
        head = self.run(checks.integer("map_steps", map_steps, 1, checks.ENTRIES))
        C1, gap = np.interp(times, head.t, head.C1), np.interp(times, head.t, head.gap)
        late = np.unique(times[times > map_steps])
        if late.size and self.K == self.D:  # nothing off the support: C₁ alone moves, by a factor a step
            where = times > map_steps
            factor, steps = 1 - self.eta * Activation(self.slope).a, times[where] - head.t[-1]
            sign = np.where(np.round(steps) % 2 == 1, np.sign(factor), 1.0)
            C1[where] = 1 + (head.C1[-1] - 1) * sign * abs(factor) ** steps
        elif late.size:
            flow = self._flow(head, late[-1], t_eval=late)
            where = times > map_steps
            index = np.searchsorted(late, times[where])
            C1[where], gap[where] = flow.y[0][index], flow.y[1][index]
            if not np.isfinite([C1, gap]).all():
                raise ValueError(f"times must be nearer: before {late[-1]:g} steps rounding ends the flow; see `laws`")
        return self.as_run(times, C1, gap)

    def reaches(self, gap: float, *, map_steps: int = 20_000) -> float:
        """When the gap is first reached, in steps, measured: the exact map, then the flow where that is not enough.

        Between steps of the map: linear interpolation; `gap` = ln r is half of the attention, ln r + ln(s/(1−s)) a
        share s. `laws.arrival` is the prediction. Raises ValueError for a gap outside [0, 20] (off the support there is
        less than 1e-8 of a score then), for K = D, and for an η above `largest_stable_eta` where the map does not get
        there.

        >>> scalars = ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05)
        >>> round(scalars.reaches(1.0), 1), round(float(laws.arrival(scalars, 1.0)), 1)
        (1905.7, 1905.5)
        """
        gap = checks.real("gap", gap, least=0, most=20)
        if gap == 0:
            return 0.0
        expected = laws.arrival(self, gap)
        head = self.run(min(checks.integer("map_steps", map_steps, 1, checks.ENTRIES), math.ceil(1.2 * expected) + 100))
        beyond = np.nonzero(head.gap >= gap)[0]
        if beyond.size:
            i = int(beyond[0])
            return float(i - (head.gap[i] - gap) / (head.gap[i] - head.gap[i - 1]))
        if self.eta > self.largest_stable_eta:
            raise ValueError(f"the flow needs eta at most 2K/(aD) = {self.largest_stable_eta:g}, got {self.eta:g}")

        if expected > HORIZON:
            raise ValueError(f"gap must be reached within {HORIZON:g} steps, got {gap:g}, reached after {expected:.3g}")

        def short_of(_, state):
            return state[1] - gap

        short_of.terminal = True
        flow = self._flow(head, 10 * expected + 1000, events=short_of)
        return float(flow.t_events[0][0])

    def _flow(self, head: Run, until: float, **options):
        """The flow from the end of `head`: scipy's solution."""
        from . import compiled

        numbers = self._numbers()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of LSODA, before it gives up
            try:
                flow = solve_ivp(
                    checks.bounded(lambda _, y: [self.eta * force for force in compiled.force(*y, *numbers)]),
                    (float(head.t[-1]), float(until)),
                    [head.C1[-1], head.gap[-1]],
                    method="LSODA",
                    rtol=1e-10,
                    atol=1e-13,
                    **options,
                )
            except IndexError:  # of scipy, where not one step was made
                raise FloatingPointError(f"the flow could not be solved beyond t = {head.t[-1]:g}: too stiff") from None
        if not flow.success:
            last = flow.t[-1] if len(flow.t) else head.t[-1]
            raise FloatingPointError(f"the flow could not be solved beyond t = {last:g}: {flow.message}")
        return flow

    def as_run(self, t, C1, gap, excess_loss=None) -> Run:
        """The `Run` of these two scalars at the steps `t`: what follows from them is computed when it is read."""
        t, C1, gap = np.asarray(t), np.asarray(C1, dtype=float), np.asarray(gap, dtype=float)

        def off():
            odds = self.r * np.exp(-gap)
            return odds / (1 + odds)

        to_scores = self.D / math.sqrt(self.K * (self.D - self.K)) if self.K < self.D else 0.0
        return Run(
            {
                "t": t,
                "C1": C1,
                "gap": gap,
                "excess_loss": (lambda: self.excess_loss(C1, gap)) if excess_loss is None else excess_loss,
                "cosine": lambda: np.sign(C1),
                "support_mass": lambda: 1 / (1 + self.r * np.exp(-gap)),
                "off_support": off,
                "value_error": lambda: np.abs(C1 - 1) * math.sqrt(self.V_norm_sq),
                "score_error": lambda: off() * to_scores,
            },
            {},
        )

    def student(self, teacher: Teacher, C1: float, gap: float) -> tuple[Tensor, Tensor]:
        """(W_V, S) of the student of `teacher` whose two scalars these are: C₁V*, and two levels in each column.

        Shapes M × d and D × D. Raises ValueError for a teacher with another D or K.

        >>> from bilinear.teachers import group_sparse
        >>> f = group_sparse([2.0], D=2, position=0)
        >>> ScalarDynamics.of(f, eta=0.1).student(f, 0.5, 0.0)[0].item()
        1.0
        """
        checks.instance("teacher", teacher, Teacher)
        if (teacher.D, teacher.K) != (self.D, self.K):
            raise ValueError(f"teacher must have D, K = {self.D}, {self.K}, got {teacher.D}, {teacher.K}")
        gap = checks.real("gap", gap)
        S = torch.softmax(gap * teacher.support.to(teacher.V_star), dim=0)
        return checks.real("C1", C1) * teacher.V_star, S

    def _safe_eta(self) -> float:
        """A step at which neither scalar overshoots: C₁ has curvature aD at most; x/(1+rx)² ≤ 1/4r bounds the gap."""
        a, r = Activation(self.slope).a, max(self.r, 1 / self.D)
        return min(1 / (a * self.D), 4 * r * self.K**3 / (a * self.V_norm_sq * math.sqrt(self.D / self.K)))

    def _diverged(self, step: int, C1: float) -> FloatingPointError:
        return FloatingPointError(
            f"the two scalars diverged at step {step}: C1 = {C1:.3g} at eta = {self.eta:g}; "
            f"eta ≤ {self._safe_eta():.3g} would hold: no scores let C₁ overshoot, and the gap moves by one at most"
        )
