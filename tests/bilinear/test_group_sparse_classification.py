"""Group-sparse classification: the exact logistic loss, the two scalars and their laws, against slower references."""

import math

import mpmath
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bilinear.neighbours.group_sparse_classification import (
    BOUNDARY,
    PULL,
    ClassifierScalars,
    boundary_loss,
    boundary_slope,
    descend,
    error_rate,
    layer,
    logistic_regression_error,
    margin_run,
    population_loss,
    slopes,
    train_layer,
)
from bilinear.positions import sines


def unit(*shape, seed=0):
    B = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return B / B.norm()


def population_gradient(B, B_star, flip=0.0):
    return slopes(B_star, flip)(B)[1]["B"]


def one_group(d=3, D=5, position=1, seed=0):
    return torch.outer(unit(d, seed=seed), torch.eye(D, dtype=torch.float64)[position])


@pytest.mark.parametrize("A", [0.0, 0.3, 2.0, 50.0, 1e5])
def test_boundary_loss_and_slope_against_mpmath(A):
    """mpmath's adaptive quadrature with 30 digits; ours claims rounding."""
    with mpmath.workdps(30):
        density = lambda h: mpmath.sqrt(2 / mpmath.pi) * mpmath.exp(-h * h / 2)  # noqa: E731
        points = [0, *sorted({min(10, k / max(A, 1)) for k in (1, 5, 20, 80)}), 10, 15]
        loss = mpmath.quad(lambda h: density(h) * mpmath.log1p(mpmath.exp(-A * h)), points)
        slope = -mpmath.quad(lambda h: density(h) * h / (1 + mpmath.exp(A * h)), points)
    assert float(boundary_loss(A)) == pytest.approx(float(loss), rel=1e-12)
    assert float(boundary_slope(A)) == pytest.approx(float(slope), rel=1e-12)


def test_boundary_loss_tends_to_c_over_A():
    """c/A (1 − 7π²/(60A²) + O(A⁻⁴)): the remainder at A = 100 is of order 1e-7."""
    A = np.array([100.0, 300.0])
    second = (1 - boundary_loss(A) * A / BOUNDARY) * A**2
    assert second == pytest.approx(7 * math.pi**2 / 60, rel=1e-3)


def test_population_loss_against_sampling():
    """z-scores of 8 means; beyond 4.5 with a chance of 5e-5 in all."""
    generator = torch.Generator().manual_seed(1)
    B_star = unit(3, 4, seed=2)
    for seed, (size, flip) in enumerate([(0.2, 0.0), (1.0, 0.2), (4.0, 0.0), (4.0, 0.4)]):
        for B in (size * unit(3, 4, seed=seed), size * (B_star + 0.1 * unit(3, 4, seed=seed))):
            X = torch.randn(50_000, 3, 4, generator=generator, dtype=torch.float64)
            y = torch.sign((B_star * X).sum((1, 2)))
            y[torch.rand(len(y), generator=generator) < flip] *= -1
            losses = torch.nn.functional.softplus(-y * (B * X).sum((1, 2)))
            z = (losses.mean() - population_loss(B, B_star, flip)) / (losses.std() / len(y) ** 0.5)
            assert abs(z) < 4.5


def test_gradient_is_that_of_the_loss():
    """Central differences, h = 1e-5: error h² = 1e-10, plus rounding 1e-16/h = 1e-11."""
    B, B_star, step = 2 * unit(2, 3, seed=5), unit(2, 3), 1e-5
    for flip in (0.0, 0.3):
        G = population_gradient(B, B_star, flip)
        for index in np.ndindex(2, 3):
            E = torch.zeros(2, 3, dtype=torch.float64)
            E[index] = step
            up, down = (population_loss(B + sign * E, B_star, flip) for sign in (1, -1))
            assert (up - down) / (2 * step) == pytest.approx(G[index].item(), abs=1e-9)


