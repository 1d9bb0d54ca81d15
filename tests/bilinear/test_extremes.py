"""Values that are each allowed, or nearly, and together too large, too small or too many: a number, or one error."""

import math

import numpy as np
import pytest
import torch

from bilinear import curves, floors, images, inputs, laws, phases, positions, selection, teachers
from bilinear.activations import IDENTITY, RELU
from bilinear.neighbours import group_sparse_classification as groups
from bilinear.neighbours import in_context_recall as recall
from bilinear.neighbours import linear_attention as linear
from bilinear.scalar_dynamics import ScalarDynamics

from .cases import normal, scattered

V, S, Z = normal(0, 2, 3), scattered(4, 2, 0), normal(5, 20, 2, 3)
ONES = torch.ones(30, 30, dtype=torch.float64)
EYE = torch.eye(4, dtype=torch.float64)
FAR = 2**62
TASK = recall.Recall(N=12, H=8, triggers=2, outputs=3)


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two(**changed) -> ScalarDynamics:
    return ScalarDynamics(**({"D": 36, "K": 4, "V_norm_sq": 32.0, "eta": 0.05} | changed))


def classifier(**changed) -> groups.ClassifierScalars:
    return groups.ClassifierScalars(**({"D": 6, "eta": 0.1, "code_norm": 2.0} | changed))


TOO_MANY = [  # of what would not fit into a computer's memory, or take for ever
    ("steps", lambda: two().run(FAR)),
    ("steps", lambda: two().run(10**11)),
    ("map_steps", lambda: two().solve([10.0], map_steps=FAR)),
    ("steps", lambda: classifier().run(FAR)),
    ("map_steps", lambda: classifier().solve([1e18], map_steps=10**17)),
    ("steps", lambda: groups.margin_run(4, 0.1, 2.0, 1.0, FAR)),
    ("C", lambda: groups.logistic_regression_error(100, 10, 1e150)),
    ("samples", lambda: recall.finite_sample_excess(FAR, 0.5)),
    ("steps", lambda: recall.margin_dynamics([0.5, 0.5], 60, 0.1, FAR)),
    ("N", lambda: recall.Recall(N=FAR)),
    ("H", lambda: recall.Recall(H=FAR)),
    ("n", lambda: TASK.sample(FAR, key())),
    ("d", lambda: linear.unfolding(FAR)),
    ("d", lambda: linear.gaussian_moment(1000, 2)),
    ("samples", lambda: linear.key_value_inputs(FAR, 0.5, generator=key())),
    ("sizes", lambda: inputs.gaussian(FAR, generator=key())),
    ("sizes", lambda: inputs.pareto(2**20, 2**20, index=2.0, generator=key())),
    ("D", lambda: positions.haar(FAR, generator=key())),
    ("D", lambda: positions.sines(FAR)),
    ("D", lambda: positions.sinusoidal(FAR)),
    ("size", lambda: positions.sinusoidal(4, FAR)),
    ("D", lambda: positions.low_rank(FAR, 2, generator=key())),
    ("D", lambda: teachers.convolution(V, FAR, 1)),
    ("D", lambda: teachers.token_selection(1, FAR, [0])),
    ("D", lambda: teachers.group_sparse([1.0], FAR, 0)),
    ("D", lambda: teachers.scattered_scores(FAR, 2, generator=key())),
    ("K = ", lambda: selection.all_sets(FAR, 2**61)),
    ("K = ", lambda: selection.all_sets(10**5, 5 * 10**4)),
    ("side", lambda: images.patch_grid(FAR, 2)),
    ("size", lambda: images.digits(FAR)),
    ("n", lambda: curves.marks(1000, FAR)),
    ("n", lambda: curves.marks(1000, 10**400)),
]

TOO_FAR = [  # of products that are no floats, or of which the squares are zero
    ("V_norm_sq", lambda: laws.late(two(V_norm_sq=1e150, eta=1e-20), 1e150)),
    ("eta", lambda: laws.next_order(two(eta=1e150), 1e150)),
    ("eta", lambda: two(eta=1e-140).reaches(1.0)),
    ("gap", lambda: two(V_norm_sq=1e-50, eta=1e-50).reaches(1.0)),
    ("gap", lambda: laws.arrival(two(V_norm_sq=1e-50, eta=1e-50), [1.0, 300.0])),
    ("fraction", lambda: phases.ending(36, 4, 100, fraction=1e150)),
    ("eta", lambda: selection.OneQuery(20, 4, 8, 1e-150)),
    ("code_norm", lambda: classifier(code_norm=1e-100).off_law(10.0)),
    ("eta", lambda: classifier(eta=1e-150, flip=0.1).noisy_excess_law(1.0)),
    ("flip", lambda: classifier(flip=1e-150).noisy_optimum),
    ("V_star times S_star", lambda: teachers.Teacher(1e-100 * V, 1e-100 * S, RELU)),
    ("V_star times S_star", lambda: teachers.Teacher(1e100 * V, 1e100 * S, RELU)),
    ("X, V_star and S_star", lambda: teachers.Teacher(1e153 * ONES, EYE, RELU)(1e154 * ONES[:, :4])),
    ("Z, V and Q", lambda: linear.LinearAttention(1e150 * EYE[None], 1e150 * EYE[None])(1e70 * normal(2, 4, 2))),
    ("Z", lambda: linear.certify(1e-110 * Z)),
    ("Z", lambda: linear.certify(1e60 * Z)),
    ("teacher", lambda: laws.mixed_next_order(teachers.convolution(V, 4, 4), 0.1, 1e4)),
    ("x", lambda: curves.power([2.0, 2.0], [1.0, 3.0])),
]

