"""Gradient descent (3.3)–(3.4): on the population, online, and on a fixed sample.

All three start from zero weights, use one η for both matrices, and record the exact excess loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import checks
from .inputs import gaussian
from .population import ExactLoss
from .students import PositionOnlyTransformer
from .teachers import Teacher


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A training run. Aligned float64 arrays, one entry a recorded step:

    `t` steps taken; `excess_loss` L − L_opt; `cosine` of W_V and V* as vectors (0 at W_V = 0); `support_mass`, the mean
    over columns of the score that lies on the support G^i. And the final `W_V` M × d, `W_KQ` D × D, `S` D × D.
    """

    t: np.ndarray
    excess_loss: np.ndarray
    cosine: np.ndarray
    support_mass: np.ndarray
    W_V: Tensor
    W_KQ: Tensor
    S: Tensor


def population(teacher: Teacher, eta: float, steps: int, *, P=None, record: Iterable[int] | None = None) -> Trajectory:
    """Gradient descent on the exact population loss (3.2), no sampling.

    η > 0, `steps` ≥ 0; `P` orthogonal D × D (None is I); `record` the steps to keep in 0 … steps, every one by default.
    Since P is orthogonal, descent on W_KQ is descent on the logits PᵀW_KQP: the loop runs there and turns back once.
    Raises ValueError and TypeError for bad arguments, FloatingPointError where the run diverges.

    >>> from bilinear.teachers import convolution
    >>> run = population(convolution(torch.ones(2, 3), D=6, K=2), eta=0.1, steps=4000, record=[0, 4000])
    >>> run.t.tolist(), run.support_mass.round(3).tolist()
    ([0, 4000], [0.333, 0.889])
    """
    keep, eta, steps, P = _arguments(teacher, eta, steps, P, record)
    on_numpy = teacher.V_star.device.type == "cpu"
    exact = ExactLoss(teacher, on_numpy)
    support = _support(teacher)
    W, logits = torch.zeros_like(teacher.V_star), torch.zeros_like(teacher.S_star)
    if on_numpy:
        W, logits, support = W.numpy(), logits.numpy(), support.numpy()
    rows, bound = [], math.inf
    with torch.no_grad(), np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            loss, to_W, to_logits, S, cosine = exact.gradients(W, logits)
            if t == 0:
                bound = _bound(loss)
            if not float(loss) < bound:
                _diverged(teacher, t, eta, loss, teacher.sigma.a)
            if keep is None or t in keep:
                rows.append((t, loss, cosine, (S * support).sum()))
            if t < steps:
                W -= eta * to_W
                logits -= eta * to_logits
    W, logits, S = (torch.as_tensor(array) for array in (W, logits, S))
    return _trajectory(rows, W, P @ logits @ P.T, S)


def online(
    teacher: Teacher,
    eta: float,
    steps: int,
    *,
    batch: int = 100,
    noise: float = 1.0,
    seed: int,
    P=None,
    record: Iterable[int] | None = None,
    inputs: Tensor | None = None,
    eta_KQ: float | None = None,
) -> Trajectory:
    """Online gradient descent: each step a fresh batch X with i.i.d. N(0, 1) entries and labels f*(X) + E, (3.1).

    `batch` N ≥ 1; `noise` ≥ 0, the standard deviation of E's Gaussian entries; `seed` of the generator that draws both.
    The recorded excess loss is the exact population one. Variants:
    `inputs` (n, d, D): each batch is drawn from these tokens, with replacement, and the recorded excess loss is the
    mean of ½‖f*(X) − TF(X)‖² over all n of them. `eta_KQ`: another step size for W_KQ (the paper uses η for both).
    Errors as in `population`.
    """
    keep, eta, steps, P = _arguments(teacher, eta, steps, P, record)
    batch = checks.integer("batch", batch, 1)
    generator = _generator(teacher, noise, seed)
    if inputs is not None:
        inputs = checks.array("inputs", inputs, ("n", teacher.d, teacher.D), like=teacher.V_star)

    def draw() -> tuple[Tensor, Tensor]:
        if inputs is None:
            X = gaussian(batch, teacher.d, teacher.D, generator=generator, dtype=teacher.V_star.dtype)
        else:
            X = inputs[torch.randint(len(inputs), (batch,), generator=generator, device=inputs.device)]
        return X, _labels(teacher, X, noise, generator)

    eta_KQ = eta if eta_KQ is None else checks.real("eta_KQ", eta_KQ, above=0)
    token_sq = teacher.d + 2 if inputs is None else float(inputs.square().sum(-2).max())
    return _sampled(teacher, eta, eta_KQ, steps, P, keep, draw, inputs, token_sq)


