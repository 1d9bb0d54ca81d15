"""How a run ends, as a function of plain numbers: a cell of a phase diagram, for `sweeps.grid`."""

from __future__ import annotations

import numpy as np
import torch

from . import checks
from .activations import Activation
from .descent import population
from .scalar_dynamics import ScalarDynamics
from .teachers import Teacher, scattered_scores

M, d = 4, 8  # of the teachers whose matrices are followed; the two scalars know ‖V*‖² alone


def ending(
    D: int,
    K: int,
    steps: int,
    *,
    V_norm_sq: float = 32.0,
    slope: float = 1.0,
    eta: float | None = None,
    fraction: float | None = None,
    seed: int | None = None,
) -> dict[str, float | bool]:
    """What gradient descent from zero has come to over the last tenth of `steps`, by the two scalars.

    `eta` the step size, or `fraction`, the same in units of η_max = 2K/(aD). With a `seed` full matrices are followed:
    a random teacher with M, d = 4, 8 and this ‖V*‖_F², whose columns read K scattered tokens each.
    `support_mass`, `C1`, `excess_loss`: means. `swing`: the largest |C₁(t+1) − C₁(t)| in the second half of the run,
    since an unstable C₁ swings in bursts. `bounded`: False for a run that diverged, the numbers of which are NaN.
    Raises ValueError as `ScalarDynamics`, for steps < 10, and unless exactly one of eta and fraction is given.
    Source: `beyond/scaling`.

    >>> ending(36, 4, 2000, fraction=0.5)["bounded"]
    True
    """
    steps = checks.integer("steps", steps, 10)
    if (eta is None) == (fraction is None):
        raise ValueError(f"give eta or fraction, one of them, got {eta} and {fraction}")
    scalars = ScalarDynamics(D, K, V_norm_sq, 1.0 if eta is None else eta, slope)
    scalars = scalars if fraction is None else scalars.at(fraction)
    late = steps - steps // 10
    try:
        run = scalars.run(steps) if seed is None else _matrices(scalars, steps, seed)
    except FloatingPointError:
        return dict.fromkeys(("support_mass", "C1", "excess_loss", "swing"), float("nan")) | {"bounded": False}
    means = {name: float(getattr(run, name)[run.t >= late].mean()) for name in ("support_mass", "C1", "excess_loss")}
    return means | {"swing": float(np.abs(np.diff(run.C1[run.t >= steps // 2])).max()), "bounded": True}


def _matrices(scalars: ScalarDynamics, steps: int, seed: int):
    """The same teacher as full matrices, recorded in the second half."""
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, 0))
    V_star = torch.randn(M, d, dtype=torch.float64, generator=generator)
    V_star *= scalars.V_norm_sq**0.5 / V_star.norm()
    S_star = scattered_scores(scalars.D, scalars.K, generator=generator)
    teacher = Teacher(V_star, S_star, Activation(scalars.slope))
    return population(teacher, scalars.eta, steps, record=range(steps // 2, steps + 1))
