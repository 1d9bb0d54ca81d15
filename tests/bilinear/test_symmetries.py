"""What must not change the loss, the gradient or the curve, for teachers that hypothesis draws."""

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import BarycentricInterpolator

from bilinear import descent
from bilinear.activations import Activation
from bilinear.population import excess_loss, gradients
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import Teacher, convolution, graph_convolution, token_selection

from .cases import SLOPES, TASKS, normal, orthogonal, scattered, task


@st.composite
def problems(draw, uniform=False):
    """(teacher, W_V, W_KQ): uniform supports, or any real S*; sizes down to one."""
    M, d, D, seed = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(0, 999))
    slope = draw(st.sampled_from([*SLOPES, 0.7]))
    in_the_class = uniform or draw(st.booleans())
    S_star = scattered(D, draw(st.integers(1, D)), seed) if in_the_class else normal(seed, D, D)
    teacher = Teacher(normal(seed + 1, M, d), S_star, Activation(slope))
    return teacher, normal(seed + 2, M, d), normal(seed + 3, D, D)


# All equalities below are exact in real numbers; a rearranged sum of at most 4·49 terms moves by less than 1e-11 of
# the largest term, and the largest term is of the size of the loss (the states are random, far from the teacher).
EXACT = {"rtol": 1e-11, "atol": 1e-11}


def same(a, b):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, **EXACT)


@given(problems(), st.randoms())
def test_renaming_the_tokens(problem, random):
    teacher, W, KQ = problem
    order = random.sample(range(teacher.D), teacher.D)
    renamed = Teacher(teacher.V_star, teacher.S_star[order][:, order], teacher.sigma)
    loss, to_W, to_KQ = gradients(teacher, W, KQ)
    same(gradients(renamed, W, KQ[order][:, order]), (loss, to_W, to_KQ[order][:, order]))


@given(problems(), st.randoms())
def test_renaming_inputs_and_outputs_apart(problem, random):
    """The loss does not know which input token belongs to which output: rows and columns of S may be renamed apart."""
    teacher, W, KQ = problem
    rows, columns = (random.sample(range(teacher.D), teacher.D) for _ in range(2))
    renamed = Teacher(teacher.V_star, teacher.S_star[rows][:, columns], teacher.sigma)
    torch.testing.assert_close(excess_loss(renamed, W, KQ[rows][:, columns]), excess_loss(teacher, W, KQ), **EXACT)


@given(problems(), st.randoms())
def test_renaming_the_kernels(problem, random):
    teacher, W, KQ = problem
    order = random.sample(range(teacher.M), teacher.M)
    renamed = Teacher(teacher.V_star[order], teacher.S_star, teacher.sigma)
    loss, to_W, to_KQ = gradients(teacher, W, KQ)
    same(gradients(renamed, W[order], KQ), (loss, to_W[order], to_KQ))


@given(problems(), st.integers(0, 999))
def test_turning_the_token_space(problem, seed):
    """Gaussian tokens look the same after any orthogonal change of the d coordinates."""
    teacher, W, KQ = problem
    Q = orthogonal(seed, teacher.d)
    turned = Teacher(teacher.V_star @ Q, teacher.S_star, teacher.sigma)
    loss, to_W, to_KQ = gradients(teacher, W, KQ)
    same(gradients(turned, W @ Q, KQ), (loss, to_W @ Q, to_KQ))


@given(problems(), st.floats(0.01, 100))
def test_scaling_the_values(problem, scale):
    teacher, W, KQ = problem
    scaled = Teacher(scale * teacher.V_star, teacher.S_star, teacher.sigma)
    loss, to_W, to_KQ = gradients(teacher, W, KQ)
    value, of_W, of_KQ = gradients(scaled, scale * W, KQ)
    same((value / scale**2, of_W / scale, of_KQ / scale**2), (loss, to_W, to_KQ))


@given(problems(uniform=True), st.integers(0, 999))
@settings(max_examples=10)
def test_the_curve_does_not_know_the_positional_encodings(problem, seed):
    teacher, *_ = problem
    P, eta = orthogonal(seed, teacher.D), 0.3 * teacher.K / teacher.D
    plain, turned = descent.population(teacher, eta, 200), descent.population(teacher, eta, 200, P=P)
    np.testing.assert_allclose(turned.excess_loss, plain.excess_loss, rtol=1e-10)
    same((turned.W_V, turned.S, turned.W_KQ), (plain.W_V, plain.S, P @ plain.W_KQ @ P.T))


@given(problems(uniform=True), st.integers(0, 999))
@settings(max_examples=10)
def test_the_curve_knows_only_the_norm_of_the_values(problem, seed):
    """Any V* of any shape with the same ‖V*‖_F: the same loss curve, since M and d enter nowhere."""
    teacher, *_ = problem
    V_star = normal(seed, 3, 2)
    V_star *= teacher.V_star.norm() / V_star.norm()
    other = Teacher(V_star, teacher.S_star, teacher.sigma)
    eta = 0.3 * teacher.K / teacher.D
    runs = [descent.population(t, eta, 300).excess_loss for t in (teacher, other)]
    # The largest loss sets the scale: K = D = 1 converges to rounding errors within these steps.
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-10, atol=1e-20 * runs[0][0])


