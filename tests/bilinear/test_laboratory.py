"""The laboratory: starts, score maps, frozen attention, optimisers, what is watched; one record for all runs."""

import copy
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from bilinear import descent, inputs, laws, positions
from bilinear.activations import IDENTITY, RELU, Activation
from bilinear.descent import Run
from bilinear.population import excess_loss, gradients
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.scores import RELU_NORMALISED, SOFTMAX, SPARSEMAX, entmax
from bilinear.students import FullTransformer, PositionOnlyTransformer
from bilinear.teachers import Teacher, convolution

from .cases import SLOPES, normal, orthogonal, scattered, task, two_levels

COLUMNS = ("cosine", "support_mass", "off_support", "value_error", "score_error", "C1", "gap")
MOMENTUM = partial(torch.optim.SGD, momentum=0.9)


def start(teacher, seed=3, **options):
    """A student that starts away from zero, with a P of its own."""
    f = teacher
    return PositionOnlyTransformer.of(
        f, orthogonal(seed, f.D), W_V=normal(seed, f.M, f.d), W_KQ=0.5 * normal(seed + 1, f.D, f.D), **options
    )


# descend


def test_descend_is_descent_and_leaves_its_start_alone():
    a, b = torch.tensor([3.0, -2.0]), torch.tensor([[5.0]])
    begun = {"a": a, "b": b}

    def slopes(a, b):
        return 0.5 * float(a @ a + 4 * b.square().sum()), {"a": a, "b": 4 * b}

    run = descent.descend(
        slopes, begun, {"a": 0.5, "b": 0.0}, 4, record=[1, 4], watch=lambda a, b: {"sum": a.sum(), "a_now": a}
    )
    assert run.t.tolist() == [1, 4]
    np.testing.assert_allclose(run.loss, [0.5 * 13 / 4 + 50, 0.5 * 13 / 4**4 + 50], rtol=1e-14)
    np.testing.assert_allclose(run.a_now, [[1.5, -1], [3 / 16, -2 / 16]])  # as it was then, not as it is now
    np.testing.assert_allclose(run.sum, [0.5, 1 / 16])
    assert run.a.tolist() == [3 / 16, -2 / 16]
    assert run.b.tolist() == [[5.0]]
    assert a.tolist() == [3.0, -2.0]


def test_descend_on_arrays_is_descend_on_tensors():
    """Runs side by side, the way that softmax goes down each; the weights of the run are tensors in both."""
    B, start = normal(1, 5, 4, 3), {"w": normal(0, 5, 4, 1), "z": normal(2, 5, 3, 1)}

    def of(B):
        def slopes(w, z):
            S = SOFTMAX(z)
            G = w * S.mT - B
            return 0.5 * float((G * G).sum()), {"w": G @ S, "z": SOFTMAX.pull_back(z, S, G.mT @ w)}

        return slopes

    def run(B, start):
        return descent.descend(of(B), start, 0.1, 50, watch=lambda w, z: {"w_then": w, "first": z[0, 0, 0]})

    arrays = {name: w.numpy().copy() for name, w in start.items()}
    ours, torchs = run(B.numpy(), arrays), run(B, start)
    for column in ("loss", "w_then", "first"):
        np.testing.assert_allclose(getattr(ours, column), getattr(torchs, column), rtol=1e-12)
    torch.testing.assert_close(ours.w, torchs.w)
    np.testing.assert_array_equal(arrays["w"], start["w"].numpy())
    with pytest.raises(ValueError, match="w in start must be finite"):
        run(B.numpy(), arrays | {"w": np.full((5, 4, 1), np.nan)})


