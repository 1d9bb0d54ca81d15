"""Linear attention is a linear predictor: its features, Algorithm 1, the certificate, and the exact moments."""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch

from bilinear.neighbours import linear_attention as la

from .cases import normal

EPS = torch.finfo(torch.float64).eps
PSI = {d: d * d * (d + 1) // 2 for d in (1, 2, 3, 4, 5)}


def layer(seed, d, heads=1):
    return la.LinearAttention(*normal(seed, 2, heads, d, d))


def by_definition(layer, Z):
    """Σ_h V_h Z (Zᵀ Q_h q), one input and one entry at a time."""
    out = torch.zeros(len(Z), layer.d, dtype=Z.dtype)
    for i, z in enumerate(Z.tolist()):
        columns = list(zip(*z, strict=True))
        for V, Q in zip(layer.V.tolist(), layer.Q.tolist(), strict=True):
            query = [sum(a * b for a, b in zip(row, columns[-1], strict=True)) for row in Q]
            for column in columns:
                score = sum(a * b for a, b in zip(column, query, strict=True))
                for a, row in enumerate(V):
                    out[i, a] += score * sum(x * y for x, y in zip(row, column, strict=True))
    return out


@pytest.mark.parametrize(("d", "n", "heads"), [(1, 1, 1), (2, 1, 3), (3, 4, 2), (4, 2, 1)])
def test_four_forms_are_one_function(d, n, heads):
    theta, Z = layer(0, d, heads), normal(1, 6, d, n)
    expected = by_definition(theta, Z)
    T = theta.lifted.reshape(d, d, d * d)
    forms = [theta(Z), torch.einsum("ajm,Njm->Na", T, la.features(Z)), la.folded_features(Z) @ theta.p.T]
    forms.append(la.from_lifted(theta.lifted)(Z))
    for form in forms:  # sums of at most d³ heads terms of order one to a hundred
        assert (form - expected).abs().max() < 1e-10


def test_a_call_keeps_the_leading_shape_and_dtype():
    theta = la.LinearAttention(*normal(0, 2, 2, 3, 3).float())
    Z = normal(1, 5, 7, 3, 4).float()
    assert theta(Z).shape == (5, 7, 3)
    assert theta(Z).dtype == torch.float32
    assert torch.allclose(theta(Z)[2, 3], theta(Z[2, 3]), atol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_monomials_and_the_unfolding(d):
    Z, names, U = normal(0, 5, d, 3), la.monomials(d), la.unfolding(d)
    assert len(names) == len(set(names)) == PSI[d]
    H = la.folded_features(Z)
    for i, (j, k, ell) in enumerate(names):
        assert torch.allclose(H[:, i], (Z[:, j] * Z[:, k]).sum(1) * Z[:, ell, -1])
    assert torch.allclose(la.features(Z).flatten(1), H @ U.T)
    assert torch.equal(U.sum(1), torch.ones(d**3, dtype=torch.float64))  # each entry of X is one monomial


@pytest.mark.parametrize("d", [2, 3, 4])
def test_p_is_the_formula_of_the_paper(d):
    theta = layer(0, d, 3)
    V, Q = theta.V, theta.Q
    for i, (j, k, ell) in enumerate(la.monomials(d)):
        expected = (V[:, :, j] * Q[:, k, ell, None]).sum(0)
        if j < k:
            expected = expected + (V[:, :, k] * Q[:, j, ell, None]).sum(0)
        assert torch.allclose(theta.p[:, i], expected)


def test_equal_p_equal_function_and_only_then():
    theta, Z = layer(0, 3), normal(1, 50, 3, 4)
    swapped = la.from_lifted(torch.kron(theta.V[0], theta.Q[0]))  # j and k exchanged in T
    assert swapped.heads == 9
    assert (swapped.p - theta.p).norm() < 1e-12
    assert (swapped(Z) - theta(Z)).abs().max() < 1e-10
    other = la.LinearAttention(theta.V, theta.Q + 1e-3 * normal(2, 1, 3, 3))
    assert (other.p - theta.p).norm() > 1e-4
    assert (other(Z) - theta(Z)).abs().max() > 1e-4


def test_from_lifted_has_the_rank_as_heads():
    assert la.from_lifted(layer(0, 3, 4).lifted).heads == 4
    assert la.from_lifted(torch.zeros(4, 4)).heads == 1
    T = normal(0, 9, 9)
    assert (la.from_lifted(T).lifted - T).abs().max() < 1e-13


# Algorithm 1


@pytest.mark.parametrize("heads", [1, 3, 20])
@pytest.mark.parametrize("d", [2, 3, 4])
def test_psi_samples_are_exactly_enough(d, heads):
    theta, Z = layer(heads, d, heads), normal(10 + d, PSI[d], d, 5)
    fit = la.learn(Z, theta(Z))
    bound = PSI[d] * torch.linalg.cond(la.folded_features(Z)) * EPS * theta.p.norm()
    assert (fit.p - theta.p).norm() < bound
    assert (fit.layer.p - fit.p).norm() < 1e-12 * fit.p.norm()  # the heads are those of p
    assert fit.certificate.identifiable
    with pytest.raises(ValueError, match=f"N = {PSI[d] - 1} samples reach {PSI[d] - 1} of the ψ = {PSI[d]}"):
        la.learn(Z[:-1], theta(Z[:-1]))
    short = la.learn(Z[:-1], theta(Z[:-1]), least_norm=True)
    assert (short.p - theta.p).norm() > 1e-3 * theta.p.norm()
    assert (short.layer(Z[:-1]) - theta(Z[:-1])).abs().max() < 1e-8  # what was seen is exact
    assert not short.certificate.identifiable


@pytest.mark.parametrize("N", [4, 7, 30])
def test_least_squares_is_that_of_the_unfolded_features(N):
    """In the d³ features: the same solution of least norm for few samples, the same minimum for many."""
    Z, Y = normal(0, N, 2, 3), normal(1, N, 2)
    fit = la.learn(Z, Y, least_norm=True)
    X = la.features(Z).flatten(1)
    T = torch.linalg.pinv(X, rtol=1e-12) @ Y
    assert (fit.layer.lifted.reshape(2, 8) - T.T).abs().max() < 1e-9


def test_no_layer_has_less_loss_whatever_the_labels():
    Z, Y = normal(0, 60, 3, 4), normal(1, 60, 3)
    fit = la.learn(Z, Y)
    least = (fit.layer(Z) - Y).square().sum()
    H = la.folded_features(Z)
    assert (H.T @ (H @ fit.p.T - Y)).abs().max() < 1e-9 * H.norm()  # the normal equations
    for seed in range(5):
        step = normal(seed, 1, 9, 9)[0]
        other = la.from_lifted(fit.layer.lifted + 1e-3 * step)
        assert (other(Z) - Y).square().sum() > least


def test_missing_share_is_one_minus_n_over_psi():
    d, N, teachers = 3, 11, 400
    Z, total, missed = normal(0, N, d, 5), [], []
    for seed in range(teachers):
        theta = layer(seed, d)
        T, fit = theta.lifted.reshape(3, 3, 3, 3), la.learn(Z, theta(Z), least_norm=True)
        symmetric = 0.5 * (T + T.transpose(1, 2))
        missed.append((fit.layer.lifted.reshape(3, 3, 3, 3) - symmetric).square().sum())
        total.append(symmetric.square().sum())
    missed, total = torch.stack(missed), torch.stack(total)
    law = 1 - N / PSI[d]
    z = (missed - law * total).mean() / ((missed - law * total).std() / math.sqrt(teachers))
    assert abs(z) < 4  # by chance once in 16 000


# The certificate


@pytest.mark.parametrize("d", [2, 3, 4])
def test_rank_of_the_features(d):
    Z = normal(0, 3 * PSI[d], d, 3)
    assert la.certify(Z).rank == PSI[d]
    assert la.certify(Z[:, :, -1:]).rank == d * (d + 1) * (d + 2) // 6  # one token: cubic monomials
    assert la.certify(Z[:3]).rank == 3
    assert la.certify(Z[:3]).eigenvalues.shape == (PSI[d],)
    assert torch.linalg.matrix_rank(la.features(Z).flatten(1)) == PSI[d] < d**3


def test_certificate_has_the_spectrum_of_the_second_moment():
    Z = normal(0, 50, 3, 4)
    H = la.folded_features(Z)
    certificate = la.certify(Z)
    expected = torch.linalg.eigvalsh(H.T @ H / 50)
    assert torch.allclose(certificate.eigenvalues, expected, rtol=1e-9)
    assert certificate.smallest == certificate.eigenvalues.min()
    from_moment = la.certify_moment(H.T @ H / 50)
    assert from_moment.identifiable
    assert torch.allclose(from_moment.eigenvalues, expected)


def test_null_space_vanishes_on_the_inputs_and_nothing_else_does():
    Z = la.key_value_inputs(200, 1.0, generator=torch.Generator().manual_seed(0))
    certificate = la.certify(Z)
    H, null = la.folded_features(Z), certificate.null_space
    assert null.shape == (40, 2)
    assert torch.allclose(null.T @ null, torch.eye(2, dtype=torch.float64), atol=1e-12)
    assert (H @ null).abs().max() < 1e-10
    assert la.certify_moment(la.key_value_moment(1.0)).rank == 38
    assert (la.certify_moment(la.key_value_moment(1.0)).row_space.T @ null).abs().max() < 1e-7
    fresh = [la.key_value_inputs(20, P, generator=torch.Generator().manual_seed(1)) for P in (1.0, 0.0)]
    assert certificate.covers(fresh[0]).all()
    assert not certificate.covers(fresh[1]).any()


def test_relations_are_read_off_the_null_space():
    certificate = la.certify_moment(la.key_value_moment(1.0))
    assert certificate.relations() == [
        "⟨z0,z0⟩q0 + 3 ⟨z0,z1⟩q1 − 2 ⟨z1,z1⟩q0 = 0",
        "⟨z0,z0⟩q1 − 1.5 ⟨z0,z1⟩q0 − 0.5 ⟨z1,z1⟩q1 = 0",
    ]
    assert certificate.relations(limit=1) == certificate.relations()[:1]
    assert la.certify(normal(0, 40, 3, 3)).relations() == []


def test_covered_inputs_are_exact_and_others_need_not_be():
    theta, Z = layer(0, 3), normal(1, 10, 3, 4)
    fit = la.learn(Z, theta(Z), least_norm=True)
    inside, outside = Z * 2, normal(2, 10, 3, 4)
    assert fit.certificate.covers(inside).all()
    assert (fit.layer(inside) - theta(inside)).abs().max() < 1e-9
    assert not fit.certificate.covers(outside).any()
    assert (fit.layer(outside) - theta(outside)).abs().max() > 0.1


# Exact moments


def z_scores(H, moment):
    """Standard errors between a sampled second moment and `moment`, entry by entry."""
    products = H[:, :, None] * H[:, None, :]
    return (products.mean(0) - moment) / (products.std(0) / math.sqrt(len(H))).clamp(min=1e-12)


@pytest.mark.parametrize(("d", "n"), [(2, 1), (2, 4), (3, 3)])
def test_gaussian_moment_is_the_sampled_one(d, n):
    z = z_scores(la.folded_features(normal(0, 40_000, d, n)), la.gaussian_moment(d, n))
    # up to 324 entries; a z-score beyond 6 has a chance below 1e-8 each. Heavy tails make it larger, not smaller n
    assert z.abs().max() < 6


def test_gaussian_moment_against_wick_by_hand():
    """E of six entries of q by summing over the fifteen pairings, instead of counting."""

    def wick(indices):
        if not indices:
            return 1.0
        first, rest = indices[0], indices[1:]
        return sum(wick(rest[:i] + rest[i + 1 :]) for i in range(len(rest)) if rest[i] == first)

    names = la.monomials(3)
    moment = la.gaussian_moment(3, 1)  # one token: H = cubic monomials
    for (a, x), (b, y) in itertools.product(enumerate(names), enumerate(names)):
        assert moment[a, b] == wick(x + y)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_gaussian_certificate_is_the_number_of_other_tokens(n):
    for d in (3, 4):
        certificate = la.certify_moment(la.gaussian_moment(d, n))
        assert abs(certificate.smallest - (n - 1)) < PSI[d] * EPS * certificate.eigenvalues[-1]
    assert la.certify_moment(la.gaussian_moment(2, n)).smallest > 1.05 * (n - 1) - 1e-12  # d = 2 is above the law


@pytest.mark.parametrize("unitary", [0.0, 0.3, 1.0])
def test_key_value_moment_is_the_sampled_one(unitary):
    Z = la.key_value_inputs(20_000, unitary, generator=torch.Generator().manual_seed(3))
    # 820 different entries: beyond 6 by chance once in 10⁶ suites; heavy tails of ζ⁶ are inside 7
    assert z_scores(la.folded_features(Z), la.key_value_moment(unitary)).abs().max() < 7


def test_key_value_moment_has_the_sixth_moment_of_zeta():
    """E (v² + v'² + ζ²)² ζ² = E S² + 2 E S · 3 + 15 with S = v² + v'²: 8 + 12 + 15. Too heavy a tail for sampling."""
    for row in (2, 3):
        i = la.monomials(4).index((row, row, row))
        assert abs(la.key_value_moment(0.4)[i, i] - 35) < 1e-10


def test_key_value_law():
    Z = la.key_value_inputs(4000, 0.25, generator=torch.Generator().manual_seed(0))
    keys = Z[:, :2]
    assert torch.allclose(keys.norm(dim=1), torch.ones(4000, 3, dtype=torch.float64))
    assert torch.equal(keys[:, :, 2], keys[:, :, 0])  # the query is a stored key
    orthonormal = ((keys[:, :, 0] * keys[:, :, 1]).sum(1).abs() < 1e-12).double().mean()
    assert abs(orthonormal - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    memory = la.key_value_layer()
    unitary = Z[(keys[:, :, 0] * keys[:, :, 1]).sum(1).abs() < 1e-12]
    expected = torch.cat([torch.zeros(len(unitary), 2), unitary[:, 2:, 0] + unitary[:, 2:, 2]], 1)
    assert (memory(unitary) - expected).abs().max() < 1e-12  # the looked-up value and ζ


def test_key_value_slope_and_concavity():
    P = torch.linspace(0, 1, 11, dtype=torch.float64)
    smallest = torch.tensor([la.certify_moment(la.key_value_moment(x.item())).smallest for x in P])
    assert (smallest[2:] - 2 * smallest[1:-1] + smallest[:-2]).max() < 1e-12
    assert (smallest <= 9 / 56 * (1 - P) + 1e-12).all()
    near = la.certify_moment(la.key_value_moment(1 - 1e-6)).smallest
    assert abs(near / 1e-6 - 9 / 56) < 1e-5  # next order 1e-6, rounding 1e-14/1e-6


# Training


def test_training_follows_the_loss_of_the_layer():
    """The recorded loss and distance are those of the heads that are returned; the gradient is the loss's."""
    target, moment = torch.stack([layer(s, 2).p for s in range(3)]), la.gaussian_moment(2, 3)
    generator = torch.Generator().manual_seed(0)
    run = la.train_heads(target, moment, 2, 7, eta=0.01, generator=generator, record=[0, 3, 6, 7])
    assert run.t.tolist() == [0, 3, 6, 7]
    assert run.loss.shape == run.p_distance.shape == (4, 3)
    for i in range(3):
        error = la.LinearAttention(run.V[i], run.Q[i]).p - target[i]
        assert run.loss[-1, i] == pytest.approx(0.5 * ((error @ moment) * error).sum().item(), rel=1e-10)
        assert run.p_distance[-1, i] == pytest.approx(error.norm().item(), rel=1e-10)


def test_training_takes_adams_steps():
    target, moment = layer(0, 3).p[None], la.gaussian_moment(3, 4)
    run = la.train_heads(target, moment, 2, 20, eta=0.02, generator=torch.Generator().manual_seed(5))
    heads = torch.randn(2, 1, 2, 9, generator=torch.Generator().manual_seed(5), dtype=torch.float64) / math.sqrt(3)
    heads = heads.reshape(2, 2, 3, 3).requires_grad_()
    adam = torch.optim.Adam([heads], lr=0.02)
    for _ in range(20):
        T = torch.einsum("haj,hkl->ajkl", heads[0], heads[1]).reshape(3, 27)
        error = T @ la.unfolding(3) - target[0]
        adam.zero_grad()
        (0.5 * ((error @ moment) * error).sum()).backward()
        adam.step()
    # Adam divides by the gradient's size, so that rounding of a small entry is not damped: 1e-9 after 20 steps
    assert (run.V[0] - heads[0]).abs().max() < 1e-9
    assert (run.Q[0] - heads[1]).abs().max() < 1e-9


def test_each_run_has_its_own_moment():
    target = layer(0, 2).p.expand(2, -1, -1)
    moments = torch.stack([la.gaussian_moment(2, 2), la.gaussian_moment(2, 9)])
    both = la.train_heads(target, moments, 1, 5, eta=0.01, generator=torch.Generator().manual_seed(0))
    first = la.train_heads(target, moments[0], 1, 5, eta=0.01, generator=torch.Generator().manual_seed(0))
    assert both.loss[:, 0] == pytest.approx(first.loss[:, 0], rel=1e-10)
    assert both.loss[:, 1] != pytest.approx(first.loss[:, 1], rel=1e-3)


@pytest.mark.parametrize("runs", [(), (3,)])
def test_slopes_are_those_of_the_loss(runs):
    """Autograd of the layer's own p(Θ), target by target; 1e-10: rounding of sums of order 100."""
    A, B = (normal(seed, *runs, 2, 9).requires_grad_() for seed in (1, 2))
    target, moment = normal(3, *runs, 3, 18), la.gaussian_moment(3, 4)
    loss, to = la.slopes(target, moment)(A.detach(), B.detach())
    T = torch.einsum("...hx,...hy->...xy", A, B).reshape(*runs, 3, 27)
    error = T @ la.unfolding(3) - target
    expected = 0.5 * torch.einsum("...i,ij,...j->", error, moment, error)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(to["A"], A.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(to["B"], B.grad, rtol=1e-10, atol=1e-10)


# Automata


def test_automaton_inputs_and_their_rank():
    tables = torch.cartesian_prod(*[torch.arange(2)] * 4)
    every = [(table, pair) for table in tables for pair in range(4)]
    rows, pairs = torch.stack([t for t, _ in every]), torch.tensor([p for _, p in every])
    Z = la.automaton_inputs(rows, pairs, 2)
    assert Z.shape == (64, 6, 5)
    assert torch.equal(Z[:, 4:, :4].argmax(1), rows)
    assert torch.equal(Z[:, :4, -1].argmax(1), pairs)
    assert la.certify(Z).rank == 4 * (1 + 4 * (2 - 1))
    half = rows.sum(1) % 2 == 0  # eight of the sixteen automata, in general position
    Y = torch.zeros(64, 6, dtype=torch.float64)
    Y[torch.arange(64), 4 + rows[torch.arange(64), pairs]] = 1
    assert la.certify(Z[half]).rank == 20
    fit = la.learn(Z[half], Y[half], least_norm=True)
    assert (fit.layer(Z) - Y).abs().max() < 1e-12
    assert fit.certificate.covers(Z).all()


# Wrong arguments

Z4 = normal(0, 50, 3, 4)
P2 = layer(0, 2).p[None]
ADAM = {"eta": 0.01, "generator": torch.Generator()}


@pytest.mark.parametrize(
    ("error", "action", "named"),
    [
        (ValueError, lambda: la.LinearAttention(normal(0, 2, 3, 4), normal(0, 2, 3, 4)), ["V", "heads × d × d"]),
        (ValueError, lambda: la.LinearAttention(normal(0, 2, 3, 3), normal(0, 1, 3, 3)), ["Q", "2 × 3 × 3"]),
        (ValueError, lambda: layer(0, 2)(Z4), ["Z", "2", "(50, 3, 4)"]),
        (ValueError, lambda: layer(0, 3)(Z4 * math.nan), ["Z", "nan"]),
        (ValueError, lambda: layer(0, 3)(Z4[..., :0]), ["Z", "(50, 3, 0)"]),
        (TypeError, lambda: layer(0, 3)(Z4.float()), ["Z", "float64", "float32"]),
        (TypeError, lambda: la.features(Z4.tolist()), ["Z", "list"]),
        (TypeError, lambda: la.folded_features(Z4.long()), ["Z", "int64"]),
        (ValueError, lambda: la.monomials(0), ["d", "0"]),
        (ValueError, lambda: la.from_lifted(torch.eye(3)), ["lifted", "3"]),
        (ValueError, lambda: la.from_lifted(normal(0, 4, 9)), ["lifted", "4 × 9"]),
        (ValueError, lambda: la.certify(Z4[0]), ["Z", "N × d × n"]),
        (ValueError, lambda: la.certify_moment(torch.eye(7)), ["moment", "7"]),
        (ValueError, lambda: la.learn(Z4, normal(0, 49, 3)), ["Y", "50 × 3", "49 × 3"]),
        (ValueError, lambda: la.learn(Z4, normal(0, 50, 3) * math.inf), ["Y", "finite"]),
        (ValueError, lambda: la.learn(Z4[..., :1], normal(0, 50, 3)), ["10 of the ψ = 18", "⟨z0,z", "least_norm=True"]),
        (ValueError, lambda: la.train_heads(P2[0], torch.eye(6), 1, 1, **ADAM), ["p", "runs"]),
        (ValueError, lambda: la.train_heads(P2[..., :5], torch.eye(5), 1, 1, **ADAM), ["p", "6", "5"]),
        (ValueError, lambda: la.train_heads(P2, torch.eye(5), 1, 1, **ADAM), ["moment", "6 × 6"]),
        (ValueError, lambda: la.train_heads(P2, torch.eye(6), 0, 1, **ADAM), ["heads", "0"]),
        (ValueError, lambda: la.train_heads(P2, torch.eye(6), 1, -1, **ADAM), ["steps", "-1"]),
        (ValueError, lambda: la.train_heads(P2, torch.eye(6), 1, 1, **(ADAM | {"eta": 0})), ["eta", "0"]),
        (ValueError, lambda: la.train_heads(P2, torch.eye(6), 1, 3, **ADAM, record=[4]), ["record", "3", "4"]),
        (ValueError, lambda: la.slopes(P2[..., :5], torch.eye(5)), ["p", "6", "5"]),
        (ValueError, lambda: la.slopes(P2, torch.eye(5)), ["moment", "6 × 6", "5 × 5"]),
        (ValueError, lambda: la.gaussian_moment(2, 0), ["n", "0"]),
        (ValueError, lambda: la.key_value_moment(1.5), ["unitary", "1.5"]),
        (ValueError, lambda: la.key_value_inputs(0, 0.5, generator=torch.Generator()), ["samples", "0"]),
        (ValueError, lambda: la.automaton_inputs(torch.tensor([0, 2]), torch.tensor(0), 2), ["tables", "2"]),
        (ValueError, lambda: la.automaton_inputs(torch.tensor([0, 1]), torch.tensor(2), 2), ["pairs", "2"]),
    ],
)
def test_wrong_arguments_are_named(error, action, named):
    with pytest.raises(error) as caught:
        action()
    for word in named:
        assert word in str(caught.value)


def test_divergence_is_said():
    with pytest.raises(FloatingPointError, match=r"step 1.*eta = 1e\+150"):
        la.train_heads(P2, torch.eye(6), 1, 1, eta=1e150, generator=torch.Generator())


def test_the_answer_to_one_invertible_head_is_invertible():
    """det(V⊗Q + vec V vec(Q)ᵀ) = (1 + d) det(V)^d det(Q)^d: as polynomials for d = 2, at integers for d = 3, 4."""
    entries = sp.symbols("v:4 q:4")
    cases = [(2, sp.Matrix(2, 2, entries[:4]), sp.Matrix(2, 2, entries[4:]))]
    for d in (3, 4):
        drawn = np.random.default_rng(d).integers(-3, 4, (2, d, d))
        cases.append((d, *map(sp.Matrix, drawn.tolist())))
    for d, V, Q in cases:
        T = sp.Matrix(d * d, d * d, lambda r, c, d=d, V=V, Q=Q: V[r // d, c // d] * Q[r % d, c % d] + V[r] * Q[c])
        assert sp.expand(T.det(method="berkowitz") - (1 + d) * V.det() ** d * Q.det() ** d) == 0
