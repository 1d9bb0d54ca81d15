"""What the two scalars tend to: times, late laws, their next order, what is stable, what noise leaves.

Functions of a `ScalarDynamics` (its D, K, ‖V*‖², η, κ; r = (D−K)/K, a = ½(1+κ²), β), unless a teacher is asked for.

`escape_time`, `slow_time`, `lag`, `arrival`, `half_attention_time`   when attention switches on
`late_loss`, `late`, `next_order`                                     what is left late in training
`mixed_late_loss`, `mixed_next_order`                                 the same of columns that differ
`first_step`, `slow_manifold`, `overshoot`                            where C₁ is
`closed_form`                                                         the identity's whole run
`largest_stable_eta`, `theorem_eta`                                   how large a step may be
`label_noise_floor`                                                   what noisy labels keep up in sampled runs

Derived in `paper/sharp-law` and `paper/corrections`, but for the floor (`paper/recovery`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from . import checks
from .activations import Activation
from .teachers import Teacher

FURTHEST = 300.0  # the largest gap, either way: e^{2·gap} is a float


class LateLaws(NamedTuple):
    """Late laws, named as the columns of a run: `excess_loss`, and those that carry a: `off_support` δ,
    `value_error` ‖W_V − V*‖_F, `score_error` ‖S − S*‖_F, and `gap`."""

    excess_loss: np.ndarray
    off_support: np.ndarray
    value_error: np.ndarray
    score_error: np.ndarray
    gap: np.ndarray


def escape_time(scalars) -> float:
    """T* = K D²/(η‖V*‖²) steps: the scale on which attention switches on (Theorem 3.1)."""
    _known(scalars)
    return scalars.K * scalars.D**2 / (scalars.eta * scalars.V_norm_sq)


def largest_stable_eta(scalars) -> float:
    """η_max = 2K/(aD): above it C₁ overshoots its fixed point at full attention by more than it was off."""
    _known(scalars)
    return 2 * scalars.K / (Activation(scalars.slope).a * scalars.D)


def theorem_eta(M: int, D: int) -> float:
    """M⁻¹D^{−5/2}, the order of the largest step that Theorem 3.1 allows; its constant is not given, 1 is ours."""
    return 1 / (checks.integer("M", M, 1) * checks.integer("D", D, 1) ** 2.5)


def first_step(scalars) -> float:
    """C₁ after step one, η(1+κ)²/4: at W_V = 0 the loss has a kink, and σ'(0) = ½(1+κ); the scores stay."""
    _known(scalars)
    return scalars.eta * (1 + scalars.slope) ** 2 / 4


def slow_manifold(scalars, gap):
    """C₁*(gap) = (1+rx)(1 + β(tan θ − θ))/(1+rx²), where C₁ has come to rest for a given gap."""
    _known(scalars)
    x = np.exp(-checks.numbers("gap", gap, least=-FURTHEST))
    tan = np.sqrt(scalars.r) * x
    return (1 + scalars.r * x) * (1 + Activation(scalars.slope).beta * (tan - np.arctan(tan))) / (1 + scalars.r * x * x)


def overshoot(scalars) -> float:
    """The largest C₁ on the slow manifold. Identity: (1 + √(D/K))/2, where rx² + 2x = 1, for K < D.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> round(overshoot(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05)), 9)
    2.0
    """
    r = _positive_r(scalars)
    most = 2 + math.log(1 + r)  # x = e^{−gap} is of the order of 1/√r or more at the peak
    found = minimize_scalar(lambda gap: -float(slow_manifold(scalars, gap)), bounds=(0, most), options={"xatol": 1e-10})
    return float(slow_manifold(scalars, found.x))


def slow_time(scalars, gap):
    """τ = T/T* at which the gap is reached while C₁ rests on its slow manifold:

    τ = ∫ (1+rx²)² / (a(1+r)²x² (1−βθ)(1+β(tan θ−θ))) dgap from 0, one quadrature for any κ.
    Identity: r[sinh 2u + 2u − sinh 2u₀ − 2u₀]/(1+r)², u = gap − ½ ln r. Assumes K < D and T* ≫ 1/η; see `lag`.
    Source: derived in `paper/sharp-law`.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> scalars = ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05, slope=0.0)
    >>> float(slow_time(scalars, math.log(8)).round(3))       # half of the attention is on the support
    2.818
    """
    r, activation = _positive_r(scalars), Activation(scalars.slope)
    gap = checks.numbers("gap", gap, least=0, most=FURTHEST)
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


