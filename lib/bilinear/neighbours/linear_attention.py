"""Linear attention is a linear predictor: "Learning Linear Attention in Polynomial Time" (arXiv 2410.10101).

For an input Z (d × n) with rows z_j and last column q = Z[:, n] the layer is

    MHLA(Z) = Σ_h V_h Z (Zᵀ Q_h q),   output_a = Σ_{j,k,l} T_{(a,j),(k,l)} ⟨z_j, z_k⟩ q_l,   T = Σ_h vec(V_h) vec(Q_h)ᵀ.

The monomials are symmetric in j and k, so only ψ = d²(d+1)/2 of the d³ are different. They are the folded features
H(Z), and output_a = p_a · H(Z): p, d × ψ, is all that the outputs tell of the heads. Derived, and run, in the chapter
`neighbours/linear-attention`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .. import checks, descent
from ..descent import Run

LARGEST = 30  # rows of an input whose monomials are listed: there are d⁶ entries in a moment


@dataclass(frozen=True, eq=False)
class LinearAttention:
    """MHLA(Z) = Σ_h V_h Z (Zᵀ Q_h Z[:, n]): multi-head linear attention, read at the last column.

    Shapes: `V` and `Q` heads × d × d; a call maps Z (…, d, n) to (…, d), for any n ≥ 1.
    Raises ValueError for shapes that do not meet and for NaN. Source: the paper's definition of MHLA.

    >>> layer = LinearAttention([[[0, 0], [0, 1]]], [[[1, 0], [0, 0]]])   # a key and a value, one number each
    >>> layer(torch.tensor([[2.0, 3.0], [5.0, 0.0]], dtype=torch.float64))    # value 5 times key 2 times query 3
    tensor([ 0., 30.], dtype=torch.float64)
    """

    V: Tensor
    Q: Tensor

    def __post_init__(self):
        V = checks.array("V", self.V, ("heads", "d", "d")).detach().clone()
        Q = checks.array("Q", self.Q, tuple(V.shape), like=V).detach().clone()
        object.__setattr__(self, "V", V)
        object.__setattr__(self, "Q", Q)

    def __call__(self, Z: Tensor) -> Tensor:
        Z = _inputs(Z, self.d, self.V)
        scores = Z.mT[..., None, :, :] @ (self.Q @ Z[..., None, :, -1:])  # Zᵀ Q_h q      (…, heads, n, 1)
        output = (self.V @ (Z[..., None, :, :] @ scores)).sum(-3).squeeze(-1)
        if not output.isfinite().all():
            raise FloatingPointError("Z, V and Q are too large: the output is not finite")
        return output

    @property
    def heads(self) -> int:
        """Number of heads."""
        return self.V.shape[0]

    @property
    def d(self) -> int:
        """Rows of the input."""
        return self.V.shape[1]

    @property
    def lifted(self) -> Tensor:
        """T = Σ_h vec(V_h) vec(Q_h)ᵀ, d² × d²: rows (a, j), columns (k, l). Its rank is at most the number of heads."""
        return self.V.flatten(1).mT @ self.Q.flatten(1)

    @property
    def p(self) -> Tensor:
        """p(Θ), d × ψ: p_{a,{j,k},l} = Σ_h V_aj Q_kl + V_ak Q_jl, and Σ_h V_aj Q_jl where j = k.

        Two layers compute the same function of Z (for all Z with two columns or more) exactly where their p agree.
        """
        return self.lifted.reshape(self.d, -1) @ unfolding(self.d).to(self.V)


def monomials(d: int) -> tuple[tuple[int, int, int], ...]:
    """The ψ = d²(d+1)/2 triples (j, k, l), j ≤ k, of ⟨z_j, z_k⟩ q_l, in the order of H(Z); counted from 0.

    >>> len(monomials(2)), monomials(2)[:3]
    (6, ((0, 0, 0), (0, 0, 1), (0, 1, 0)))
    """
    d = checks.integer("d", d, 1, LARGEST)
    return tuple((j, k, ell) for j in range(d) for k in range(j, d) for ell in range(d))


def unfolding(d: int) -> Tensor:
    """U, d³ × ψ with entries 0 and 1: vec X(Z) = U H(Z), and p(Θ) = T U, with T as d × d³.

    Row (j, k, l) marks the monomial ⟨z_j, z_k⟩ q_l. A column has two ones where j < k, and one where j = k.

    >>> unfolding(2).shape, unfolding(2).sum(0).tolist()
    (torch.Size([8, 6]), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0])
    """
    d = checks.integer("d", d, 1, LARGEST)
    index = torch.tensor(monomials(d))
    j, k, ell = index.T
    U = torch.zeros(d, d, d, len(index), dtype=torch.float64)
    U[j, k, ell, range(len(index))] = U[k, j, ell, range(len(index))] = 1
    return U.reshape(d**3, -1)


def features(Z: Tensor) -> Tensor:
    """X(Z), d × d²: X_{j,(k,l)} = ⟨z_j, z_k⟩ q_l, so that output_a = ⟨rows (a, ·) of T, X⟩.

    Shapes: Z (…, d, n) to (…, d, d²). X_{j,(k,l)} = X_{k,(j,l)}: its second moment is never full rank for d ≥ 2.

    >>> features(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([[10., 15., 12., 18.],
            [12., 18., 18., 27.]])
    """
    Z = _inputs(Z)
    return ((Z @ Z.mT)[..., None] * Z[..., None, None, :, -1]).flatten(-2)


def folded_features(Z: Tensor) -> Tensor:
    """H(Z), the ψ different entries of X(Z): ⟨z_j, z_k⟩ q_l for j ≤ k, in the order of `monomials`.

    Shapes: Z (…, d, n) to (…, ψ). Source: the paper's certificate of identifiability.

    >>> folded_features(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([10., 15., 12., 18., 18., 27.])
    """
    Z = _inputs(Z)
    j, k = torch.triu_indices(Z.shape[-2], Z.shape[-2])
    return ((Z @ Z.mT)[..., j, k, None] * Z[..., None, :, -1]).flatten(-2)


def from_lifted(lifted: Tensor) -> LinearAttention:
    """The heads of T by its SVD: V_h and Q_h are the singular vectors, folded, times the root of the singular value.

    Shapes: `lifted`, T, d² × d². As many heads as the rank of T, at most d²; one zero head where T = 0.
    The last step of Algorithm 1. Raises ValueError where T is not square with a square number of rows.

    >>> layer = LinearAttention(torch.eye(3)[None], torch.ones(1, 3, 3))
    >>> from_lifted(layer.lifted).heads
    1
    """
    T = checks.array("lifted", lifted, ("d²", "d²"), not_tiny=True)
    d = math.isqrt(len(T))
    if d * d != len(T):
        raise ValueError(f"lifted must have a square number of rows, got {len(T)}")
    A, s, B = torch.linalg.svd(T)
    rank = max(1, int((s > len(T) * torch.finfo(T.dtype).eps * s[0]).sum()))
    root = s[:rank, None].sqrt()
    return LinearAttention((A.mT[:rank] * root).reshape(-1, d, d), (B[:rank] * root).reshape(-1, d, d))


@dataclass(frozen=True, eq=False)
class Certificate:
    """What inputs say about p: the spectrum of E[H Hᵀ], and the monomials' combinations that vanish on them.

    Fields: `d`; `eigenvalues` (ψ,) ascending; `row_space` ψ × rank, an orthonormal basis of what the inputs reach.
    Make it from inputs with `certify`, or from an exact moment with `certify_moment`. Where a target is linear
    attention and λ_min > 0, every minimiser of the square loss computes the target on all inputs (the paper).
    Where λ_min = 0 it does so on the inputs that the certificate `covers` (derived in the chapter).
    """

    d: int
    eigenvalues: Tensor
    row_space: Tensor

    @property
    def smallest(self) -> float:
        """λ_min(E H Hᵀ)."""
        return self.eigenvalues[0].item()

    @property
    def rank(self) -> int:
        """Number of independent monomials on these inputs, up to rounding."""
        return self.row_space.shape[1]

    @property
    def identifiable(self) -> bool:
        """Whether the rank is ψ, so that p is determined."""
        return self.rank == len(self.eigenvalues)

    @property
    def null_space(self) -> Tensor:
        """ψ × (ψ − rank), orthonormal: directions of each row of p that no input sees."""
        return torch.linalg.qr(self.row_space, mode="complete").Q[:, self.rank :]

    def relations(self, limit: int = 3) -> list[str]:
        """The null space in words: reduced combinations of monomials that vanish on every input, `limit` at most.

        ⟨z0,z1⟩q1 is the product of rows 0 and 1 times entry 1 of the last column, counted from 0.

        >>> print(*certify(torch.ones(9, 2, 1, dtype=torch.float64)).relations(1))
        ⟨z0,z0⟩q0 − ⟨z1,z1⟩q1 = 0
        """
        limit = checks.integer("limit", limit, 0)
        rows = _reduced(self.null_space.mT.double().numpy())
        return [_sum_of_monomials(row, self.d) for row in rows[:limit]]

    def covers(self, Z: Tensor) -> Tensor:
        """Whether H(Z) lies in the span of the inputs' features, to 1e-8 of its length; then Z's output is determined.

        Shapes: Z (…, d, n) to (…,) bool.
        """
        Z = _inputs(Z, self.d, self.row_space)
        largest = Z.abs().amax((-2, -1), keepdim=True)
        H = folded_features(Z / torch.where(largest > 0, largest, 1.0))  # of size one: products of threes underflow
        outside = H - H @ self.row_space @ self.row_space.mT
        return outside.norm(dim=-1) <= 1e-8 * H.norm(dim=-1)


def certify(Z: Tensor) -> Certificate:
    """The certificate of a sample of inputs, by the singular values of its N × ψ design matrix.

    Shapes: Z N × d × n. The rank is at most N: fewer than ψ samples never determine p. A singular value counts as zero
    below max(N, ψ) ulps of the largest. Raises ValueError for NaN and shapes.

    >>> Z = torch.randn(20, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> certify(Z).identifiable, certify(Z[:5]).rank
    (True, 5)
    """
    Z = checks.array("Z", Z, ("N", "d", "n"))
    size, info = Z.abs().max().item(), torch.finfo(Z.dtype)
    low, high = info.tiny ** (1 / 6), 0.01 * info.max ** (1 / 6)
    if size and not low <= size <= high:
        raise ValueError(f"Z must have a largest entry from {low:.2g} to {high:.2g}: six multiply; got {size:.3g}")
    H = folded_features(Z)
    N, psi = H.shape
    _, s, right = torch.linalg.svd(H, full_matrices=False)
    kept = s > max(N, psi) * torch.finfo(H.dtype).eps * s[0]
    eigenvalues = torch.cat([s.new_zeros(psi - len(s)), s.flip(0).square() / N])
    return Certificate(Z.shape[1], eigenvalues, right[kept].mT)


def certify_moment(moment: Tensor) -> Certificate:
    """The certificate of a law of inputs, from its exact second moment E[H Hᵀ].

    Shapes: `moment` ψ × ψ, symmetric, no eigenvalue below zero. One counts as zero below ψ ulps of the largest.
    Raises ValueError where it is not such, and where ψ is not d²(d+1)/2 for any d.

    >>> round(certify_moment(gaussian_moment(3, 5)).smallest, 12)
    4.0
    """
    moment = _moment(checks.array("moment", moment, ("ψ", "ψ"), not_tiny=True))
    d = next(d for d in range(1, len(moment) + 2) if d * d * (d + 1) // 2 >= len(moment))
    if len(monomials(d)) != len(moment):
        raise ValueError(f"moment must have d²(d+1)/2 rows for some d: 1, 6, 18, 40, …; got {len(moment)}")
    eigenvalues, vectors = torch.linalg.eigh(moment)
    kept = eigenvalues > len(moment) * torch.finfo(moment.dtype).eps * eigenvalues[-1]
    return Certificate(d, eigenvalues, vectors[:, kept])


def _moment(moment: Tensor) -> Tensor:
    """A second moment, refused unless it is symmetric and has no eigenvalue below zero, to rounding."""
    error, size = (moment - moment.mT).abs().max().item(), moment.abs().max().item()
    least = torch.linalg.eigvalsh(moment)[..., 0].min().item()
    if 1e3 * moment.shape[-1] * torch.finfo(moment.dtype).eps * size < max(error, -least):
        raise ValueError(
            f"moment must be symmetric, with no eigenvalue below 0: the largest entry of |moment − momentᵀ| is "
            f"{error:.2g}, the least eigenvalue {least:.2g}"
        )
    return moment


class Fit(NamedTuple):
    """What Algorithm 1 returns: `layer`, at most d² heads; `p`, d × ψ; the `certificate` of the training inputs."""

    layer: LinearAttention
    p: Tensor
    certificate: Certificate


def learn(Z: Tensor, Y: Tensor, *, least_norm: bool = False) -> Fit:
    """Algorithm 1: features, least squares, and the SVD of the solution T as heads.

    Shapes: Z N × d × n, Y N × d. Agnostic: for any labels the result has the least square loss of all linear attention
    layers with any number of heads. Each row of p has ψ unknowns and N equations, the same features for each.
    Raises ValueError where the inputs do not determine p (fewer than ψ samples never do), naming what they leave open.
    With `least_norm` the solution with the smallest ‖T‖_F is returned instead; `certificate.covers` then tells the
    inputs on which it can be trusted.

    >>> generator = torch.Generator().manual_seed(0)
    >>> Z, V, Q = (torch.randn(*s, 2, 2, dtype=torch.float64, generator=generator) for s in ((6,), (1,), (1,)))
    >>> teacher = LinearAttention(V, Q)
    >>> fit = learn(Z, teacher(Z))                           # ψ = 6 samples
    >>> bool((fit.p - teacher.p).norm() < 1e-10), fit.layer.heads
    (True, 4)
    """
    Z = checks.array("Z", Z, ("N", "d", "n"))
    N, d, _ = Z.shape
    Y = checks.array("Y", Y, (N, d), like=Z, not_tiny=True)
    U, certificate = unfolding(d).to(Z), certify(Z)
    rank, psi = certificate.rank, U.shape[1]
    if rank < psi and not checks.instance("least_norm", least_norm, bool):
        raise ValueError(
            f"Z does not determine the layer: its N = {N} samples reach {rank} of the ψ = {psi} dimensions of H(Z) "
            f"(d = {d}; at least ψ samples are needed); on all of them {certificate.relations(1)[0]}. Give more, or "
            f"more varied, inputs; or least_norm=True for one of many solutions"
        )
    weight = U.sum(0).sqrt()  # ‖T‖² = Σ p²/weight² for the T that is symmetric in j and k, the one of least norm
    left, s, right = torch.linalg.svd(folded_features(Z) * weight, full_matrices=False)
    c = (Y.mT @ left[:, :rank] / s[:rank]) @ right[:rank]  # (d, ψ)
    T = (c / weight) @ U.mT
    return Fit(from_lifted(T.reshape(d * d, d * d)), c * weight, certificate)


def slopes(p: Tensor, moment: Tensor) -> Callable:
    """The exact loss ½ tr[(p(Θ) − p) E[H Hᵀ] (p(Θ) − p)ᵀ] and its slopes in the heads, for `descent.descend`.

    Shapes: `p` (…, d, ψ), the target; `moment` ψ × ψ or (…, ψ, ψ); the tensors `A` and `B` (…, heads, d²) have the rows
    vec(V_h) and vec(Q_h), so that T = AᵀB. Targets side by side have the sum of their losses.
    Raises ValueError where ψ is not d²(d+1)/2, or not that of `moment`.

    >>> target = LinearAttention(torch.eye(2)[None], torch.eye(2)[None]).p
    >>> start = {name: 0.5 * torch.eye(2).reshape(1, 4) for name in "AB"}
    >>> run = descent.descend(slopes(target, gaussian_moment(2, 4)), start, eta=0.001, steps=100)
    >>> (run.A.T @ run.B)[0].round(decimals=3).tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    for name, value in (("p", p), ("moment", moment)):
        checks.finite(name, value)
    if p.ndim < 2 or not p.numel():
        raise ValueError(f"p must have shape (…, d, ψ), got {tuple(p.shape)}")
    p, moment = p.detach(), moment.detach()
    d, psi = p.shape[-2:]
    if psi != d * d * (d + 1) // 2:
        raise ValueError(f"p must have ψ = {d * d * (d + 1) // 2} columns for d = {d}, got {psi}")
    if tuple(moment.shape) not in ((psi, psi), (*p.shape[:-2], psi, psi)):
        raise ValueError(f"moment must have shape {psi} × {psi}, got {' × '.join(map(str, moment.shape))}")
    _moment(moment)
    U, size = unfolding(d).to(p), (*p.shape[:-2], d * d, d * d)
    W = U @ moment.to(p) @ U.mT  # the second moment of vec X: with T in place of p, a product less
    T_star = p @ (U / U.sum(0)).mT  # T_star U = p

    def of(A, B):
        for name, part in (("A", A), ("B", B)):
            if checks.dense(name, part).dtype != p.dtype:
                raise TypeError(f"{name} must have dtype {p.dtype} like p, got {part.dtype}")
        if A.ndim < 2 or A.shape != B.shape or (*A.shape[:-2], A.shape[-1]) != size[:-1]:
            shape = (*size[:-2], "heads", d * d)
            raise ValueError(f"A and B must have shape {shape}, got {tuple(A.shape)} and {tuple(B.shape)}")
        error = (A.mT @ B).reshape(T_star.shape) - T_star
        to_T = error @ W
        loss, to_T = 0.5 * (to_T.flatten() @ error.flatten()), to_T.reshape(size)
        return loss, {"A": B @ to_T.mT, "B": A @ to_T}

    return of


def train_heads(
    p: Tensor, moment: Tensor, heads: int, steps: int, *, eta: float, generator, record: Iterable[int] | None = None
) -> Run:
    """Adam on the heads along `slopes`, several runs at once.

    Shapes: `p` runs × d × ψ, the targets; `moment` ψ × ψ or runs × ψ × ψ. Heads start with N(0, 1/d) entries;
    `record` as in `descent.descend`. Columns: `t`, and `loss` and `p_distance`, one number a run. Weights: `V` and `Q`,
    runs × heads × d × d. Raises ValueError for shapes, FloatingPointError where it diverges.

    >>> target = LinearAttention(torch.eye(2)[None], torch.eye(2)[None]).p[None]
    >>> generator = torch.Generator().manual_seed(0)
    >>> run = train_heads(target, gaussian_moment(2, 4), 4, 500, eta=0.03, generator=generator, record=[0, 500])
    >>> bool(run.loss[-1] < 1e-6 * run.loss[0])
    True
    """
    p = checks.array("p", p, ("runs", "d", "ψ"))
    runs, d, _ = p.shape
    checks.instance("generator", generator, torch.Generator)
    p, moment = p.detach(), checks.dense("moment", moment).detach().to(p)
    of, U = slopes(p, moment), unfolding(d).to(p)
    heads, eta = checks.integer("heads", heads, 1), checks.real("eta", eta, above=0)
    start = torch.randn(2, runs, heads, d * d, generator=generator, dtype=p.dtype) / math.sqrt(d)

    def of_both(AB):  # one tensor: Adam is twice as fast
        loss, to = of(*AB)
        return loss, {"AB": torch.stack([to["A"], to["B"]])}

    def watch(AB):
        error = (AB[0].mT @ AB[1]).reshape(runs, d, -1) @ U - p
        loss = 0.5 * ((error @ moment) * error).sum((1, 2))
        return {"loss": loss, "p_distance": error.square().sum((1, 2)).sqrt()}

    adam = partial(torch.optim.Adam, fused=True)
    run = descent.descend(of_both, {"AB": start}, eta, steps, optimiser=adam, record=record, watch=watch)
    V, Q = run.AB.reshape(2, runs, heads, d, d)
    return Run(run.columns, {"V": V, "Q": Q})


def gaussian_moment(d: int, n: int) -> Tensor:
    """E[H Hᵀ] for Z, d × n, with i.i.d. N(0, 1) entries, exactly. Shape ψ × ψ.

    Z Zᵀ = W + q qᵀ with W, from n − 1 columns, independent of q; moments to order six by counting pairs.
    Its λ_min is n − 1 for d ≥ 3 and any n. Source: derived in the chapter.

    >>> gaussian_moment(1, 2)                          # E (w² + q²)² q² = 3 + 2·3 + 15
    tensor([[24.]], dtype=torch.float64)
    """
    d, m = checks.integer("d", d, 1, LARGEST), checks.integer("n", n, 1) - 1
    index = torch.tensor(monomials(d))
    (j, k, ell), (J, K, L) = index.mT[:, :, None], index.mT[:, None, :]

    def moment(*indices):  # E of a product of entries of q
        counts = one_hot(torch.stack(torch.broadcast_tensors(*indices), -1), d).sum(-2)
        return torch.tensor([1.0, 0, 1, 0, 3, 0, 15], dtype=torch.float64)[counts].prod(-1)

    pairs = m * m * (j == k) * (J == K) + m * ((j == J) * (k == K) * 1 + (j == K) * (k == J))
    mixed = (j == k) * moment(J, K, ell, L) + (J == K) * moment(j, k, ell, L)
    return pairs * (ell == L) + m * mixed + moment(j, k, ell, J, K, L)


def key_value_layer() -> LinearAttention:
    """The key–value memory: one head, V = diag(0, I), Q = diag(I, 0), on columns [key; value] of two entries each.

    >>> key_value_layer().V.diagonal(dim1=1, dim2=2).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    diagonals = torch.tensor([[0.0, 0, 1, 1], [1, 1, 0, 0]], dtype=torch.float64)
    return LinearAttention(*torch.diag_embed(diagonals)[:, None])


def key_value_inputs(samples: int, unitary: float, *, generator: torch.Generator) -> Tensor:
    """Inputs of the key–value memory, samples × 4 × 3: two columns [key; value], and the query [first key; ζ].

    Keys are unit vectors of the plane in uniform directions: orthonormal with probability `unitary`, else independent.
    Values and ζ are N(0, 1); the order of the stored pairs does not matter. Ours: sizes, and the law of values and ζ.
    Raises ValueError for a probability outside [0, 1].

    >>> Z = key_value_inputs(5, 1.0, generator=torch.Generator().manual_seed(0))
    >>> Z.shape, bool((Z[:, :2, 0] * Z[:, :2, 1]).sum(1).abs().max() < 1e-12)
    (torch.Size([5, 4, 3]), True)
    """
    samples = checks.integer("samples", samples, 1, checks.ENTRIES // 12)
    unitary = checks.real("unitary", unitary, least=0, most=1)
    draw = {"generator": checks.instance("generator", generator, torch.Generator), "dtype": torch.float64}
    angles = 2 * math.pi * torch.rand(samples, 2, **draw)
    angles[:, 1] = torch.where(torch.rand(samples, **draw) < unitary, angles[:, 0] + math.pi / 2, angles[:, 1])
    return _key_value_columns(angles, torch.randn(samples, 6, **draw))


def key_value_moment(unitary: float) -> Tensor:
    """E[H Hᵀ] of `key_value_inputs`, 40 × 40, exactly: (1 − unitary) Λ₀ + unitary Λ₁.

    Each of Λ₀ and Λ₁ is a sum over a finite set of inputs: equally spaced angles integrate the trigonometric
    polynomials of H Hᵀ, Gauss–Hermite nodes the polynomials. λ_min = 9/56 (1 − unitary) to first order, derived in the
    chapter. Raises ValueError for a probability outside [0, 1].

    >>> certify_moment(key_value_moment(0.5)).identifiable, certify_moment(key_value_moment(1.0)).rank
    (True, 38)
    """
    unitary = checks.real("unitary", unitary, least=0, most=1)
    independent, orthonormal = _key_value_moments()
    return (1 - unitary) * independent + unitary * orthonormal


@cache
def _key_value_moments() -> tuple[Tensor, Tensor]:
    """(Λ₀, Λ₁). Degrees in H Hᵀ: at most 6 in the first angle and in ζ, 4 in the others."""
    value, zeta = np.polynomial.hermite_e.hermegauss(3), np.polynomial.hermite_e.hermegauss(4)
    gauss = [value] * 4 + [zeta] * 2
    moments = []
    for others in (np.arange(6) * (2 * np.pi / 6), np.array([np.pi / 2])):  # the second key's angle to the first
        angles = [(np.arange(8) * (2 * np.pi / 8), np.ones(8)), (others, np.ones(len(others)))]
        nodes, weights = zip(*angles, *gauss, strict=True)
        points = torch.from_numpy(np.stack([x.ravel() for x in np.meshgrid(*nodes, indexing="ij")], -1))
        weight = torch.from_numpy(np.prod([x.ravel() for x in np.meshgrid(*weights, indexing="ij")], 0))
        points[:, 1] += points[:, 0]
        H = folded_features(_key_value_columns(points[:, :2], points[:, 2:]))
        moments.append(H.mT @ (H * (weight / weight.sum())[:, None]))
    return tuple(moments)


def _key_value_columns(angles: Tensor, values: Tensor) -> Tensor:
    """samples × 4 × 3 from the keys' angles (samples, 2) and the values of the three columns (samples, 6)."""
    angles = angles[:, [0, 1, 0]]
    keys = torch.stack([angles.cos(), angles.sin()], 1)
    return torch.cat([keys, values.reshape(-1, 3, 2).mT], 1)


def automaton_inputs(tables: Tensor, pairs: Tensor, states: int) -> Tensor:
    """Inputs that hold a finite automaton and ask for one transition, (…, m + states, m + 1) for m pairs.

    A pair is a state and a letter. Column i is [e_i; e_s] where pair i leads to state s, so that its keys are one-hot;
    the last column is [e_pair; 0]. Shapes: `tables` (…, m) with states as entries, `pairs` (…).
    Raises ValueError for a state or a pair out of range. Source: ours, a single lookup; see the chapter.

    >>> automaton_inputs(torch.tensor([1, 0]), torch.tensor(1), 2)    # one letter: 0 → 1 → 0; where does 1 lead?
    tensor([[1., 0., 0.],
            [0., 1., 1.],
            [0., 1., 0.],
            [1., 0., 0.]], dtype=torch.float64)
    """
    states = checks.integer("states", states, 1, checks.ROWS)
    for name, index in (("tables", tables), ("pairs", pairs)):
        checks.dense(name, index, whole=True)
    m = tables.shape[-1] if tables.ndim else 0
    if not m or pairs.shape != tables.shape[:-1]:
        raise ValueError(f"tables must be (…, m) and pairs (…), got {tuple(tables.shape)} and {tuple(pairs.shape)}")
    tables, pairs = tables.long(), pairs.long()
    for name, index, size in (("tables", tables, states), ("pairs", pairs, m)):
        if index.numel() and not ((index >= 0) & (index < size)).all():
            raise ValueError(f"{name} must have entries from 0 to {size - 1}, got {index.min()} to {index.max()}")
    keys = torch.eye(m, dtype=torch.float64).expand(*tables.shape, m)
    stored = torch.cat([keys, one_hot(tables, states).to(keys).mT], -2)
    query = torch.nn.functional.pad(one_hot(pairs, m), (0, states)).to(keys)
    return torch.cat([stored, query[..., None]], -1)


def _inputs(Z, d: int | None = None, like: Tensor | None = None) -> Tensor:
    """Z as it is; refuses what is not a finite floating tensor (…, d, n), in `like`'s dtype."""
    checks.dense("Z", Z)
    if like is not None and Z.dtype != like.dtype:
        raise TypeError(f"Z must have dtype {like.dtype}, got {Z.dtype}")
    if Z.ndim < 2 or 0 in Z.shape or (d is not None and Z.shape[-2] != d):
        raise ValueError(f"Z must have shape (…, {d or 'd'}, n), got {tuple(Z.shape)}")
    checks.finite("Z", Z)
    if Z.detach().abs().max() > (most := torch.finfo(Z.dtype).max ** 0.25):
        raise ValueError(f"Z must be at most {most:.2g} in size, since its entries are multiplied by threes")
    return Z


def _reduced(rows: np.ndarray) -> np.ndarray:
    """The reduced echelon form of independent rows: the same span, with the fewest monomials in front."""
    rows, done = rows.copy(), 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        best = done + np.abs(rows[done:, column]).argmax()
        if abs(rows[best, column]) < 1e-8:
            continue
        rows[[done, best]] = rows[[best, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, column], rows[done])
        done += 1
    return np.where(np.abs(rows) < 1e-8, 0, rows)


def _sum_of_monomials(row: np.ndarray, d: int) -> str:
    terms = []
    for value, (j, k, ell) in zip(row, monomials(d), strict=True):
        if value:
            size = "" if abs(abs(value) - 1) < 1e-8 else f"{abs(value):.4g} "
            terms.append(f"{'−' if value < 0 else '+'} {size}⟨z{j},z{k}⟩q{ell}")
    return " ".join(terms).removeprefix("+ ") + " = 0"
