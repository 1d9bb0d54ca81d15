"""Numbers with proved bounds: the map of two scalars and its laws in ball arithmetic.

A ball is a midpoint and a radius; each operation of FLINT's `arb` gives a ball that holds every possible value, with
all rounding. So what comes out is a proof, and of the map itself, step by step, not of an approximation to it.

The formulas have their homes in `scalar_dynamics` and `laws`; this file repeats them, since balls are not floats, and
the tests hold the two together. It needs the extra `certify` (python-flint).
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import TYPE_CHECKING

import numpy as np

from . import checks
from .scalar_dynamics import ScalarDynamics

if TYPE_CHECKING:
    from flint import arb

STEPS = 1_000_000  # the longest T*: a step of the map takes some 20 µs


@dataclass(frozen=True)
class RationalScalars:
    """The two scalars at exact parameters, integers or fractions, to `bits` binary digits. One η for both matrices.

    What is read is computed then, and kept; each is an `arb`, a midpoint and a radius, but for the step.

    `half_attention_step`   the first step with gap ≥ ln r: half of the attention is on the support
    `half_attention_time`   the same in T*, between steps by linear interpolation as in `ScalarDynamics.reaches`
    `highest_C1`            the largest C₁ of the map, over all steps to infinity
    `slow_half_attention`   `laws.slow_time` at gap = ln r, in T*
    `overshoot`             the largest C₁ of the slow manifold

    Raises TypeError where a parameter is a float (0.05 is not 1/20); ValueError unless 2K < D, η ≤ K/(aD) and
    ηa‖V*‖² ≤ K³, where the gap is proved to open, and T* and K/(ηaD) are at most a million steps. Reading raises
    FloatingPointError where the balls are too wide to decide. Source: `paper/two-scalars`, `paper/sharp-law`.

    >>> exact = RationalScalars(D=36, K=4, V_norm_sq=32, eta=Fraction(1, 20))
    >>> exact.half_attention_step
    3884
    >>> [round(float(ball), 9) for ball in (exact.overshoot, exact.highest_C1, exact.half_attention_time)]
    [2.0, 1.999945455, 1.198584723]
    >>> exact.highest_C1.rad() < 1e-60
    True
    """

    D: int
    K: int
    V_norm_sq: Fraction
    eta: Fraction
    slope: Fraction = Fraction(1)
    bits: int = 256

    def __post_init__(self):
        exact = {name: _rational(name, getattr(self, name)) for name in ("V_norm_sq", "eta", "slope")}
        floats = ScalarDynamics(self.D, self.K, **exact)  # refuses what is out of range
        bits = checks.integer("bits", self.bits, 64, 4096)
        for name, value in {**exact, "D": floats.D, "K": floats.K, "bits": bits}.items():
            object.__setattr__(self, name, value)
        if not 2 * self.K < self.D:
            raise ValueError(f"K must be less than D/2 = {self.D / 2:g}, got {self.K}")
        rest, one = self.K / (self._a * self.D), self.K**3 / (self._a * self.V_norm_sq)
        for words, bound in (("K/(a·D)", rest), ("K³/(a·V_norm_sq)", one)):
            if self.eta > bound:
                raise ValueError(
                    f"eta must be at most {words} = {bound}, got {self.eta}: the gap is not proved to open"
                )
        for words, bound in (("K/(a·D)", rest), ("K·D·D/V_norm_sq", self.eta * self.escape_time)):
            if STEPS * self.eta < bound:
                got = f"got {self.eta}: that many steps take too long"
                raise ValueError(f"eta must be at least {words}/{STEPS:,} = {bound / STEPS}, {got}")

    @property
    def scalars(self) -> ScalarDynamics:
        """The same in floats, each parameter rounded."""
        return ScalarDynamics(self.D, self.K, self.V_norm_sq, self.eta, self.slope)

    @property
    def escape_time(self) -> Fraction:
        """T* = K D²/(η‖V*‖²) steps, exact."""
        return self.K * self.D**2 / (self.eta * self.V_norm_sq)

    @property
    def half_attention_step(self) -> int:
        """The first step with gap ≥ ln r."""
        return self._run[0]

    @property
    def half_attention_time(self) -> arb:
        """The crossing of gap = ln r in T*."""
        return self._run[1]

    @property
    def highest_C1(self) -> arb:
        """The largest C₁ of all steps.

        The map is followed until C₁ and the slow manifold are below what was reached, on the manifold's rising side:
        C₁⁺ lies between C₁ and C₁*(gap), and the gap increases for ever, so nothing later is higher.
        """
        return self._run[2]

    @functools.cached_property
    def slow_half_attention(self) -> arb:
        """r/(a(1+r)²) ∫ dθ/((sin θ cos θ)³ (1−βθ)(1+β(tan θ−θ))) from θ = atan 1/√r to atan √r: `laws.slow_time`."""
        with self._balls() as (r, beta):
            from flint import acb

            def per_angle(theta, _):  # meromorphic, as `acb.integral` wants to be told
                speed = (1 - beta * theta) * (1 + beta * (theta.tan() - theta))
                return 1 / ((theta.sin() * theta.cos()) ** 3 * speed)

            ends = (acb((1 / r.sqrt()).atan()), acb(r.sqrt().atan()))
            return acb.integral(per_angle, *ends).real * r / (_ball(self._a) * (1 + r) ** 2)

    @functools.cached_property
    def overshoot(self) -> arb:
        """max C₁*: the manifold's slope is proved positive before a narrow bracket and negative behind it."""
        with self._balls():
            low, high = self._peak
            return self._slow_manifold(low.union(high))

    @property
    def _a(self) -> Fraction:
        return (1 + self.slope**2) / 2

    @contextmanager
    def _balls(self):
        """The precision set, and (r, β) as balls."""
        try:
            import flint
        except ModuleNotFoundError as error:
            needed = f"bilinear.enclosures needs {error.name}: pip install 'transformers-learn-teachers[certify]'"
            raise ModuleNotFoundError(needed) from None
        with flint.ctx.workprec(self.bits):
            beta = _ball((1 - self.slope) ** 2 / (1 + self.slope**2)) / flint.arb.pi()
            yield _ball(Fraction(self.D - self.K, self.K)), beta

    @functools.cached_property
    def _run(self) -> tuple[int, arb, arb]:
        """(step, time, highest C₁): `ScalarDynamics._force` in balls, from step 1 on."""
        with self._balls() as (r, beta):
            to_C1 = _ball(self.eta * self._a * self.D / self.K)
            to_gap = _ball(self.eta * self._a * self.V_norm_sq / self.K**3)
            C1, gap, half, root = _ball(self.eta * (1 + self.slope) ** 2 / 4), _ball(0), r.log(), r.sqrt()
            (peak, _), highest, t, found = self._peak, C1, 1, None
            while True:
                x = (-gap).exp()
                if found and x < peak and highest > C1 and highest > self._slow_manifold(x):
                    return *found, highest
                tan, mass = root * x, 1 / (1 + r * x)
                theta, cos_sq = tan.atan(), 1 / (1 + tan * tan)
                bracket = 1 - beta * theta + (1 - x) * (beta * tan * cos_sq - C1 * mass)
                before, gap = gap, gap + to_gap * C1 * x * mass**2 * bracket
                rest = 1 - to_C1 * mass**2 / cos_sq  # what is left of C₁: one factor, lest the radius grow
                C1, t = C1 * rest + to_C1 * mass * (1 + beta * (tan - theta)), t + 1
                highest = highest.max(C1)
                if not C1.is_finite() or t > 100 * STEPS:
                    raise FloatingPointError(f"bits: {self.bits} do not decide where C₁ is highest, by step {t}")
                if found is None and not gap < half:
                    if not gap >= half:
                        raise FloatingPointError(f"bits: {self.bits} do not decide if the gap is at ln r at step {t}")
                    found = t, (t - (gap - half) / (gap - before)) / _ball(self.escape_time)

    @functools.cached_property
    def _peak(self) -> tuple[arb, arb]:
        """Two x = e^{−gap} between which the slow manifold has its maximum, and nowhere else."""
        low, high, width = Fraction(0), Fraction(1), Fraction(1, 2 ** (3 * self.bits // 4))
        while high - low > width:
            middle = (low + high) / 2
            slope = self._rise(_ball(middle))
            if slope > 0:
                low = middle
            elif slope < 0:
                high = middle
            else:  # the very place
                low, high = middle - width / 2, middle + width / 2
        self._prove(1, Fraction(0), low)
        self._prove(-1, high, Fraction(1))
        return _ball(low), _ball(high)

    def _rise(self, x: arb) -> arb:
        """1 − 2x − rx² + β√r x²(1+rx)/(1+β(tan θ−θ)), of the sign of dC₁*/dx; C₁* is above 0."""
        with self._balls() as (r, beta):
            tan = r.sqrt() * x
            return 1 - 2 * x - r * x**2 + beta * r.sqrt() * x**2 * (1 + r * x) / (1 + beta * (tan - tan.atan()))

    def _prove(self, sign: int, low: Fraction, high: Fraction) -> None:
        """That `_rise` has this sign from low to high: on one ball, or on both halves."""
        parts = [(low, high)]
        while parts:
            low, high = parts.pop()
            if not sign * self._rise(_ball(low).union(_ball(high))) > 0:
                if (high - low) * 2**self.bits < 1:
                    raise FloatingPointError(f"bits: {self.bits} do not decide where the slow manifold is highest")
                parts += [(low, (low + high) / 2), ((low + high) / 2, high)]

    def _slow_manifold(self, x: arb) -> arb:
        """`laws.slow_manifold` at gap = −ln x."""
        with self._balls() as (r, beta):
            tan = r.sqrt() * x
            return (1 + r * x) * (1 + beta * (tan - tan.atan())) / (1 + r * x**2)


def _rational(name: str, value) -> Fraction:
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, Rational):
        raise TypeError(f"{name} must be an integer or a Fraction, got {value!r} of type {type(value).__name__}")
    return Fraction(int(value.numerator), int(value.denominator))


def _ball(value) -> arb:
    """A rational as a ball of the precision that is set."""
    from flint import arb

    return arb(value.numerator) / value.denominator
