"""One query: slopes against autograd on drawn tokens' moments, the two scalars against all sets, the width bound."""

import numpy as np
import pytest
import torch

from bilinear import descent, laws
from bilinear.activations import IDENTITY
from bilinear.floors import width_bound
from bilinear.selection import OneQuery, all_sets, slopes
from bilinear.teachers import Teacher, token_selection

from .cases import normal

D, K, d = 6, 2, 3


def matrix_loss(sets, queries, W_V, W_KQ):
    """½‖N_g − W_V ⊗ s‖_F² averaged over the sets: for white tokens E‖N vec X‖² = ‖N‖_F²; no formula of the library."""
    total = 0
    for g, z in zip(sets, queries, strict=True):
        s = torch.softmax(W_KQ @ z / len(g) ** 0.5, 0)
        eye = torch.eye(len(W_V), dtype=W_V.dtype)
        total = total + 0.5 * (torch.kron(g / g.sum(), eye) - torch.kron(s, W_V)).square().sum()
    return total / len(sets)


@pytest.mark.parametrize("columns", ["constant", "codes"])
def test_slopes_are_autograds(columns):
    sets = all_sets(D, K)
    queries = torch.ones(len(sets), 1).to(sets) if columns == "constant" else sets @ normal(3, D, 5)
    W_V, W_KQ = normal(0, d, d).requires_grad_(), normal(1, D, queries.shape[1]).requires_grad_()
    loss = matrix_loss(sets, queries, W_V, W_KQ)
    want = torch.autograd.grad(loss, (W_V, W_KQ))
    found, got = slopes(sets, queries)(W_V.detach(), W_KQ.detach())
    torch.testing.assert_close(found, loss.detach(), rtol=1e-12, atol=0)  # rounding
    for mine, theirs in zip((got["W_V"], got["W_KQ"]), want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-14)  # rounding


def from_zero(columns):
    return {"W_V": torch.zeros(d, d).double(), "W_KQ": torch.zeros(D, columns).double()}


@pytest.mark.parametrize("reads_set", [False, True])
def test_matrices_follow_the_two_scalars(reads_set):
    sets = all_sets(D, K) if reads_set else torch.tensor([[0.0, 1, 0, 0, 1, 0]]).double()
    queries = sets if reads_set else torch.ones(1, 1).double()
    one = OneQuery(D, K, d, 0.5, reads_set)
    matrices = descent.descend(slopes(sets, queries), from_zero(queries.shape[1]), 0.5, 600)
    run = one.run(600)
    np.testing.assert_allclose(matrices.loss, run.excess_loss, rtol=1e-10)  # rounding over 600 steps: 1e-13 measured
    torch.testing.assert_close(matrices.W_V, run.C1[-1] * torch.eye(d).double(), rtol=0, atol=1e-10)
    alpha = run.gap[-1] * D**0.5
    want = torch.eye(D).double() - 1 / D if reads_set else sets.T - K / D
    torch.testing.assert_close(matrices.W_KQ, alpha * want, rtol=0, atol=1e-10)
    assert run.gap[-1] > 2 * np.log(2)  # half of the attention is on the set at ln r = ln 2
    # the path is what W_KQ moves for a unit of gap: the form above at gap 1
    assert one.path == pytest.approx((D * want.square().sum()).item(), rel=1e-12)


def test_all_queries_together_are_one_query_whose_values_learn_D_times_as_fast():
    """The D columns share W_V, whose gradient is the sum of theirs; each moves its own scores."""
    eta, steps = 0.1, 500
    full = descent.population(token_selection(d, D, [1, 4]), eta, steps)
    alone = slopes(torch.tensor([[0.0, 1, 0, 0, 1, 0]]).double(), torch.ones(1, 1))
    one = descent.descend(alone, from_zero(1), {"W_V": D * eta, "W_KQ": eta}, steps)
    np.testing.assert_allclose(full.excess_loss, D * one.loss, rtol=1e-10)  # rounding
    assert full.support_mass[-1] > 0.6  # attention has switched on