def lag(scalars, gap):
    """s(gap): C₁ trails its slow manifold, and this delays the gap by s/η steps; s = 1/a at the start.

    Identity: s = 1 + (r/(1+r)) ∫ (ry²+2y−1)²/(1+ry²)² dgap, y = e^{−gap}; any κ by one quadrature. First order in
    1/(ηT*) = ‖V*‖²/(KD²). Assumes K < D. Source: derived in `paper/corrections`.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> float(lag(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05), 1.0).round(4))
    1.5478
    """
    r, activation = _positive_r(scalars), Activation(scalars.slope)
    a, beta = activation.a, activation.beta

    def per_gap(gap):
        x = math.exp(-gap)
        tan = math.sqrt(r) * x
        theta, cos_sq, mass = math.atan(tan), 1 / (1 + tan * tan), 1 / (1 + r * x)
        drive = 1 + beta * (tan - theta)
        C1_log_slope = -x * (r * mass + beta * math.sqrt(r) * tan**2 * cos_sq / drive - 2 * r * x * cos_sq)
        force_log_slope = 1 - drive * (1 - x) * mass / ((1 - beta * theta) * x)  # C₁ ∂ log(gap's rate)/∂C₁
        return C1_log_slope * force_log_slope * cos_sq / (a * (1 + r) * mass**2)

    return 1 / a + _integrals(per_gap, checks.numbers("gap", gap, least=0, most=FURTHEST))


def arrival(scalars, gap):
    """Steps until the gap is reached, T* slow_time + lag/η, for any κ (derived in `paper/corrections`).

    Off by O(1) steps, and by terms of second order in 1/(ηT*) = ‖V*‖²/(KD²), which must be small: about that number
    times lag/η. η below `largest_stable_eta`.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> float(arrival(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05), 1.0).round(1))
    1905.5
    """
    with np.errstate(over="ignore"):
        steps = escape_time(scalars) * slow_time(scalars, gap) + lag(scalars, gap) / scalars.eta
    if not np.isfinite(steps).all():
        raise ValueError(f"gap must be reached within 1e308 steps, got {np.max(gap):g}")
    return steps


def half_attention_time(scalars) -> float:
    """Steps until half of the attention is on the support, gap = ln r, by `arrival`. ValueError where 2K ≥ D.

    Identity, in T*: (r²−1+2r ln r)/(1+r)², plus the lag. Source: derived in `paper/sharp-law`.
    """
    _known(scalars)
    if not 2 * scalars.K < scalars.D:
        raise ValueError(f"attention starts on the support with mass K/D = {scalars.K}/{scalars.D}, half or more")
    return float(arrival(scalars, math.log(scalars.r)))


def late_loss(scalars, T):
    """K D (D−K)/(4ηT), the late excess loss for every σ and V*; T in steps, infinite at T = 0."""
    _known(scalars)
    with np.errstate(divide="ignore"):
        return scalars.K * scalars.D * (scalars.D - scalars.K) / (4 * scalars.eta * _steps(T))


def late(scalars, T) -> LateLaws:
    """What the two scalars tend to at step T, to leading order; T in steps. All but `late_loss` carry a:

    δ → (D−K)√(K/(2aη‖V*‖²T)),         ‖W_V − V*‖ → (D−K)√(K/(2aηT)),
    ‖S − S*‖ → D√((D−K)/(2aηT))/‖V*‖,   gap → ½ ln(2aη‖V*‖²T/K³).
    Assumes K < D and η below `largest_stable_eta`. Source: derived in `paper/sharp-law`.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> [round(float(law), 4) for law in late(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05), 1e6)]
    [0.023, 0.0358, 0.2024, 0.1138, 5.4099]
    """
    w, r = _late_root(scalars, T), scalars.r
    with np.errstate(divide="ignore"):  # infinite at T = 0
        delta, gap = math.sqrt(r) / w, np.log(math.sqrt(r) * w)
    to_scores = scalars.D / math.sqrt(scalars.K * (scalars.D - scalars.K))
    return LateLaws(late_loss(scalars, T), delta, delta * math.sqrt(scalars.V_norm_sq), delta * to_scores, gap)