def test_descend_says_what_is_wrong_with_a_call():
    def bowl(w):
        return 0.5 * float(w @ w), {"w": w}

    w = {"w": torch.ones(2)}
    for error, named, call in (
        (ValueError, "eta must be at least 0, got -1", lambda: descent.descend(bowl, w, -1.0, 3)),
        (ValueError, "eta must be finite", lambda: descent.descend(bowl, w, math.nan, 3)),
        (ValueError, "eta must name the tensors of start, w", lambda: descent.descend(bowl, w, {"v": 0.1}, 3)),
        (ValueError, "eta of w must be at least 0", lambda: descent.descend(bowl, w, {"w": -0.1}, 3)),
        (ValueError, "steps must be at least 0", lambda: descent.descend(bowl, w, 0.1, -1)),
        (ValueError, "at most steps = 3, got 4", lambda: descent.descend(bowl, w, 0.1, 3, record=[4])),
        (
            TypeError,
            "w in start must be of the class Tensor, got ndarray",
            lambda: descent.descend(bowl, {"w": np.ones(2)}, 0.1, 3, optimiser=MOMENTUM),
        ),
        (TypeError, "start must be of the class Mapping", lambda: descent.descend(bowl, [1.0], 0.1, 3)),
        (TypeError, "w in start must be of the class Tensor", lambda: descent.descend(bowl, {"w": 1.0}, 0.1, 3)),
        (ValueError, "w in start must be finite", lambda: descent.descend(bowl, {"w": math.nan * w["w"]}, 0.1, 3)),
    ):
        with pytest.raises(error, match=named):
            call()


def test_slopes_may_be_the_weights_themselves():
    """All moves are of one moment: a slope that is another weight is taken before that weight moves."""

    def swap(a, b):
        return float(a * b), {"a": b, "b": a}

    begun = {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}
    for optimiser in (None, torch.optim.SGD):
        run = descent.descend(swap, begun, 0.1, 1, optimiser=optimiser)
        assert [run.a.item(), run.b.item()] == pytest.approx([0.8, 1.9], rel=1e-6)
        assert run.a.grad is None
    frozen = descent.descend(swap, begun, 0.0, 3, optimiser=torch.optim.Adam)
    assert frozen.a.item() == 1.0


def test_names_of_a_run_are_its_own():
    def bowl(w):
        return 0.5 * float(w @ w), {"w": w}

    w = torch.ones(2)
    with pytest.raises(ValueError, match="must not be called 'loss'"):
        descent.descend(lambda loss: (0.0, {"loss": loss}), {"loss": w}, 0.1, 3)
    with pytest.raises(ValueError, match="watch must not return 't'"):
        descent.descend(bowl, {"w": w}, 0.1, 3, watch=lambda w: {"t": 1})
    with pytest.raises(TypeError, match="what watch returns must be of the class Mapping, got float"):
        descent.descend(bowl, {"w": w}, 0.1, 3, watch=lambda w: 1.0)
    with pytest.raises(ValueError, match=r"same names each time, got t, loss, 1\.800 at step 1"):
        descent.descend(bowl, {"w": w}, 0.1, 3, watch=lambda w: {f"{w.sum():.3f}": 0})
    teacher = convolution(torch.ones(1, 2), 4, 2)
    with pytest.raises(ValueError, match="watch must not return 'cosine'"):
        descent.population(teacher, 0.1, 3, watch=lambda student: {"cosine": 1})


def test_the_loss_of_a_diverging_descent_is_a_million_times_the_first():
    """The bound, from both sides: |1 − η|² is the factor of a step."""

    def bowl(w):
        return 0.5 * float(w @ w), {"w": w}

    def run(steps):
        return descent.descend(bowl, {"w": torch.ones(1, dtype=torch.float64)}, 11.0, steps)  # a factor 100 a step

    assert run(2).loss[-1] == pytest.approx(0.5e4)
    with pytest.raises(FloatingPointError, match=r"step 3: loss = 5e\+05 at eta = 11"):
        run(3)


# Starts, P, score maps


@pytest.mark.parametrize("slope", SLOPES)
def test_a_student_is_trained_from_where_it_stands(slope):
    teacher = task("scattered", slope, normal(0, 2, 3), D=6, K=2)
    student = start(teacher)
    before = copy.deepcopy(student.state_dict())
    run = descent.population(teacher, 0.1, 50, student=student)
    W_V, W_KQ, P = before["W_V"], before["W_KQ"], student.P
    for t in range(51):
        loss, to_W_V, to_W_KQ = gradients(teacher, W_V, W_KQ, P)
        assert run.excess_loss[t] == pytest.approx(loss.item(), rel=1e-11)  # two orders of the same operations
        if t < 50:
            W_V, W_KQ = W_V - 0.1 * to_W_V, W_KQ - 0.1 * to_W_KQ
    torch.testing.assert_close(run.W_V, W_V, rtol=0, atol=1e-12)
    torch.testing.assert_close(run.W_KQ, W_KQ, rtol=0, atol=1e-12)
    assert all(torch.equal(before[name], now) for name, now in student.state_dict().items())


