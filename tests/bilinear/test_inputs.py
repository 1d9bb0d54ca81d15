"""The input laws are the ones that their docstrings state."""

import math

import pytest
import torch
from scipy import stats

from bilinear import inputs

LAWS = {
    "gaussian": (inputs.gaussian, {}, stats.norm().cdf, 0.0, 1.0),
    "exponential": (inputs.exponential, {}, stats.expon().cdf, 1.0, 2.0),
    "centred exponential": (inputs.centred_exponential, {}, stats.expon(loc=-1).cdf, 0.0, 1.0),
    "pareto 5": (
        inputs.pareto,
        {"index": 5.0},
        lambda x: 0.5 + 0.5 * (abs(x) > 1) * ((x > 0) * 2 - 1) * (1 - abs(x).clip(1) ** -5.0),
        0.0,
        5 / 3,
    ),
}


def draw(law, *shape, seed=0, **arguments):
    return law(*shape, generator=torch.Generator().manual_seed(seed), **arguments)


@pytest.mark.parametrize("name", LAWS)
def test_entries_follow_the_stated_law(name):
    law, arguments, cdf, _, _ = LAWS[name]
    x = draw(law, 100, 20, 10, **arguments).flatten().numpy()
    # √n times the largest distance of the two distribution functions exceeds 2.23 once in 10⁴ draws (Kolmogorov)
    assert math.sqrt(len(x)) * stats.kstest(x, cdf).statistic < 2.23


@pytest.mark.parametrize("name", LAWS)
def test_stated_mean_and_second_moment(name):
    law, arguments, _, mean, second = LAWS[name]
    x = draw(law, 200_000, seed=1, **arguments)
    for power, expected in ((x, mean), (x**2, second)):
        z = (power.mean() - expected) / (power.std() / math.sqrt(len(x)))
        assert abs(z) < 4  # by chance once in 16 000


@pytest.mark.parametrize("name", LAWS)
def test_tokens_and_coordinates_are_uncorrelated(name):
    law, arguments, _, mean, _ = LAWS[name]
    X = draw(law, 20_000, 2, 3, seed=2, **arguments) - mean
    for product in (X[:, 0, 0] * X[:, 1, 0], X[:, 0, 0] * X[:, 0, 1], X[:-1, 0, 0] * X[1:, 0, 0]):
        assert abs(product.mean() / (product.std() / math.sqrt(len(product)))) < 4  # by chance once in 16 000


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 1.0])
def test_equicorrelated_tokens_share_what_is_asked(rho):
    """Each entry is N(0, 1); two tokens have the covariance ρ in a feature and none across features or inputs."""
    X = draw(inputs.equicorrelated, 40_000, 2, 3, seed=3, correlation=rho)
    one = X[:, 0, 0]  # entries of one input lean on each other
    assert math.sqrt(len(one)) * stats.kstest(one.numpy(), stats.norm().cdf).statistic < 2.23
    apart = one * X[:, 1, 0], one * X[:, 1, 2], X[:-1, 0, 0] * X[1:, 0, 0], X[:-1, 0, 0] * X[1:, 0, 2]
    for product, expected in *((of, 0.0) for of in apart), (one * X[:, 0, 2], rho), (X[:, 1, 0] * X[:, 1, 1], rho):
        assert abs((product.mean() - expected) / (product.std() / math.sqrt(len(product)))) < 4


def test_below_index_two_the_second_moment_does_not_settle():
    """The largest of n squares outgrows n, so their mean grows without bound; above index two it does not."""
    growth = {}
    for index in (1.2, 5.0):
        x = draw(inputs.pareto, 100, 10_000, index=index)  # 100 batches
        few, many = (x[:, :n].square().mean(1).log().mean() for n in (100, 10_000))
        growth[index] = ((many - few) / math.log(100)).item()
    # n^{2/1.2 − 1} = n^{2/3}. The logarithm of a batch mean spreads by 1.7: 4 standard errors of the slope are 0.21
    assert abs(growth[1.2] - 2 / 3) < 0.21
    assert abs(growth[5.0]) < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_shape_and_generator(dtype):
    for law, arguments, *_ in [*LAWS.values(), (inputs.equicorrelated, {})]:
        X = draw(law, 4, 3, 2, dtype=dtype, **arguments)
        assert X.dtype == dtype
        assert X.shape == (4, 3, 2)
        assert torch.equal(X, draw(law, 4, 3, 2, dtype=dtype, **arguments))
        assert not torch.equal(X, draw(law, 4, 3, 2, dtype=dtype, seed=1, **arguments))


def test_wrong_arguments_are_named():
    generator = torch.Generator()
    with pytest.raises(ValueError, match=r"a size must be at least 1, got 0"):
        inputs.gaussian(3, 0, generator=generator)
    with pytest.raises(TypeError, match="give the sizes"):
        inputs.exponential(generator=generator)
    with pytest.raises(ValueError, match="index must be greater than 1, got 1"):
        inputs.pareto(3, index=1, generator=generator)
    with pytest.raises(ValueError, match=r"correlation must be at most 1, got 1\.5"):
        inputs.equicorrelated(3, 2, 2, correlation=1.5, generator=generator)