def test_loss_is_convex_in_B_and_never_below_its_infimum():
    B_star = unit(2, 3)
    for seed in range(20):
        one, other = 5 * unit(2, 3, seed=seed), 3 * unit(2, 3, seed=100 + seed)
        middle = population_loss(0.5 * (one + other), B_star)
        assert middle <= 0.5 * (population_loss(one, B_star) + population_loss(other, B_star)) + 1e-14
        assert middle > 0


def test_gradient_at_zero_is_the_limit():
    B_star = unit(2, 3)
    assert torch.allclose(population_gradient(0 * B_star, B_star), -PULL * B_star, atol=1e-15)
    tiny = 1e-6 * unit(2, 3, seed=1)  # Λ'(A)/A → 1/4 with a relative error of A² = 1e-12
    assert torch.allclose(population_gradient(tiny, B_star) + PULL * B_star, tiny / 4, rtol=1e-6, atol=1e-16)


@pytest.mark.parametrize(("rho", "flip"), [(1.6, 0.0), (1.6, 0.1), (0.0, 0.1)])
@pytest.mark.parametrize(("d", "D", "position"), [(1, 2, 0), (3, 5, 4), (4, 9, 2)])
def test_two_scalars_are_the_matrices(d, D, position, rho, flip):
    scalars = ClassifierScalars(D, eta=0.2, code_norm=rho, flip=flip)
    run = scalars.run(300)
    full = descend(one_group(d, D, position), 0.2, 300, code_norm=rho, flip=flip)
    assert (run.support_mass[-1] > 1 / D + 0.1) == (rho > 0)
    assert run.loss == pytest.approx(full.loss, abs=1e-13)
    assert full.v_norm == pytest.approx(run.C1, abs=1e-12)
    assert 1 - run.off_support == pytest.approx(full.support_mass, abs=1e-12)
    assert full.cosine[1:].min() > 1 - 1e-12


def test_descend_is_autograd_through_the_layer():
    """Six steps against autograd on W itself, with rotated codes of norm ρ: rounding only."""
    B_star, eta, rho = one_group(2, 4, 3), 0.3, 1.7
    P = rho * torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))).Q
    v = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    W = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    for _ in range(6):
        a = torch.softmax(P.T @ W @ P, dim=0).sum(1)
        G = population_gradient(torch.outer(v, a).detach(), B_star)
        to_v, to_W = torch.autograd.grad((G * torch.outer(v, a)).sum(), (v, W))  # chain rule through B
        v, W = (v - eta * to_v).detach().requires_grad_(), (W - eta * to_W).detach().requires_grad_()
    run = descend(B_star, eta, 6, code_norm=rho)
    assert torch.allclose(run.v, v, atol=1e-13)
    assert torch.allclose(run.logits, P.T @ W @ P, atol=1e-13)


@pytest.mark.parametrize(("D", "rho"), [(2, 1.0), (6, 2.0), (40, 3.0)])
def test_late_laws(D, rho):
    """At 1e8 steps; tolerances: the laws' own next orders, and 1/V² where only the order is known."""
    scalars = ClassifierScalars(D, 0.1, rho)
    t = 1e8
    late = scalars.solve([t], map_steps=3000)
    near = 2 * max(map(abs, scalars.next_order(t)))
    assert late.C1[0] / scalars.V_law(t) == pytest.approx(1, abs=near)
    assert late.loss[0] / scalars.loss_law(t) == pytest.approx(1, abs=near)
    assert late.off_support[0] / scalars.off_law(t) == pytest.approx(1, abs=20 / scalars.V_law(t) ** 2)
    assert near < 0.02


def test_next_order_of_the_loss():
    """Ratio of the deviation to `next_order`, at two times: it tends to one as ln(t)/t^{1/3}."""
    scalars = ClassifierScalars(6, 0.1, 4.0)
    t = np.array([1e4, 1e7])
    late = scalars.solve(t, map_steps=3000)
    for value, law, order in zip(
        (late.C1, late.loss), (scalars.V_law, scalars.loss_law), scalars.next_order(t), strict=True
    ):
        ratio = (value / law(t) - 1) / order
        assert abs(ratio[1] - 1) < 0.02
        assert abs(ratio[1] - 1) < abs(ratio[0] - 1)


