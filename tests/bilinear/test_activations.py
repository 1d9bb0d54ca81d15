"""σ as one family, and its Gaussian moments against numerical quadrature."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from bilinear.activations import IDENTITY, RELU, Activation, angle_defect, leaky_relu

from .cases import SLOPES, normal


@pytest.mark.parametrize("slope", [*SLOPES, 0.5])
def test_sigma_is_the_larger_of_z_and_slope_z(slope):
    z = torch.cat([normal(0, 1000), torch.tensor([0.0, -1e-300, 1e300], dtype=torch.float64)])
    # The even/odd form adds two numbers of the size of z: one rounding each.
    torch.testing.assert_close(Activation(slope)(z), torch.maximum(z, slope * z), rtol=4e-16, atol=2e-16)


def test_the_named_members():
    assert (IDENTITY.slope, RELU.slope, leaky_relu().slope, leaky_relu(0.3).slope) == (1.0, 0.0, 0.1, 0.3)
    z = normal(0, 50)
    assert torch.equal(IDENTITY(z), z)
    assert torch.equal(RELU(z), torch.relu(z))


@pytest.mark.parametrize("slope", SLOPES)
def test_autograd_takes_the_symmetric_derivative_at_zero(slope):
    z = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(Activation(slope)(z).sum(), z)
    torch.testing.assert_close(derivative, torch.tensor([slope, (1 + slope) / 2, 1.0], dtype=torch.float64))


def quadrature_moment(slope, sd_u, sd_v, rho):
    """E σ(u)σ(v) in polar coordinates: (u, v) = R (sd_u cos φ, sd_v cos(φ − θ)), ρ = cos θ, E R² = 2, φ uniform.

    Nothing but the definition of σ is used. The break points are where one of the arguments changes sign.
    """

    def sigma(z):
        return max(z, slope * z)

    theta = math.acos(rho)
    breaks = sorted({p % (2 * math.pi) for p in (math.pi / 2, -math.pi / 2, theta + math.pi / 2, theta - math.pi / 2)})
    edges = [0.0, *breaks, 2 * math.pi]
    pieces = [
        quad(lambda phi: sigma(math.cos(phi)) * sigma(math.cos(phi - theta)), low, high, epsabs=1e-14)[0]
        for low, high in pairwise(edges)
    ]
    return sd_u * sd_v * 2 * sum(pieces) / (2 * math.pi)


@pytest.mark.parametrize("slope", [*SLOPES, 0.5])
@pytest.mark.parametrize("rho", [-1.0, -0.999, -0.5, 0.0, 0.3, 0.9999, 1.0])
@pytest.mark.parametrize(("sd_u", "sd_v"), [(1.0, 1.0), (0.3, 7.0)])
def test_product_moment_against_quadrature(slope, rho, sd_u, sd_v):
    arguments = torch.tensor([sd_u**2, sd_v**2, rho * sd_u * sd_v], dtype=torch.float64)
    moment = Activation(slope).product_moment(*arguments)
    # Quadrature is asked for 1e-14; near ρ = 1 the moment varies as (1−ρ)^{3/2}, so rounding ρ costs nothing more.
    assert moment.item() == pytest.approx(quadrature_moment(slope, sd_u, sd_v, rho), abs=1e-10 * sd_u * sd_v)


@pytest.mark.parametrize("slope", SLOPES)
def test_a_and_beta_are_what_the_loss_needs_of_them(slope):
    sigma = Activation(slope)
    # a = E σ(u)² for a standard normal u; β is the weight of h(θ) in E(σ(u)−σ(v))² = a [E(u−v)² − 2β h(θ)].
    assert sigma.a == pytest.approx(quadrature_moment(slope, 1, 1, 1.0), abs=1e-12)
    theta = 1.1
    h = math.sin(theta) - theta * math.cos(theta)
    squared = 2 * sigma.a - 2 * quadrature_moment(slope, 1, 1, math.cos(theta))
    assert squared == pytest.approx(sigma.a * (2 - 2 * math.cos(theta) - 2 * sigma.beta * h), abs=1e-12)


def test_product_moment_where_a_variance_is_zero():
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    assert RELU.product_moment(zero, one, zero) == 0


def test_angle_defect_against_many_digits():
    angles = np.concatenate([np.geomspace(1e-12, math.pi, 200), [0.05, np.nextafter(0.05, 0), 0.0501]])
    with mpmath.workdps(60):
        exact = np.array([float(mpmath.sin(mpmath.mpf(t)) - mpmath.mpf(t) * mpmath.cos(mpmath.mpf(t))) for t in angles])
    # Just above the switch to the series at 0.05, sin θ − θ cos θ ≈ θ³/3 is a difference of two numbers of size θ:
    # it loses a factor 3/θ² = 1200, and 1200 × a few ulps of 1.1e-16 is below 1e-12.
    np.testing.assert_allclose(angle_defect(angles, np.sin(angles), np.cos(angles)), exact, rtol=1e-12)
    tensors = torch.from_numpy(angles)
    np.testing.assert_allclose(angle_defect(tensors, tensors.sin(), tensors.cos()).numpy(), exact, rtol=1e-12)
    assert angle_defect(np.array(0.0), np.array(0.0), np.array(1.0)) == 0