@pytest.mark.parametrize("reads_set", [False, True])
def test_late_law(reads_set):
    one = OneQuery(20, 4, 8, 1.0, reads_set)
    T = 1e5 * one.scalars.escape_time
    ratio = one.solve([T]).excess_loss[0] * 4 * one.eta * T / one.path
    assert ratio == pytest.approx(1, abs=2 * laws.next_order(one.scalars, T))  # the law's next order


def test_a_set_drawn_afresh_acts_as_noise():
    """Position-only attention cannot read the set: its gradient is a uniform teacher's, and a constant is added."""
    sets = all_sets(D, K)
    W_V, W_KQ = normal(0, d, d), normal(1, D, 1)
    loss, found = slopes(sets, torch.ones(len(sets), 1))(W_V, W_KQ)
    uniform, want = slopes(torch.ones(1, D).double(), torch.ones(1, 1))(W_V, W_KQ)
    assert (loss - uniform).item() == pytest.approx(0.5 * d * (1 / K - 1 / D), rel=1e-12)
    for name in want:
        torch.testing.assert_close(found[name], want[name], rtol=1e-10, atol=1e-14)
    assert Teacher(torch.eye(d), torch.full((D, D), 1 / D), IDENTITY).K == D


def test_width_bound_is_the_sum_of_the_smallest_eigenvalues():
    eye = torch.eye(d, dtype=torch.float64)
    N = torch.stack([torch.kron(g[None] / K, eye) for g in all_sets(D, K)])  # sets × d × Dd
    values = torch.linalg.eigvalsh((N.mT @ N).mean(0))
    for width in range(D * d + 3):
        want = 0.5 * values[: max(D * d - width, 0)].sum().item()
        assert width_bound(D, K, d, width) == pytest.approx(want, abs=1e-13)  # rounding


def test_width_bound_is_attained_by_the_best_first_layer():
    """The conditional mean given the top eigenvectors reaches it; another first layer of that width does not."""
    eye = torch.eye(d, dtype=torch.float64)
    N = torch.stack([torch.kron(g[None] / K, eye) for g in all_sets(D, K)])
    vectors = torch.linalg.eigh((N.mT @ N).mean(0)).eigenvectors
    for width in (d, 7):
        A = vectors[:, -width:]
        error = 0.5 * (N - N @ A @ A.T).square().sum((1, 2)).mean().item()
        assert error == pytest.approx(width_bound(D, K, d, width), rel=1e-10)
        B = torch.linalg.qr(normal(5, D * d, width)).Q
        assert 0.5 * (N - N @ B @ B.T).square().sum((1, 2)).mean().item() > 1.01 * error


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (lambda: all_sets(3, 4), "K must be at most D = 3, got 4"),
        (lambda: all_sets(60, 30), "more than a million"),
        (lambda: OneQuery(4, 4, 1, 0.1), "K must be less than D = 4, got 4"),
        (lambda: OneQuery(4, 2, 0, 0.1), "d must be at least 1, got 0"),
        (lambda: OneQuery(4, 2, 1, 0.0), "eta must be greater than 0, got 0"),
        (lambda: width_bound(4, 2, 1, -1), "width must be at least 0, got -1"),
        (lambda: slopes(all_sets(3, 1), torch.ones(2, 1)), "queries .* 3 × c, got 2"),
        (lambda: slopes([[1.0, 0.0], [0.0, 0.0]], torch.ones(2, 1)), "sets must have .* none empty; row 1 is not so"),
        (lambda: slopes(all_sets(3, 1), torch.ones(3, 1))(torch.eye(2), torch.zeros(3, 2)), "W_KQ .* 3 × 1, got 3 × 2"),
    ],
)
def test_wrong_arguments(action, told):
    with pytest.raises(ValueError, match=told):
        action()