@pytest.mark.parametrize("score_map", [SPARSEMAX, entmax(1.5), RELU_NORMALISED])
@pytest.mark.parametrize("slope", SLOPES)
def test_a_step_with_another_score_map(score_map, slope):
    """One step is −η times the derivative of the exact loss of (W_V, S(logits)), by differences."""
    teacher = task("scattered", slope, normal(0, 2, 3), D=6, K=2)
    student = start(teacher, scores=score_map)
    run = descent.population(teacher, 1e-3, 1, student=student)
    d_W, d_KQ, h = normal(7, 2, 3), normal(8, 6, 6), 1e-4

    def loss(step):
        logits = student.P.T @ (student.W_KQ + step * d_KQ) @ student.P
        return excess_loss(teacher, student.W_V.detach() + step * d_W, score_map(logits.detach()))

    difference = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
    moved = ((run.W_V - student.W_V) * d_W).sum() + ((run.W_KQ - student.W_KQ) * d_KQ).sum()
    assert moved.item() == pytest.approx(-1e-3 * difference.item(), rel=1e-8)


def test_sparsemax_ends_where_softmax_only_tends_to():
    teacher = convolution(normal(0, 2, 4), 8, 2, sigma=IDENTITY)
    sparse = descent.population(teacher, 0.2, 3000, student=PositionOnlyTransformer.of(teacher, scores=SPARSEMAX))
    soft = descent.population(teacher, 0.2, 3000)
    assert sparse.off_support[-1] < 1e-14  # it stops at the edge of the support, a rounding away from it
    assert sparse.excess_loss[-1] < 1e-20
    assert soft.excess_loss[-1] > 1e-4


def test_students_that_do_not_fit_are_refused():
    teacher = convolution(normal(0, 2, 4), 8, 2)
    other = PositionOnlyTransformer.of(convolution(normal(0, 2, 4), 6, 2))
    for error, named, options in (
        (ValueError, "M, d, D = 2, 4, 8, got M, d, D = 2, 4, 6", {"student": other}),
        (ValueError, "P or a student", {"student": other, "P": torch.eye(8)}),
        (TypeError, "float64", {"student": PositionOnlyTransformer.of(teacher.to(torch.float32))}),
        (ValueError, "slope 0, got 1", {"student": PositionOnlyTransformer(2, 4, 8, IDENTITY)}),
        (TypeError, "PositionOnlyTransformer", {"student": FullTransformer(2, 4, 8, RELU)}),
        (TypeError, "Module", {"student": "softmax"}),
    ):
        with pytest.raises(error, match=named):
            descent.population(teacher, 0.1, 3, **options)


# Step sizes and optimisers


@pytest.mark.parametrize("run", ["population", "online", "empirical"])
def test_one_step_size_for_both_unless_another_is_given(run):
    teacher = task("graph", 0.0, normal(0, 4, 3))
    options = {"population": {}, "online": {"seed": 0}, "empirical": {"seed": 0, "samples": 20}}[run]
    plain = getattr(descent, run)(teacher, 0.1, 30, **options)
    same = getattr(descent, run)(teacher, 0.1, 30, eta_KQ=0.1, **options)
    faster = getattr(descent, run)(teacher, 0.1, 30, eta_KQ=0.2, **options)
    frozen = getattr(descent, run)(teacher, 0.1, 30, eta_KQ=0, **options)
    assert torch.equal(plain.W_KQ, same.W_KQ)
    ratio = (faster.W_KQ.norm() / plain.W_KQ.norm()).item()
    assert ratio == pytest.approx(2, rel=0.2)  # early, the scores are nearly linear in their step
    assert not frozen.W_KQ.any()
    assert frozen.W_V.any()
    assert (frozen.support_mass == frozen.support_mass[0]).all()


