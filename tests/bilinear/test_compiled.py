"""The compiled loops against the formulas that they repeat, and how they are compiled and kept."""

import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bilinear import compiled, descent
from bilinear.activations import Activation
from bilinear.population import ExactLoss, excess_loss, gradients
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.scores import SOFTMAX
from bilinear.students import PositionOnlyTransformer
from bilinear.teachers import Teacher, convolution

from .cases import SLOPES, TASKS, normal, orthogonal, task

LIBRARY = Path(compiled.__file__).parent
SOURCE = Path(compiled.__file__)


@st.composite
def states(draw):
    """A teacher and a student of it: any sizes and slope, S* uniform or any, zero rows and columns; starts that are
    zero, at the teacher, near it, turned against it (C₁ < 0), and far.
    """
    D, M, d = draw(st.integers(1, 40)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 10_000))
    V_star, S_star = normal(seed, M, d), normal(seed + 1, D, D)
    kind = draw(st.sampled_from(["uniform", "positive", "any"]))
    if kind != "any":
        counts = 1 + torch.randint(D, (D,), generator=torch.Generator().manual_seed(seed))
        S_star = (S_star.argsort(0) < counts) * (1 / counts if kind == "uniform" else normal(seed + 2, D, D).abs())
    if draw(st.booleans()):
        V_star[draw(st.integers(0, M - 1))] = 0
    if draw(st.booleans()):
        S_star[:, draw(st.integers(0, D - 1))] = 0
    teacher = Teacher(V_star, S_star, Activation(draw(st.sampled_from([0.0, 1.0]) | st.floats(0, 1))))
    at_teacher = 200 * math.sqrt(D) * (teacher.S_star > 0)
    noise = normal(seed + 3, M, d), normal(seed + 4, D, D)
    W_V, logits = draw(
        st.sampled_from(
            [
                (0 * V_star, 0 * S_star),
                (V_star, at_teacher),
                (V_star + 1e-6 * noise[0], at_teacher / 10 + noise[1]),
                (-V_star + 1e-3 * noise[0], noise[1]),
                (3 * noise[0], 10 * noise[1]),
            ]
        )
    )
    return teacher, W_V, logits.to(torch.float64)


@settings(max_examples=300)
@given(states())
def test_one_step_is_the_closed_form(state):
    """Loss, both slopes and every recorded column, to 1e-12 of their scale."""
    teacher, W_V, logits = state
    start = PositionOnlyTransformer.of(teacher, W_V=W_V, W_KQ=logits)
    run = (
        descent.population(teacher, 1.0, 1, eta_KQ=0.7, student=start, record=[0])
        if _stable(teacher, W_V, logits)
        else None
    )
    S, measure = SOFTMAX(logits), descent._Measure(teacher)
    loss, to_W_V, to_logits = gradients(teacher, W_V, logits)
    at_zero = float(excess_loss(teacher, 0 * W_V, S)) + float(loss)
    frozen = descent.population(teacher, 1.0, 0, student=start)
    assert abs(frozen.excess_loss[0] - float(loss)) <= 1e-12 * at_zero
    for name, value in measure.read(float(loss), *measure.sums(W_V, S)).items():
        if name != "excess_loss":
            np.testing.assert_allclose(getattr(frozen, name)[0], value, rtol=1e-12, atol=1e-12, err_msg=name)
    torch.testing.assert_close(frozen.S, S, rtol=1e-12, atol=1e-300)
    if run is not None:
        for moved, w, slope in ((run.W_V, W_V, to_W_V), (run.W_KQ, logits, 0.7 * to_logits)):
            scale = float(w.abs().max() + slope.abs().max()) + at_zero
            torch.testing.assert_close(moved, w - slope, rtol=0, atol=1e-12 * scale)


def _stable(teacher, W_V, logits) -> bool:
    """Whether a step of 1 stays below the bound of divergence."""
    loss, to_W_V, to_logits = gradients(teacher, W_V, logits)
    after = excess_loss(teacher, W_V - to_W_V, SOFTMAX(logits - 0.7 * to_logits))
    return bool(after < 1e5 * loss)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5])
def test_every_angle(slope):
    """W_V at the angle θ to V*, from 1e-6 to π: where the series of h ends, the two must not part."""
    teacher = Teacher(torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.ones(1, 1).double(), Activation(slope))
    for theta in (*np.geomspace(1e-6, math.pi, 200), 0.0499999, 0.0500001):
        W_V = torch.tensor([[math.cos(theta), math.sin(theta)]], dtype=torch.float64)
        run = descent.population(teacher, 0.1, 0, student=PositionOnlyTransformer.of(teacher, W_V=W_V))
        expected = float(excess_loss(teacher, W_V, teacher.S_star))
        np.testing.assert_allclose(run.excess_loss[0], expected, rtol=1e-12)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("kind", TASKS)
