"""Descent on the population: what a Trajectory holds, and how a run that diverges ends."""

import functools
import math
import re

import numpy as np
import pytest
import torch

from bilinear import descent
from bilinear.activations import Activation
from bilinear.population import excess_loss, gradients
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import Teacher

from .cases import SLOPES, column_softmax, normal, orthogonal, scattered, task


def mixed_teacher(slope=0.0, D=6):
    """Columns with different supports and values: two scalars do not describe its training."""
    S_star = torch.softmax(2 * normal(7, D, D), 0)
    S_star[:, 0] = torch.eye(D, dtype=torch.float64)[2]
    return Teacher(normal(0, 2, 3), S_star, Activation(slope))


def by_hand(teacher, eta, steps, P):
    """W_V, W_KQ after each step of (3.3)–(3.4), with the closed-form gradient in the coordinates of W_KQ itself."""
    W, KQ = torch.zeros_like(teacher.V_star), torch.zeros_like(teacher.S_star)
    for _ in range(steps):
        yield W, KQ
        _, to_W, to_KQ = gradients(teacher, W, KQ, P)
        W, KQ = W - eta * to_W, KQ - eta * to_KQ
    yield W, KQ


@pytest.mark.parametrize("slope", SLOPES)
def test_it_is_gradient_descent_and_records_what_it_says(slope):
    teacher, P, eta, steps = mixed_teacher(slope), orthogonal(1, 6), 0.2, 300
    run = descent.population(teacher, eta, steps, P=P)
    assert run.t.tolist() == list(range(steps + 1))
    for t, (W, KQ) in enumerate(by_hand(teacher, eta, steps, P)):
        if t % 50 and t not in (1, 2):
            continue
        S = column_softmax(P.T @ KQ @ P)
        # Two orders of the same operations; 300 steps of roundings of 1e-16, nothing unstable.
        assert run.excess_loss[t] == pytest.approx(excess_loss(teacher, W, S).item(), rel=1e-11)
        cosine = (W * teacher.V_star).sum() / (W.norm() * teacher.V_star.norm()) if t else torch.tensor(0.0)
        assert run.cosine[t] == pytest.approx(cosine.item(), abs=1e-12)
        mass = (S * (teacher.S_star > 0)).sum(0).mean()
        assert run.support_mass[t] == pytest.approx(mass.item(), abs=1e-12)
    torch.testing.assert_close(run.W_V, W, rtol=0, atol=1e-12)
    torch.testing.assert_close(run.W_KQ, KQ, rtol=0, atol=1e-12)
    torch.testing.assert_close(run.S, S, rtol=0, atol=1e-12)
    assert run.S[:, 1:].std(1).max() > 0.05  # columns differ: a run that two scalars could not have produced
    assert (P.T @ run.W_KQ @ P).sum(0).abs().max() <= 1e-12  # 1ᵀ(PᵀW_KQP) = 0 is conserved


@pytest.mark.parametrize("record", [[0, 7, 20], (20, 0, 7, 7), {7, 0, 20}, np.array([7, 20, 0]), iter([20, 7, 0])])
def test_record_keeps_the_named_steps_in_order(record):
    teacher = mixed_teacher()
    full, some = descent.population(teacher, 0.2, 20), descent.population(teacher, 0.2, 20, record=record)
    assert some.t.tolist() == [0, 7, 20]
    for name in ("excess_loss", "cosine", "support_mass"):
        np.testing.assert_array_equal(getattr(some, name), getattr(full, name)[[0, 7, 20]])
    for name in ("W_V", "W_KQ", "S"):
        assert torch.equal(getattr(some, name), getattr(full, name))


def test_record_nothing_and_take_no_step():
    teacher = mixed_teacher()
    nothing = descent.population(teacher, 0.2, 20, record=[])
    assert nothing.t.shape == nothing.excess_loss.shape == nothing.cosine.shape == nothing.support_mass.shape == (0,)
    assert torch.equal(nothing.W_V, descent.population(teacher, 0.2, 20).W_V)
    start = descent.population(teacher, 0.2, 0)
    assert start.t.tolist() == [0]
    assert not start.W_V.any()
    assert not start.W_KQ.any()
    assert torch.equal(start.S, torch.full((6, 6), 1 / 6, dtype=torch.float64))


