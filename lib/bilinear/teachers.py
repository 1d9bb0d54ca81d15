"""The teacher class f*(X) = σ(V* X S*), (2.1), and the paper's examples of it.

A teacher is linear in its value matrix V* and linear in its score matrix S*: it is bilinear, with σ outside. The
examples of section 2 differ only in what V* and S* are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import networkx as nx
import torch
from torch import Tensor

from . import checks
from .activations import IDENTITY, RELU, Activation


@dataclass(frozen=True, eq=False)
class Teacher:
    """f*(X) = σ(V* X S*), the bilinear teacher (2.1).

    Shapes: `V_star` M × d, `S_star` D × D; a call maps X (…, d, D) to Y (…, M, D). S* may be any finite matrix; the
    paper's class has K entries 1/K in each column (`K` says whether this teacher is in it).
    Raises ValueError for shapes that do not meet and for NaN, TypeError for a `sigma` that is not an Activation.

    >>> f = Teacher(torch.eye(2), torch.full((3, 3), 1 / 3), IDENTITY)
    >>> f(torch.tensor([[3.0, 0.0, 0.0], [0.0, 6.0, 0.0]]))    # every token: the mean of the three
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """

    V_star: Tensor
    S_star: Tensor
    sigma: Activation

    def __post_init__(self):
        checks.instance("sigma", self.sigma, Activation)
        V_star = checks.array("V_star", self.V_star, ("M", "d"), not_tiny=True).detach().clone()
        S_star = checks.array("S_star", self.S_star, ("D", "D"), like=V_star, not_tiny=True).detach().clone()
        size, tiny = V_star.abs().max().item() * S_star.abs().max().item(), torch.finfo(V_star.dtype).tiny ** 0.5
        if size and not tiny <= size <= 1 / tiny:  # the square of what it computes is what a loss is made of
            raise ValueError(f"V_star times S_star must be of a size from {tiny:.2g} to {1 / tiny:.2g}, got {size:.3g}")
        object.__setattr__(self, "V_star", V_star)
        object.__setattr__(self, "S_star", S_star)

    def __call__(self, X: Tensor) -> Tensor:
        checks.tokens(X, self.d, self.D, like=self.V_star)
        Y = self.sigma(self.V_star @ X @ self.S_star)
        if not Y.isfinite().all():
            raise FloatingPointError("X, V_star and S_star are too large: the output is not finite")
        return Y

    def to(self, where) -> Teacher:
        """The same teacher in another dtype or on another device, as `Tensor.to` takes them."""
        if not isinstance(where, Tensor | torch.dtype | torch.device | str):
            raise TypeError(f"where must be a dtype, a device or a tensor, got {where!r}")
        if isinstance(where, str):
            try:
                where = torch.device(where)
            except RuntimeError:
                raise ValueError(f"where must name a device, such as 'cpu', got {where!r}") from None
        return Teacher(self.V_star.to(where), self.S_star.to(where), self.sigma)

    @property
    def M(self) -> int:
        """Rows of V*: kernels, filters, outputs per token."""
        return self.V_star.shape[0]

    @property
    def d(self) -> int:
        """Dimension of a token."""
        return self.V_star.shape[1]

    @property
    def D(self) -> int:
        """Number of tokens."""
        return self.S_star.shape[0]

    @property
    def support(self) -> Tensor:
        """D × D bool: column i marks G^i, the tokens that output i reads."""
        return self.S_star > 0

    @cached_property
    def K(self) -> int:
        """The common column count, where every column of S* has K entries 1/K and zeros elsewhere.

        Raises ValueError where S* is not of that kind, naming the column.
        """
        counts = self.support.sum(0)
        K = int(counts[0])
        uniform = self.support.to(self.S_star.dtype) / counts.clamp(min=1)
        wrong = (counts != K) | (counts == 0) | ((self.S_star - uniform).abs() > 1e-6 / max(K, 1)).any(0)
        if wrong.any():
            i = int(wrong.nonzero()[0])
            values = sorted({round(v, 6) for v in self.S_star[:, i].tolist()})
            raise ValueError(
                f"K is defined only where each column of S* has the same number K of entries 1/K and zeros elsewhere; "
                f"column 0 has {K} positive entries, column {i} has {int(counts[i])} with values {values[:6]}"
            )
        return K


def convolution(
    V_star, D: int, K: int | None = None, sigma: Activation = RELU, *, groups: Iterable[Sequence[int]] | None = None
) -> Teacher:
    """Example 2.1: convolution with M kernels, then average pooling over groups of patches.

    Token i is a patch, row m of V* is a kernel, and column i of S* is 1_{g(i)}/|g(i)|, g(i) the pooling group of patch
    i. A group's output is repeated for each of its members. Shapes: `V_star` M × d.
    Without `groups` the groups are contiguous: {0 … K−1}, {K … 2K−1}, …; `groups` may be any partition of range(D).
    Raises ValueError where K does not divide D or the groups are not a partition.

    >>> convolution(torch.ones(1, 2), D=4, K=2).S_star
    tensor([[0.5000, 0.5000, 0.0000, 0.0000],
            [0.5000, 0.5000, 0.0000, 0.0000],
            [0.0000, 0.0000, 0.5000, 0.5000],
            [0.0000, 0.0000, 0.5000, 0.5000]])
    """
    V_star = checks.array("V_star", V_star, ("M", "d"))
    D = checks.integer("D", D, 1, checks.ROWS)
    if K is not None:
        K = checks.integer("K", K, 1)
    if groups is None:
        if K is None:
            raise TypeError("give K, the size of the contiguous pooling groups, or groups")
        if D % K:
            raise ValueError(f"K must divide D, got K = {K} and D = {D}")
        groups = [range(start, start + K) for start in range(0, D, K)]
    groups = [checks.collection("a group in groups", group) for group in checks.collection("groups", groups)]
    groups = [[checks.integer("a patch in groups", i, 0) for i in group] for group in groups]
    if sorted(i for group in groups for i in group) != list(range(D)) or not all(groups):
        raise ValueError(f"groups must be a partition of range({D}) into non-empty groups, got {groups}")
    if K is not None and any(len(group) != K for group in groups):
        raise ValueError(f"every group must have K = {K} patches, got sizes {sorted({len(g) for g in groups})}")
    S_star = V_star.new_zeros(D, D)
    for group in groups:
        S_star[torch.tensor(group)[:, None], torch.tensor(group)] = 1 / len(group)
    return Teacher(V_star, S_star, sigma)


def graph_scores(graph: nx.Graph, normalisation: str = "symmetric") -> Tensor:
    """The scores of one graph-convolution layer on any graph, from Ã = A + I and its degrees D̃. D × D, float64.

    "symmetric" is D̃^{-1/2} Ã D̃^{-1/2}, the textbook layer; "walk" is Ã D̃^{-1}, whose column i is the mean over node i
    and its neighbours. Both are Ã/K on a (K−1)-regular graph, and differ on any other. Columns follow `graph.nodes`.
    Assumes a simple undirected graph without self-loops. Raises TypeError for other kinds, ValueError for self-loops,
    no nodes, and another `normalisation`. Source: Example 2.2; "walk" is used in `paper/irregular-graphs`.

    >>> star = nx.star_graph(3)                    # one node with three neighbours
    >>> graph_scores(star).sum(0)
    tensor([1.3107, 0.8536, 0.8536, 0.8536], dtype=torch.float64)
    >>> graph_scores(star, "walk").sum(0)
    tensor([1., 1., 1., 1.], dtype=torch.float64)
    """
    if not isinstance(graph, nx.Graph) or graph.is_directed() or graph.is_multigraph():
        raise TypeError(f"graph must be an undirected simple networkx graph, got {type(graph).__name__}")
    if not len(graph):
        raise ValueError("graph must have at least one node, got 0")
    loops = nx.number_of_selfloops(graph)
    if loops:
        raise ValueError(f"graph must have no self-loops (the layer adds its own), got {loops}")
    if normalisation not in ("symmetric", "walk"):
        raise ValueError(f'normalisation must be "symmetric" or "walk", got {normalisation!r}')
    A_tilde = torch.from_numpy(nx.to_numpy_array(graph, weight=None)) + torch.eye(len(graph), dtype=torch.float64)
    degrees = A_tilde.sum(0)
    return A_tilde / (degrees if normalisation == "walk" else (degrees[:, None] * degrees).sqrt())


def graph_convolution(V_star, graph: nx.Graph, sigma: Activation = RELU) -> Teacher:
    """Example 2.2: one graph-convolution layer on a (K−1)-regular graph.

    S* = D̃^{-1/2} Ã D̃^{-1/2} with Ã = A + I, which is Ã/K on a regular graph. Columns follow `graph.nodes`.
    Shapes: `V_star` M × d. Assumes a simple undirected graph. Raises TypeError for anything else, ValueError where a
    degree differs (the columns of S* are then no longer uniform, and the teacher leaves the class: see `graph_scores`).

    >>> graph_convolution(torch.ones(1, 2), nx.cycle_graph(5)).K
    3
    """
    S_star = graph_scores(graph, "walk")
    degrees = dict(graph.degree)
    if len(set(degrees.values())) > 1:
        low, high = min(degrees, key=degrees.get), max(degrees, key=degrees.get)
        raise ValueError(
            f"graph must be regular: node {low!r} has degree {degrees[low]}, node {high!r} has degree {degrees[high]}"
        )
    V_star = checks.array("V_star", V_star, ("M", "d"))
    return Teacher(V_star, S_star.to(V_star), sigma)


def token_selection(d: int, D: int, positions: Iterable[int]) -> Teacher:
    """Example 2.3: sparse token selection. Every output is the mean of the tokens at the fixed `positions`.

    V* = I_d, S* = (1/K) 1_g 1ᵀ, σ the identity. Remark 2.4: here g is fixed; elsewhere it is part of the input.
    Raises ValueError for positions out of range, repeated or none.

    >>> token_selection(2, 4, [1, 3]).S_star[:, 0]
    tensor([0.0000, 0.5000, 0.0000, 0.5000], dtype=torch.float64)
    """
    d, D = checks.integer("d", d, 1, checks.ROWS), checks.integer("D", D, 1, checks.ROWS)
    positions = [_position(i, D) for i in checks.collection("positions", positions)]
    if not positions:
        raise ValueError("positions must name at least one token, got none")
    if len(set(positions)) < len(positions):
        raise ValueError(f"positions must not repeat, got {positions}")
    S_star = torch.zeros(D, D, dtype=torch.float64)
    S_star[positions] = 1 / len(positions)
    return Teacher(torch.eye(d, dtype=torch.float64), S_star, IDENTITY)


def group_sparse(v_star, D: int, position: int) -> Teacher:
    """Example 2.5: a group-sparse linear predictor. Only the token at `position` matters; K = 1.

    M = 1, V* = v*ᵀ, S* = e_{i*} 1ᵀ, σ the identity. Shapes: `v_star` d. Raises ValueError for a position out of range.

    >>> group_sparse([1.0, -1.0], D=3, position=2)(torch.arange(6.0, dtype=torch.float64).reshape(2, 3))
    tensor([[-3., -3., -3.]], dtype=torch.float64)
    """
    v_star = checks.array("v_star", v_star, ("d",), not_tiny=True)
    D = checks.integer("D", D, 1, checks.ROWS)
    S_star = v_star.new_zeros(D, D)
    S_star[_position(position, D)] = 1
    return Teacher(v_star[None], S_star, IDENTITY)


def scattered_scores(D: int, counts, *, generator: torch.Generator, uneven: bool = False) -> Tensor:
    """S* whose columns read scattered tokens: column i draws its own K_i = `counts[i]` of them. D × D, float64.

    `counts`: one number for all columns, or D of them. Each value is 1/K_i; with `uneven`, weights drawn from
    [0.5, 1.5) over their sum. No relabelling of tokens maps such a teacher to itself. Raises ValueError unless
    1 ≤ K_i ≤ D and there are D counts.

    >>> S_star = scattered_scores(6, [1, 2, 3, 4, 5, 6], generator=torch.Generator().manual_seed(0))
    >>> (S_star > 0).sum(0).tolist(), S_star.sum(0).round(decimals=12).tolist()
    ([1, 2, 3, 4, 5, 6], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    D, uneven = checks.integer("D", D, 1, checks.ROWS), checks.instance("uneven", uneven, bool)
    checks.instance("generator", generator, torch.Generator)
    counts = [counts] * D if isinstance(counts, Integral) else checks.collection("counts", counts)
    counts = [checks.integer("a count in counts", count, 1) for count in counts]
    if len(counts) != D or max(counts) > D:
        raise ValueError(
            f"counts must be D = {D} numbers that are at most D, got {len(counts)}, at most {max(counts, default=0)}"
        )
    S_star = torch.zeros(D, D, dtype=torch.float64, device=generator.device)
    draw = {"generator": generator, "device": generator.device}
    for i, count in enumerate(counts):
        tokens = torch.randperm(D, **draw)[:count]
        weights = 0.5 + torch.rand(count, dtype=torch.float64, **draw) if uneven else torch.ones(count).to(S_star)
        S_star[tokens, i] = weights / weights.sum()
    return S_star


def six_sets(V_star, slope: float = 0.1) -> dict[str, Teacher]:
    """The six experiments of section 4.1 with the paper's D and K, by name.

    Convolution D = 36, K = 4 and the cycle graph D = 20, K = 3, each with ReLU and Leaky ReLU; token selection D = 20,
    K = 4; group-sparse D = 20, K = 1. Ours: `V_star` M × d (its first row serves the group-sparse set, its d the token
    selection), the Leaky `slope`, and the selected positions.

    >>> [(name, f.D, f.K) for name, f in six_sets(torch.ones(2, 3)).items()][3:]
    [('cycle, Leaky ReLU', 20, 3), ('token selection', 20, 4), ('group-sparse', 20, 1)]
    """
    V_star = checks.array("V_star", V_star, ("M", "d"))
    leaky, cycle = Activation(slope), nx.cycle_graph(20)
    return {
        "convolution, ReLU": convolution(V_star, 36, 4, RELU),
        "convolution, Leaky ReLU": convolution(V_star, 36, 4, leaky),
        "cycle, ReLU": graph_convolution(V_star, cycle, RELU),
        "cycle, Leaky ReLU": graph_convolution(V_star, cycle, leaky),
        "token selection": token_selection(V_star.shape[1], 20, [2, 7, 11, 16]),
        "group-sparse": group_sparse(V_star[0], 20, 7),
    }


def _position(i, D: int) -> int:
    i = checks.integer("a position", i, 0)
    if i >= D:
        raise ValueError(f"a position must be less than D = {D}, got {i}")
    return i