def empirical(
    teacher: Teacher,
    eta: float,
    steps: int,
    *,
    samples: int,
    noise: float = 1.0,
    seed: int,
    P=None,
    record: Iterable[int] | None = None,
) -> Trajectory:
    """Gradient descent on one fixed sample of size `samples` ≥ 1, drawn like a batch of `online` and used in full.

    The recorded excess loss is the exact population one, so over-fitting shows. Arguments and errors as in `online`.
    """
    keep, eta, steps, P = _arguments(teacher, eta, steps, P, record)
    samples = checks.integer("samples", samples, 1)
    generator = _generator(teacher, noise, seed)
    X = gaussian(samples, teacher.d, teacher.D, generator=generator, dtype=teacher.V_star.dtype)
    sample = X, _labels(teacher, X, noise, generator)
    return _sampled(teacher, eta, eta, steps, P, keep, lambda: sample, None, float(X.square().sum(-2).max()))


def _sampled(teacher, eta, eta_KQ, steps, P, keep, draw: Callable, inputs: Tensor | None, token_sq) -> Trajectory:
    student = PositionOnlyTransformer(teacher.M, teacher.d, teacher.D, teacher.sigma, P).to(P.device)
    exact, support = ExactLoss(teacher), _support(teacher)
    rows, initial = [], None
    for t in range(steps + 1):
        if keep is None or t in keep or t == 0 or t == steps:
            with torch.no_grad():
                S = student.scores()
                excess = exact.loss(student.W_V, S) if inputs is None else _mean_loss(teacher, student, inputs)
                scale = student.W_V.norm() * teacher.V_star.norm()
                cosine = (student.W_V * teacher.V_star).sum() / torch.where(scale > 0, scale, 1.0)
            initial = excess if initial is None else initial
            if not float(excess) < _bound(initial):
                _diverged(teacher, t, eta, excess, token_sq)
            if keep is None or t in keep:
                rows.append((t, excess, cosine, (S * support).sum()))
        if t == steps:
            break
        X, Y = draw()
        loss = 0.5 * (Y - student.sigma(student.W_V @ X @ student.scores())).square().sum() / len(X)
        if not loss.detach() < math.inf:
            _diverged(teacher, t, eta, loss.detach(), token_sq)
        to_W, to_KQ = torch.autograd.grad(loss, (student.W_V, student.W_KQ))
        with torch.no_grad():
            student.W_V -= eta * to_W
            student.W_KQ -= eta_KQ * to_KQ
    return _trajectory(rows, student.W_V.detach(), student.W_KQ.detach(), S)


def _arguments(teacher, eta, steps, P, record):
    checks.instance("teacher", teacher, Teacher)
    eta, steps = checks.real("eta", eta, above=0), checks.integer("steps", steps, 0)
    if P is None:
        P = torch.eye(teacher.D).to(teacher.V_star)
    else:
        P = checks.orthogonal("P", P, teacher.D, like=teacher.V_star)
    if record is not None:
        record = {checks.integer("a step in record", t, 0) for t in checks.collection("record", record)}
        if record and max(record) > steps:
            raise ValueError(f"a step in record must be at most steps = {steps}, got {max(record)}")
    return record, eta, steps, P


def _generator(teacher, noise, seed) -> torch.Generator:
    checks.real("noise", noise, least=0)
    if checks.integer("seed", seed, 0) >= 2**63:
        raise ValueError(f"seed must be less than 2**63, got {seed}")
    return torch.Generator(teacher.V_star.device).manual_seed(seed)


def _labels(teacher, X, noise, generator) -> Tensor:
    Y = teacher.sigma(teacher.V_star @ X @ teacher.S_star)
    return Y + noise * gaussian(*Y.shape, generator=generator, dtype=Y.dtype) if noise else Y


def _mean_loss(teacher, student, inputs) -> Tensor:
    error = teacher(inputs) - student(inputs)
    return 0.5 * error.square().sum() / len(inputs)


def _support(teacher) -> Tensor:
    return teacher.support.to(teacher.V_star.dtype) / teacher.D


def _bound(initial) -> float:
    """A loss this large is divergence: edge-of-stability runs stay within a few times the initial loss."""
    return 1e6 * float(initial) if initial > 0 else math.inf


def _diverged(teacher, step, eta, loss, token_sq):
    """Columns of S sum to one, so the curvature in W_V is at most D times `token_sq`, what a token's square weighs:
    a on the population, E‖x‖⁴/E‖x‖² = d + 2 for fresh Gaussian batches, the largest ‖x‖² of a fixed set."""
    safe = 1 / (teacher.D * token_sq)
    raise FloatingPointError(
        f"the run diverged at step {step}: loss = {float(loss):.3g} at eta = {eta:g}; "
        f"eta ≤ {safe:.3g} would hold: no scores make the loss so steep that a step of this size overshoots"
    )


def _trajectory(rows, W_V, W_KQ, S) -> Trajectory:
    columns = np.array([[float(value) for value in row] for row in rows], dtype=float).reshape(-1, 4).T
    return Trajectory(columns[0].astype(int), *columns[1:].copy(), W_V=W_V, W_KQ=W_KQ, S=S)
