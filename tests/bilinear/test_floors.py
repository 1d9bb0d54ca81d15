"""The nearest matrix w sᵀ with s on the simplex: against many starts of a projected ascent, and in closed form."""

import pytest
import torch

from bilinear.floors import nearest

from .cases import normal


def ascent(B, seed):
    """‖B‖² − max ‖Bh‖² over unit h ≥ 0 by the power method on the orthant, from many starts; no code of the library."""
    h = normal(seed, B.shape[1], 200).abs()
    gram = B.T @ B + B.square().sum() * torch.eye(B.shape[1]).to(B)  # the shift makes each step an ascent
    for _ in range(5000):
        h = (gram @ h).clamp(min=0)
        h = h / h.norm(dim=0)
    return (B.square().sum() - (B @ h).square().sum(0)).min()


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_no_start_finds_a_nearer_one(columns, seed):
    B = torch.zeros(3, 7, dtype=torch.float64)
    B[:, :columns] = normal(seed, 3, columns)
    distance_sq, w, s = nearest(B)
    assert (s >= 0).all()
    assert s.sum().item() == pytest.approx(1, abs=1e-12)
    assert (B - torch.outer(w, s)).square().sum().item() == pytest.approx(distance_sq.item(), rel=1e-12)
    # The ascent is exact up to its own convergence, from above.
    assert distance_sq.item() == pytest.approx(ascent(B, seed + 10).item(), rel=1e-6, abs=1e-9)


def test_two_groups_in_closed_form():
    """The smaller eigenvalue of the 2 × 2 Gram matrix up to a right angle; beyond it, the shorter vector."""
    for degrees in (0.0, 40.0, 89.0, 91.0, 180.0):
        angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
        B = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).double()
        B[:, 2] = 0.8 * torch.stack([angle.cos(), angle.sin()])
        small = torch.linalg.eigvalsh((B.T @ B)[[0, 2]][:, [0, 2]])[0]
        want = small.item() if degrees < 90 else 0.64
        assert nearest(B)[0].item() == pytest.approx(want, abs=1e-12)


def test_a_probability_vector_is_in_the_class():
    s = torch.tensor([0.5, 0.3, 0.0, 0.2], dtype=torch.float64)
    distance_sq, w, found = nearest(torch.outer(normal(0, 3), s))
    assert distance_sq.item() < 1e-28  # rounding, squared
    torch.testing.assert_close(found, s, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(w, normal(0, 3), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("B", "told"), [(torch.zeros(2, 3), "got 0"), (torch.ones(2, 13), "got 13")])
def test_wrong_arguments(B, told):
    with pytest.raises(ValueError, match=told):
        nearest(B)
