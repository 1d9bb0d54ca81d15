"""Two scalars: equal to full matrices, and to their own laws."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.interpolate import BarycentricInterpolator

from bilinear import descent, laws
from bilinear.activations import Activation
from bilinear.population import excess_loss
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import Teacher

from .cases import SLOPES, TASKS, normal, orthogonal, relative_error, scattered, task, two_levels

SIZES = [(36, 4), (20, 3), (12, 9), (100, 1)]  # two of the paper's, more than half of all tokens, one of many


def stable(D, K, slope, fraction=0.3):
    """A step size well below 2K/(aD)."""
    return fraction * 2 * K / ((1 + slope**2) / 2 * D)


def same_as_matrices(teacher, eta, steps, P):
    """The full run equals the map: curves, W_V = C₁V*, the logits' two levels, C₂ and C₃."""
    run = ScalarDynamics.of(teacher, eta).run(steps)
    full = descent.population(teacher, eta, steps, P=P)
    # Measured differences are 1e-12 in 20 000 steps; the contract is 1e-10. (The atol: K = D converges to roundings.)
    np.testing.assert_allclose(full.excess_loss, run.excess_loss, rtol=1e-10, atol=1e-20 * run.excess_loss[0])
    assert full.t.tolist() == run.t.tolist() == list(range(steps + 1))
    x, r = np.exp(-run.gap), (teacher.D - teacher.K) / teacher.K
    np.testing.assert_allclose(full.support_mass, 1 / (1 + r * x), rtol=1e-10)
    assert full.cosine[0] == 0
    np.testing.assert_allclose(full.cosine[1:], 1, rtol=1e-12)  # for every t: W_V never leaves the line of V*
    torch.testing.assert_close(full.W_V, run.C1[-1] * teacher.V_star, rtol=0, atol=1e-10)
    torch.testing.assert_close(full.S, two_levels(teacher, run.gap[-1]), rtol=0, atol=1e-10)
    P = torch.eye(teacher.D, dtype=torch.float64) if P is None else P
    # W_KQ = C₂ Σ p p' − C₃ Σ p p' with K C₂ = (D−K) C₃ and gap = (C₂+C₃)/√D  (section 5 of the paper)
    total = run.gap[-1] * math.sqrt(teacher.D)
    C3 = total * teacher.K / teacher.D
    logits = total * teacher.support.double() - C3
    torch.testing.assert_close(P.T @ full.W_KQ @ P, logits, rtol=0, atol=1e-10 * max(1, total))
    return run


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("kind", TASKS)
def test_equal_to_full_matrices(kind, slope):
    P = orthogonal(1, 12) if kind in ("graph", "scattered") else None
    run = same_as_matrices(task(kind, slope, normal(0, 4, 3)), stable(12, 3, slope), 2000, P)
    assert run.gap[-1] > 2.5  # attention has long switched on


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), [(12, 1), (12, 12), (9, 7), (2, 1), (1, 1)])
def test_equal_to_full_matrices_at_the_extreme_supports(D, K, slope):
    teacher = Teacher(normal(0, 2, 5), scattered(D, K, 0), Activation(slope))
    run = same_as_matrices(teacher, stable(D, K, slope), 1000, orthogonal(1, D))
    assert (run.gap[-1] == 0) == (K == D)  # uniform attention is already right: the scores never move


@pytest.mark.parametrize("slope", SLOPES)
def test_equal_to_full_matrices_up_to_the_stable_edge(slope):
    same_as_matrices(task("graph", slope, normal(0, 4, 3)), stable(12, 3, slope, 0.97), 1000, None)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("kind", TASKS)
def test_its_loss_is_that_of_the_two_level_student(kind, slope):
    teacher = task(kind, slope, normal(0, 4, 3))
    scalars = ScalarDynamics.of(teacher, 0.1)
    for C1, gap in [(0.0, 0.0), (0.5, 0.0), (1.7, 1.0), (0.9, -2.0), (1.0, 3.0), (1 + 1e-5, 12.0), (1.0, 40.0)]:
        exact = excess_loss(teacher, C1 * teacher.V_star, two_levels(teacher, gap)).item()
        # 1e-9: the matrix form loses up to that at the end of a run (test_population); the floor is a squared rounding.
        floor = 1e-30 * float(scalars.excess_loss(0.0, 0.0))
        assert float(scalars.excess_loss(C1, gap)) == pytest.approx(exact, rel=1e-9, abs=floor)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), [*SIZES, (5, 5)])
