"""How long one step takes: exact, of two scalars, sampled in PyTorch and in JAX. Run it by `make bench`.

The unit is D² exponentials in a plain compiled loop: what the softmax alone must cost. Each run is timed at no steps
and at some; the difference is the steps', without what a run sets up. One core, one thread.
Timings depend on the machine; no test reads them.
"""

import functools
import math
import os

import numba
import numpy as np
import pytest
import torch

from bilinear import descent
from bilinear.activations import IDENTITY, RELU
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import convolution

M, d, K, BATCH, ETA = 4, 8, 4, 100, 0.01
SIZES = {36: 300, 120: 100, 500: 50, 2000: 20}  # D, and the steps of a round: enough to outweigh the setting up
SIGMAS = {"identity": IDENTITY, "ReLU": RELU}

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
torch.set_num_threads(1)


def teacher(D: int, sigma=RELU):
    """A convolution with Gaussian kernels, the same at each call."""
    return convolution(torch.randn(M, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), D, K, sigma)


@numba.njit
def exponentials(numbers, times):
    """The unit, `times` over."""
    total = 0.0
    for _ in range(times):
        for number in numbers:
            total += math.exp(number)
    return total


def sampled_steps(f, steps: int) -> None:
    """Plain online descent in float32: fresh inputs, noisy labels, autograd, two updates; nothing recorded."""
    V_star, S_star, D = f.V_star.float(), f.S_star.float(), f.D
    W_V = (0.1 * torch.randn(M, d)).requires_grad_()
    W_KQ = torch.zeros(D, D, requires_grad=True)
    for _ in range(steps):
        X = torch.randn(BATCH, d, D)
        Y = torch.relu(V_star @ X @ S_star) + torch.randn(BATCH, M, D)
        loss = 0.5 * (Y - torch.relu(W_V @ X @ torch.softmax(W_KQ, 0))).square().sum() / BATCH
        to_V, to_KQ = torch.autograd.grad(loss, (W_V, W_KQ))
        with torch.no_grad():
            W_V -= ETA * to_V
            W_KQ -= ETA * to_KQ


@functools.cache
def jax_steps(D: int):
    """`sampled_steps` in JAX: the same step, compiled as a whole, the loop too."""
    import jax
    from jax import numpy as jnp

    f = teacher(D)
    V_star, S_star = jnp.asarray(f.V_star, jnp.float32), jnp.asarray(f.S_star, jnp.float32)

    def loss(weights, X, Y):
        out = jax.nn.relu(weights[0] @ X @ jax.nn.softmax(weights[1], axis=0))
        return 0.5 * jnp.square(Y - out).sum() / BATCH

    def step(weights, key):
        to_X, to_noise = jax.random.split(key)
        X = jax.random.normal(to_X, (BATCH, d, D))
        Y = jax.nn.relu(V_star @ X @ S_star) + jax.random.normal(to_noise, (BATCH, M, D))
        slopes = jax.grad(loss)(weights, X, Y)
        return tuple(w - ETA * slope for w, slope in zip(weights, slopes, strict=True)), None

    @functools.partial(jax.jit, static_argnums=0)
    def compiled(steps):
        to_W, to_steps = jax.random.split(jax.random.key(0))
        weights = 0.1 * jax.random.normal(to_W, (M, d)), jnp.zeros((D, D))
        return jax.lax.scan(step, weights, jax.random.split(to_steps, steps))[0]

    return lambda steps: jax.block_until_ready(compiled(steps))


def timed(benchmark, run, what: str, steps: int, D: int | None = None, sigma: str | None = None) -> None:
    """Time run(steps) after a run that compiles what is to be compiled."""
    run(steps)
    benchmark.extra_info.update(what=what, D=D, sigma=sigma, steps=steps)
    benchmark(run, steps)


both = pytest.mark.parametrize("stepping", [False, True], ids=["no steps", "steps"])
sizes = pytest.mark.parametrize("D", SIZES)


@both
@sizes
def test_unit(benchmark, D, stepping):
    numbers = np.random.default_rng(0).standard_normal(D * D)
    timed(benchmark, lambda n: exponentials(numbers, n), "exponentials", SIZES[D] * stepping, D)


@both
@sizes
@pytest.mark.parametrize("sigma", SIGMAS)
def test_exact(benchmark, D, sigma, stepping):
    f = teacher(D, SIGMAS[sigma])
    timed(benchmark, lambda n: descent.population(f, ETA, n), "exact", SIZES[D] * stepping, D, sigma)


@both
def test_two_scalars(benchmark, stepping):
    scalars = ScalarDynamics.of(teacher(36), ETA)
    timed(benchmark, scalars.run, "two scalars", 10_000 * stepping, 36, "ReLU")


@both
@sizes
def test_torch(benchmark, D, stepping):
    f = teacher(D)
    torch.manual_seed(0)
    timed(benchmark, lambda n: sampled_steps(f, n), "sampled, PyTorch", SIZES[D] * stepping, D, "ReLU")


@both
@sizes
def test_jax(benchmark, D, stepping):
    pytest.importorskip("jax", reason="JAX is not installed")
    timed(benchmark, jax_steps(D), "sampled, JAX", SIZES[D] * stepping, D, "ReLU")