def test_the_arrays_are_float64_and_the_weights_follow_the_teacher():
    double = task("graph", 0.0, normal(0, 4, 3))
    single = Teacher(double.V_star.float(), double.S_star.float(), double.sigma)
    runs = {teacher.V_star.dtype: descent.population(teacher, 0.1, 400) for teacher in (single, double)}
    for dtype, run in runs.items():
        assert run.t.dtype.kind == "i"
        assert {run.excess_loss.dtype, run.cosine.dtype, run.support_mass.dtype} == {np.dtype(np.float64)}
        assert {run.W_V.dtype, run.W_KQ.dtype, run.S.dtype} == {dtype}
    # float32: 6e-8 a step, 400 steps, on a loss that has fallen to a third: a few 1e-5.
    np.testing.assert_allclose(runs[torch.float32].excess_loss, runs[torch.float64].excess_loss, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_teacher_that_is_zero_has_nothing_to_teach(dtype):
    """No excess loss, no motion, and no false alarm about divergence."""
    teacher = Teacher(torch.zeros(2, 3, dtype=dtype), scattered(4, 2, 0).to(dtype), Activation(0.0))
    run = descent.population(teacher, 0.1, 5)
    assert run.excess_loss.tolist() == [0.0] * 6
    assert not run.W_V.any()


# Each of these runs is far above the largest stable step. The error must name a step size, and that one must hold.
DIVERGING = {
    "convolution": lambda eta: descent.population(task("convolution", 0.0, normal(0, 4, 3)), eta, 1500),
    "large values": lambda eta: descent.population(task("tokens", 1.0, 100 * normal(0, 4, 3)), eta, 1500),
    "K = D": lambda eta: descent.population(Teacher(normal(0, 2, 5), scattered(6, 6, 0), Activation(0.1)), eta, 1500),
    "mixed columns": lambda eta: descent.population(mixed_teacher(), eta, 1500),
    "small scores": lambda eta: descent.population(
        Teacher(normal(0, 4, 3), 0.01 * scattered(6, 2, 0), Activation(0.0)), eta, 3000
    ),
    "large scores": lambda eta: descent.population(
        Teacher(normal(0, 4, 3), 10 * scattered(6, 2, 0), Activation(0.0)), eta, 3000
    ),
    "negative scores": lambda eta: descent.population(
        Teacher(normal(0, 4, 3), -scattered(6, 2, 0), Activation(0.0)), eta, 3000
    ),
    "online, P": lambda eta: descent.online(
        task("graph", 0.0, normal(0, 4, 3)), eta, 600, seed=0, P=orthogonal(1, 12), record=range(0, 601, 50)
    ),
    "online, one input a step": lambda eta: descent.online(
        task("graph", 0.0, normal(0, 4, 8)), eta, 600, batch=1, noise=0.0, seed=0, record=range(0, 601, 50)
    ),
    "online, inputs": lambda eta: descent.online(
        task("graph", 0.0, normal(0, 4, 3)), eta, 600, seed=0, inputs=normal(1, 50, 3, 12), record=range(0, 601, 50)
    ),
    "online, large inputs": lambda eta: descent.online(
        task("graph", 0.0, normal(0, 4, 3)), eta, 600, seed=0, inputs=10 * normal(1, 50, 3, 12), record=[600]
    ),
    "online, zero scores": lambda eta: descent.online(
        Teacher(normal(0, 2, 3), torch.zeros(4, 4), Activation(0.0)), eta, 600, seed=0, record=range(0, 601, 50)
    ),
    "empirical": lambda eta: descent.empirical(
        task("graph", 0.0, normal(0, 4, 3)), eta, 600, samples=100, seed=0, record=range(0, 601, 50)
    ),
    "empirical, two samples": lambda eta: descent.empirical(
        task("convolution", 1.0, normal(0, 4, 8)), eta, 600, samples=2, noise=0.0, seed=0, record=range(0, 601, 50)
    ),
    "two scalars": lambda eta: ScalarDynamics(36, 4, 32.0, eta).run(3000),
    "two scalars, ReLU": lambda eta: ScalarDynamics(20, 3, 32.0, eta, 0.0).run(3000),
    "two scalars, K = D": lambda eta: ScalarDynamics(21, 21, 1.0, eta, 0.5).run(3000),
    "two scalars, gap to minus infinity": lambda eta: ScalarDynamics(36, 4, 1.0, eta).run(3000),
    "two scalars, scores locked at once": lambda eta: ScalarDynamics(15, 8, 26_000.0, eta).run(3000),
    "two scalars, wide gap": lambda eta: ScalarDynamics(9, 5, 164.0, eta).run(3000),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_a_diverging_run_names_step_loss_and_a_step_size_that_holds(name):
    run, eta = (
        DIVERGING[name],
        {"two scalars, gap to minus infinity": 100.0, "two scalars, wide gap": 6.3}.get(name, 50.0),
    )
    with pytest.raises(FloatingPointError) as error:
        run(eta)
    message = str(error.value)
    assert re.search(r"step \d+", message)
    assert re.search(r"(loss|C1) = \S+\d", message) or "nan" in message or "inf" in message
    assert f"{eta:g}" in message
    named = float(re.search(r"eta ≤ ([-+.e\d]+)", message).group(1))
    assert 0 < named < eta
    held = run(named)  # and not another FloatingPointError
    assert np.isfinite(held.excess_loss).all()
    assert held.excess_loss[-1] <= 10 * max(held.excess_loss[0], 1)


@pytest.mark.parametrize("run", [descent.online, descent.empirical], ids=["online", "empirical"])
def test_a_sampled_run_is_stopped_when_it_diverges_and_not_at_its_end(run):
    teacher, size = task("graph", 0.0, normal(0, 4, 3)), {"batch": 9} if run is descent.online else {"samples": 9}
    with pytest.raises(FloatingPointError):  # after 20 steps its loss is huge and still far from overflow
        run(teacher, 20.0, 20, seed=0, **size)
    with pytest.raises(FloatingPointError) as error:  # overflows at once, though nothing is recorded before the end
        run(teacher, 1e150, 500, seed=0, record=[], **size)
    assert int(re.search(r"step (\d+)", str(error.value)).group(1)) < 10


def test_scores_that_saturate_are_no_divergence():
    """Logits far beyond where exp overflows, from values that are large: a stable run all the same."""
    teacher = Teacher(1e4 * normal(0, 2, 3), scattered(4, 1, 0), Activation(1.0))
    run = descent.population(teacher, 0.2, 60)
    assert run.W_KQ.abs().max() > 1e4
    assert run.excess_loss[-1] <= 1e-10 * run.excess_loss[0]
    torch.testing.assert_close(run.S, teacher.S_star)


def test_the_cosine_has_a_sign():
    """Above the stable edge C₁ swings through zero: cosine −1 there."""
    teacher = Teacher(normal(0, 2, 3), scattered(4, 4, 0), Activation(1.0))
    run = descent.population(teacher, 2.2, 6)
    expected = np.sign(ScalarDynamics.of(teacher, 2.2).run(6).C1)
    assert {-1, 1} < {*expected}
    np.testing.assert_allclose(run.cosine, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_the_step_size_that_is_named_does_not_hang_on_one_draw(seed):
    """One number a batch: the batch at which the run ends may be small by chance, and later ones are not."""
    teacher = Teacher(torch.ones(1, 1), torch.ones(1, 1), Activation(1.0))

    def run(eta):
        return descent.online(teacher, eta, 600, batch=1, noise=0.0, seed=seed, record=range(0, 601, 20))

    with pytest.raises(FloatingPointError) as error:
        run(100.0)
    held = run(float(re.search(r"eta ≤ ([-+.e\d]+)", str(error.value)).group(1)))
    assert np.isfinite(held.excess_loss).all()


@pytest.fixture
def every_warning():
    """torch gives some warnings once a process: a test for them would depend on what ran before."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("eta", [3.0, 10.0, 1e3, 1e6, 1e50])
@pytest.mark.parametrize("slope", SLOPES)
def test_a_run_ends_finite_or_with_the_error(eta, slope, every_warning):
    """However large the step: finite curves, or FloatingPointError; never NaN, a warning or another error."""
    teacher = task("scattered", slope, normal(0, 4, 3))
    runs = [
        lambda: descent.population(teacher, eta, 300),
        lambda: descent.online(teacher, eta, 300, seed=0, batch=5, record=[0, 150]),
        lambda: descent.empirical(teacher, eta, 300, seed=0, samples=5, record=[]),
        *(lambda V=V: ScalarDynamics(12, 3, V, eta, slope).run(300) for V in (1e-3, 1e-1, 1.0, 30.0, 1e4)),
    ]
    diverged = 0
    for run in runs:
        try:
            result = run()
        except FloatingPointError:
            diverged += 1
        else:
            assert np.isfinite(result.excess_loss).all()
            for field in ("W_V", "W_KQ", "S"):
                assert torch.isfinite(getattr(result, field, torch.zeros(1))).all()
    assert diverged > 0 or eta < 10


@pytest.mark.parametrize("fraction", [0.5, 0.95])
@pytest.mark.parametrize("slope", SLOPES)
def test_every_step_below_the_largest_stable_one_holds(fraction, slope):
    """Over sizes and six decades of ‖V*‖²: the loss may rise while attention switches on, but only by a little."""
    for seed, (D, K) in enumerate([(2, 1), (4, 3), (5, 2), (6, 6), (8, 7), (9, 1)]):
        for size in (0.03, 1.0, 30.0):
            teacher = Teacher(size * normal(seed, 2, 2), scattered(D, K, seed), Activation(slope))
            eta = fraction * ScalarDynamics.of(teacher, 1.0).largest_stable_eta
            run = descent.population(teacher, eta, 100)
            assert run.excess_loss.max() <= 3 * run.excess_loss[0]
            assert run.excess_loss[-1] < run.excess_loss[0]


def test_the_final_state_is_a_copy():
    teacher = mixed_teacher()
    P = orthogonal(1, 6)
    run = descent.population(teacher, 0.2, 3, P=P)
    run.W_V.zero_()
    run.W_KQ.zero_()
    again = descent.population(teacher, 0.2, 3, P=P)
    assert again.W_V.abs().max() > 0
    assert math.isclose(again.excess_loss[-1], run.excess_loss[-1])


@pytest.mark.parametrize("fused", [False, True])
def test_a_slope_may_lie_in_memory_in_any_way(fused):
    """A fused step of PyTorch walks over weight and slope side by side, as they lie."""
    goal = torch.arange(12.0).reshape(3, 4)

    def run(laid_out):
        def slopes(w):
            return 0.5 * (w - goal).square().sum(), {"w": laid_out(w - goal)}

        start, adam = {"w": torch.zeros(3, 4)}, functools.partial(torch.optim.Adam, fused=fused)
        return descent.descend(slopes, start, 0.1, 50, optimiser=adam).w

    assert torch.equal(run(lambda slope: slope.T.contiguous().T), run(torch.Tensor.contiguous))


def test_by_autograd_gives_the_slopes_and_zero_where_the_loss_does_not_look():
    """½‖A − BX‖² by hand; a tensor that the loss ignores stays where it is, and no graph is left behind."""
    A, X, start = normal(0, 3, 4), normal(1, 2, 4), {"B": normal(2, 3, 2), "idle": torch.ones(5)}

    def loss(B, idle):
        return 0.5 * (A - B @ X).square().sum()

    value, to = descent.by_autograd(loss)(**start)
    torch.testing.assert_close(to["B"], (start["B"] @ X - A) @ X.T, rtol=1e-12, atol=1e-12)
    assert not to["idle"].any()
    assert not any(tensor.requires_grad for tensor in (value, to["B"], start["B"]))
    run = descent.descend(descent.by_autograd(loss), start, eta=0.05, steps=200)
    least = loss(A @ torch.linalg.pinv(X), None)
    assert run.loss[-1] == pytest.approx(least.item(), rel=1e-6)
    assert run.idle.tolist() == [1.0] * 5


def test_a_teacher_may_be_a_network_and_its_labels_of_given_tokens_are_drawn_with_them():
    X, student = normal(0, 30, 3, 4), torch.nn.Conv1d(3, 2, 1).double()
    network = torch.nn.Conv1d(3, 2, 1).double()  # its weights want gradients, and get none
    options = {"seed": 1, "noise": 0.0, "inputs": X, "student": student}
    full = descent.empirical(network, 0.2, 80, **options)
    batches = descent.online(network, 0.2, 80, batch=10, **options)
    for run in (full, batches):
        assert run.excess_loss[-1] < 1e-2 * run.excess_loss[0]
    assert all(w.grad is None for w in network.parameters())