def test_its_loss_keeps_its_digits(D, K, slope):
    """Against the formula of the derivation in 60 digits, C₁ on its slow manifold, down to a loss of 1e-20."""
    scalars = ScalarDynamics(D, K, 3.0, 0.1, slope)
    for gap in (-1.0, 0.0, 0.7, 3.0, 8.0, 15.0, 22.0):
        C1 = float(laws.slow_manifold(scalars, gap)) if K < D else 1 + 0.1 * math.exp(-gap)
        with mpmath.workdps(60):
            r, x, c, k = (mpmath.mpf(v) for v in (D - K, math.exp(-gap), C1, slope))
            r, beta = r / K, (1 - k) ** 2 / (mpmath.pi * (1 + k**2))
            tan = mpmath.sqrt(r) * x
            cross = c * (1 + beta * (tan - mpmath.atan(tan))) / (1 + r * x)
            bracket = 1 + c**2 * (1 + r * x**2) / (1 + r * x) ** 2 - 2 * cross
            exact = (1 + k**2) / 2 * 3 * D / (2 * K) * bracket
        # √loss is about r e^{−gap} ≥ 1e-10 and each of its parts is rounded to 1e-16; e^{−gap} itself to a few 1e-16.
        assert relative_error(scalars.excess_loss(C1, gap), exact) <= 1e-12


@pytest.mark.parametrize("slope", SLOPES)
def test_the_first_steps(slope):
    D, K, V_norm_sq, eta = 20, 3, 7.0, 0.05
    run = ScalarDynamics(D, K, V_norm_sq, eta, slope).run(2)
    assert run.t.tolist() == [0, 1, 2]
    assert run.C1[:2] == pytest.approx([0, eta * (1 + slope) ** 2 / 4], rel=1e-14)
    assert run.gap[:2].tolist() == [0, 0]
    assert run.gap[2] > 0
    assert run.excess_loss[0] == pytest.approx((1 + slope**2) / 2 * V_norm_sq * D / (2 * K), rel=1e-14)


def test_of_reads_the_teacher():
    teacher = task("tokens", 0.1, normal(0, 4, 3))
    expected = ScalarDynamics(12, 3, float((teacher.V_star**2).sum()), 0.02, 0.1)
    assert ScalarDynamics.of(teacher, 0.02) == expected


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_named_scales(D, K, slope):
    scalars = ScalarDynamics(D, K, 5.0, 0.01, slope)
    a = (1 + slope**2) / 2
    assert scalars.escape_time == pytest.approx(K * D**2 / (0.01 * 5.0), rel=1e-14)
    assert scalars.largest_stable_eta == pytest.approx(2 * K / (a * D), rel=1e-14)
    T = np.array([1.0, 7.0, 1e20])
    np.testing.assert_allclose(scalars.excess_loss_law(T), K * D * (D - K) / (4 * 0.01 * T), rtol=1e-14)


def refined(D, K, slope, tau):
    """The late law's first corrections, relative to it: of order √(1/τ) (κ < 1), and of order ln τ/τ."""
    r, a = (D - K) / K, (1 + slope**2) / 2
    beta = (1 - slope) ** 2 / (math.pi * (1 + slope**2))
    order_half = 4 / 3 * beta * np.sqrt(r / (2 * a * tau)) / (1 + r)
    late = (1 + r) ** 2 * 2 * a * tau
    return order_half, (r * r - r - 1 + 2 * r * np.log(late)) / late


