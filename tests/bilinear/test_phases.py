"""The cell of a phase diagram: what it reads off a run, by two scalars and by full matrices."""

import math

import pytest

from bilinear import phases
from bilinear.activations import Activation
from bilinear.scalar_dynamics import ScalarDynamics


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("fraction", [0.2, 0.9])
def test_full_matrices_end_as_the_two_scalars_do(slope, fraction):
    cell = {"D": 14, "K": 3, "steps": 3000, "slope": slope, "fraction": fraction, "V_norm_sq": 20.0}
    scalars, matrices = phases.ending(**cell), phases.ending(**cell, seed=4)
    assert scalars == pytest.approx(matrices, rel=1e-9, abs=1e-12)
    assert matrices != phases.ending(**cell, seed=5)  # another teacher, of the same scalars


def test_numbers_are_those_of_the_last_tenth_and_the_swing_of_the_last_half():
    scalars = ScalarDynamics(20, 2, 30.0, 0.1, 0.5)
    run, found = scalars.run(500), phases.ending(20, 2, 500, V_norm_sq=30.0, eta=0.1, slope=0.5)
    for name in ("support_mass", "C1", "excess_loss"):
        assert found[name] == pytest.approx(getattr(run, name)[450:].mean(), rel=1e-14)
    assert found["swing"] == pytest.approx(abs(run.C1[251:] - run.C1[250:-1]).max(), rel=1e-14)
    assert found["bounded"] is True


def test_eta_and_fraction_say_the_same():
    largest = ScalarDynamics(20, 2, 30.0, 1.0, 0.5).largest_stable_eta
    by_eta, by_fraction = ({"eta": 0.7 * largest}, {"fraction": 0.7})
    cell = {"D": 20, "K": 2, "steps": 400, "V_norm_sq": 30.0, "slope": 0.5}
    assert phases.ending(**cell, **by_eta) == pytest.approx(phases.ending(**cell, **by_fraction), rel=1e-12)


@pytest.mark.parametrize("seed", [None, 0])
def test_below_at_and_beyond_the_edge(seed):
    """Smooth below η_max; swinging above it, where attention stops at √(η_max/η); lost above 2/a."""
    cell = {"D": 24, "K": 2, "steps": 8000, "seed": seed}
    below, edge = (phases.ending(**cell, fraction=f) for f in (0.9, 2.0))
    assert below["swing"] < 1e-3 < 1e-1 < edge["swing"]
    assert edge["support_mass"] == pytest.approx(math.sqrt(1 / 2), abs=0.02)
    lost = phases.ending(**cell, eta=1.1 * 2 / Activation(1.0).a)
    assert lost.pop("bounded") is False
    assert all(math.isnan(number) for number in lost.values())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"steps": 9, "eta": 0.1}, "steps must be at least 10, got 9"),
        ({}, "give eta or fraction, one of them, got None and None"),
        ({"eta": 0.1, "fraction": 0.5}, "give eta or fraction, one of them, got 0.1 and 0.5"),
        ({"K": 21, "eta": 0.1}, "K must be at most D = 20, got 21"),
        ({"fraction": 0.0}, "fraction must be greater than 0, got 0"),
        ({"eta": 0.1, "seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_named(changed, told):
    with pytest.raises(ValueError, match=told):
        phases.ending(**{"D": 20, "K": 2, "steps": 100} | changed)