def test_frozen_attention_learns_values_as_a_linear_problem():
    """S uniform: C₁⁺ = C₁ − ηaD/K [C₁K/D − K/D (1 + β(tan θ − θ))], a geometric approach at rate 1 − ηa."""
    teacher = convolution(normal(0, 2, 4), 8, 2, sigma=RELU)
    run = descent.population(teacher, 0.2, 200, eta_KQ=0)
    rest = float(laws.slow_manifold(ScalarDynamics.of(teacher, 0.2), 0.0))
    np.testing.assert_allclose(run.C1[1:40] - rest, (run.C1[1] - rest) * 0.9 ** np.arange(39), rtol=1e-9)


def test_an_optimiser_is_torchs():
    teacher, P = task("scattered", 0.0, normal(0, 2, 3), D=6, K=2), orthogonal(1, 6)
    plain = descent.population(teacher, 0.1, 60, P=P)
    sgd = descent.population(teacher, 0.1, 60, P=P, optimiser=torch.optim.SGD)
    np.testing.assert_allclose(sgd.excess_loss, plain.excess_loss, rtol=1e-11)
    torch.testing.assert_close(sgd.W_KQ, plain.W_KQ, rtol=0, atol=1e-12)
    for factory in (MOMENTUM, torch.optim.Adam):
        run = descent.population(teacher, 0.02, 60, P=P, eta_KQ=0.01, optimiser=factory)
        W_V, W_KQ = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
        stepper = factory([{"params": [W_V], "lr": 0.02}, {"params": [W_KQ], "lr": 0.01}])
        for _ in range(60):
            _, W_V.grad, W_KQ.grad = gradients(teacher, W_V, W_KQ, P)
            stepper.step()
        torch.testing.assert_close(run.W_V, W_V, rtol=0, atol=1e-12)
        torch.testing.assert_close(run.W_KQ, W_KQ, rtol=0, atol=1e-12)
    # Adam sees entries: with another P it takes another path, plain descent does not.
    adam = [descent.population(teacher, 0.02, 60, P=Q, optimiser=torch.optim.Adam).excess_loss[-1] for Q in (P, None)]
    assert abs(adam[0] / adam[1] - 1) > 1e-3
    frozen = descent.population(teacher, 0.02, 10, eta_KQ=0, optimiser=torch.optim.Adam)
    assert not frozen.W_KQ.any()


def test_an_optimiser_in_a_sampled_run():
    teacher, options = task("graph", 0.0, normal(0, 4, 3)), {"seed": 0, "samples": 50}
    plain = descent.empirical(teacher, 0.05, 40, **options)
    sgd = descent.empirical(teacher, 0.05, 40, optimiser=torch.optim.SGD, **options)
    torch.testing.assert_close(sgd.W_KQ, plain.W_KQ, rtol=0, atol=1e-13)
    assert torch.equal(sgd.S, SOFTMAX(sgd.W_KQ))
    heavy = descent.empirical(teacher, 0.05, 40, optimiser=MOMENTUM, **options)
    assert heavy.C1[5] > 1.5 * plain.C1[5]  # early, each step repeats nine tenths of the last


def test_momentum_is_the_law_with_a_larger_step():
    """Heavy ball at μ: late in training η/(1−μ), whose law it reaches within twice the next order."""
    teacher = convolution(normal(0, 2, 4), 8, 2, sigma=IDENTITY)
    steps = 40_000
    run = descent.population(teacher, 0.02, steps, optimiser=MOMENTUM, record=[steps])
    scalars = ScalarDynamics.of(teacher, 0.2)
    near = 2 * float(laws.next_order(scalars, steps))
    assert near < 0.01
    assert run.excess_loss[0] == pytest.approx(float(scalars.excess_loss_law(steps)), rel=near)


# What is kept


