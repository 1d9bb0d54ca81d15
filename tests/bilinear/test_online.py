"""Sampled descents: online, on given inputs, and on one fixed sample."""

import math

import numpy as np
import pytest
import torch

from bilinear import descent
from bilinear.activations import IDENTITY, Activation
from bilinear.population import gradients
from bilinear.students import FullTransformer, PositionOnlyTransformer, SeparateTransformer
from bilinear.teachers import Teacher, convolution

from .cases import SLOPES, normal, orthogonal, scattered, task

FIELDS = ("t", "excess_loss", "cosine", "support_mass", "W_V", "W_KQ", "S")


def teacher_of(slope=0.0):
    return Teacher(normal(0, 2, 3), scattered(4, 2, 0), Activation(slope))


SAMPLED = {
    "online": lambda **more: descent.online(teacher_of(), 0.1, 30, **{"batch": 10, "seed": 0, **more}),
    "inputs": lambda **more: descent.online(
        teacher_of(), 0.1, 30, **{"batch": 10, "seed": 0, "inputs": normal(1, 20, 3, 4), **more}
    ),
    "empirical": lambda **more: descent.empirical(teacher_of(), 0.1, 30, **{"samples": 10, "seed": 0, **more}),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_seed_is_a_run(name):
    first, again, other = SAMPLED[name](), SAMPLED[name](), SAMPLED[name](seed=1)
    for field in FIELDS:
        assert np.array_equal(getattr(first, field), getattr(again, field)), field
    assert not torch.equal(first.W_V, other.W_V)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_global_generator_is_left_alone(name):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = SAMPLED[name]()
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(6)
    assert torch.equal(SAMPLED[name]().W_V, first.W_V)


@pytest.mark.parametrize("name", SAMPLED)
def test_recording_does_not_change_the_run(name):
    full, some, nothing = SAMPLED[name](), SAMPLED[name](record=[30, 4]), SAMPLED[name](record=[])
    assert full.t.tolist() == list(range(31))
    assert some.t.tolist() == [4, 30]
    assert nothing.t.size == 0
    for field in ("excess_loss", "cosine", "support_mass"):
        np.testing.assert_array_equal(getattr(some, field), getattr(full, field)[[4, 30]])
    for run in (some, nothing):
        assert torch.equal(run.W_V, full.W_V)
        assert torch.equal(run.S, full.S)


@pytest.mark.parametrize("name", SAMPLED)
def test_positional_encodings_only_turn_the_coordinates(name):
    P = orthogonal(3, 4)
    plain, turned = SAMPLED[name](), SAMPLED[name](P=P)
    # The same draws, the same logits: 30 steps of roundings.
    np.testing.assert_allclose(turned.excess_loss, plain.excess_loss, rtol=1e-11)
    torch.testing.assert_close(P.T @ turned.W_KQ @ P, plain.W_KQ, rtol=0, atol=1e-12)
    assert (P.T @ turned.W_KQ @ P).sum(0).abs().max() <= 1e-13  # conserved by sampled gradients too


@pytest.mark.parametrize("name", ["online", "empirical"])
def test_the_excess_loss_is_the_exact_one(name):
    run, teacher = SAMPLED[name](), teacher_of()
    exact, *_ = gradients(teacher, run.W_V, run.W_KQ)
    assert run.excess_loss[-1] == pytest.approx(exact.item(), rel=1e-12)
    assert run.excess_loss[0] == pytest.approx(gradients(teacher, 0 * run.W_V, 0 * run.W_KQ)[0].item(), rel=1e-12)
    cosine = torch.cosine_similarity(run.W_V.flatten(), teacher.V_star.flatten(), dim=0)
    assert run.cosine[-1] == pytest.approx(cosine.item(), abs=1e-12)
    assert run.cosine[0] == 0
    assert run.support_mass[-1] == pytest.approx((run.S * teacher.support).sum(0).mean().item(), abs=1e-12)
    torch.testing.assert_close(run.S, torch.softmax(run.W_KQ / 2, 0))


def test_with_inputs_the_excess_loss_is_their_mean():
    X, run = normal(1, 20, 3, 4), SAMPLED["inputs"]()
    teacher, student = teacher_of(), PositionOnlyTransformer(2, 3, 4, Activation(0.0))
    with torch.no_grad():
        student.W_V.copy_(run.W_V)
        student.W_KQ.copy_(run.W_KQ)
        mean = 0.5 * (teacher(X) - student(X)).square().sum((1, 2)).mean()
    assert run.excess_loss[-1] == pytest.approx(mean.item(), rel=1e-12)
    assert run.excess_loss[0] == pytest.approx(0.5 * teacher(X).square().sum((1, 2)).mean().item(), rel=1e-12)


def test_batches_are_drawn_from_the_inputs_alone():
    """One input, no noise: every batch is that input, so the run is descent on a single known loss."""
    teacher, X, P = teacher_of(0.1), normal(1, 1, 3, 4), orthogonal(2, 4)
    eta, eta_KQ = 0.1, 0.7
    run = descent.online(teacher, eta, 25, batch=3, noise=0.0, seed=0, inputs=X, eta_KQ=eta_KQ, P=P)
    W = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    KQ = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    for _ in range(25):
        Z = W @ X[0] @ torch.softmax(P.T @ KQ @ P / 2, 0)
        loss = 0.5 * (teacher(X[0]) - (0.55 * Z + 0.45 * Z.abs())).square().sum()
        to_W, to_KQ = torch.autograd.grad(loss, (W, KQ))
        with torch.no_grad():
            W -= eta * to_W
            KQ -= eta_KQ * to_KQ
    torch.testing.assert_close(run.W_V, W.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(run.W_KQ, KQ.detach(), rtol=0, atol=1e-12)
    assert run.W_KQ.abs().max() > 0.01


def test_inputs_are_drawn_with_replacement_and_evenly():
    """W_V after one step is −η times the batch's mean gradient: from 64 seeds, its mean is that over all inputs.

    Bound: |z| ≤ 5 for each of 6 entries; false alarm 3e-6.
    """
    teacher, X = teacher_of(), normal(1, 5, 3, 4)
    grads = -(1 / 2) * teacher(X) @ (X @ torch.full((4, 4), 0.25, dtype=torch.float64)).mT  # at zero, σ'(0) = ½
    steps = torch.stack(
        [descent.online(teacher, 1.0, 1, batch=40, noise=0.0, seed=s, inputs=X, record=[]).W_V for s in range(64)]
    )
    z = (steps.mean(0) + grads.mean(0)) / (grads.std(0, correction=0) / math.sqrt(40 * 64))
    assert z.abs().max() <= 5
    # With replacement: the spread of a mean of 40 draws out of 5. A mean of 6 ratios of variances, each with 63
    # degrees of freedom, so within 1 ± √(2/63): a half is 2.8 of these if all six moved together, 7 if none did.
    assert (steps.var(0) / (grads.var(0, correction=0) / 40)).mean().item() == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("slope", SLOPES)
def test_the_mean_online_gradient_is_the_population_gradient(slope):
    """Step 6 of 120 runs: what it adds, less −η times the exact gradient where it starts, has mean zero.

    One t an entry, 119 degrees of freedom: |t| ≤ 5.5 has probability 2e-7; 22 entries, three σ: false alarm 2e-5.
    """
    teacher, eta, P = teacher_of(slope), 0.5, orthogonal(1, 4)
    surplus = ([], [])
    moved = 0.0
    for seed in range(120):
        before, after = (
            descent.online(teacher, eta, steps, batch=8, noise=0.5, seed=seed, P=P, record=[]) for steps in (5, 6)
        )
        _, *exact = gradients(teacher, before.W_V, before.W_KQ, P)
        for store, name, gradient in zip(surplus, ("W_V", "W_KQ"), exact, strict=True):
            store.append((getattr(after, name) - getattr(before, name)) / eta + gradient)
        moved = max(moved, before.W_KQ.abs().max().item())
    assert moved > 0.3  # away from the start, where the score gradient vanishes
    for store in map(torch.stack, surplus):
        t = store.mean(0) / (store.std(0) / math.sqrt(len(store)))
        assert t.abs().max() <= 5.5


def test_noise_is_the_standard_deviation_of_the_labels():
    """One step from zero, V* = 0 aside: W_V = η·½(1+κ)·mean (Y)(XS)ᵀ; noise adds variance η² σ_E² (D·1/D)/(N)·¼(1+κ)².

    For the identity each entry of the noise part has variance σ_E² Σ_i‖s_i‖²/N = σ_E²/N (uniform S: Σ = 1).
    The difference of a run with and one without noise, same seed and one step, is this part exactly only if the
    inputs are drawn first; so the variance of many runs is compared instead. 240 seeds × 6 entries: the ratio of
    variances has standard deviation √(2/1440) = 0.037 and more for the non-Gaussian part; bound 0.2 ≈ 5 of these.
    """
    teacher = Teacher(normal(0, 2, 3), scattered(4, 2, 0), Activation(1.0))
    spread = []
    for noise in (0.0, 6.0):
        runs = [descent.online(teacher, 1.0, 1, batch=10, noise=noise, seed=s, record=[]).W_V for s in range(240)]
        spread.append(torch.stack(runs).var(0).mean().item())
    assert (spread[1] - spread[0]) / (6.0**2 / 10) == pytest.approx(1, abs=0.2)


def test_the_default_batch_and_noise_are_the_papers():
    teacher = teacher_of()
    assert torch.equal(
        descent.online(teacher, 0.1, 3, seed=0).W_V, descent.online(teacher, 0.1, 3, batch=100, noise=1.0, seed=0).W_V
    )


def squares_of_autoregressions(phi, n, count):
    """Relative standard deviation of the mean, over n steps, of the mean square of `count` Gaussian AR(1) series."""
    return math.sqrt(2 / count * (1 + phi**2) / (1 - phi**2) / n)


@pytest.mark.parametrize("eta", [0.1, 0.8])
def test_the_noise_floor_without_attention(eta):
    """D = K = 1: the floor D M d η σ_E²/(2KN(2 − ηD/K)), exactly so when X is random too.

    With R = Σxxᵀ/N in place of its mean, E R² = (1 + (d+1)/N) I: the 2 − η becomes 2 − η(1 + (d+1)/N).
    |z| ≤ 4, the standard deviation that of mean squares of AR(1) series (φ = 1 − η): false alarm 6e-5 each.
    """
    M, d, N, noise, burn, steps = 4, 8, 50, 1.0, 100, 1600
    teacher = Teacher(normal(0, M, d), torch.ones(1, 1), Activation(1.0))
    run = descent.online(teacher, eta, steps, batch=N, noise=noise, seed=0, record=range(burn, steps))
    floor = M * d * eta * noise**2 / (2 * N * (2 - eta * (1 + (d + 1) / N)))
    deviation = floor * squares_of_autoregressions(1 - eta, steps - burn, M * d)
    assert abs(run.excess_loss.mean() - floor) <= 4 * deviation


def test_the_noise_floor_with_attention():
    """K = 1: the floor D M d η σ_E²/(2KN(2 − ηD/K)), between two bounds that each leave out or add what is not exact.

    Below: W_V's noise alone, at the support mass that the run has (Σ‖s_i‖² is D/K times its square at least).
    Above: the same at full mass, its X random too (2 − ηD/K·(1 + (d+1)K/(ND))), plus twice the noise-free law
    for the attention, which is still switching on. The bounds are 17 % apart. 4 standard deviations each way.
    """
    D, K, M, d, eta, N, noise, burn, steps = 4, 1, 4, 8, 0.2, 50, 1.0, 1000, 3000
    V_star = normal(0, M, d)
    teacher = convolution(V_star * math.sqrt(32) / V_star.norm(), D, K, Activation(1.0))
    run = descent.online(teacher, eta, steps, batch=N, noise=noise, seed=0, record=range(burn, steps))

    def floor(mass=1.0, extra=0.0):
        h = eta * D / K * mass**2
        return noise**2 / (2 * N) * M * d * h / (2 - h * (1 + extra))

    assert floor() == pytest.approx(D * M * d * eta * noise**2 / (2 * K * N * (2 - eta * D / K)))
    law = K * D * (D - K) / (4 * eta * run.t)
    low, high = floor(run.support_mass).mean(), floor(extra=(d + 1) * K / (N * D)) + 2 * law.mean()
    assert high / low < 1.2
    deviation = floor() * squares_of_autoregressions(1 - eta * D / K, steps - burn, M * d)
    assert low - 4 * deviation <= run.excess_loss.mean() <= high + 4 * deviation


def test_a_teacher_that_is_zero_leaves_only_the_noise():
    """V* = 0: W_V stays small around zero. Its excess loss starts at 0, which is no reason to call it divergence."""
    teacher = Teacher(torch.zeros(2, 3, dtype=torch.float64), scattered(4, 2, 0), Activation(1.0))
    run = descent.online(teacher, 0.1, 200, seed=0)
    # a‖W_V‖²Σ‖s_i‖²/2 with W_V's variance about ησ²/(2N): M d η/(4N) = 1.5e-3, a few times over.
    assert 0 < run.excess_loss[-1] < 0.02


@pytest.mark.parametrize("slope", SLOPES)
def test_an_empirical_run_nears_the_population_run_as_one_over_root_n(slope):
    """100 times the samples, a tenth of the distance between the two curves.

    Root mean squares over 6 seeds; each square is a sum of correlated terms, at worst one degree of freedom a seed.
    The ratio of two such mean squares is F(6, 6): outside [1/50, 50] with probability 2e-4, so the ratio of the
    distances is 10 within a factor 7.1.
    """
    teacher, eta, steps = teacher_of(slope), 0.3, 30
    exact = descent.population(teacher, eta, steps)
    distance = {}
    for samples in (50, 5000):
        runs = [descent.empirical(teacher, eta, steps, samples=samples, seed=s) for s in range(6)]
        distance[samples] = math.sqrt(np.mean([(run.W_V - exact.W_V).square().sum().item() for run in runs]))
    assert 10 / 7.1 <= distance[50] / distance[5000] <= 10 * 7.1
    assert distance[5000] <= 0.05 * exact.W_V.norm()


def test_an_empirical_run_uses_one_sample_in_full():
    """Without noise and with many more inputs than weights, only the teacher fits the sample: the excess falls to 0."""
    teacher = Teacher(normal(0, 1, 2), torch.ones(1, 1), Activation(1.0))
    run = descent.empirical(teacher, 0.5, 200, samples=20, noise=0.0, seed=0)
    assert run.excess_loss[-1] <= 1e-20 * run.excess_loss[0]
    # With noise it stops at least squares' own error instead, and stays there: the last steps do not move.
    noisy = descent.empirical(teacher, 0.5, 200, samples=20, noise=1.0, seed=0)
    assert noisy.excess_loss[-1] > 1e-4
    assert noisy.excess_loss[-1] == pytest.approx(noisy.excess_loss[-20], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["online", "empirical"])
def test_sampled_runs_follow_the_teachers_dtype(kind, dtype):
    double = task("graph", 0.0, normal(0, 4, 3))
    teacher = Teacher(double.V_star.to(dtype), double.S_star.to(dtype), double.sigma)
    size = {"batch": 5} if kind == "online" else {"samples": 5}
    run = getattr(descent, kind)(teacher, 0.1, 3, seed=0, P=orthogonal(1, 12).to(dtype), **size)
    assert {run.W_V.dtype, run.W_KQ.dtype, run.S.dtype} == {dtype}
    assert {run.excess_loss.dtype, run.cosine.dtype, run.support_mass.dtype} == {np.dtype(np.float64)}


@pytest.mark.parametrize("kind", [PositionOnlyTransformer, FullTransformer, SeparateTransformer])
def test_a_rule_takes_its_sizes_from_the_student(kind):
    """Labels by any function of X: d and D are the student's, whatever its layer."""
    seen, (M, d, D) = set(), (2, 3, 5)

    def rule(X):
        seen.add(tuple(X.shape))
        return X[:, :M]

    run = descent.online(rule, 0.05, 20, seed=0, batch=7, noise=0.0, student=kind(M, d, D, IDENTITY))
    assert seen == {(1000, d, D), (7, d, D)}
    assert run.excess_loss[-1] < run.excess_loss[0]


def test_a_rule_without_sizes():
    with pytest.raises(ValueError, match="the sizes d and D are unknown"):
        descent.online(torch.relu, 0.05, 20, seed=0, student=torch.nn.Linear(3, 3))
