"""What is proved in balls: it is what the record says, what the floats say, and nothing else than this map."""

import json
import math
import runpy
import subprocess
import sys
import types
from fractions import Fraction
from pathlib import Path

import flint
import pytest

import bilinear
from bilinear import enclosures, laws
from bilinear.enclosures import RationalScalars

from .test_contract import cases, check

PROJECT = Path(bilinear.__file__).parents[2]
CERTIFY = runpy.run_path(str(PROJECT / "benchmarks" / "certify.py"))
TEXT = (PROJECT / "book" / "records" / "certified.json").read_text(encoding="utf-8")
RECORD = json.loads(TEXT)
PARAMETERS = ("D", "K", "V_norm_sq", "eta", "slope")
ROWS = {tuple(row[name] for name in PARAMETERS): row for row in RECORD["cases"]}
QUICK = [case for case in CERTIFY["CASES"] if case[0] < 100]
ONE = (20, 3, "32", "1/20", "1/10")


def exactly(D, K, V_norm_sq, eta, slope) -> RationalScalars:
    return RationalScalars(D, K, Fraction(V_norm_sq), Fraction(eta), Fraction(slope))


def recorded(number: str):
    """A number of the record as the ball that it stands for."""
    with flint.ctx.workprec(RECORD["bits"]):
        return flint.arb(number, RECORD["radius"])


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_record_is_that_of_the_cases():
    assert list(ROWS) == CERTIFY["CASES"]
    assert {key: RECORD[key] for key in ("command", "bits", "radius")} == {
        "command": "make certify",
        "bits": CERTIFY["BITS"],
        "radius": f"1e-{CERTIFY['DECIMALS']}",
    }
    assert json.dumps(RECORD, indent=1) + "\n" == TEXT


@pytest.mark.parametrize("case", QUICK)
def test_the_record_is_proved_again(case):
    """To the last digit: the balls are narrower than the radius that is written."""
    assert CERTIFY["row"](*case) == ROWS[case]


def test_a_ball_that_is_wider_than_the_digits_is_not_written():
    with pytest.raises(ArithmeticError, match="wider than 50 decimals"):
        CERTIFY["decimal"](flint.arb("1.5", "1e-50"))
    assert CERTIFY["decimal"](flint.arb("-1.5", "1e-51")) == "-1.5" + 49 * "0"


@pytest.mark.parametrize("case", ROWS)
def test_the_floats_are_there_too(case):
    """The map rounds by 1e-16 a step, in up to 130 000 steps that each take it on to the next."""
    row, scalars = ROWS[case], exactly(*case).scalars
    step, half, T = row["half_attention_step"], math.log(scalars.r), scalars.escape_time
    run = scalars.run(2 * step)  # past both peaks
    assert run.gap[step - 1] < half <= run.gap[step]
    assert scalars.reaches(half, map_steps=step + 1) / T == pytest.approx(float(row["half_attention_time"]), abs=1e-10)
    assert run.C1.max() == pytest.approx(float(row["highest_C1"]), abs=1e-12)
    assert float(laws.slow_time(scalars, half)) == pytest.approx(float(row["slow_half_attention"]), rel=1e-11)
    assert laws.overshoot(scalars) == pytest.approx(float(row["overshoot"]), abs=1e-12)


# --- a fault is noticed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["V_norm_sq", "eta", "slope"])
def test_another_parameter_has_another_number(name):
    """The fifteenth digit of a parameter moves every number out of its ball that depends on it."""
    given = dict(zip(PARAMETERS, ONE, strict=True))
    moved = exactly(**{**given, name: Fraction(given[name]) * (1 + Fraction(1, 10**15))})
    for number in CERTIFY["BALLS"] if name == "slope" else ("half_attention_time", "highest_C1"):
        assert not recorded(ROWS[ONE][number]).overlaps(getattr(moved, number)), number


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("2 / 4), _ball(0)", "2 / 3), _ball(0)"),
        ("* self._a * self.D / self.K)", "* self._a * (self.D - 1) / self.K)"),
        ("/ self.K**3)", "/ self.K**2)"),
        ("bracket = 1 - beta * theta", "bracket = 1 - 2 * beta * theta"),
        ("(beta * tan * cos_sq - C1", "(2 * beta * tan * cos_sq - C1"),
        ("- C1 * mass)", "- C1 * mass**2)"),
        ("* C1 * x * mass**2 * bracket", "* C1 * x * mass * bracket"),
        ("mass * (1 + beta * (tan - theta)), t", "mass * (1 + beta * (tan + theta)), t"),
        ("rest = 1 - to_C1 * mass**2", "rest = 1 - 0.99 * to_C1 * mass**2"),
    ],
)
def test_a_wrong_coefficient_of_the_map_leaves_the_record(right, wrong):
    text = Path(enclosures.__file__).read_text(encoding="utf-8")
    assert text.count(right) == 1
    faulty = types.ModuleType("bilinear.faulty")
    sys.modules["bilinear.faulty"] = faulty  # where `dataclass` looks
    try:
        exec(compile(text.replace(right, wrong), "faulty", "exec"), vars(faulty))
        D, K, *others = ONE
        moved = faulty.RationalScalars(D, K, *map(Fraction, others))
        assert not recorded(ROWS[ONE]["half_attention_time"]).overlaps(moved.half_attention_time)
    finally:
        del sys.modules["bilinear.faulty"]


