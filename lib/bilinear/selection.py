"""Sparse token selection by one query: the set fixed, or drawn afresh and given in the input (Remark 2.4).

A layer with one query outputs W_V X s, s = softmax(W_KQ z/√D), z the query of the input; its target is the mean of the
K tokens of a set g. With z = 1 the set must be fixed: Example 2.3 with one output token. With z = Σ_{i∈g} e_i, the e_i
orthonormal, the set is read from the input. Derived in the chapter `paper/token-selection`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import torch
from torch import Tensor

from . import checks
from .descent import Run
from .scalar_dynamics import ScalarDynamics
from .scores import SOFTMAX


def all_sets(D: int, K: int) -> Tensor:
    """Every set of K of D tokens, one a row of zeros and ones: D-choose-K × D, float64.

    Raises ValueError unless 1 ≤ K ≤ D, and where there are more than a million.

    >>> all_sets(3, 2)
    tensor([[1., 1., 0.],
            [1., 0., 1.],
            [0., 1., 1.]], dtype=torch.float64)
    """
    D, K = _sizes(D, K)
    if D > 10**6 or (count := comb(D, min(K, D - K, 20))) > 10**6 or count * D > checks.ENTRIES:
        raise ValueError(f"there are more than a million sets of K = {K} of D = {D} tokens, or more than 8 GB of them")
    members = torch.tensor(list(combinations(range(D), K)))
    return torch.zeros(len(members), D, dtype=torch.float64).scatter_(1, members, 1.0)


def slopes(sets, queries) -> Callable:
    """The function (W_V, W_KQ) → (loss, {"W_V": dL/dW_V, "W_KQ": dL/dW_KQ}) that `descent.descend` takes.

    The loss is the mean over the sets of ½E‖X 1_g/|g| − W_V X s‖², without sampling. Slopes have the weights' shapes.
    Shapes: `sets` n × D of zeros and ones, no row empty; `queries` n × c; `W_V` d × d; `W_KQ` D × c.
    Assumes tokens with uncorrelated entries of mean 0 and variance 1.
    Raises ValueError for shapes that do not meet, an empty set and NaN.

    >>> from bilinear.descent import descend
    >>> sets = all_sets(4, 2)
    >>> zero = {"W_V": torch.zeros(3, 3, dtype=torch.float64), "W_KQ": torch.zeros(4, 4, dtype=torch.float64)}
    >>> slopes(sets, sets)(torch.eye(3), zero["W_KQ"])[0].item()      # uniform scores, ½ d (1/K − 1/D)
    0.375
    >>> run = descend(slopes(sets, sets), zero, eta=0.5, steps=500)
    >>> run.loss[[0, -1]].round(3).tolist()
    [0.75, 0.014]
    """
    sets = checks.array("sets", sets, ("n", "D"))
    n, D = sets.shape
    queries = checks.array("queries", queries, (n, "c"), like=sets).clone()  # what a caller does to his changes nothing
    sizes = sets.sum(1)
    if not (good := ((sets == 0) | (sets == 1)).all(1) & (sizes > 0)).all():
        raise ValueError(
            f"sets must have rows of zeros and ones, none empty; row {int((~good).nonzero()[0])} is not so"
        )
    targets = (sets / sizes[:, None]).T.contiguous()  # s*, D × n
    target_sq = targets.square().sum(0).mean()

    def of(W_V, W_KQ):
        W_V = checks.array("W_V", W_V, ("d", "d"), like=sets)
        W_KQ = checks.array("W_KQ", W_KQ, (D, queries.shape[1]), like=sets)
        logits = W_KQ @ queries.T
        S = SOFTMAX(logits)  # D × n
        on, length = (S * targets).sum(0).mean(), (S * S).sum(0).mean()  # s·s* and ‖s‖², averaged over the sets
        W_sq, trace = W_V.square().sum(), W_V.trace()
        loss = 0.5 * (len(W_V) * target_sq - 2 * trace * on + W_sq * length)
        to_W_V = length * W_V - on * torch.eye(len(W_V)).to(W_V)
        to_logits = SOFTMAX.pull_back(logits, S, W_sq * S - trace * targets)
        return loss, {"W_V": to_W_V, "W_KQ": to_logits @ queries / n}

    return of


@dataclass(frozen=True)
class OneQuery:
    """The two scalars of one query: W_V = C₁I, and scores that are e^{gap} times as large on the set as off it.

    It is a `ScalarDynamics` in other units: only `path`, the squared length that W_KQ moves while the gap grows by one,
    tells a fixed set, K(D−K), from a set that is read from the input, D(D−1). Late loss: path/(4ηT).
    Raises ValueError unless 1 ≤ K < D, d ≥ 1 and η > 0. Source: derived in `paper/token-selection`.

    >>> OneQuery(D=20, K=4, d=8, eta=1.0).path, OneQuery(D=20, K=4, d=8, eta=1.0, reads_set=True).path
    (64, 380)
    """

    D: int
    K: int
    d: int
    eta: float
    reads_set: bool = False

    def __post_init__(self):
        D, K = _sizes(self.D, self.K)
        if K == D:
            raise ValueError(f"K must be less than D = {D}, got {K}: there is nothing to select")
        plain = {
            "D": D,
            "K": K,
            "d": checks.integer("d", self.d, 1),
            "eta": checks.real("eta", self.eta, above=0, least=1e-30, most=1e50),
        }
        plain["reads_set"] = checks.instance("reads_set", self.reads_set, bool)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def path(self) -> int:
        """Squared length of W_KQ's path for each unit of gap: K(D−K), or D(D−1) where the set is read."""
        return self.D * (self.D - 1) if self.reads_set else self.K * (self.D - self.K)

    @property
    def scalars(self) -> ScalarDynamics:
        """The same map as a `ScalarDynamics`: η/D for η, D d K(D−K)/path for ‖V*‖². Its loss is in other units."""
        norm_sq = self.D * self.d * self.K * (self.D - self.K) / self.path
        return ScalarDynamics(self.D, self.K, norm_sq, self.eta / self.D)

    def run(self, steps: int) -> Run:
        """The exact map, t = 0 … `steps`, with the loss of one query. Raises FloatingPointError where it diverges."""
        return self._in_our_units(self.scalars.run(steps))

    def solve(self, times: Iterable[float]) -> Run:
        """The same record at `times` up to 1e25, by `ScalarDynamics.solve`."""
        return self._in_our_units(self.scalars.solve(times))

    def _in_our_units(self, run: Run) -> Run:
        """The columns that keep their meaning, and the loss of one query."""
        kept = {name: getattr(run, name) for name in ("t", "C1", "gap", "support_mass", "off_support")}
        return Run(kept | {"excess_loss": run.excess_loss * self.d / (self.D * self.scalars.V_norm_sq)}, {})


def _sizes(D, K) -> tuple[int, int]:
    D, K = checks.integer("D", D, 1), checks.integer("K", K, 1)
    if K > D:
        raise ValueError(f"K must be at most D = {D}, got {K}")
    return D, K