@pytest.mark.parametrize("slope", [*SLOPES, 0.5])
@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_late_law(D, K, slope):
    """excess · 4ηT/(K D (D−K)) → 1, with the refined law's correction."""
    scalars = ScalarDynamics(D, K, float(D), stable(D, K, slope), slope)
    tau = np.array([1e4, 1e5, 1e6, 1e8])
    T = tau * scalars.escape_time
    ratio = scalars.solve(T).excess_loss / scalars.excess_loss_law(T)
    half, one = refined(D, K, slope, tau)
    # `one` is exact for the identity; for κ < 1 its coefficients carry factors 1 + O(β), β ≤ 1/π: half of it remains.
    # 1e-6 is the ODE solver's share (relative tolerance 1e-10 over some thousand steps, twice in the loss).
    assert (np.abs(ratio - 1 - half - one) <= 0.5 * one + 1e-6).all()
    assert abs(ratio[-1] - 1) <= 2e-5


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_other_late_laws(D, K, slope):
    """gap → ½ log(2aη‖V*‖²T/K³) and what follows: δ, ‖W_V − V*‖, ‖S − S*‖."""
    V_norm_sq, eta, a = float(D), stable(D, K, slope), (1 + slope**2) / 2
    scalars = ScalarDynamics(D, K, V_norm_sq, eta, slope)
    T = 1e8 * scalars.escape_time
    run = scalars.solve([T])
    (C1,), (gap,) = run.C1, run.gap
    x, r = math.exp(-gap), (D - K) / K
    p = 1 / (K + (D - K) * x)
    # Off-support mass δ ~ 1/√τ: 1 − C₁ and 1/K − p are δ(1 + O(δ)), plus the loss law's own corrections.
    tolerance = 2 * r * x + sum(refined(D, K, slope, 1e8)) + 1e-6
    assert gap == pytest.approx(0.5 * math.log(2 * a * eta * V_norm_sq * T / K**3), abs=tolerance)
    off_support = (D - K) * p * x
    assert off_support**2 == pytest.approx((D - K) ** 2 * K / (2 * a * eta * V_norm_sq * T), rel=2 * tolerance)
    to_values = abs(C1 - 1) * math.sqrt(V_norm_sq)
    assert to_values == pytest.approx((D - K) * math.sqrt(K / (2 * a * eta * T)), rel=2 * tolerance)
    to_scores = math.sqrt(D * (K * (p - 1 / K) ** 2 + (D - K) * (p * x) ** 2))
    assert to_scores == pytest.approx(D * math.sqrt((D - K) / (2 * a * eta * V_norm_sq * T)), rel=2 * tolerance)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_largest_stable_step(D, K, slope):
    """Below 2K/(aD) the late law is met; above it C₁ never settles and the loss stays far above the law."""
    steps, edge = 20_000, ScalarDynamics(D, K, 1.0, 1.0, slope).largest_stable_eta
    T_star = max(20, D / K / 4)  # slow enough that the gap moves by at most about one in a step
    for fraction, holds in [(0.5, True), (0.95, True), (1.2, False)]:
        eta = fraction * edge
        scalars = ScalarDynamics(D, K, K * D**2 / (eta * T_star), eta, slope)
        run = scalars.run(steps)
        ratio = run.excess_loss[-1] / float(scalars.excess_loss_law(steps))
        half, one = refined(D, K, slope, steps / T_star)
        # Twice the corrections at this τ and of the head start of W_V, (1 + gap)/η steps. Unstable runs stop with
        # an off-support mass of about 1 − √(edge/η) = 0.09; the law has it below 0.04, and the loss goes as its square.
        if holds:
            assert abs(ratio - 1) <= 2 * (half + one + (1 + run.gap[-1]) / (eta * steps))
        else:
            assert ratio > 3


@pytest.mark.parametrize("slope", SLOPES)
def test_with_all_tokens_in_the_support_the_error_shrinks_geometrically(slope):
    eta, a, steps = 0.3, (1 + slope**2) / 2, 30
    run = ScalarDynamics(6, 6, 2.0, eta, slope).run(steps)
    # C₁ starts at η(1+κ)²/4 and then 1 − C₁ contracts by 1 − ηa; the loss is (a‖V*‖²/2)(1−C₁)², D/K = 1.
    C1 = 1 - (1 - eta * (1 + slope) ** 2 / 4) * (1 - eta * a) ** np.arange(steps)
    np.testing.assert_allclose(run.C1[1:], C1, rtol=1e-13)
    # 1 − C₁ ≥ 0.7³⁰ = 2e-5 after a rounding of 1e-16 a step.
    np.testing.assert_allclose(run.excess_loss[1:], a * 2.0 / 2 * (1 - C1) ** 2, rtol=1e-9)
    assert not run.gap.any()
    assert ScalarDynamics(6, 6, 2.0, eta, slope).excess_loss_law(5.0) == 0


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("V_norm_sq", [32.0, 3.2])
def test_C1_follows_the_slow_manifold(V_norm_sq, slope):
    """C₁ lags behind C₁*(gap) by (C₁*)'/rate, the first order in its speed, where the rate is C₁'s own."""
    D, K, eta, a = 36, 4, 0.05, (1 + slope**2) / 2
    scalars = ScalarDynamics(D, K, V_norm_sq, eta, slope)
    run = scalars.run(20_000)
    x, r = np.exp(-run.gap), (D - K) / K
    target = laws.slow_manifold(scalars, run.gap)
    rate = eta * a * D / K * (1 + r * x * x) / (1 + r * x) ** 2  # per step
    lag = -np.gradient(target) / rate
    late = np.arange(1000, 19_000)  # the transient e^{−rate t}, rate ≥ a·η·1, is below 1e-10 by then
    deviation = (run.C1 - target)[late]
    # The next order is lag² (both V*: the deviation is 10 times smaller for the slower run, what is left 100 times).
    assert np.abs(deviation - lag[late]).max() <= 0.05 * np.abs(deviation).max()
    assert np.abs(deviation).max() <= 0.02 * V_norm_sq / 32
    assert np.abs(deviation).max() >= 1e-4 * V_norm_sq / 32


