"""The exact excess loss: against the textbook formula, in many digits, and against sampling."""

import math

import numpy as np
import pytest
import torch

from bilinear.activations import Activation
from bilinear.population import excess_loss
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import Teacher

from .cases import (
    SLOPES,
    TASKS,
    column_softmax,
    loss_in_many_digits,
    normal,
    relative_error,
    scattered,
    task,
    two_levels,
)


def textbook(teacher, W, S):
    """½ Σ [E σ(u)² + E σ(v)² − 2 E σ(u)σ(v)] in float64, by the moments that test_activations checks."""
    star, own, cross = (teacher.S_star**2).sum(0), (S**2).sum(0), (teacher.S_star * S).sum(0)
    vv, ww, vw = ((A * B).sum(1)[:, None] for A, B in ((teacher.V_star,) * 2, (W, W), (teacher.V_star, W)))
    var_u, var_v, moment = vv * star, ww * own, teacher.sigma.product_moment
    terms = moment(var_u, var_u, var_u) + moment(var_v, var_v, var_v) - 2 * moment(var_u, var_v, vw * cross)
    return 0.5 * terms.sum()


@pytest.mark.parametrize("slope", [*SLOPES, 0.5])
@pytest.mark.parametrize(("M", "d", "D"), [(1, 1, 1), (1, 5, 3), (4, 1, 7), (3, 2, 12)])
def test_equals_the_textbook_form_far_from_the_teacher(slope, M, d, D):
    for seed in range(5):
        teacher = Teacher(normal(seed, M, d), normal(seed + 100, D, D), Activation(slope))
        W, S = normal(seed + 200, M, d), normal(seed + 300, D, D)
        # Both forms are sums of at most 3·84 terms of the size of the result; only M = d = D = 1 may cancel by chance.
        exact = textbook(teacher, W, S).item()
        assert excess_loss(teacher, W, S).item() == pytest.approx(exact, rel=1e-10, abs=1e-12)


def states_of_a_run(teacher, levels):
    """(W_V, S) where the run's loss is about `levels` of the initial one, the first on the way up."""
    eta = 0.3 * 2 * teacher.K / (teacher.sigma.a * teacher.D)
    scalars = ScalarDynamics.of(teacher, eta)
    initial = float(scalars.excess_loss(0.0, 0.0))
    run = scalars.solve([1, 2, *(scalars.excess_loss_law(1.0) / (initial * np.array(levels)))])
    return [(c * teacher.V_star, two_levels(teacher, gap)) for c, gap in zip(run.C1, run.gap, strict=True)]


# The contract asks for 1e-8. (Rounding S alone to float64 moves the exact loss less than that: the error here is that
# of the formula, at the very float64 weights that both sides are given.)
TO_THE_END = 1e-8


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("kind", TASKS)
def test_accurate_to_the_end_of_a_run(kind, slope):
    teacher = task(kind, slope, normal(0, 4, 3))
    initial = loss_in_many_digits(teacher, 0 * teacher.V_star, teacher.S_star)
    reached = 1.0
    for W, S in states_of_a_run(teacher, 10.0 ** -np.arange(1, 13)):
        exact = loss_in_many_digits(teacher, W, S)
        assert relative_error(excess_loss(teacher, W, S), exact) <= TO_THE_END
        reached = float(exact / initial)
    assert reached == pytest.approx(1e-12, rel=0.01)  # the states did go as far down as they are said to


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("M", "d", "D", "K"), [(16, 9, 27, 9), (2, 2, 100, 1), (1, 40, 36, 4)])
def test_accurate_to_the_end_at_other_shapes(M, d, D, K, slope):
    teacher = task("convolution", slope, normal(0, M, d), D, K)
    for W, S in states_of_a_run(teacher, [1e-6, 1e-12])[-2:]:
        assert relative_error(excess_loss(teacher, W, S), loss_in_many_digits(teacher, W, S)) <= TO_THE_END


def perturbations(teacher, size):
    """States near the teacher that two scalars do not describe, by name."""
    V, S, (M, d), D = teacher.V_star, teacher.S_star, teacher.V_star.shape, teacher.D
    on_support = normal(2, D, D) * teacher.support
    turn = torch.linalg.matrix_exp(size * (normal(3, d, d) - normal(3, d, d).T))
    return {
        "W": (V + size * normal(1, M, d), S),
        "S": (V, S + size * normal(2, D, D)),
        "S on the support": (V, S + size * on_support),
        "S off the support": (V, S + size * normal(2, D, D).abs() * ~teacher.support),
        "both": (V + size * normal(1, M, d), S + size * normal(2, D, D)),
        "rows of W turned": (V @ turn, S),
        "logits": (V, column_softmax(math.sqrt(D) * (30 * teacher.support + size * normal(2, D, D)))),
    }


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-4, 1e-6])
def test_accurate_near_the_teacher_in_every_direction(size, slope):
    # 1e-6 in every entry of W alone is a loss of 3e-13 of the initial one: just beyond the contract's range.
    teacher = task("scattered", slope, normal(0, 3, 4))
    for name, (W, S) in perturbations(teacher, size).items():
        error = relative_error(excess_loss(teacher, W, S), loss_in_many_digits(teacher, W, S))
        assert error <= TO_THE_END, name


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("scale", [2.0, 0.1])
def test_accurate_where_the_student_splits_the_scale_differently(scale, slope):
    # (V*/c, c S*) is the same function as (V*, S*). A softmax cannot have c ≠ 1, but a teacher whose columns do not
    # sum to one forces its student there, and `excess_loss` promises any finite S.
    teacher = task("scattered", slope, normal(0, 3, 4))
    initial = loss_in_many_digits(teacher, 0 * teacher.V_star, teacher.S_star)
    for name, (W, S) in perturbations(teacher, 1e-5).items():
        exact = loss_in_many_digits(teacher, W / scale, S * scale)
        assert exact >= 1e-12 * initial, name  # within the range that is promised
        assert relative_error(excess_loss(teacher, W / scale, S * scale), exact) <= TO_THE_END, name


