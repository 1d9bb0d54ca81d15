"""The activation σ as one family, max(z, κz), and what the exact loss needs to know of it.

Identity is κ = 1, ReLU is κ = 0, Leaky ReLU lies between. Written as

    σ(z) = ½(1+κ) z + ½(1−κ) |z|,

a linear part and an even part. For a centred Gaussian pair (u, v) the two parts do not mix, so every second moment of
(σ(u), σ(v)) follows from those of (u, v) and of (|u|, |v|). Derived in the chapter `paper/setting`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import checks


@dataclass(frozen=True)
class Activation:
    """σ(z) = max(z, κz) with slope κ ∈ [0, 1] on the negative side.

    Parameters: `slope`, κ. Raises ValueError where κ is outside [0, 1], TypeError where it is not a number.
    Source: section 2 of the paper (identity, ReLU, Leaky ReLU).

    >>> RELU(torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0., 0., 3.])
    >>> leaky_relu(0.1).a
    0.505
    """

    slope: float

    def __post_init__(self):
        object.__setattr__(self, "slope", checks.real("slope", self.slope, least=0.0, most=1.0))

    def __call__(self, z: Tensor) -> Tensor:
        """σ(z), any shape; NaN stays NaN.

        Autograd gives the symmetric σ'(0) = ½(1+κ), so that zero weights can start to move.
        """
        checks.dense("z", z)
        return 0.5 * (1 + self.slope) * z + 0.5 * (1 - self.slope) * z.abs()

    @property
    def a(self) -> float:
        """a = ½(1+κ²), so that E σ(u)² = a Var u for a centred Gaussian u."""
        return 0.5 * (1 + self.slope**2)

    @property
    def beta(self) -> float:
        """β = (1−κ)²/(π(1+κ²)): 0 for the identity, 1/π for ReLU. The weight of the even part in the loss."""
        return (1 - self.slope) ** 2 / (math.pi * (1 + self.slope**2))

    def product_moment(self, var_u: Tensor, var_v: Tensor, cov: Tensor) -> Tensor:
        """E σ(u)σ(v) for a centred Gaussian pair, in the textbook form.

        Shapes: any that broadcast. Raises ValueError where a variance is negative,
        or |cov| above √(var_u var_v) beyond rounding. A loss near zero cancels in this form:
        `population` has the other one. Source: derived in `paper/setting`; for ReLU the arc-cosine kernel of degree 1.

        >>> one = torch.tensor(1.0, dtype=torch.float64)
        >>> RELU.product_moment(one, one, one).item()      # u = v: half of the variance
        0.5
        """
        parts = {"var_u": var_u, "var_v": var_v, "cov": cov}
        for name, part in parts.items():
            checks.finite(name, part)
        try:
            torch.broadcast_shapes(*(part.shape for part in parts.values()))
        except RuntimeError:
            raise ValueError(
                f"var_u, var_v and cov must broadcast, got {[tuple(p.shape) for p in parts.values()]}"
            ) from None
        for name in ("var_u", "var_v"):
            if (parts[name] < 0).any():
                raise ValueError(f"{name} must be at least 0, got {parts[name].min().item():g}")
        scale = var_u.sqrt() * var_v.sqrt()
        if (cov.abs() > (1 + 1e-6) * scale).any():
            raise ValueError("cov must be at most √(var_u var_v) in size, got more")
        rho = torch.where(scale > 0, cov / torch.where(scale > 0, scale, 1.0), 0.0).clamp(-1, 1)
        even = scale * (2 / math.pi) * ((1 - rho**2).sqrt() + rho * rho.asin())
        return 0.25 * (1 + self.slope) ** 2 * cov + 0.25 * (1 - self.slope) ** 2 * even


def angle_defect(theta, sin, cos):
    """h(θ) = sin θ − θ cos θ = θ³/3 − …, accurate for every angle in [0, π]; numpy or torch.

    Takes sin θ and cos θ too, since every caller has them. It is the only trace that ReLU leaves in the loss:
    E(σ(u)−σ(v))² = a [E(u−v)² − 2β √(Var u Var v) h(θ)] for a centred Gaussian pair at angle θ. Below 0.05 the
    series is used, since the two terms cancel there. NaN stays NaN. Source: derived in `paper/setting`.

    >>> theta = np.array([0.0, np.pi])
    >>> angle_defect(theta, np.sin(theta), np.cos(theta)).round(6)
    array([0.      , 3.141593])
    """
    square = theta * theta
    series = theta * square * (1 / 3 - square * (1 / 30 - square * (1 / 840 - square / 45360)))
    where = torch.where if isinstance(theta, Tensor) else np.where
    return where(theta < 0.05, series, sin - theta * cos)


IDENTITY = Activation(1.0)
RELU = Activation(0.0)


def leaky_relu(slope: float = 0.1) -> Activation:
    """Leaky ReLU with slope κ. The paper gives no value; 0.1 is ours."""
    return Activation(slope)