def test_a_run_is_descent_on_the_closed_form(kind, slope):
    """2,000 steps with a P of any kind: the columns and the weights, against `descend` on the reference."""
    teacher, P = task(kind, slope, normal(3, 2, 4)), orthogonal(1, 12)
    eta, marks = 0.5 * 2 * 3 / (teacher.sigma.a * 12), range(0, 2001, 100)

    def slopes(W_V, W_KQ):
        loss, to_W_V, to_W_KQ = gradients(teacher, W_V, W_KQ, P)
        return loss, {"W_V": to_W_V, "W_KQ": to_W_KQ}

    measure = descent._Measure(teacher)

    def watch(W_V, W_KQ):
        S = SOFTMAX(P.T @ W_KQ @ P)
        read = measure.read(ExactLoss(teacher).loss(W_V, S), *measure.sums(W_V, S))
        return {name: float(value) for name, value in read.items()}

    start = {"W_V": torch.zeros(2, 4, dtype=torch.float64), "W_KQ": torch.zeros(12, 12, dtype=torch.float64)}
    expected = descent.descend(slopes, start, eta, 2000, record=marks, watch=watch)
    run = descent.population(teacher, eta, 2000, P=P, record=marks)
    for name in run.columns:
        np.testing.assert_allclose(getattr(run, name), getattr(expected, name), rtol=1e-10, atol=1e-10, err_msg=name)
    torch.testing.assert_close(run.W_V, expected.W_V, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(run.W_KQ, expected.W_KQ, rtol=1e-10, atol=1e-10)


def test_looking_does_not_disturb():
    """Marks, watching and where the kernel comes up for Ctrl-C leave every bit as it is."""
    teacher = task("scattered", 0.0, normal(0, 3, 4))
    whole = descent.population(teacher, 0.1, 300)
    marks = [0, 1, 7, 150, 299, 300]
    watched = descent.population(teacher, 0.1, 300, record=marks, watch=lambda student: {"W": student.W_V})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "AT_ONCE", 7 * 12**2)
        pieces = descent.population(teacher, 0.1, 300)
    for name in whole.columns:
        np.testing.assert_array_equal(getattr(whole, name)[marks], getattr(watched, name))
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))
    np.testing.assert_array_equal(watched.W[-1], whole.W_V)
    assert torch.equal(whole.W_KQ, watched.W_KQ)
    assert torch.equal(whole.S, pieces.S)


def test_an_exponential_far_down_is_still_right():
    """The vectorised e^x against the machine's, over its whole range; below it, no surprise."""
    x = np.concatenate([np.linspace(-700, 0, 999), [-1e-17, -0.34657359028, -708.0, -800.0]])
    teacher = Teacher(torch.ones(1, 1, dtype=torch.float64), torch.eye(len(x), dtype=torch.float64), Activation(1.0))
    logits = torch.tensor(x * math.sqrt(len(x)))[:, None].expand(-1, len(x))
    run = descent.population(teacher, 0.1, 0, student=PositionOnlyTransformer.of(teacher, W_KQ=logits))
    torch.testing.assert_close(run.S[:-1], SOFTMAX(logits)[:-1], rtol=1e-12, atol=0)
    assert 0 <= run.S[-1].max() < 1e-300


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("tiny", [1e-150, 1e-154, 3e-162, 1e-170])
def test_a_row_that_fades_stands_at_a_right_angle_and_nowhere_else(tiny, slope):
    """A zero row of V* whose row of W_V decays below 1e-154: its square, and one over it, are no numbers any more."""
    V_star = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.5, -0.3]], dtype=torch.float64)
    teacher = convolution(V_star, 4, 2, Activation(slope))

    def run(start):
        W_V = torch.tensor([[start, 0.0, 0.0], [0.1, 0.0, 0.0]], dtype=torch.float64)
        return descent.population(teacher, 0.3, 300, student=PositionOnlyTransformer.of(teacher, W_V=W_V))

    faded, without = run(tiny), run(0.0)
    np.testing.assert_allclose(faded.excess_loss, without.excess_loss, rtol=1e-12)
    assert faded.W_V[0].abs().max() < 1e-150


