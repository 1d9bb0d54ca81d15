"""The sharp laws of `paper/sharp-law`: against the exact map, the flow, and full matrices."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bilinear import descent, laws
from bilinear.activations import IDENTITY, RELU, Activation
from bilinear.laws import mixed_late_loss
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import Teacher, token_selection

CASES = [(D, K, slope) for D, K in ((16, 1), (36, 4), (20, 12), (4096, 4)) for slope in (1.0, 0.0, 0.1)]


def scalars_of(D, K, slope, fraction=0.3, V_norm_sq=32.0):
    unit = ScalarDynamics(D, K, V_norm_sq, 1.0, slope)
    return replace(unit, eta=fraction * unit.largest_stable_eta)


@pytest.mark.parametrize("case", CASES)
def test_slow_time_is_the_flow_with_C1_at_rest(case):
    """dgap/dτ of `_force` on the slow manifold, per T*: central difference of τ with h = 1e-4, error O(h²) = 1e-8."""
    scalars = scalars_of(*case)
    for gap in (0.01, 0.7, 3.0, 8.0):
        rate = scalars.eta * scalars._force(float(laws.slow_manifold(scalars, gap)), gap)[1] * scalars.escape_time
        per_gap = (laws.slow_time(scalars, gap + 1e-4) - laws.slow_time(scalars, gap - 1e-4)) / 2e-4
        assert per_gap * rate == pytest.approx(1, abs=1e-6)  # h² and the quadrature's 1e-11/h = 1e-7


def test_identity_integrals_are_elementary():
    for D, K in ((16, 1), (36, 4), (20, 12), (4096, 7)):
        scalars, r = scalars_of(D, K, 1.0), (D - K) / K
        almost = replace(scalars, slope=1 - 1e-9)  # takes the quadrature; β is of order 1e-19, a moves by 1e-9
        for gap in (0.3, 2.0, 6.0):
            assert laws.slow_time(almost, gap) == pytest.approx(laws.slow_time(scalars, gap), rel=1e-8)
            x = math.exp(-gap)
            lag = 1 + (r * gap - 2 - (2 * r - 2 - 4 * r * x) / (1 + r * x * x)) / (1 + r)
            assert laws.lag(scalars, gap) == pytest.approx(lag, rel=1e-9)  # quadrature at 1e-11
        T = 1e3 * scalars.escape_time
        by_hand = (r * r - r - 1 + 2 * r * math.log(2e3 * (1 + r) ** 2)) / (2e3 * (1 + r) ** 2)
        delay = laws.lag(scalars, laws.late(scalars, T).gap) / (scalars.eta * T)
        gain = 0.5 * math.log(2e3 * (1 + r) ** 2 / r * r / (1 + r) ** 2) / T  # w² sin²θ₀ cos²θ₀
        assert laws.next_order(scalars, T) == pytest.approx(by_hand + delay - gain, rel=1e-5)  # A to 1e-7 of r


def test_half_attention_of_the_identity():
    scalars, r = scalars_of(36, 4, 1.0), 8.0
    assert laws.slow_time(scalars, math.log(r)) == pytest.approx(
        (r * r - 1 + 2 * r * math.log(r)) / (1 + r) ** 2, rel=1e-12
    )
    with pytest.raises(ValueError, match="8/16"):
        _ = laws.half_attention_time(scalars_of(16, 8, 1.0))


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_half_attention_for_many_tokens(slope):
    """1/(2a) + [1/(β(1−βπ/2)) + β]/(a√r); the next order is (ln r)/r, with a factor of order 1/β² = 10."""
    K, D, activation = 1, 10**8, Activation(slope)
    scalars = ScalarDynamics(D, K, 32.0, 1e-9, slope)
    a, beta = activation.a, activation.beta
    ends = 1 / (2 * a) + (1 / (beta * (1 - beta * math.pi / 2)) + beta) / (a * math.sqrt(D))
    assert abs(laws.slow_time(scalars, math.log(scalars.r)) - ends) < 30 * math.log(D) / D < 0.01 * (ends - 1 / (2 * a))


@pytest.mark.parametrize("case", [case for case in CASES if case[0] < 100])
def test_arrival_against_the_exact_map(case):
    """Second order in the delay's share of the time, and O(1) steps between a flow and a map."""
    scalars = scalars_of(*case)
    for gap in (0.5, 1.5, 3.0):
        predicted = float(laws.arrival(scalars, gap))
        run = scalars.run(int(1.5 * predicted) + 10)
        share = float(laws.lag(scalars, gap)) / (scalars.eta * predicted)
        measured = np.interp(gap, run.gap, run.t)
        assert abs(measured / predicted - 1) < 2 * share**2 + 3 / predicted
        assert (
            abs(measured / (laws.slow_time(scalars, gap) * scalars.escape_time) - 1) > 0.3 * share
        )  # the delay is seen


@pytest.mark.parametrize(("D", "K"), [(16, 4), (36, 4), (20, 12), (4096, 4)])
def test_closed_form_against_the_exact_run(D, K):
    scalars = scalars_of(D, K, 1.0)
    T = np.geomspace(50 / scalars.eta, 300 * scalars.escape_time, 30)
    closed = laws.closed_form(scalars, T)
    share = laws.lag(scalars, closed.gap) / (scalars.eta * T)
    # the square of the delay's share and a step of time; the loss falls up to twice as fast as 1/T
    assert (np.abs(closed.excess_loss / scalars.solve(T).excess_loss - 1) < 3 * (share**2 + 1 / T).max() + 1e-7).all()
    with pytest.raises(ValueError, match="slope 0"):
        laws.closed_form(replace(scalars, slope=0.0), T)