@pytest.mark.parametrize("verb", ["population", "online"])
def test_watch_sees_the_student_as_it_is_and_only_when_asked(verb):
    teacher, seen = task("scattered", 0.0, normal(0, 2, 3), D=6, K=2), []

    def watch(student):
        seen.append(student.W_V.detach().clone())
        return {"values": student.W_V, "scores": student.scores(), "trace": student.W_KQ.trace()}

    options = {"seed": 0} if verb == "online" else {}
    run = getattr(descent, verb)(teacher, 0.1, 20, P=orthogonal(1, 6), record=[0, 20, 5], watch=watch, **options)
    assert len(seen) == 3
    assert run.values.shape == (3, 2, 3)
    assert not run.values[0].any()
    np.testing.assert_array_equal(run.values[-1], run.W_V.numpy())
    np.testing.assert_allclose(run.scores[-1], run.S.numpy(), atol=1e-15)
    np.testing.assert_allclose(run.trace[-1], run.W_KQ.trace(), atol=1e-14)
    assert run.trace.shape == (3,)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("D", "K"), [(12, 3), (6, 6)])
def test_matrices_and_two_scalars_keep_the_same_record(D, K, slope):
    """Each column by its definition, and the same from full matrices as from C₁ and the gap."""
    teacher = Teacher(normal(0, 4, 3), scattered(D, K, 0), Activation(slope))
    scalars = ScalarDynamics.of(teacher, 0.1)
    run, two = descent.population(teacher, 0.1, 400), scalars.run(400)
    for name in ("t", "excess_loss", *COLUMNS):
        # Rounding: 1e-15 a step on numbers of order one; the errors of Theorem 3.1 fall to 0.1, the loss to 1e-2.
        np.testing.assert_allclose(getattr(run, name), getattr(two, name), rtol=1e-10, atol=1e-12, err_msg=name)
    S, V_star, S_star = run.S, teacher.V_star, teacher.S_star
    assert run.value_error[-1] == pytest.approx((run.W_V - V_star).norm().item(), rel=1e-12)
    assert run.score_error[-1] == pytest.approx((S - S_star).norm().item(), rel=1e-12, abs=1e-15)
    assert run.off_support[-1] == pytest.approx(S[S_star == 0].sum().item() / D, rel=1e-12)
    assert run.support_mass[-1] == pytest.approx(S[S_star > 0].sum().item() / D, rel=1e-12)
    assert run.C1[-1] == pytest.approx((run.W_V / V_star).mean().item(), rel=1e-12)
    if K < D:
        assert run.gap[-1] == pytest.approx((S[S_star > 0].mean() / S[S_star == 0].mean()).log().item(), rel=1e-12)
    late = laws.late(scalars, 400) if K < D else None
    assert late is None or set(late._fields) <= set(dir(two))


def test_a_run_has_what_it_has():
    run = ScalarDynamics(12, 3, 4.0, 0.1).run(5)
    assert {"t", "excess_loss", *COLUMNS} <= set(dir(run))
    with pytest.raises(AttributeError, match=r"no 'colour'; it has: t, C1, gap"):
        _ = run.colour
    assert not hasattr(run, "W_V")
    trained = descent.population(convolution(torch.ones(1, 2), 4, 2), 0.1, 3)
    again = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(again.excess_loss, trained.excess_loss)
    assert torch.equal(copy.deepcopy(trained).S, trained.S)
    assert descent.Trajectory is Run


# Sampled runs of any student


def test_any_student_of_any_function():
    """A linear layer learns a linear function; the recorded loss is that on 1,000 inputs of their own."""
    A = normal(0, 2, 4)

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.P, self.W_V = torch.eye(3).double(), torch.nn.Parameter(torch.zeros(2, 4).double())
            self.idle = torch.nn.Parameter(torch.ones(1).double())  # the output does not depend on it

        def forward(self, X):
            return self.W_V @ X

    student = Layer()
    run = descent.online(lambda X: A @ X, 0.1, 300, seed=1, noise=0.0, student=student, record=[0, 300])
    torch.testing.assert_close(run.W_V, A, rtol=0, atol=1e-10)
    assert run.idle.tolist() == [1.0]
    assert not student.W_V.any()
    exact = 0.5 * 3 * A.square().sum().item()
    spread = 0.5 * math.sqrt(2 * 3 * (A.T @ A).square().sum().item() / 1000)  # Var ‖Ax‖² = 2 tr (AᵀA)², three columns
    assert abs(run.excess_loss[0] - exact) < 4 * spread
    assert run.excess_loss[0] != pytest.approx(exact, rel=1e-6)  # sampled
    assert not hasattr(run, "cosine")
    other = descent.online(lambda X: A @ X, 0.1, 0, seed=2, noise=0.0, student=student)
    assert other.excess_loss[0] != run.excess_loss[0]  # the seed decides on the test inputs too
    with pytest.raises(ValueError, match="sizes d and D are unknown"):
        descent.online(lambda X: A @ X, 0.1, 3, seed=0, student=torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="teacher must be a Teacher or a function"):
        descent.online("A", 0.1, 3, seed=0, student=student)