@pytest.mark.parametrize(
    ("slope", "D", "K", "peak"),
    [
        *((1.0, D, K, (math.sqrt(D / K) + 1) / 2) for D, K in [(36, 4), (20, 3), (20, 4), (100, 4)]),
        *((0.0, D, K, peak) for D, K, peak in [(36, 4, 2.069), (20, 3, 1.843), (20, 4, 1.656), (100, 4, 3.152)]),
    ],
)
def test_the_overshoot(slope, D, K, peak):
    """The manifold's highest C₁ is (√(D/K)+1)/2 for the identity; the ReLU peaks are known to the digits given."""
    scalars = ScalarDynamics(D, K, 1.0, 0.01, slope)
    gaps = np.linspace(0, 8, 4001)
    highest = laws.slow_manifold(scalars, gaps).max()
    assert highest == pytest.approx(peak, abs=1e-5 if slope else 6e-4)  # grid of 0.002: second order; printed digits
    assert laws.slow_manifold(scalars, gaps[0]) == pytest.approx(
        1
        if slope
        else 0.5 + math.sqrt(D / K) / math.pi * (math.sqrt(1 - K / D) + math.sqrt(K / D) * math.asin(math.sqrt(K / D)))
    )
    T_star = scalars.escape_time
    run = scalars.solve(np.geomspace(1001, 20 * T_star, 2000))
    # The run is slow (ηT* ≥ 1200): it stays within 1e-2 of the manifold, and the grid of times costs less.
    assert run.C1.max() == pytest.approx(highest, abs=1e-2)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), [(36, 4), (20, 3), (24, 4), (100, 4)])
def test_the_escape(D, K, slope):
    """Support mass ½ (x = 1/r) comes at τ = ∫ d gap/(T* gap'), one quadrature on the slow manifold."""
    r, a = (D - K) / K, (1 + slope**2) / 2
    beta = (1 - slope) ** 2 / (math.pi * (1 + slope**2))

    def pace(gap):  # T* gap' on the slow manifold
        x = math.exp(-gap)
        tan = math.sqrt(r) * x
        theta = math.atan(tan)
        return a * ((1 + r) * x / (1 + r * x * x)) ** 2 * (1 - beta * theta) * (1 + beta * (tan - theta))

    tau = quad(lambda gap: 1 / pace(gap), 0, math.log(r))[0]
    if slope == 1:
        assert tau == pytest.approx((r * r - 1 + 2 * r * math.log(r)) / (1 + r) ** 2, rel=1e-9)

    # True time = slow time + s/η, s of order one: the delay is s/(ηT*) in units of T*, and ηT* = K D²/‖V*‖².
    unit = 1 / (K * D**2)

    def crossing(V_norm_sq):
        scalars = ScalarDynamics(D, K, V_norm_sq, 0.05, slope)
        times = tau + 10 * unit * V_norm_sq * np.linspace(0, 1, 7)  # so short that the gap is a polynomial there
        gaps = scalars.solve(times * scalars.escape_time).gap
        assert gaps[0] < math.log(r) < gaps[-1]
        return float(BarycentricInterpolator(gaps - math.log(r), times)(0.0))

    slow, slower = crossing(1.0), crossing(0.1)
    # Ten times smaller for ten times slower; extrapolated, the difference is of second order, unit² ~ 1e-6 and less.
    assert (10 * slower - slow) / 9 == pytest.approx(tau, abs=2e-6)


