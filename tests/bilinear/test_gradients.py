"""The closed-form gradient: against autograd, finite differences and sampling."""

import math

import mpmath
import pytest
import torch

from bilinear.activations import Activation
from bilinear.population import excess_loss, gradients
from bilinear.teachers import Teacher

from .cases import SLOPES, TASKS, column_softmax, normal, orthogonal, scattered, task


def state(seed, M=3, d=4, D=6, slope=0.0, spread=2.0):
    """A teacher, and weights far from it, with orthogonal P."""
    S_star = scattered(D, 2, seed) if seed % 2 else torch.softmax(normal(seed, D, D), 0)
    teacher = Teacher(normal(seed + 10, M, d), S_star, Activation(slope))
    return teacher, normal(seed + 20, M, d), spread * normal(seed + 30, D, D), orthogonal(seed + 40, D)


def textbook_loss(teacher, W, S):
    """The loss by its textbook formula, differentiable away from ρ = ±1."""
    star, own, cross = (teacher.S_star**2).sum(0), (S**2).sum(0), (teacher.S_star * S).sum(0)
    vv, ww, vw = ((A * B).sum(1)[:, None] for A, B in ((teacher.V_star,) * 2, (W, W), (teacher.V_star, W)))
    kappa, scale, cov = teacher.sigma.slope, (vv * star * ww * own).sqrt(), vw * cross
    rho = cov / scale
    even = scale * (2 / math.pi) * ((1 - rho**2).sqrt() + rho * rho.asin())
    product = (1 + kappa) ** 2 / 4 * cov + (1 - kappa) ** 2 / 4 * even
    return (0.5 * (1 + kappa**2) / 2 * (vv * star + ww * own) - product).sum()


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loss", [textbook_loss, excess_loss], ids=["textbook", "library"])
def test_against_autograd_of_the_exact_loss(loss, seed, slope):
    teacher, W, KQ, P = state(seed, slope=slope)
    W.requires_grad_()
    KQ.requires_grad_()
    value = loss(teacher, W, column_softmax(P.T @ KQ @ P))
    by_autograd = torch.autograd.grad(value, (W, KQ))
    exact, *closed = gradients(teacher, W.detach(), KQ.detach(), P)
    assert exact.item() == pytest.approx(value.item(), rel=1e-12)
    for mine, theirs in zip(closed, by_autograd, strict=True):
        assert mine.shape == theirs.shape
        # Sums of about a hundred terms near one; random angles stay away from 0 and π, where asin' grows.
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10 * theirs.abs().max().item())


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("seed", range(3))
def test_against_central_differences(seed, slope):
    teacher, W, KQ, P = state(seed, slope=slope)
    _, to_W, to_KQ = gradients(teacher, W, KQ, P)

    def loss(W, KQ):
        return excess_loss(teacher, W, column_softmax(P.T @ KQ @ P)).item()

    step = 1e-4
    for k in range(5):
        A, B = normal(100 + k, *W.shape), normal(200 + k, *KQ.shape)
        for a, b in ((A, 0 * B), (0 * A, B), (A, B)):
            difference = (loss(W + step * a, KQ + step * b) - loss(W - step * a, KQ - step * b)) / (2 * step)
            slope_along = ((to_W * a).sum() + (to_KQ * b).sum()).item()
            # Truncation step² × a third derivative of the loss's size (tens), rounding 1e-16 × loss/step: both < 1e-6.
            assert difference == pytest.approx(slope_along, abs=1e-6)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("zero", [False, True], ids=["random W_V", "W_V = 0"])
def test_against_autograd_of_a_sampled_loss(zero, slope):
    """One z for each entry, from 200 independent batches of 250 inputs with label noise.

    |t| ≤ 5.5 with 199 degrees of freedom: 1.2e-7 an entry, below 3e-5 for the 228 entries of the six cases.
    At W_V = 0 autograd of σ = ½(1+κ)z + ½(1−κ)|z| takes σ'(0) = ½(1+κ); the closed form must be its mean.
    """
    teacher, W, KQ, P = state(1, M=2, d=3, slope=slope, spread=1.0)
    W = 0 * W if zero else W
    _, *exact = gradients(teacher, W, KQ, P)
    generator = torch.Generator().manual_seed(0)
    sampled = ([], [])
    for _ in range(200):
        X = torch.randn(250, 3, 6, generator=generator, dtype=torch.float64)
        E = torch.randn(250, 2, 6, generator=generator, dtype=torch.float64)
        weights = W.clone().requires_grad_(), KQ.clone().requires_grad_()
        Z = weights[0] @ X @ column_softmax(P.T @ weights[1] @ P)
        output = (1 + slope) / 2 * Z + (1 - slope) / 2 * Z.abs()
        loss = 0.5 * (teacher(X) + E - output).square().sum() / len(X)
        for store, gradient in zip(sampled, torch.autograd.grad(loss, weights), strict=True):
            store.append(gradient)
    for name, closed, store in zip(("W_V", "W_KQ"), exact, map(torch.stack, sampled), strict=True):
        if zero and name == "W_KQ":  # the scores do not matter where W_V = 0
            assert torch.equal(store, torch.zeros_like(store))
            assert torch.equal(closed, torch.zeros_like(closed))
            continue
        t = (store.mean(0) - closed) / (store.std(0) / math.sqrt(len(store)))
        assert t.abs().max() <= 5.5, name