# --- what is enclosed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("D", "K"), [(36, 4), (20, 3), (9, 4)])
def test_the_identity_in_closed_form(D, K):
    exact = exactly(D, K, 32, "1/50", 1)
    with flint.ctx.workprec(exact.bits):
        r = flint.arb(D - K) / K
        for ball, closed in (
            (exact.slow_half_attention, (r**2 - 1 + 2 * r * r.log()) / (1 + r) ** 2),
            (exact.overshoot, (1 + (1 + r).sqrt()) / 2),
        ):
            assert ball.overlaps(closed)
            assert ball.rad() < 1e-55


def test_the_highest_C1_may_come_after_half_of_the_attention():
    """r = 5/4: the peak is at rx² + 2x = 1, x = 0.4, and half of the attention at x = 0.8."""
    exact = exactly(9, 4, 32, "1/50", 1)
    run = exact.scalars.run(20 * exact.half_attention_step)
    assert run.C1.argmax() > 2 * exact.half_attention_step
    assert run.C1.max() == pytest.approx(float(exact.highest_C1), abs=1e-13)


def test_balls_that_are_too_wide_are_no_proof():
    exact = RationalScalars(100, 4, 32, Fraction(1, 40), Fraction(0), bits=64)
    with pytest.raises(FloatingPointError, match="bits: 64 do not decide if the gap is at ln r"):
        _ = exact.half_attention_step


def test_the_precision_of_the_caller_is_left_as_it_was():
    with flint.ctx.workprec(77):
        assert exactly(*ONE).highest_C1.rad() < 1e-60
        assert flint.ctx.prec == 77


def test_the_library_alone_does_without_the_extra():
    code = """
import sys
sys.modules["flint"] = None  # as if it were not installed
from fractions import Fraction
from bilinear.enclosures import RationalScalars
exact = RationalScalars(20, 3, 32, Fraction(1, 20))
for name in ("half_attention_step", "half_attention_time", "highest_C1", "slow_half_attention", "overshoot"):
    try:
        getattr(exact, name)
    except ModuleNotFoundError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    wanted = "bilinear.enclosures needs flint: pip install 'transformers-learn-teachers[certify]'\n"
    assert told.stdout == 5 * wanted, told.stderr


# --- bad input -------------------------------------------------------------------------------------------------------

FIT = {"D": 20, "K": 3, "V_norm_sq": 32, "eta": Fraction(1, 20), "slope": Fraction(1, 10)}


@cases(
    [
        (str(changed), error, lambda changed=changed: RationalScalars(**{**FIT, **changed}), named)
        for changed, error, named in (
            ({"eta": 0.05}, TypeError, ["eta", "integer or a Fraction", "0.05", "float"]),
            ({"V_norm_sq": "32"}, TypeError, ["V_norm_sq", "'32'"]),
            ({"slope": True}, TypeError, ["slope", "True"]),
            ({"eta": 0}, ValueError, ["eta", "greater than 0"]),
            ({"slope": 2}, ValueError, ["slope", "at most 1", "2"]),
            ({"V_norm_sq": Fraction(-1, 2)}, ValueError, ["V_norm_sq", "greater than 0", "-0.5"]),
            ({"K": 10}, ValueError, ["K must be less than D/2 = 10, got 10"]),
            ({"K": 0}, ValueError, ["K must be at least 1"]),
            ({"eta": Fraction(1, 2)}, ValueError, ["eta must be at most K/(a·D) = 30/101, got 1/2", "open"]),
            ({"V_norm_sq": 1070}, ValueError, ["eta must be at most K³/(a·V_norm_sq) = 540/10807, got 1/20"]),
            ({"eta": Fraction(1, 10**9)}, ValueError, ["eta must be at least K/(a·D)/1,000,000 = ", "steps"]),
            ({"V_norm_sq": Fraction(1, 50)}, ValueError, ["eta must be at least K·D·D/V_norm_sq/1,000,000 = 3/50"]),
            ({"bits": 63}, ValueError, ["bits", "at least 64", "63"]),
            ({"bits": 5000}, ValueError, ["bits", "4,096"]),
            ({"bits": 1e2}, TypeError, ["bits", "integer"]),
        )
    ]
)
def test_bad_parameters_are_refused_before_work(error, action, named):
    check(error, action, *named)