def test_the_flow_meets_the_map():
    """Both at 4000 steps; they differ by O(1/t)."""
    scalars = ClassifierScalars(6, 0.1, 2.0)
    flow, end = scalars.solve([4000], map_steps=1000), scalars.run(4000)
    assert flow.C1[0] == pytest.approx(end.C1[-1], rel=1 / 4000)
    assert flow.off_support[0] == pytest.approx(end.off_support[-1], rel=1 / 1000)


def test_a_time_that_is_named_twice_is_answered_twice():
    one, many = ClassifierScalars(6, 0.1, 2.0).solve([2000.0]), ClassifierScalars(6, 0.1, 2.0).solve([2000.0, 2000.0])
    assert many.C1.tolist() == 2 * one.C1.tolist()


@pytest.mark.parametrize(
    "run",
    [
        lambda: ClassifierScalars(128, 1.0, 8.0).run(300),
        lambda: margin_run(128, 1e5, 8.0, 0.5, 300),
        lambda: margin_run(4, 1e150, 1.0, 1e3, 3),  # the first step is far too large
        lambda: descend(one_group(), 1e140, 3, code_norm=10.0),
        lambda: train_layer(unit(2), 1, 1e4 * sines(3), 1e6, 20, seed=0),
    ],
)
def test_a_diverging_run_says_so(run):
    with pytest.raises(FloatingPointError, match=r"diverged at step \d+: .* at eta = "), np.errstate(all="ignore"):
        run()


@pytest.mark.parametrize("flip", [0.01, 0.3])
def test_noisy_laws(flip):
    scalars = ClassifierScalars(6, 0.1, 2.0, flip)
    A, best = scalars.noisy_optimum
    t = 1e6
    late, off = scalars.solve([t]), scalars.noisy_off_law(t)
    B_star = one_group()
    assert population_gradient(A * B_star, B_star, flip).norm() < 1e-12  # it is the minimiser
    assert best == pytest.approx(population_loss(A * B_star, B_star, flip), rel=1e-12)
    assert (late.loss[0] - best) / scalars.noisy_excess_law(t) == pytest.approx(1, abs=off)
    assert late.off_support[0] / off == pytest.approx(1, abs=2 * off)


def test_margin_run_by_sampling_and_its_law():
    """The loss at a step against 200 000 samples (4.5 standard errors), and the late law within 2δ."""
    D, gamma = 6, 0.5
    run = margin_run(D, 0.1, 2.0, gamma, 20_000)
    generator, t = torch.Generator().manual_seed(0), 300
    p, others = 1 - run.off_support[t], torch.randn(200_000, D - 1, generator=generator, dtype=torch.float64)
    margins = D * run.C1[t] * (p * gamma + run.off_support[t] / (D - 1) * others.sum(1))
    losses = torch.nn.functional.softplus(-margins)
    assert abs(losses.mean() - run.loss[t]) < 4.5 * losses.std() / 200_000**0.5
    assert run.loss[-1] * 0.1 * (D * gamma) ** 2 * 20_000 == pytest.approx(1, abs=2 * run.off_support[-1])


def test_margin_run_follows_its_gradient():
    """A small step's loss falls by η‖∇‖²: compare the first moves with differences of the loss."""
    run = margin_run(4, 1e-4, 1.5, 0.7, 3)
    assert run.C1[1] == pytest.approx(1e-4 * 0.7 / 2, rel=1e-12)  # σ(0) = ½, D p γ = γ
    V, to_logits = run.C1[1], 1e-4 * 1.5**4
    assert run.gap[2] == pytest.approx(to_logits * V * (1 / 4) * 4 * (0.7 / 2) / 4, rel=1e-3)  # D V p q σ(0) γ