@pytest.mark.parametrize("slope", SLOPES)
def test_the_symmetric_derivative_at_zero_weights(slope):
    teacher, W, KQ, P = state(1, slope=slope)
    S = column_softmax(P.T @ KQ @ P)
    _, to_W, to_KQ = gradients(teacher, 0 * W, KQ, P)
    # −E σ(u) σ'(0) (X s)ᵀ with E σ(u) (X s)ᵀ = ½(1+κ)(s*·s) v*: one product of each, no cancellation.
    expected = -((1 + slope) ** 2) / 4 * (teacher.S_star * S).sum() * teacher.V_star
    torch.testing.assert_close(to_W, expected, rtol=1e-13, atol=0)
    assert not to_KQ.any()


@pytest.mark.parametrize("slope", SLOPES)
def test_a_zero_row_moves_as_the_symmetric_derivative_says(slope):
    teacher, W, KQ, P = state(1, slope=slope)
    W[1] = 0
    S = column_softmax(P.T @ KQ @ P)
    _, to_W, to_KQ = gradients(teacher, W, KQ, P)
    expected = -((1 + slope) ** 2) / 4 * (teacher.S_star * S).sum() * teacher.V_star[1]
    torch.testing.assert_close(to_W[1], expected, rtol=1e-13, atol=0)
    rest = Teacher(teacher.V_star[[0, 2]], teacher.S_star, teacher.sigma)
    # A row at zero sends nothing to the scores.
    torch.testing.assert_close(to_KQ, gradients(rest, W[[0, 2]], KQ, P)[2], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("slope", SLOPES)
def test_a_zero_row_of_the_teacher_only_decays(slope):
    teacher, W, KQ, P = state(1, slope=slope)
    V_star = teacher.V_star.clone()
    V_star[1] = 0
    _, to_W, _ = gradients(Teacher(V_star, teacher.S_star, teacher.sigma), W, KQ, P)
    S = column_softmax(P.T @ KQ @ P)
    # The row's loss is ½ a ‖w‖² Σ‖s_i‖².
    torch.testing.assert_close(to_W[1], (1 + slope**2) / 2 * S.square().sum() * W[1], rtol=1e-13, atol=0)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("kind", TASKS)
def test_the_logits_gradient_sums_to_zero_down_each_column(kind, slope):
    teacher = task(kind, slope, normal(0, 4, 3))
    P, KQ = orthogonal(1, 12), normal(2, 12, 12)
    _, _, to_KQ = gradients(teacher, normal(3, 4, 3), KQ, P)
    logits = P.T @ to_KQ @ P
    # The softmax cannot see a constant added to a column; 12 terms and two rotations of roundings.
    assert logits.sum(0).abs().max() <= 1e-13 * logits.abs().max() * 12


@pytest.mark.parametrize("slope", SLOPES)
def test_positional_encodings_only_turn_the_coordinates(slope):
    teacher, W, KQ, P = state(3, slope=slope)
    plain = gradients(teacher, W, KQ)
    identity = gradients(teacher, W, KQ, torch.eye(6, dtype=torch.float64))
    turned = gradients(teacher, W, P @ KQ @ P.T, P)
    for a, b in zip(plain, identity, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-14)
    for a, b in zip((plain[0], plain[1], P @ plain[2] @ P.T), turned, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)  # ten more matrix products of roundings


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("D", [1, 4])
def test_the_symmetric_derivative_where_the_scores_are_right_from_the_start(D, slope):
    """W_V = 0 and S = S* exactly (K = D): both angles' sines vanish, and the angle is still a right one."""
    uniform = torch.full((D, D), 1 / D, dtype=torch.float64)
    teacher = Teacher(torch.tensor([[1.0, 2.0]]).double(), uniform, Activation(slope))
    _, to_W, _ = gradients(teacher, 0 * teacher.V_star, torch.zeros(D, D))
    torch.testing.assert_close(to_W, -((1 + slope) ** 2) / 4 * teacher.V_star, rtol=1e-13, atol=0)


def gradients_in_many_digits(teacher, W, logits):
    """dL/dW_V and dL/dlogits by the textbook formula in 60 digits, at these float64 weights and P = I.

    With J = √(1−ρ²) + ρ asin ρ:  d(√(Var u Var v) J) = √(1−ρ²) √Var u d√Var v + asin ρ d Cov.
    """
    (M, d), D = teacher.V_star.shape, teacher.D
    with mpmath.workdps(60):
        V, W, L, S_star = (mpmath.matrix(A.tolist()) for A in (teacher.V_star, W, logits, teacher.S_star))
        kappa = mpmath.mpf(teacher.sigma.slope)
        a, linear, even = (1 + kappa**2) / 2, (1 + kappa) ** 2 / 4, (1 - kappa) ** 2 / (2 * mpmath.pi)
        S = L.apply(lambda entry: mpmath.exp(entry / mpmath.sqrt(D)))
        for i in range(D):
            S[:, i] /= mpmath.fsum(S[:, i])

        def dot(x, y):
            return mpmath.fdot(zip(x, y, strict=True))

        to_W, to_S = mpmath.zeros(M, d), mpmath.zeros(D, D)
        for m in range(M):
            v, w = V[m, :], W[m, :]
            vw, v_norm, w_norm = dot(v, w), mpmath.sqrt(dot(v, v)), mpmath.sqrt(dot(w, w))
            for i in range(D):
                star, own = S_star[:, i], S[:, i]
                cross, star_norm, own_norm = dot(star, own), mpmath.sqrt(dot(star, star)), mpmath.sqrt(dot(own, own))
                rho = min(mpmath.mpf(1), vw * cross / (v_norm * w_norm * star_norm * own_norm))
                of_cov = linear + even * mpmath.asin(rho)
                of_length = even * mpmath.sqrt(1 - rho**2) * v_norm * star_norm
                to_W[m, :] += (a * own_norm**2 - of_length * own_norm / w_norm) * w - of_cov * cross * v
                to_S[:, i] += (a * w_norm**2 - of_length * w_norm / own_norm) * own - of_cov * vw * star
        to_logits = mpmath.zeros(D, D)
        for i in range(D):
            mean = dot(S[:, i], to_S[:, i])
            for j in range(D):
                to_logits[j, i] = S[j, i] * (to_S[j, i] - mean) / mpmath.sqrt(D)
        return [torch.tensor(A.tolist(), dtype=torch.float64) for A in (to_W, to_logits)]


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6])
def test_the_gradient_keeps_its_digits_close_to_the_teacher(distance, slope):
    """At 1e-6 the loss is 1e-12 of its start. An angle taken from its cosine would leave four digits here."""
    teacher = Teacher(normal(0, 2, 3), torch.softmax(normal(1, 4, 4), 0), Activation(slope))
    logits = 2 * teacher.S_star.log() + distance * normal(3, 4, 4)  # at distance 0 its softmax is S*
    W = teacher.V_star + distance * normal(2, 2, 3)
    _, *closed = gradients(teacher, W, logits)
    for mine, exact in zip(closed, gradients_in_many_digits(teacher, W, logits), strict=True):
        # Sums of about 40 terms of size one, each rounded to 1e-16, cancel to the size of the distance.
        assert (mine - exact).abs().max() <= 1e-14 / distance * exact.abs().max() + 1e-13 * exact.abs().max()


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("scale", [1e-3, 1e-5])
def test_the_gradient_is_right_close_to_the_teacher(scale, slope):
    # Where ρ → 1 autograd of the textbook form is useless; the loss itself, accurate to 1e-8, is differenced instead.
    teacher = Teacher(normal(0, 3, 4), torch.softmax(3 * normal(1, 6, 6), 0), Activation(slope))
    logits = math.sqrt(6) * teacher.S_star.log()  # its softmax is S* exactly
    W, KQ = teacher.V_star + scale * normal(2, 3, 4), logits + scale * normal(3, 6, 6)
    _, to_W, to_KQ = gradients(teacher, W, KQ)
    size, step = max(to_W.abs().max().item(), to_KQ.abs().max().item()), 1e-2 * scale

    def loss(t, A, B):
        return excess_loss(teacher, W + t * A, column_softmax(KQ + t * B)).item()

    for k in range(5):
        A, B = normal(100 + k, 3, 4), normal(200 + k, 6, 6)
        difference = (loss(step, A, B) - loss(-step, A, B)) / (2 * step)
        # ReLU's loss has a cusp of |distance|³ kind here: its third derivative is O(1), step² of it is 1e-4 × scale²,
        # and the gradient is of size `scale`. Rounding: 1e-9 × scale² / step = 1e-7 × scale.
        assert difference == pytest.approx(((to_W * A).sum() + (to_KQ * B).sum()).item(), abs=3e-4 * size)