@pytest.mark.parametrize("case", CASES)
def test_refined_late_law(case):
    """The deviation from the law is its next order, up to that times 1/w, itself and ‖V*‖²/(KD²), and the solver's.

    The solver adds 1e-10 a step at most. At D = 4096 it takes some 3,000 steps, and with a tolerance of 1e-12 the
    same numbers move by 2e-8.
    """
    scalars = scalars_of(*case)
    T = np.array([100.0, 1e4]) * scalars.escape_time
    run, order = scalars.solve(T), laws.next_order(scalars, T)
    smaller = laws.late(scalars, T).off_support / math.sqrt(scalars.r) + order  # 1/w, and the order itself
    off = run.excess_loss / scalars.excess_loss_law(T) - 1 - order
    assert (np.abs(off) < order * (smaller + 1 / (scalars.eta * scalars.escape_time)) + 3e-7).all()


@pytest.mark.parametrize("sigma", [IDENTITY, RELU, Activation(0.1)])
def test_late_laws_against_matrices(sigma):
    """Each within twice the next order, which is (√r + 1/√r + β)/w relative, and the same for the gap."""
    f = token_selection(4, 12, [1, 5, 8])
    teacher = Teacher(3 * f.V_star, f.S_star, sigma)
    scalars = ScalarDynamics.of(teacher, 0.3 / sigma.a)
    run = descent.population(teacher, scalars.eta, 6000, record=[6000])
    late = laws.late(scalars, 6000)
    root = math.sqrt(scalars.r)
    tolerance = 2 * float(late.off_support) / root * (root + 1 / root + sigma.beta)
    assert tolerance < 0.15  # half a step of W_KQ would show as 0.4
    S, on = run.S, teacher.support
    assert 1 - run.support_mass[0] == pytest.approx(late.off_support, rel=tolerance)
    assert (run.W_V - teacher.V_star).norm().item() == pytest.approx(late.value_error, rel=tolerance)
    assert (S - teacher.S_star).norm().item() == pytest.approx(late.score_error, rel=tolerance)
    assert (S[on].mean() / S[~on].mean()).log().item() == pytest.approx(late.gap, abs=tolerance)


def test_each_zero_costs():
    """Mixed counts, unequal values: within ε + δ, the largest of uniform teachers with these counts."""
    generator = torch.Generator().manual_seed(1)
    counts, D, steps = [1, 1, 2, 2, 3, 6], 6, 8000
    S_star = torch.zeros(D, D, dtype=torch.float64)
    for i, count in enumerate(counts):
        values = 0.5 + torch.rand(count, generator=generator, dtype=torch.float64)
        S_star[torch.randperm(D, generator=generator)[:count], i] = values / values.sum()
    teacher = Teacher(3 * torch.eye(2, 3, dtype=torch.float64), S_star, RELU)
    run = descent.population(teacher, 0.4, steps, record=[steps])
    uniform = [ScalarDynamics(D, k, 18.0, 0.4, 0.0) for k in counts if k < D]
    largest = max(float(laws.next_order(law, steps) + laws.late(law, steps).off_support) for law in uniform)
    assert largest < 0.06
    assert run.excess_loss[0] == pytest.approx(mixed_late_loss(teacher, 0.4, steps), rel=largest)


def test_mixed_late_loss_of_uniform_columns_and_its_errors():
    teacher = token_selection(3, 10, [0, 4])
    scalars = ScalarDynamics.of(teacher, 0.1)
    assert mixed_late_loss(teacher, 0.1, 50) == pytest.approx(float(scalars.excess_loss_law(50)), rel=1e-12)
    turned = teacher.S_star + torch.eye(10) * 0.1 - torch.eye(10).roll(1, 0) * 0.1  # its columns still sum to 1
    for bad in (teacher.S_star - 0.01, 2 * teacher.S_star, turned):
        with pytest.raises(ValueError, match="sum to 1"):
            mixed_late_loss(Teacher(teacher.V_star, bad, IDENTITY), 0.1, 50)
    with pytest.raises(ValueError, match="eta"):
        mixed_late_loss(teacher, 0.0, 50)


@pytest.mark.parametrize("law", [laws.late, laws.late_loss, laws.next_order, laws.closed_form])
def test_laws_take_steps(law):
    """Numbers that are finite and at least 0; at 0 the late laws are infinite, and have no correction."""
    scalars = scalars_of(36, 4, 1.0)
    for bad, error in ((-1.0, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("100", TypeError)):
        with pytest.raises(error, match="T must be"):
            law(scalars, bad)
    with pytest.raises(TypeError, match="T must be numbers, got None"):
        law(scalars, None)
    if law is laws.next_order:
        with pytest.raises(ValueError, match="T must be at least 1, got 0"):
            law(scalars, [0, 10])


def test_late_laws_at_the_start():
    late = laws.late(scalars_of(36, 4, 1.0), np.array([0, 100]))
    assert [law[0] for law in late] == [np.inf] * 4 + [-np.inf]
    assert np.isfinite([law[1] for law in late]).all()
    teacher = token_selection(3, 10, [0, 4])
    assert mixed_late_loss(teacher, 0.1, 0) == np.inf


def test_no_zeros():
    """K = D: no late law, and an exponential instead: the loss falls by (1 − ηa)² a step."""
    scalars = ScalarDynamics(8, 8, 32.0, 0.2, 0.0)
    for law in (laws.next_order, laws.late, laws.slow_time, laws.lag, laws.arrival):
        with pytest.raises(ValueError, match="less than D = 8"):
            law(scalars, 10.0)
    losses = scalars.run(20).excess_loss
    np.testing.assert_allclose(losses[2:] / losses[1:-1], (1 - 0.2 * 0.5) ** 2, rtol=1e-10)  # rounding
