"""One query: slopes against autograd on drawn tokens' moments, the two scalars against all sets, and few sets."""

import numpy as np
import pytest
import torch

from bilinear import descent, laws
from bilinear.activations import IDENTITY
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


def test_sets_whose_pairs_meet_equally_often_teach_all_sets():
    """The run on the seven lines of the plane of order two is the run on all 35 sets of three of seven tokens."""
    lines = torch.eye(7).double()[[0, 1, 3]].sum(0)
    lines = torch.stack([lines.roll(shift) for shift in range(7)])
    assert torch.equal(lines.T @ lines, 1 + 2 * torch.eye(7).double())
    start = {"W_V": torch.zeros(d, d).double(), "W_KQ": torch.zeros(7, 7).double()}
    sets = all_sets(7, 3)
    few, all_of_them = (descent.descend(slopes(part, part), start, 0.5, 600) for part in (lines, sets))
    np.testing.assert_allclose(few.loss, all_of_them.loss, rtol=1e-10)  # rounding over 600 steps
    torch.testing.assert_close(few.W_KQ, all_of_them.W_KQ, rtol=0, atol=1e-10)
    assert few.W_KQ[0, 0] > 2  # attention has switched on


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (lambda: all_sets(3, 4), "K must be at most D = 3, got 4"),
        (lambda: all_sets(60, 30), "more than a million"),
        (lambda: OneQuery(4, 4, 1, 0.1), "K must be less than D = 4, got 4"),
        (lambda: OneQuery(4, 2, 0, 0.1), "d must be at least 1, got 0"),
        (lambda: OneQuery(4, 2, 1, 0.0), "eta must be greater than 0, got 0"),
        (lambda: slopes(all_sets(3, 1), torch.ones(2, 1)), "queries .* 3 × c, got 2"),
        (lambda: slopes([[1.0, 0.0], [0.0, 0.0]], torch.ones(2, 1)), "sets must have .* none empty; row 1 is not so"),
        (lambda: slopes(all_sets(3, 1), torch.ones(3, 1))(torch.eye(2), torch.zeros(3, 2)), "W_KQ .* 3 × 1, got 3 × 2"),
    ],
)
def test_wrong_arguments(action, told):
    with pytest.raises(ValueError, match=told):
        action()