FLAGS = [  # "no" counts as True where it is not looked at
    ("reads_set", lambda flag: selection.OneQuery(20, 4, 8, 1.0, reads_set=flag)),
    ("uneven", lambda flag: teachers.scattered_scores(4, 2, generator=key(), uneven=flag)),
    ("log_y", lambda flag: curves.crossing([0.0, 1], [8.0, 1], 2.0, log_y=flag)),
    ("log_y", lambda flag: curves.power([1.0, 2], [8.0, 1], log_y=flag)),
    ("unseen", lambda flag: TASK.sample(2, key(), unseen=flag)),
    ("least_norm", lambda flag: linear.learn(Z[:3], Z[:3, :, 0], least_norm=flag)),
]


@pytest.mark.parametrize(("named", "action"), TOO_MANY + TOO_FAR)
def test_what_has_no_answer_is_refused_by_name(named, action):
    with pytest.raises((ValueError, FloatingPointError), match=rf"\b{named}") as caught:
        action()
    assert caught.type in (ValueError, FloatingPointError)


@pytest.mark.parametrize(("named", "action"), FLAGS)
def test_a_flag_is_true_or_false(named, action):
    for flag in ("no", 0, None):
        with pytest.raises(TypeError, match=f"{named} must be of the class bool"):
            action(flag)
    action(True)


def test_the_corners_of_what_is_allowed_have_finite_laws():
    """Every law at the least and the largest step size, norm and time, and D = K + 1 up to 10**9."""
    for D, eta, norm_sq, slope in ((36, 1e-50, 1e-50, 1.0), (5, 1e50, 1e50, 0.0), (10**9, 1e-50, 1e50, 0.1)):
        scalars = two(D=D, eta=eta, V_norm_sq=norm_sq, slope=slope)
        found = [scalars.escape_time, scalars.largest_stable_eta, laws.first_step(scalars)]
        for T in (1.0, 1e18, 1e150):
            found += [laws.late_loss(scalars, T), *laws.late(scalars, T), laws.next_order(scalars, T)]
        for gap in (0.0, 1.0, 100.0):
            found += [laws.slow_time(scalars, gap), laws.lag(scalars, gap), laws.arrival(scalars, gap)]
        assert np.isfinite([float(x) for x in found]).all(), (D, eta, norm_sq)
    for changed in ({"eta": 1e-50}, {"eta": 1e50}, {"code_norm": 1e-20}, {"code_norm": 1e30}, {"D": 10**9}):
        clean, noisy = classifier(**changed), classifier(**changed, flip=1e-15)
        for t in (1.0, 1e18):
            found = [clean.V_law(t), clean.loss_law(t), clean.off_law(t), *clean.next_order(t), *noisy.noisy_optimum]
            found += [noisy.noisy_excess_law(t), noisy.noisy_off_law(t)]
            assert np.isfinite([float(x) for x in found]).all(), changed
    A = classifier(flip=1e-15).noisy_optimum[0]
    assert pytest.approx(math.pi / math.sqrt(12e-15), rel=1e-3) == A  # its own law for small flip


def test_what_does_not_depend_on_scale_is_the_same_at_every_scale():
    certificate = linear.certify(Z[:5])
    for scale in (1e-40, 1e-9, 1e9, 1e40):
        assert linear.certify(scale * Z).rank == 6
        assert certificate.covers(scale * Z[:6]).tolist() == certificate.covers(Z[:6]).tolist()
    assert not certificate.covers(1e-70 * Z[7])  # its features underflow, and were covered as zero is
    for scale in (1e-70, 1e70):
        wanted = floors.best_student(teachers.Teacher(V, S + 0.1 * EYE.roll(1, 0), IDENTITY))[2]
        found = floors.best_student(teachers.Teacher(scale * V, S + 0.1 * EYE.roll(1, 0), IDENTITY))[2]
        assert torch.allclose(found, wanted, rtol=1e-9)


def test_all_sets_that_are_few_are_still_given():
    assert selection.all_sets(5, 5).tolist() == [[1.0] * 5]
    assert len(selection.all_sets(25, 24)) == 25
    assert len(selection.all_sets(18, 9)) == math.comb(18, 9)