def odd_teachers():
    """Teachers and states at the corners of the definition, by name: (teacher, W, S)."""
    V, S_star, W, S = normal(0, 3, 2), scattered(5, 2, 0), normal(1, 3, 2), normal(2, 5, 5)
    no_row, no_column, no_w = V.clone(), S_star.clone(), W.clone()
    no_row[1], no_column[:, 3], no_w[2] = 0, 0, 0
    one = torch.ones(1, 1, dtype=torch.float64)
    uniform = torch.full((4, 4), 0.25, dtype=torch.float64)
    mixed = torch.softmax(normal(5, 5, 5), 0)
    return {
        "zero row in V*": (no_row, S_star, W, S),
        "zero row in V* and in W": (no_row, S_star, W * (no_row != 0), S),
        "zero column in S*": (V, no_column, W, S),
        "zero column in S* and in S": (V, no_column, W, S * (no_column.sum(0) > 0)),
        "zero column in S": (V, S_star, W, S * (no_column.sum(0) > 0)),
        "zero row in W": (V, S_star, no_w, S),
        "zero S": (V, S_star, W, 0 * S),
        "all zero": (0 * V, 0 * S_star, 0 * W, 0 * S),
        "full support, not uniform": (V, mixed, W, torch.softmax(S, 0)),
        "negative scores": (V, -S_star, W, S),
        "opposite student": (V, S_star, -V, S_star),
        "nearly opposite student": (V, S_star, -V + 1e-7 * W, S_star + 1e-7 * S),
        "one of everything": (2 * one, one, 0.9 * one, one),
        "K = D": (V, uniform, 0.9 * V, uniform),
        "rows of very different length": (V * torch.tensor([[1e-9], [1.0], [1e9]]).double(), S_star, W, S),
    }


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("name", odd_teachers())
def test_accurate_at_the_corners_of_the_definition(name, slope):
    V_star, S_star, W, S = odd_teachers()[name]
    teacher = Teacher(V_star, S_star, Activation(slope))
    exact = loss_in_many_digits(teacher, W, S)
    measured = excess_loss(teacher, W, S)
    if exact == 0:
        assert measured == 0
    else:
        assert relative_error(measured, exact) <= TO_THE_END


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), [(12, 3), (20, 1), (6, 6), (1, 1)])
def test_the_loss_at_zero_weights(D, K, slope):
    teacher = task("convolution", slope, normal(0, 4, 3), D, K)
    expected = (1 + slope**2) / 2 * float((teacher.V_star**2).sum()) * D / (2 * K)
    for S in (teacher.S_star, normal(1, D, D)):
        # a D‖V*‖²/(2K), whatever the scores: nothing cancels, a few roundings of sums of at most 144 terms.
        assert excess_loss(teacher, 0 * teacher.V_star, S).item() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("kind", TASKS)
def test_the_teacher_itself_has_no_excess_loss(kind, slope):
    teacher = task(kind, slope, normal(0, 4, 3))
    initial = excess_loss(teacher, 0 * teacher.V_star, teacher.S_star).item()
    # A sum of squares of rounding errors: (a few 1e-16)² of the initial loss.
    assert 0 <= excess_loss(teacher, teacher.V_star, teacher.S_star).item() <= 1e-30 * initial


def test_returns_a_scalar_in_the_teachers_dtype():
    teacher = task("convolution", 0.0, normal(0, 4, 3))
    W, S = normal(1, 4, 3), torch.softmax(normal(2, 12, 12), 0)
    value = excess_loss(teacher, W, S)
    assert value.shape == ()
    assert value.dtype == torch.float64
    single = Teacher(teacher.V_star.float(), teacher.S_star.float(), teacher.sigma)
    assert excess_loss(single, W.float(), S.float()).dtype == torch.float32
    # float32 rounding, 6e-8, over sums of at most 144 terms of the loss's own size.
    assert excess_loss(single, W.float(), S.float()).item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("seed", range(4))
def test_against_sampling(seed, slope):
    """z of the mean over 40 000 inputs; |z| ≤ 4 raises a false alarm in 6e-5 of the 12 cases each: 8e-4 in all."""
    M, d, D = 3, 4, 5
    S_star = scattered(D, 2, seed) if seed % 2 else torch.softmax(normal(seed, D, D), 0)
    teacher = Teacher(normal(seed + 10, M, d), S_star, Activation(slope))
    W, S = normal(seed + 20, M, d), torch.softmax(2 * normal(seed + 30, D, D), 0)
    X = normal(seed + 40, 40_000, d, D)
    student = torch.maximum(W @ X @ S, slope * (W @ X @ S))
    target = torch.maximum(teacher.V_star @ X @ S_star, slope * (teacher.V_star @ X @ S_star))
    losses = 0.5 * (target - student).square().sum((1, 2))
    z = (losses.mean() - excess_loss(teacher, W, S)) / (losses.std() / math.sqrt(len(X)))
    assert abs(z.item()) <= 4