def test_the_recorded_loss_is_exact_where_it_is_known():
    teacher = task("graph", 0.0, normal(0, 4, 3))
    run = descent.online(teacher, 0.05, 40, seed=0, record=[40])
    assert run.excess_loss[0] == pytest.approx(excess_loss(teacher, run.W_V, run.S).item(), rel=1e-12)
    heavy = descent.online(teacher, 0.05, 40, seed=0, record=[40], inputs=inputs.centred_exponential)
    there = excess_loss(teacher, heavy.W_V, heavy.S).item()
    assert heavy.excess_loss[0] == pytest.approx(there, rel=0.3)  # the same second moments
    assert heavy.excess_loss[0] != pytest.approx(there, rel=1e-6)  # but a mean over 1,000 inputs
    assert hasattr(heavy, "cosine")
    full = FullTransformer(4, 3, 12, RELU)
    kept = descent.online(teacher, 0.05, 3, seed=0, student=full, watch=lambda s: {"PP": s.blocks()["PP"]})
    assert kept.PP.shape == (4, 12, 12)


def test_parameters_of_modules_within_modules():
    """A step size goes by a parameter's own name; what requires no gradient stays; without any there is no run."""
    teacher = task("graph", 0.0, normal(0, 4, 3))

    class Nested(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = PositionOnlyTransformer(4, 3, 12, RELU)

        def forward(self, X):
            return self.layer(X)

    run = descent.online(teacher, 0.05, 5, seed=0, student=Nested(), eta_KQ=0)
    assert getattr(run, "layer.W_V").any()
    assert not getattr(run, "layer.W_KQ").any()
    fixed = PositionOnlyTransformer(4, 3, 12, RELU)
    fixed.W_KQ.requires_grad_(False)
    run = descent.online(teacher, 0.05, 5, seed=0, student=fixed)
    assert run.W_V.any()
    assert (run.support_mass == run.support_mass[0]).all()
    for p in fixed.parameters():
        p.requires_grad_(False)
    with pytest.raises(ValueError, match="none that requires a gradient"):
        descent.online(teacher, 0.05, 5, seed=0, student=fixed)
    with pytest.raises(TypeError, match="give a student"):
        descent.online(lambda X: X, 0.05, 5, seed=0)


def test_another_forward_is_another_student():
    """A subclass is trained by its own forward, and has no exact loss."""

    class Doubled(PositionOnlyTransformer):
        def forward(self, X):
            return 2 * super().forward(X)

    teacher = task("graph", 1.0, normal(0, 4, 3))
    options = {"seed": 0, "noise": 0.0, "record": [0, 400]}
    run = descent.online(teacher, 0.02, 400, student=Doubled(4, 3, 12, IDENTITY), eta_KQ=0, **options)
    plain = descent.online(teacher, 0.02, 400, eta_KQ=0, **options)
    assert (2 * run.W_V / plain.W_V).mean().item() == pytest.approx(1, abs=0.2)
    assert not hasattr(run, "cosine")
    with pytest.raises(TypeError, match="PositionOnlyTransformer itself, got Doubled"):
        descent.population(teacher, 0.1, 3, student=Doubled(4, 3, 12, IDENTITY))


def test_a_tensor_of_inputs_is_used_in_full_and_the_identity_sees_its_second_moments():
    X = normal(5, 400, 3, 4) @ normal(6, 4, 4)  # correlated tokens
    teacher = Teacher(normal(0, 2, 3), scattered(4, 2, 0), IDENTITY)
    flat = X.flatten(1)
    few = torch.linalg.cholesky(12 * flat.T @ flat / 400).T.reshape(12, 3, 4)  # its rows have the moments of X
    eta, options = 0.2 / float(X.square().sum((1, 2)).max()), {"seed": 0, "noise": 0.0}
    all_of_it = descent.empirical(teacher, eta, 200, inputs=X, **options)
    eigen = descent.empirical(teacher, eta, 200, inputs=few, **options)
    np.testing.assert_allclose(eigen.excess_loss, all_of_it.excess_loss, rtol=1e-9)
    ReLU = Teacher(teacher.V_star, teacher.S_star, RELU)
    bent = descent.empirical(ReLU, eta, 200, inputs=few, **options).excess_loss[-1]
    assert abs(bent / descent.empirical(ReLU, eta, 200, inputs=X, **options).excess_loss[-1] - 1) > 1e-3
    with pytest.raises(ValueError, match="samples = 9"):
        descent.empirical(teacher, eta, 3, inputs=X, samples=9, **options)


@pytest.mark.parametrize("d", [1, 30])
def test_the_advice_of_an_online_run_weighs_a_token_as_d_plus_2(d):
    """E‖x‖⁴/E‖x‖² = d + 2: the step that is named is 1/(D(d+2))."""
    teacher = convolution(normal(0, 2, d), 4, 2)
    with pytest.raises(FloatingPointError, match=rf"eta ≤ {1 / (4 * (d + 2)):.3g} would hold"):
        descent.online(teacher, 1e4, 50, seed=0)
    X = normal(1, 9, d, 4)
    with pytest.raises(FloatingPointError, match=rf"eta ≤ {1 / (4 * float(X.square().sum(1).max())):.3g} would hold"):
        descent.online(teacher, 1e4, 50, seed=0, inputs=X)
    with pytest.raises(FloatingPointError) as told:  # of an optimiser nothing is known
        descent.population(teacher, 1e4, 50, optimiser=MOMENTUM)
    assert "would hold" not in str(told.value)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = []
        teacher = convolution(torch.ones(1, 2), 4, 2)
        descent.online(teacher, 0.1, 1, seed=0, watch=lambda _: seen.append(torch.get_num_threads()) or {})
        assert set(seen) == {1}
        with pytest.raises(FloatingPointError):
            descent.online(teacher, 1e9, 50, seed=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# The two scalars


@pytest.mark.parametrize("slope", SLOPES)
def test_the_two_scalars_below_zero(slope):
    """C₁ < 0: teacher and student stand at π − θ. Loss, and a few steps, against full matrices.

    For κ = 0 this is a saddle, along which rounding grows: ten steps, and none past it.
    """
    teacher = task("scattered", slope, normal(0, 3, 5))
    scalars = ScalarDynamics.of(teacher, 1.0).at(1.6)
    for C1, gap in ((-0.7, 0.9), (-0.05, -0.4), (-2.0, 3.0)):
        W_V, S = scalars.student(teacher, C1, gap)
        torch.testing.assert_close(S, two_levels(teacher, gap), rtol=0, atol=1e-15)
        assert float(scalars.excess_loss(C1, gap)) == pytest.approx(excess_loss(teacher, W_V, S).item(), rel=1e-12)
        W_KQ = gap * math.sqrt(teacher.D) * teacher.support.double()
        student = PositionOnlyTransformer.of(teacher, W_V=W_V, W_KQ=W_KQ)
        run, c, g = descent.population(teacher, scalars.eta, 10, student=student), C1, gap
        for t in range(11):
            assert run.C1[t] == pytest.approx(c, abs=1e-9)
            assert run.gap[t] == pytest.approx(g, abs=1e-9)
            to_c, to_g = scalars._force(c, g)
            c, g = c + scalars.eta * to_c, g + scalars.eta * to_g


@pytest.mark.parametrize("slope", SLOPES)
def test_past_the_largest_stable_step_they_still_agree(slope):
    """Where C₁ swings through zero; chaotic later on, so over few steps."""
    teacher = convolution(2 * normal(0, 3, 5), 12, 3, sigma=Activation(slope))
    scalars = ScalarDynamics.of(teacher, 1.0).at(3.0)
    run, two = descent.population(teacher, scalars.eta, 40), scalars.run(40)
    assert slope == 0 or (two.C1 < 0).any()
    np.testing.assert_allclose(run.C1, two.C1, atol=1e-7)
    np.testing.assert_allclose(run.excess_loss, two.excess_loss, rtol=1e-6)


@pytest.mark.parametrize("slope", SLOPES)
def test_when_a_gap_is_reached(slope):
    scalars = ScalarDynamics(36, 4, 32.0, 0.05, slope)
    run = scalars.run(20_000)
    for gap in (0.5, math.log(8), 2.8):
        T = scalars.reaches(gap)
        assert np.interp(T, run.t, run.gap) == pytest.approx(gap, abs=1e-12)
        by_flow = scalars.reaches(gap, map_steps=500)  # the flow is off by O(1) steps
        assert abs(by_flow - T) < 3
    assert scalars.reaches(0.0) == 0
    far = scalars.reaches(6.0)
    assert far > 20_000
    assert float(scalars.solve([far]).gap[0]) == pytest.approx(6.0, abs=1e-6)
    for bad, named in ((-1.0, "gap must be at least 0"), (100.0, "gap must be at most 20"), (math.nan, "finite")):
        with pytest.raises(ValueError, match=named):
            scalars.reaches(bad)
    with pytest.raises(ValueError, match="less than D = 4"):
        ScalarDynamics(4, 4, 1.0, 0.1).reaches(1.0)
    with pytest.raises(ValueError, match="eta at most"):
        scalars.at(1.5).reaches(8.0)


def test_a_share_of_the_largest_step_and_small_integers():
    scalars = ScalarDynamics(np.int8(36), np.int16(4), np.float32(32.0), 0.05)
    assert scalars.escape_time == 3240.0
    assert scalars.excess_loss_law(100) == 4 * 36 * 32 / (4 * 0.05 * 100)
    assert scalars.at(0.25).eta == pytest.approx(0.25 * 2 * 4 / 36)
    assert ScalarDynamics(np.int32(50_000), np.int32(4), 32.0, 0.05).escape_time == 6.25e9
    with pytest.raises(ValueError, match="fraction"):
        scalars.at(0)
    with pytest.raises(ValueError, match="D, K = 36, 4, got 12, 3"):
        scalars.student(task("graph", 0.0, normal(0, 2, 2)), 1.0, 0.0)


@pytest.mark.parametrize("slope", SLOPES)
def test_the_largest_C1_on_the_slow_manifold(slope):
    for D, K in ((36, 4), (20, 3), (12, 9), (4096, 4)):
        scalars = ScalarDynamics(D, K, 32.0, 0.05, slope)
        grid = laws.slow_manifold(scalars, np.linspace(0, 20, 400_001)).max()
        assert laws.overshoot(scalars) == pytest.approx(grid, rel=1e-9)


# Positions


def test_haar_is_uniform_over_the_signs_too():
    """The first entry of a QR factor without the signs is never positive; of a uniform P it is, every second time."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([positions.haar(3, generator=generator) for _ in range(400)])
    torch.testing.assert_close(draws.mT @ draws, torch.eye(3).double().expand(400, 3, 3), rtol=0, atol=1e-14)
    positive = (draws > 0).double().mean(0)
    assert (positive - 0.5).abs().max() < 4 * 0.5 / 20  # 4 standard errors
    assert (draws.mean(0)).abs().max() < 4 / math.sqrt(3 * 400)


def test_other_codes():
    P = positions.sines(7)
    torch.testing.assert_close(P.T @ P, 4 * torch.eye(7, dtype=torch.float64), rtol=0, atol=1e-12)
    P = positions.sinusoidal(5, 8, base=100.0)
    assert P[1, 3].item() == pytest.approx(math.sin(3 * 100 ** (-2 / 8)))
    assert P[4 + 1, 3].item() == pytest.approx(math.cos(3 * 100 ** (-2 / 8)))
    generator = torch.Generator().manual_seed(0)
    P = positions.low_rank(6, 4, generator=generator)
    torch.testing.assert_close(P.norm(dim=0), torch.ones(6).double())
    for named, call in (
        ("even", lambda: positions.sinusoidal(4, 3)),
        ("rank must be at most D = 4, got 5", lambda: positions.low_rank(4, 5, generator=generator)),
        ("D must", lambda: positions.haar(0, generator=generator)),
    ):
        with pytest.raises(ValueError, match=named):
            call()