def next_order(scalars, T):
    """ε + ε', the late law's relative correction at step T: the loss is late_loss times 1 + this + smaller terms.

    ε = 4β/(3w) + [2A − 1/3 + (2+β²) ln w²]/w², w² = 2a(1+r)²τ/r, A the finite part of `slow_time` (one quadrature;
    identity: 2A = r − 1/r + 2 ln r − 2/3), is that of the slow flow; ε' = [s/η − ½ ln(w²F(θ₀))]/T has the `lag`
    s at the late law's gap, and what steps gain on a flow, F = sin²θ cos θ (1−βθ) C(θ). What is left out is smaller
    by the factors 1/w, the correction itself, and ‖V*‖²/(KD²). Assumes K < D.
    Raises ValueError for T < 1. Source: derived in `paper/corrections`.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> float(next_order(ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05), 32400).round(4))
    0.1085
    """
    T = _steps(T, least=1)  # at the start the late law has no correction
    w, beta, to_log = _late_root(scalars, T), Activation(scalars.slope).beta, 2 + Activation(scalars.slope).beta ** 2

    def regular(theta):  # slow_time's integrand over θ, less what diverges at θ = 0
        speed = (1 - beta * theta) * (1 + beta * (math.tan(theta) - theta))
        return 1 / ((math.sin(theta) * math.cos(theta)) ** 3 * speed) - (1 / theta + beta) / theta**2 - to_log / theta

    start = math.atan(math.sqrt(scalars.r))
    A = quad(regular, 0, start, limit=500, epsabs=1e-7, epsrel=1e-7)[0]
    A += to_log * math.log(start) - 0.5 / start**2 - beta / start
    epsilon = 4 * beta / (3 * w) + (2 * A - 1 / 3 + 2 * to_log * np.log(w)) / w**2
    delay = lag(scalars, np.maximum(np.log(math.sqrt(scalars.r) * w), 0)) / scalars.eta
    C = math.cos(start) + beta * (math.sin(start) - start * math.cos(start))
    first = math.sin(start) ** 2 * math.cos(start) * (1 - beta * start) * C  # F(θ₀), the speed of the start
    return epsilon + (delay - np.log(w) - 0.5 * math.log(first)) / T


def closed_form(scalars, T):
    """The identity's run in closed form from step 1/η on, a `Run` at the steps T: a Fermi function of u = gap − ½ ln r,

    excess loss = (‖V*‖²D/2K)/(1 + e^{2u}),   sinh 2u + 2u = D²τ/(K(D−K)) − (r − 1/r)/2 − ln r,
    with τ = (T − s/η)/T*, s of `lag`. C₁ is on its slow manifold. Raises ValueError for κ < 1 and K = D.
    Source: derived in `paper/corrections`.

    >>> from bilinear.scalar_dynamics import ScalarDynamics
    >>> scalars = ScalarDynamics(D=36, K=4, V_norm_sq=32.0, eta=0.05)
    >>> float(closed_form(scalars, 3000).excess_loss[0].round(3)), float(scalars.run(3000).excess_loss[-1].round(3))
    (28.813, 28.814)
    """
    if _known(scalars).slope != 1:
        raise ValueError(f"scalars: the closed form needs the identity, slope 1, got slope {scalars.slope:g}")
    T = np.atleast_1d(_steps(T))
    if T.ndim > 1:
        raise ValueError(f"T must be a number or one-dimensional, got {T.ndim} dimensions")
    r = _positive_r(scalars)
    most = 1 + abs(math.log(r)) + 0.5 * np.arcsinh((1 + r) ** 2 * (T / escape_time(scalars)) / r + r + 1 / r)
    start = float(arrival(scalars, 0.0))
    gap = np.array(
        [
            brentq(lambda gap, t=t: float(arrival(scalars, gap)) - t, 0.0, high, xtol=1e-13) if t > start else 0.0
            for t, high in zip(T, most, strict=True)
        ]
    )
    initial = scalars.V_norm_sq * scalars.D / (2 * scalars.K)
    return scalars.as_run(T, slow_manifold(scalars, gap), gap, initial / (1 + np.exp(2 * gap) / r))


def mixed_late_loss(teacher: Teacher, eta: float, T):
    """Σ_i K_i(D−K_i)/(4ηT), K_i the non-zeros of column i of S*: the late excess loss of a teacher with mixed columns.

    Each zero costs K_i/(4ηT), whatever V*, σ and the positive values in the column. T in steps.
    Raises ValueError where a column of S* has a negative entry or does not sum to one: the law is of scores that do.
    Assumes η below the largest stable step. Source: derived in `paper/sharp-law`.

    >>> from bilinear.teachers import convolution
    >>> f = convolution(np.ones((1, 2)), D=6, groups=[[0], [1, 2, 3, 4, 5]])   # columns with K_i = 1, 5, 5, 5, 5, 5
    >>> float(mixed_late_loss(f, eta=0.5, T=100))                                # 6 · 5/(4 · 0.5 · 100)
    0.15
    """
    _refuse_other_scores(teacher)
    counts = teacher.support.sum(0)
    zeros = float((counts * (teacher.D - counts)).sum())
    with np.errstate(divide="ignore"):
        return zeros / (4 * checks.real("eta", eta, above=0) * _steps(T))