@pytest.mark.parametrize(("D", "K"), [(36, 4), (24, 4), (12, 9)])
def test_the_closed_form_for_the_identity(D, K):
    """u = gap − ½ ln r: sinh 2u + 2u = D²τ/(K(D−K)) − (r − 1/r)/2 − ln r, and the loss is a Fermi function of u."""
    V_norm_sq, eta, r = 8.0, 0.05, (D - K) / K
    scalars = ScalarDynamics(D, K, V_norm_sq, eta)
    T_star, initial = scalars.escape_time, V_norm_sq * D / (2 * K)
    for u in (-0.5, 0.0, 0.5, 1.0, 2.0, 3.0):
        x = math.exp(-u) / math.sqrt(r)
        if x >= 0.9:
            continue
        slow = (math.sinh(2 * u) + 2 * u + (r - 1 / r) / 2 + math.log(r)) * K * (D - K) / D**2 * T_star
        offset = 1 + r / (1 + r) * quad(lambda y: (r * y * y + 2 * y - 1) ** 2 / (y * (1 + r * y * y) ** 2), x, 1)[0]
        (measured,) = scalars.solve([slow + offset / eta]).excess_loss
        # What is left is of second order in 1/(ηT*), at most (3/(8·24))² relative: 1e-3 with room for its coefficient.
        assert measured == pytest.approx(initial / (1 + math.exp(2 * u)), rel=3e-3)


@pytest.mark.parametrize(("D", "K", "V_norm_sq", "eta"), [(36, 4, 32.0, 0.05), (20, 3, 32.0, 0.05), (12, 9, 24.0, 0.1)])
@pytest.mark.parametrize("slope", SLOPES)
def test_the_flow_follows_the_map(D, K, V_norm_sq, eta, slope):
    """The map is Euler's method for gap' = F with step 1: it runs ½ ln(F₀/F) steps ahead (its modified equation)."""
    scalars = ScalarDynamics(D, K, V_norm_sq, eta, slope)
    run, start = scalars.run(30_000), 1000
    times = np.unique(np.geomspace(1100, 29_000, 25).astype(int))
    flow = scalars.solve(times)
    difference = flow.excess_loss / run.excess_loss[times] - 1
    rate, decay = np.diff(run.gap), -np.diff(np.log(run.excess_loss))
    predicted = 0.5 * np.log(rate[start] / rate[times]) * decay[times]
    # Measured to agree to 2 % of the largest difference; the rest is the transient of C₁'s own lag behind the gap.
    assert np.abs(difference - predicted).max() <= 0.1 * np.abs(predicted).max()
    assert np.abs(difference).max() < 1e-3


def test_solve_is_the_map_itself_for_the_first_steps():
    scalars = ScalarDynamics(20, 3, 32.0, 0.05, 0.0)
    run = scalars.run(1000)
    flow = scalars.solve(run.t)
    for name in ("C1", "gap", "excess_loss"):
        np.testing.assert_array_equal(getattr(flow, name), getattr(run, name))
    longer = scalars.solve(np.arange(3001), map_steps=3000)
    np.testing.assert_array_equal(longer.C1, scalars.run(3000).C1)


def test_solve_takes_times_in_any_order():
    scalars = ScalarDynamics(20, 3, 32.0, 0.05, 0.0)
    times = [5e5, 0, 2e3, 10.5, 5e5, 7e4]
    shuffled, alone = scalars.solve(times), [scalars.solve([t]) for t in sorted(set(times))]
    assert shuffled.t.tolist() == times
    by_time = {float(one.t[0]): one for one in alone}
    for k, t in enumerate(times):
        # One call solves to the last time, the other stops earlier: equal up to the solver's own interpolation.
        assert shuffled.excess_loss[k] == pytest.approx(by_time[t].excess_loss[0], rel=1e-7)
        assert shuffled.C1[k] == pytest.approx(by_time[t].C1[0], rel=1e-8)
    run = scalars.run(11)
    assert shuffled.gap[3] == pytest.approx((run.gap[10] + run.gap[11]) / 2, rel=1e-14)
    assert scalars.solve(iter([3.0, 4.0])).t.tolist() == [3, 4]
    assert scalars.solve([]).t.size == 0


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), SIZES)
def test_solve_reaches_any_horizon(D, K, slope):
    scalars = ScalarDynamics(D, K, float(D), stable(D, K, slope), slope)
    run = scalars.solve([1e20])
    # At τ > 1e17 the law's corrections are below 1e-8. What is left is the solver: 1e-10 a step, on a gap of about 25,
    # twice in the loss, over some hundred steps on which errors in the gap decay like 1/t.
    assert run.excess_loss[0] == pytest.approx(float(scalars.excess_loss_law(1e20)), rel=1e-5)
    assert run.C1[0] == pytest.approx(1, abs=1e-8)


def test_the_law_at_the_first_entry_of_a_run():
    """`excess_loss_law(run.t)` is what a chapter plots: t = 0 is among them and must not warn."""
    scalars = ScalarDynamics(20, 3, 32.0, 0.05)
    law = scalars.excess_loss_law(scalars.run(5).t)
    assert law[0] == math.inf
    assert np.isfinite(law[1:]).all()