@pytest.mark.parametrize("slope", SLOPES)
def test_one_curve_for_all_tasks(slope):
    """Equal (D, K, κ, ‖V*‖, η): convolution, graphs, token selection and scattered supports train alike."""
    D, K, eta, steps = 12, 3, 0.1, 1200
    V_star = normal(0, 4, 3)
    V_star *= 6 / V_star.norm()
    teachers = [task(kind, slope, V_star if i % 2 else V_star.T, D, K) for i, kind in enumerate(TASKS)]
    teachers.append(graph_convolution(V_star, nx.cycle_graph(D), Activation(slope)))
    teachers.append(convolution(V_star, D, None, Activation(slope), groups=[range(i, D, 4) for i in range(4)]))
    if slope == 1:
        teachers.append(token_selection(36, D, [1, 5, 7]))  # V* = I₃₆: ‖V*‖ = 6 as well
    runs = [descent.population(t, eta, steps) for t in teachers]
    assert runs[0].support_mass[-1] > 0.7 > 0.3 > runs[0].support_mass[0]  # the whole transition is compared
    for run in runs[1:]:
        np.testing.assert_allclose(run.excess_loss, runs[0].excess_loss, rtol=1e-10)
        np.testing.assert_allclose(run.support_mass, runs[0].support_mass, rtol=1e-10)


def test_a_different_norm_gives_a_different_curve():
    V_star = normal(0, 4, 3)
    first, second = (descent.population(task("graph", 0.0, s * V_star), 0.1, 300).excess_loss for s in (1, 1.1))
    assert abs(second[-1] / (1.1**2 * first[-1]) - 1) > 0.01


@pytest.mark.parametrize("fraction", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("square", [2, 4])
def test_scaling_the_values_scales_time(square, fraction):
    """s V* at η/s² reaches the same fraction of its initial loss at the same time, up to the head start of W_V.

    T* = K D²/(η‖V*‖²) is the same, but W_V itself learns at rate η: true time = slow time + s(x)/η (identity), with
    s = 1 + (r/(1+r)) ∫ₓ¹ (ry²+2y−1)²/(y(1+ry²)²) dy. So the two times differ by s(x)(s²−1)/η.
    """
    D, K, eta, V_norm_sq = 36, 4, 0.05, 3.2
    r = (D - K) / K
    u = 0.5 * math.log(1 / fraction - 1)  # where excess/initial = 1/(1+e^{2u})
    gap = u + 0.5 * math.log(r)
    delay = (
        1
        + r / (1 + r) * quad(lambda y: (r * y * y + 2 * y - 1) ** 2 / (y * (1 + r * y * y) ** 2), math.exp(-gap), 1)[0]
    )

    slow = math.sinh(2 * u) + 2 * u + (r - 1 / r) / 2 + math.log(r)  # the closed form, in units of …
    slow *= K * (D - K) / D**2 * K * D**2 / (eta * V_norm_sq)  # … K(D−K)T*/D²

    def reaches(scalars):
        initial = float(scalars.excess_loss(0.0, 0.0))
        # Around where it is expected, on a stretch of a few per cent of T*, ln loss is a polynomial of time.
        times = slow + delay / scalars.eta * np.linspace(0.5, 1.5, 7)
        levels = np.log(scalars.solve(times).excess_loss / initial / fraction)
        assert levels[0] > 0 > levels[-1]
        return float(BarycentricInterpolator(levels, times)(0.0))

    plain = reaches(ScalarDynamics(D, K, V_norm_sq, eta))
    scaled = reaches(ScalarDynamics(D, K, square * V_norm_sq, eta / square))
    # First order in 1/(ηT*) = 1/1620: the next order is s/(ηT*) ~ 0.3 % of it for each factor of `square`, with a
    # coefficient of order one; 2 % allows for it and would not allow any other s.
    assert scaled - plain == pytest.approx(delay * (square - 1) / eta, rel=0.02)


def test_scaling_the_values_scales_sampled_runs_exactly():
    """s V*, s E and η_KQ/s²: then W_V scales by s and the logits not at all, in every single step."""
    teacher = task("convolution", 0.0, normal(0, 2, 3))
    scaled = Teacher(4 * teacher.V_star, teacher.S_star, teacher.sigma)  # a power of two: no rounding differs
    first = descent.online(teacher, 0.1, 50, noise=0.5, seed=0, batch=10, eta_KQ=0.8)
    second = descent.online(scaled, 0.1, 50, noise=2.0, seed=0, batch=10, eta_KQ=0.8 / 16)
    np.testing.assert_allclose(second.excess_loss, 16 * first.excess_loss, rtol=1e-12)
    torch.testing.assert_close(second.W_V, 4 * first.W_V, rtol=1e-12, atol=0)
    torch.testing.assert_close(second.W_KQ, first.W_KQ, rtol=1e-9, atol=1e-12)
    assert first.W_KQ.abs().max() > 0.1