def _refuse_other_scores(teacher: Teacher) -> None:
    columns = checks.instance("teacher", teacher, Teacher).S_star.sum(0)
    if (teacher.S_star < 0).any() or ((columns - 1).abs() > 1e-6).any():
        least = teacher.S_star.min().item()
        worst = columns[(columns - 1).abs().argmax()].item()
        raise ValueError(f"columns of S_star must be at least 0 and sum to 1; least entry {least:g}, a sum {worst:g}")


def mixed_next_order(teacher: Teacher, eta: float, T: float) -> float:
    """`next_order` + δ at step T, the largest among uniform teachers with one of this teacher's counts K_i < D.

    The size of the relative correction of `mixed_late_loss`: each column has its own next order; and columns with
    different δ share one W_V, which leaves terms of order δ. Source: argued in `paper/sharp-law`, no bound is proved.
    """
    from .scalar_dynamics import ScalarDynamics  # which imports this file

    _refuse_other_scores(teacher)
    norm_sq, counts = float(teacher.V_star.square().sum()), teacher.support.sum(0).unique().tolist()
    eta, T = checks.real("eta", eta, above=0), checks.real("T", T, least=1)
    uniform = [ScalarDynamics(teacher.D, K, norm_sq, eta, teacher.sigma.slope) for K in counts if 0 < K < teacher.D]
    if not uniform:
        raise ValueError(f"teacher must have a column of S_star with 1 to D − 1 = {teacher.D - 1} non-zeros, got none")
    return max(float(next_order(s, T) + late(s, T).off_support) for s in uniform)


def label_noise_floor(teacher: Teacher, eta: float, *, batch: int, noise: float = 1.0) -> float:
    """a D M d η σ_E²/(2KN(2 − ηaD/K)): the excess loss that label noise keeps up near the teacher, in sampled runs.

    `batch` N, `noise` σ_E. Near the teacher each row of W_V feels a curvature aD/K, and a noise of variance
    σ_E² aD/(NK) a coordinate. Raises ValueError from η_max on, where the sum over steps diverges.
    Source: derived in `paper/recovery`.

    >>> from bilinear.teachers import convolution
    >>> round(label_noise_floor(convolution(np.ones((4, 8)), D=36, K=4), 0.05, batch=100), 5)
    0.02028
    """
    f = checks.instance("teacher", teacher, Teacher)
    eta, batch = checks.real("eta", eta, above=0), checks.integer("batch", batch, 1)
    noise, curvature = checks.real("noise", noise, least=0), f.sigma.a * f.D / f.K
    if not eta * curvature < 2:
        raise ValueError(f"eta must be less than 2K/(aD) = {2 / curvature:g}, got {eta:g}")
    return curvature * f.M * f.d * eta * noise**2 / (2 * batch * (2 - eta * curvature))


def _late_root(scalars, T):
    """w = (1+r)√(2aτ/r), large late in training: θ → 1/w."""
    r = _positive_r(scalars)
    tau = _steps(T) / escape_time(scalars)
    return (1 + r) * np.sqrt(2 * Activation(scalars.slope).a * tau / r)


def _steps(T, least: float = 0.0) -> np.ndarray:
    """T as an array of floats: finite numbers that are 0 or at least 1e-150, and at least `least`."""
    T = checks.numbers("T", T, least=least)
    if (bad := T[(T > 0) & (T * checks.HUGE < 1)]).size:
        raise ValueError(f"T must be 0 or at least {1 / checks.HUGE:g}, got {bad[0]:g}")
    return T


def _known(scalars):
    """The argument `scalars`, which must be a ScalarDynamics."""
    from .scalar_dynamics import ScalarDynamics  # which imports this file

    return checks.instance("scalars", scalars, ScalarDynamics)


def _positive_r(scalars) -> float:
    if _known(scalars).K == scalars.D:
        raise ValueError(f"K must be less than D = {scalars.D}, got {scalars.K}: with no zeros the scores never move")
    return scalars.r


def _integrals(integrand, ends):
    """∫₀^end for each of `ends`."""
    values = [quad(integrand, 0.0, end, limit=500, epsrel=1e-11)[0] for end in ends.ravel()]
    return np.array(values).reshape(ends.shape)