@settings(max_examples=1000)
@given(
    D=st.integers(1, 60),
    share=st.floats(0, 1),
    V_norm_sq=st.floats(0.1, 50),
    slope=st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
    C1=st.floats(-3, 3),
    gap=st.floats(-5, 40),
)
def test_the_force_is_that_of_the_two_scalars(D, share, V_norm_sq, slope, C1, gap):
    scalars = ScalarDynamics(D, 1 + round(share * (D - 1)), V_norm_sq, 0.05, slope)
    ours, home = compiled.force(C1, gap, *scalars._numbers()), scalars._force(C1, gap)
    size = scalars.D * (1 + V_norm_sq) * (1 + abs(C1))
    np.testing.assert_allclose(ours, home, rtol=1e-12, atol=1e-14 * size)


@pytest.mark.parametrize("slope", SLOPES)
def test_the_map_is_the_force_step_by_step(slope):
    scalars = ScalarDynamics(36, 4, 32.0, 0.05, slope)
    run, states = scalars.run(1500), [(0.0, 0.0), (float(scalars.run(1).C1[1]), 0.0)]
    while len(states) <= 1500:
        C1, gap = states[-1]
        to_C1, to_gap = scalars._force(C1, gap)
        states.append((C1 + scalars.eta * to_C1, gap + scalars.eta * to_gap))
    np.testing.assert_allclose(np.stack([run.C1, run.gap], 1), states, rtol=1e-12)


def test_side_by_side_gives_the_same_bits():
    teachers = [convolution(normal(seed, 3, 5), 12, 3, Activation(slope)) for seed in range(4) for slope in SLOPES]

    def train(teacher):
        return descent.population(teacher, 0.1, 500)

    one_by_one = [train(teacher) for teacher in teachers]
    with ThreadPoolExecutor(4) as threads:
        for alone, beside in zip(one_by_one, threads.map(train, teachers), strict=True):
            assert torch.equal(alone.W_KQ, beside.W_KQ)
            np.testing.assert_array_equal(alone.excess_loss, beside.excess_loss)


def test_runs_side_by_side_leave_the_threads_of_torch_as_they_were():
    """Two sampled runs that overlap, the first to begin the first to end: both at one thread, and then as before."""
    teacher, seen, torch_threads = convolution(normal(0, 2, 3), 6, 2), [], torch.get_num_threads()
    first_looks, second_looks = Event(), Event()

    def watch(student):
        seen.append(torch.get_num_threads())
        return {}

    def first_watch(student):
        first_looks.set()
        second_looks.wait(10)
        return watch(student)

    def second_watch(student):
        second_looks.set()
        return watch(student)

    def train(steps, watch):
        descent.online(teacher, 0.1, steps, seed=0, record=[0], watch=watch)

    torch.set_num_threads(3)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(train, 1, first_watch)
        first_looks.wait(10)
        second = threads.submit(train, 200, second_watch)
        first.result(), second.result()
    left = torch.get_num_threads()
    torch.set_num_threads(torch_threads)
    assert (seen, left) == ([1, 1], 3)


# ---- compiled once, and kept

RUN = """
import sys, torch
from bilinear import descent
from bilinear.teachers import convolution
run = descent.population(convolution(torch.ones(2, 3, dtype=torch.float64), 6, 2), 0.1, 100)
print(run.excess_loss[-1].hex(), run.W_KQ.sum().item().hex())
"""


def process(**variables):
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent), **{k: str(v) for k, v in variables.items()}}
    return subprocess.Popen(
        [sys.executable, "-c", RUN], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_it_is_compiled_once_and_says_so(tmp_path):
    first, second = (process(NUMBA_CACHE_DIR=tmp_path).communicate() for _ in range(2))
    assert first[0] == second[0] != ""
    assert first[1].count("compiling") == 1
    assert second[1] == ""


def test_many_processes_may_start_at_once(tmp_path):
    several = [process(NUMBA_CACHE_DIR=tmp_path) for _ in range(3)]
    outputs = [each.communicate()[0] for each in several]
    assert len(set(outputs)) == 1
    assert outputs[0]
    later = process(NUMBA_CACHE_DIR=tmp_path).communicate()
    assert later == (outputs[0], "")


def test_it_runs_where_nothing_can_be_kept(tmp_path):
    """A read-only installation and home: what should be a folder for the cache is a file."""
    shutil.copytree(LIBRARY, tmp_path / "bilinear", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bilinear/__pycache__", "file"):
        (tmp_path / name).write_text("")
    kept = tmp_path / "file" / "cache"
    out, errors = process(PYTHONPATH=tmp_path, NUMBA_CACHE_DIR=kept, XDG_CACHE_HOME=kept, HOME=kept).communicate()
    assert out == process().communicate()[0]
    assert errors.count("compiling") == 1


def test_the_library_is_imported_without_compiling():
    """numba is brought by the first loop, not by the import."""
    code = "import sys, torch; from bilinear import descent, scalar_dynamics; print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
