"""Score maps: what each is, and its way back against differences."""

import math

import pytest
import torch
from scipy.optimize import brentq

from bilinear.scores import RELU_NORMALISED, SOFTMAX, SPARSEMAX, Entmax, entmax

from .cases import column_softmax, normal

MAPS = {"softmax": SOFTMAX, "1.2": entmax(1.2), "1.5": entmax(1.5), "1.9": entmax(1.9), "sparsemax": SPARSEMAX}
ALL = MAPS | {"ReLU": RELU_NORMALISED}


@pytest.mark.parametrize("name", ALL)
def test_columns_are_distributions_and_start_uniform(name):
    S = ALL[name](3 * normal(0, 5, 7, 4))  # a batch, seven tokens, four columns
    assert (S >= 0).all()
    torch.testing.assert_close(S.sum(-2), torch.ones(5, 4, dtype=torch.float64), rtol=0, atol=1e-14)
    for dtype in (torch.float32, torch.float64):  # the dtype is kept
        torch.testing.assert_close(ALL[name](torch.zeros(7, 4, dtype=dtype)), torch.full((7, 4), 1 / 7, dtype=dtype))


def test_softmax_is_2_4_and_the_limit_of_entmax():
    logits = normal(1, 6, 6)
    torch.testing.assert_close(SOFTMAX(logits), column_softmax(logits), rtol=0, atol=1e-15)
    apart = (entmax(1 + 1e-6)(logits) - SOFTMAX(logits)).abs().max()
    assert 0 < apart < 1e-5  # the family is smooth in α
    torch.testing.assert_close(torch.from_numpy(SOFTMAX(logits.numpy())), SOFTMAX(logits), rtol=0, atol=1e-15)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.9, 2.0])
def test_entmax_by_its_threshold(alpha):
    """S = ((α−1)z − τ)₊^{1/(α−1)}, τ by another solver; and for α = 2 the projection on the simplex, by sorting."""
    logits = 20 * normal(2, 6, 3)
    S = entmax(alpha)(logits)
    for z, s in zip((logits / math.sqrt(6)).T, S.T, strict=True):

        def mass(tau, z=z):
            return ((alpha - 1) * z - tau).clamp(min=0).pow(1 / (alpha - 1)).sum().item() - 1

        top = (alpha - 1) * z.max().item()
        tau = brentq(mass, top - 1, top, xtol=1e-15)
        torch.testing.assert_close(s, ((alpha - 1) * z - tau).clamp(min=0).pow(1 / (alpha - 1)), rtol=0, atol=1e-13)
        if alpha == 2:
            ordered = z.sort(descending=True).values
            k = max(k for k in range(1, 7) if 1 + k * ordered[k - 1] > ordered[:k].sum())
            torch.testing.assert_close(s, (z - (ordered[:k].sum() - 1) / k).clamp(min=0), rtol=0, atol=1e-14)
    assert (S == 0).any()


def test_relu_normalised_by_hand():
    logits = torch.tensor([[0.0], [2.0], [-4.0], [6.0]], dtype=torch.float64)  # z = 0, 1, −2, 3
    torch.testing.assert_close(RELU_NORMALISED(logits)[:, 0] * 7, torch.tensor([1.0, 2, 0, 4]).double())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_the_way_back_is_the_derivative(name, seed):
    """Against differences of the fourth order: h⁴ = 1e-16 of the fifth derivative, and 1e-16/h = 1e-12 of rounding."""
    score_map, h = ALL[name], 1e-4
    logits, weights, direction = 2 * normal(seed, 6, 6), normal(10 + seed, 6, 6), normal(20 + seed, 6, 6)

    def value(step):
        return (weights * score_map(logits + step * direction)).sum()

    S = score_map(logits)
    for step in (-2 * h, 2 * h):  # columns in which a token enters or leaves the support between the points have a kink
        weights[:, ((score_map(logits + step * direction) > 0) != (S > 0)).any(0)] = 0
    assert weights.any(0).sum() >= 5
    difference = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    slope = score_map.pull_back(logits, S, weights)
    assert ((slope * direction).sum() - difference).abs() < 1e-10
    leaf = logits.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad((weights * score_map(leaf)).sum(), leaf)
    torch.testing.assert_close(by_autograd, slope, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", MAPS)
def test_entmax_does_not_see_a_constant(name):
    logits = normal(3, 5, 5)
    torch.testing.assert_close(MAPS[name](logits + normal(4, 1, 5)), MAPS[name](logits), rtol=0, atol=1e-14)
    slope = MAPS[name].pull_back(logits, MAPS[name](logits), normal(5, 5, 5))
    assert slope.sum(0).abs().max() < 1e-14


@pytest.mark.parametrize("alpha", [0.9, 2.1, math.nan])
def test_alpha_is_checked(alpha):
    with pytest.raises(ValueError, match="alpha"):
        Entmax(alpha)


def test_relu_refuses_a_column_without_scores():
    with pytest.raises(ValueError, match="above -1"):
        RELU_NORMALISED(torch.tensor([[-9.0, 0.0], [-9.0, 0.0]]))