def test_margin_run_moves_its_gap_down_the_loss():
    """Late, where the other groups' noise counts: dm/dgap = D(D−1) V p q (γ − √(D−1) g/(D−1))."""
    D, eta, code, gamma, t = 3, 0.05, 1.5, 0.4, 400
    run = margin_run(D, eta, code, gamma, t + 1)
    g = np.linspace(-9, 9, 2001)
    weight = np.exp(-g * g / 2) / np.exp(-g * g / 2).sum()

    def loss(gap):
        x = math.exp(-gap)
        margins = D * run.C1[t] * (gamma + x * math.sqrt(D - 1) * g) / (1 + (D - 1) * x)
        return weight @ np.logaddexp(0, -margins)

    slope = -(loss(run.gap[t] + 1e-5) - loss(run.gap[t] - 1e-5)) / 2e-5
    assert (run.gap[t + 1] - run.gap[t]) / eta == pytest.approx(code**4 * slope / (D - 1), rel=1e-6)


def test_error_rate_is_the_angle():
    B_star = unit(2, 3)
    across = unit(2, 3, seed=1)
    across = across - (across * B_star).sum() * B_star
    for angle in (1e-9, 0.3, 2.0):
        B = math.cos(angle) * B_star + math.sin(angle) * across / across.norm()
        assert error_rate(7 * B, B_star) == pytest.approx(angle / math.pi, rel=1e-6)


def test_one_layer_on_two_groups_stays_at_a_quarter():
    two = torch.zeros(3, 4, dtype=torch.float64)
    two[0, 0] = two[1, 2] = 0.5**0.5
    run = descend(two, 0.1, 1500, code_norm=2.0)
    error = error_rate(torch.outer(run.v, run.S.sum(1)), two)
    assert 0.25 <= error < 0.26  # never below the rank-one bound; above it by the left-over attention


def test_layer_by_its_definition():
    """The sum over j, one softmax at a time."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    v, W = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((7,), (7, 7)))
    P = sines(4)
    f, S = layer(X, v, W, P)
    for n in range(2):
        Z = torch.cat([X[n], P])
        columns = [torch.softmax(Z.T @ W @ Z[:, j], dim=0) for j in range(4)]
        assert torch.allclose(S[n], torch.stack(columns, 1), atol=1e-14)
        assert f[n].item() == pytest.approx(sum((v @ Z @ s).item() for s in columns), abs=1e-12)


@pytest.mark.parametrize("flip", [0.0, 0.3, 0.5])
def test_labels_of_either_sign_are_flipped(flip):
    """One step from zero is η/2 times the mean of y Σ_k z_k: (1−2ε)√(2/π) v* in the tokens, and the labels' mean in P.

    Were only one sign flipped, the labels would have a mean of ε. Four standard errors, each entry.
    """
    v_star, D, batch, eta = torch.tensor([0.6, 0.8], dtype=torch.float64), 3, 200_000, 0.1
    run = train_layer(v_star, 1, sines(D), eta, 1, batch=batch, flip=flip, seed=0, record=[])
    in_tokens, in_codes = (2 / eta * run.v).split([2, D])
    error = (D / batch) ** 0.5
    expected = (1 - 2 * flip) * (2 / math.pi) ** 0.5 * v_star
    assert (in_tokens - expected).abs().max() < 4 * error
    labels_mean = in_codes / sines(D).sum(1).where(sines(D).sum(1).abs() > 1e-9, torch.inf)
    assert labels_mean.abs().max() < 4 / batch**0.5


def test_sines():
    P = sines(7)
    assert torch.allclose(P.T @ P, 4 * torch.eye(7, dtype=torch.float64), atol=1e-12)


def test_train_layer_follows_the_two_scalars():
    """Long codes, a large batch, small steps: V within the token block's share D/ρ⁴ and sampling."""
    D, rho, steps = 3, 2.0, 300
    run = train_layer(unit(2), 1, rho * torch.eye(D, dtype=torch.float64), 0.1, steps, seed=0, record=[steps])
    scalars = ClassifierScalars(D, 0.1, rho).run(steps)
    assert run.v_norm[0] == pytest.approx(scalars.C1[-1], rel=D / rho**4)
    assert run.support_mass[0] > 0.8
    assert run.cosine[0] > 0.999


