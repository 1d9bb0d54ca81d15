"""What several tests share: draws, teachers of each kind, two-level scores, and the loss in many digits.

Nothing here uses the library's formulas, only its constructors.
"""

import math

import mpmath
import networkx as nx
import torch

from bilinear.activations import Activation
from bilinear.teachers import Teacher, convolution, graph_convolution, token_selection

SLOPES = (1.0, 0.0, 0.1)  # identity, ReLU, Leaky ReLU
TASKS = ("convolution", "graph", "tokens", "scattered")


def normal(seed: int, *shape: int) -> torch.Tensor:
    """i.i.d. N(0, 1) entries, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(seed: int, D: int) -> torch.Tensor:
    """A uniformly drawn orthogonal matrix (QR with the signs of R's diagonal put back)."""
    Q, R = torch.linalg.qr(normal(seed, D, D))
    return Q * R.diagonal().sign()


def scattered(D: int, K: int, seed: int) -> torch.Tensor:
    """S* whose columns have K entries 1/K at places drawn one column at a time."""
    generator = torch.Generator().manual_seed(seed)
    S_star = torch.zeros(D, D, dtype=torch.float64)
    for i in range(D):
        S_star[torch.randperm(D, generator=generator)[:K], i] = 1 / K
    return S_star


def task(kind: str, slope: float, V_star: torch.Tensor, D: int = 12, K: int = 3) -> Teacher:
    """A teacher of one of the `TASKS` with any V* and σ."""
    sigma = Activation(slope)
    if kind == "convolution":
        return convolution(V_star, D, K, sigma)
    if kind == "graph":
        return graph_convolution(V_star, nx.random_regular_graph(K - 1, D, seed=0), sigma)
    if kind == "tokens":
        positions = torch.randperm(D, generator=torch.Generator().manual_seed(0))[:K].tolist()
        return Teacher(V_star, token_selection(1, D, positions).S_star, sigma)
    return Teacher(V_star, scattered(D, K, seed=0), sigma)


def two_levels(teacher: Teacher, gap: float) -> torch.Tensor:
    """Scores p on the support and p e^{−gap} off it, each column of sum one."""
    x = math.exp(-gap)
    p = 1 / (teacher.K + (teacher.D - teacher.K) * x)
    level = torch.tensor([p * x, p], dtype=torch.float64)
    return level[teacher.support.long()]


def column_softmax(logits: torch.Tensor) -> torch.Tensor:
    """softmax(logits/√D) down each column, from exponentials."""
    powers = torch.exp(logits / math.sqrt(len(logits)))
    return powers / powers.sum(0, keepdim=True)


def loss_in_many_digits(teacher: Teacher, W, S, digits: int = 70) -> mpmath.mpf:
    """½ Σ_{m,i} [E σ(u)² + E σ(v)² − 2 E σ(u)σ(v)] by the textbook formula, at exactly these float64 weights.

    The three terms agree in up to 13 leading digits, and √(1−ρ²) loses up to 13 more: of 70 digits 40 remain.
    """

    def rows(A):
        return [[mpmath.mpf(entry) for entry in row] for row in A.tolist()]

    with mpmath.workdps(digits):
        kappa = mpmath.mpf(teacher.sigma.slope)
        linear, even = (1 + kappa) ** 2 / 4, (1 - kappa) ** 2 / (2 * mpmath.pi)

        def moment(var_u, var_v, cov):  # E σ(u)σ(v)
            scale = mpmath.sqrt(var_u * var_v)
            rho = max(mpmath.mpf(-1), min(mpmath.mpf(1), cov / scale)) if scale else mpmath.mpf(0)
            return linear * cov + even * scale * (mpmath.sqrt(1 - rho**2) + rho * mpmath.asin(rho))

        dot, total = mpmath.fdot, mpmath.mpf(0)
        values = [(dot(v, v), dot(w, w), dot(v, w)) for v, w in zip(rows(teacher.V_star), rows(W), strict=True)]
        for s_star, s in zip(rows(teacher.S_star.T), rows(S.T), strict=True):
            star, own, cross = dot(s_star, s_star), dot(s, s), dot(s_star, s)
            for vv, ww, vw in values:
                u, v = vv * star, ww * own
                total += moment(u, u, u) + moment(v, v, v) - 2 * moment(u, v, vw * cross)
        return total / 2


def relative_error(measured, exact: mpmath.mpf) -> float:
    """|measured/exact − 1|, where `measured` is a float64 tensor or number."""
    return float(abs(mpmath.mpf(float(measured)) / exact - 1))
