"""Odd values for every argument of every public name: as documented, or one error that names the argument."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bilinear import curves, descent, heads, inputs, laws, population, selection, teachers
from bilinear.activations import RELU
from bilinear.floors import nearest
from bilinear.neighbours import group_sparse_classification as groups
from bilinear.neighbours import in_context_recall as recall
from bilinear.neighbours import linear_attention as linear
from bilinear.scalar_dynamics import ScalarDynamics

from . import odd
from .cases import normal, scattered

SHARE = 0.15  # of the odd calls, drawn with the name as the seed; `make faults` makes them all


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("BILINEAR_CACHE", str(tmp_path))
    torch.set_warn_always(True)  # else torch warns once a process, and the first name hides the others
    yield
    torch.set_warn_always(False)


def test_every_public_name_has_a_valid_call():
    names = odd.public()
    called = {name.split(",")[0].removesuffix("()") for name in odd.CALLS}
    assert called <= names
    assert not {name for name in names - called if not odd.left_out(name)}
    assert all(any(name == one or name.startswith(f"{one}.") for name in names) for one in odd.LEFT_OUT)


def faults(name: str, share: float) -> list[str]:
    return [
        f"{argument}, {what}: {outcome}, {said}"
        for argument, what, outcome, said in odd.outcomes(name, share)
        if outcome in odd.WRONG
    ]


@pytest.mark.parametrize("name", odd.CALLS)
def test_odd_values(name):
    assert not faults(name, SHARE)


@pytest.mark.faults
@pytest.mark.parametrize("name", odd.CALLS)
def test_all_odd_values(name):
    assert not faults(name, 1.0)


def try_drawn(name: str, examples: int) -> None:
    """Draw an argument of a name and a value for it; the same draws each time."""

    @settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(st.data())
    def run(data):
        arguments = odd.CALLS[name][1]()
        argument = data.draw(st.sampled_from(sorted(arguments)), "argument")
        value = data.draw(odd.drawn(arguments[argument]), "value")
        outcome, said = odd.outcome(name, argument, "drawn", value, means_the_same=False)
        assert outcome not in odd.WRONG, said

    run()


@pytest.mark.parametrize("name", [name for name in odd.CALLS if odd.CALLS[name][1]()])
def test_drawn_values(name):
    try_drawn(name, 12)


@pytest.mark.faults
@pytest.mark.parametrize("name", [name for name in odd.CALLS if odd.CALLS[name][1]()])
def test_many_drawn_values(name):
    try_drawn(name, 500)


# --- the kinds, case by case -----------------------------------------------------------------------------------------

V, S = normal(0, 2, 3), scattered(4, 2, 0)


def test_small_integers_of_numpy_are_kept_as_plain_ones():
    """int8(100)² is 16: each class keeps an int."""
    small = (np.int8, np.int16, np.int32)
    wanted = ScalarDynamics(100, 4, 32.0, 0.05)
    for kind in small:
        found = ScalarDynamics(kind(100), kind(4), 32.0, 0.05)
        assert (found.escape_time, type(found.D)) == (wanted.escape_time, int)
        assert selection.OneQuery(kind(100), kind(4), kind(8), 1.0) == selection.OneQuery(100, 4, 8, 1.0)
        assert groups.ClassifierScalars(kind(100), 0.1, 2.0).attention_constant == pytest.approx(
            groups.ClassifierScalars(100, 0.1, 2.0).attention_constant, rel=1e-15
        )
        assert type(recall.Recall(N=kind(100)).N) is int


def test_a_result_that_is_changed_changes_nothing_else():
    before = linear.key_value_layer().p.sum()
    linear.unfolding(4).zero_()
    assert linear.key_value_layer().p.sum() == before


def test_what_lies_outside_a_law_s_hypotheses_is_refused():
    noisy, clean = groups.ClassifierScalars(6, 0.1, 2.0, 0.3), groups.ClassifierScalars(6, 0.1, 2.0)
    for law in ("V_law", "loss_law", "off_law", "next_order"):
        check(ValueError, lambda law=law: getattr(noisy, law)(1e6), "flip", "0.3")
        check(ValueError, lambda law=law: getattr(groups.ClassifierScalars(6, 0.1, 0.0), law)(1e6), "code_norm")
    for law in ("noisy_excess_law", "noisy_off_law"):
        check(ValueError, lambda law=law: getattr(clean, law)(1e6), "flip", "0")
    for gap in (math.nan, None, -1, [1, math.nan], 1e4):
        for law in (laws.slow_time, laws.lag, laws.arrival):
            check((TypeError, ValueError), lambda law=law, gap=gap: law(clean_scalars(), gap), "gap")


def check(error, action, *named):
    """`action` raises one of `error`, and its message has every one of `named`."""
    with pytest.raises(error) as caught:
        action()
    for word in named:
        assert str(word) in str(caught.value), f"{word!r} is not in the message: {caught.value}"


def clean_scalars():
    return ScalarDynamics(36, 4, 32.0, 0.05)


def test_sets_labels_and_moments_are_what_they_are_called():
    check(ValueError, lambda: selection.slopes([[2.0, -1, 0]], [[1.0]]), "sets", "row 0")
    check(ValueError, lambda: selection.slopes([[1.0, 0], [0, 0]], [[1.0], [1]]), "sets", "row 1")
    check(ValueError, lambda: linear.certify_moment(-torch.eye(6)), "moment", "eigenvalue")
    check(ValueError, lambda: linear.certify_moment(normal(0, 6, 6)), "moment", "symmetric")
    check(ValueError, lambda: recall.losses(torch.zeros(2, 3), torch.tensor([3, 0])), "label", "2", "3")
    one = torch.ones((), dtype=torch.float64)
    check(ValueError, lambda: RELU.product_moment(one, one, 5 * one), "cov", "var_u")
    long = groups.train_layer
    check(ValueError, lambda: long([5.0, 0.0], 0, torch.eye(3), 0.1, 2, seed=0), "v_star", "1", "5")


def test_sizes_without_a_square_are_refused_by_name():
    """Not learnt at once, and no diverging run that a smaller step would help."""
    for scale in (1e160, 1e200, 1e-170):
        check(ValueError, lambda scale=scale: teachers.Teacher(scale * V, S, RELU), "V_star")
        check(ValueError, lambda scale=scale: nearest(scale * V), "B")
    f = teachers.Teacher(1e150 * V, S, RELU)
    check(FloatingPointError, lambda: population.excess_loss(f, 1e150 * V, 1e20 * S), "W_V", "S")
    with pytest.raises(TypeError, match=r"V_star must be .*float32, got torch.bfloat16"):
        teachers.convolution(V.bfloat16(), 36, 4)
    check(FloatingPointError, lambda: descent.population(teachers.Teacher(5e153 * V, S, RELU), 0.1, 5), "V_star")


@pytest.mark.parametrize("size", [1e-120, 1e-60, 1e60, 1e120])
def test_a_teacher_of_any_size_is_learnt_alike(size):
    """The cosine, and the loss in its own unit: products of squares are no numbers."""
    plain, scaled = teachers.Teacher(V, S, RELU), teachers.Teacher(size * V, S, RELU)
    assert descent.population(scaled, 0.05, 40).cosine[-1] == pytest.approx(1, abs=1e-9)
    W_V, scores = normal(3, 1, 2, 3), S[None]
    wanted = heads.excess_loss(plain, W_V, scores).item()
    assert heads.excess_loss(scaled, size * W_V, scores).item() / size**2 == pytest.approx(wanted, rel=1e-12)
    assert groups.error_rate([[size, 0.0]], [[1.0, 0.0]]) == 0.0
    assert curves.z_score([size, 2 * size, 4 * size], 0.0) == pytest.approx(curves.z_score([1, 2, 4], 0.0), rel=1e-12)


def test_margins_grow_without_bound():
    """In log space: a slope of e^(−1000) is one."""
    assert recall.margin_dynamics([1.0], 60, 1.0, 1000, "own")[-1].tolist() == [1000.0]
    assert np.isfinite(recall.margin_dynamics([0.5, 0.5], 60, 300.0, 20)).all()
    assert recall.margin_dynamics([1.0, 0.0], 60, 0.1, 20)[-1].tolist() == pytest.approx([2.0, 0.0])


def test_a_law_of_moments_is_one_for_training_too():
    p = normal(0, 2, 6)
    for moment in (-torch.eye(6).double(), normal(1, 6, 6)):
        check(ValueError, lambda moment=moment: linear.slopes(p, moment), "moment", "symmetric")
    uneven = teachers.Teacher(V, 2 * S, RELU)
    check(ValueError, lambda: laws.mixed_next_order(uneven, 0.1, 1e4), "S_star", "sum to 1")


def test_what_a_caller_does_to_his_tensors_changes_no_function_made_of_them():
    queries, zero = torch.eye(3).double(), torch.zeros(3, 3).double()
    of = selection.slopes(selection.all_sets(3, 2), queries)
    before = of(torch.eye(3).double(), normal(0, 3, 3))[0].item()
    queries.zero_()
    assert of(torch.eye(3).double(), normal(0, 3, 3))[0].item() == before
    B_star = torch.tensor([[1.0, 0.0]]).double()
    of = groups.slopes(B_star)
    before = of(B_star + 1)[0]
    B_star[0, 0] = 0
    assert of(torch.tensor([[2.0, 1.0]]).double())[0] == before
    certificate = linear.certify(torch.ones(9, 2, 1).double())
    told = certificate.relations(1)
    certificate.null_space.zero_()
    assert certificate.relations(1) == told
    assert not zero.any()


BOWL = {"w": torch.ones(2)}


@pytest.mark.parametrize(
    ("slopes", "named"),
    [
        (lambda w: (0.0, {}), "none for w"),
        (lambda w: (0.0, {"w": torch.ones(3)}), r"shape \(2,\) for w, got \(3,\)"),
        (lambda w: (w, {"w": w}), "the loss one number"),
        (lambda w: (0.0, w), "slopes must return"),
        (descent.by_autograd(lambda w: torch.tensor(1.0)), "loss must return a 0-dim tensor that depends on w"),
        (descent.by_autograd(lambda w: w), "loss must return a 0-dim tensor"),
    ],
)
def test_what_slopes_return_is_looked_at(slopes, named):
    with pytest.raises(ValueError, match=named):
        descent.descend(slopes, BOWL, 0.5, 3)


def test_a_loss_that_is_returned_in_the_same_memory_each_time_is_kept_as_it_was():
    memory = torch.zeros(())

    def slopes(w):
        memory.copy_(0.5 * (w * w).sum())
        return memory, {"w": w}

    assert descent.descend(slopes, BOWL, 0.5, 3).loss.tolist() == [1.0, 0.25, 0.0625, 0.015625]
    with pytest.raises(ValueError, match="same shape each time"):
        descent.descend(
            slopes, BOWL, 0.5, 3, watch=lambda w, seen=[0]: (seen.append(0), {"a": torch.ones(len(seen))})[1]
        )


@pytest.mark.parametrize(
    "value",
    [[True, 2.0], bytearray(b"12"), memoryview(b"12"), [np.ma.array([5.0, 2.0], mask=[1, 0])], [np.ma.masked, 1.0]],
)
def test_what_numpy_takes_for_numbers_and_is_none_is_refused(value):
    check(TypeError, lambda: laws.late_loss(clean_scalars(), value), "T")


OTHERS = {
    "nested": lambda: torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_tensors_of_another_build_are_refused_by_name(make):
    check(TypeError, lambda: teachers.Teacher(make(), S, RELU), "V_star")
    check(TypeError, lambda: laws.late_loss(clean_scalars(), make()), "T")


def test_a_flow_is_solved_or_given_up_by_name():
    """With nothing off the support C₁ has a closed form; a flow that is too stiff ends in an error."""
    full = ScalarDynamics(4, 4, 32.0, 0.05, 0.1)
    assert full.solve([50.0], map_steps=10).C1[0] == pytest.approx(full.run(50).C1[-1], rel=1e-12)
    assert full.solve([1e25]).C1.tolist() == [1.0]
    check(FloatingPointError, lambda: ScalarDynamics(2, 1, 1e10, 0.05, 0.0).solve([1e18]), "flow", "t = 1000")
    check(FloatingPointError, lambda: groups.ClassifierScalars(10**6, 1e-7, 2.0).solve([1e18]), "flow", "stiff")


def test_a_time_is_answered_or_refused():
    assert np.isfinite(clean_scalars().solve([1e22]).excess_loss).all()
    check(ValueError, lambda: ScalarDynamics(4, 2, 32.0, 0.05).solve([1e25]), "times", "1e+25")
    check(ValueError, lambda: clean_scalars().solve([1e30]), "times", "1e+25")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_gives_the_numbers_of_the_cpu(device):
    """To 1e-9 in float64; to 1e-3 in float32 on mps, which has no float64."""
    if not getattr(torch, device).is_available():
        pytest.skip(f"no {device} device here")
    dtype, near = (torch.float64, 1e-9) if device == "cuda" else (torch.float32, 1e-3)
    here = teachers.Teacher(V, S, RELU).to(dtype)
    there = here.to(device)
    X = inputs.gaussian(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert torch.allclose(there(X.to(device)).cpu(), here(X), rtol=near, atol=near)
    for mine, its in zip(population.gradients(here, V, 0.1 * S), population.gradients(there, V, 0.1 * S), strict=True):
        assert torch.allclose(its.cpu(), mine, rtol=near, atol=near)
    mine, its = (descent.population(f, 0.1, 50) for f in (here, there))
    for name in ("excess_loss", "support_mass", "C1", "gap"):
        assert np.allclose(getattr(its, name), getattr(mine, name), rtol=near, atol=near), name