@pytest.mark.parametrize(("n", "features", "C"), [(200, 50, 1.0), (400, 50, 100.0)])
def test_logistic_regression_error_against_scikit_learn(n, features, C):
    """25 data sets: 4.5 standard errors and the finite-size 1/features."""
    generator, errors = np.random.default_rng(0), []
    for _ in range(25):
        X, w = generator.standard_normal((n, features)), generator.standard_normal(features)
        model = LogisticRegression(C=C, fit_intercept=False, max_iter=2000).fit(X, np.sign(X @ w))
        errors.append(error_rate(model.coef_, w[None]))
    predicted = logistic_regression_error(n, features, C)
    near = 4.5 * np.std(errors, ddof=1) / 5 + predicted / features
    assert np.mean(errors) == pytest.approx(predicted, abs=near)
    assert near < 0.2 * predicted


def test_logistic_regression_error_of_small_C_is_that_of_the_mean():
    """w ∝ Σ y x: tan(angle) = √(features/n)/E|u|, exactly in the limit; C = 1e-9 is off by C n = 1e-6."""
    n, features = 1000, 200
    angle = math.atan(math.sqrt(features / n) / (2 * PULL))
    assert logistic_regression_error(n, features, 1e-9) == pytest.approx(angle / math.pi, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: boundary_loss(-1.0), ValueError, "A must be"),
        (lambda: boundary_slope(math.nan), ValueError, "A must be"),
        (lambda: population_loss(torch.ones(2, 2), torch.ones(2, 2)), ValueError, "norm 1, got 2"),
        (lambda: population_loss(torch.ones(2, 3), unit(3, 2)), ValueError, "3 × 2"),
        (lambda: population_loss(unit(2, 2), unit(2, 2), 0.6), ValueError, "flip must be at most 0.5"),
        (lambda: slopes(torch.ones(2, 2)), ValueError, "norm 1, got 2"),
        (lambda: descend(unit(2, 2), 0.0, 3), ValueError, "eta must be greater than 0"),
        (lambda: descend(unit(2, 2), 0.1, 3, code_norm=-1.0), ValueError, "code_norm"),
        (lambda: descend(unit(2, 2), 0.1, 1.5), TypeError, "steps must be an integer"),
        (lambda: descend(unit(2, 2), 0.1, 3, record=[4]), ValueError, "record must be at most steps = 3, got 4"),
        (lambda: train_layer(unit(2), 0, sines(3), 0.1, 1, seed=0, record=[2]), ValueError, "record must be at most"),
        (lambda: ClassifierScalars(1, 0.1), ValueError, "D must be at least 2"),
        (lambda: ClassifierScalars(3, 0.1, flip=0.5), ValueError, "pure noise"),
        (lambda: ClassifierScalars(3, 0.1).noisy_optimum, ValueError, "diverges"),
        (lambda: ClassifierScalars(3, 0.1).solve([10.0]), ValueError, "at least 1000"),
        (lambda: margin_run(3, 0.1, 1.0, 0.0, 5), ValueError, "gamma must be greater than 0"),
        (lambda: error_rate(torch.zeros(2, 2), unit(2, 2)), ValueError, "zero"),
        (lambda: train_layer(unit(2), 3, sines(3), 0.1, 1, seed=0), ValueError, "position must be less"),
        (lambda: logistic_regression_error(0, 5), ValueError, "n must be at least 1"),
        (lambda: logistic_regression_error(5, 5, 0.0), ValueError, "C must be greater than 0"),
    ],
)
def test_wrong_arguments(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
