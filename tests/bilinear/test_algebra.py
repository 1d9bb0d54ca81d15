"""The algebra of the two scalars, step by step, by sympy: a function a fact, named after what it shows.

First formula against formula, for every r, x, β at once; then formula against library at a few points, so that neither
can drift from the other. `same` compares exactly; `meets` takes rounding, 1e-12, unless a quadrature says more.
"""

import math

import mpmath
import pytest
import sympy as sp
from sympy import atan, cos, exp, log, pi, sin, sinh, sqrt, tan

from bilinear import laws
from bilinear.scalar_dynamics import ScalarDynamics

r, x, a, beta, K, V_sq, gap = sp.symbols("r x a beta K V_sq gap", positive=True)
C1, theta, w, z = sp.symbols("C_1 theta w z", positive=True)
D, half = K * (1 + r), sp.Rational(1, 2)

# The closed forms of `scalar_dynamics`, at angle atan √r x; t is its tangent.
t, angle = sqrt(r) * x, atan(sqrt(r) * x)
cos_sq, sin_cos, drive = 1 / (1 + t**2), t / (1 + t**2), 1 + beta * (t - angle)
m = C1 / (1 + r * x)
scale = a * V_sq * D / (2 * K)
loss = scale * ((1 - m) ** 2 + m**2 * t**2 - 2 * m * beta * (t - angle))
to_C1 = a * D / K * (drive / (1 + r * x) - C1 * (1 + r * x**2) / (1 + r * x) ** 2)
b, k = 1 - beta * angle + beta * (1 - x) * sin_cos, (1 - x) / (1 + r * x)
to_gap = a * V_sq / K**3 * C1 * x / (1 + r * x) ** 2 * (b - C1 * k)
manifold = (1 + r * x) * drive / (1 + r * x**2)

# The same of the angle alone: N is what stands under the integral of `slow_time`, C the cosine-like C₁ of the manifold.
N = (sin(theta) * cos(theta)) ** 3 * (1 - beta * theta) * (1 + beta * (tan(theta) - theta))
C = cos(theta) + beta * (sin(theta) - theta * cos(theta))
front = r / (a * (1 + r) ** 2)

CASES = [(36, 4, 1.0), (20, 3, 0.0), (100, 4, 0.1), (16, 1, 0.5)]
GAPS = (0.0, 0.4, 2.0, 7.0)


def same(left, right) -> None:
    """Equal as rational functions of √r, x, β, the angle and a logarithm."""
    assert sp.expand(sp.numer(sp.together(left - right))) == 0, sp.factor(left - right)


def starts(function, variable, right) -> None:
    """The series in `variable` at 0 begins with these terms; the next is of the order after the last."""
    order = max(sp.degree(term, variable) for term in sp.Add.make_args(sp.expand(right))) + 1
    assert sp.expand(sp.series(function, variable, 0, order).removeO() - right) == 0


def per_gap(function):
    """d/dgap, x = e^{−gap}."""
    return -x * sp.diff(function, x)


def scalars_of(D, K, slope) -> ScalarDynamics:
    return ScalarDynamics(D, K, V_norm_sq=32.0, eta=0.05, slope=slope)


def known(formula, scalars):
    """The formula with the parameters of `scalars` in it."""
    kappa = sp.Rational(str(scalars.slope))
    of = {r: sp.Rational(scalars.D - scalars.K, scalars.K), a: (1 + kappa**2) / 2, K: scalars.K, V_sq: 32}
    return sp.sympify(formula).subs({**of, beta: (1 - kappa) ** 2 / (pi * (1 + kappa**2))})


def value(formula, scalars, at: float = 0.0) -> float:
    """The formula in 30 digits, at C₁ = 1.3 and this gap."""
    at = sp.Float(at, 40)
    return float(known(formula, scalars).subs({C1: sp.Rational(13, 10), gap: at, x: exp(-at)}).evalf(30))


def meets(formula, library, case, rel=1e-12) -> None:
    """`library(scalars, gap)` is the formula, at C₁ = 1.3 and each gap."""
    scalars = scalars_of(*case)
    for at in GAPS:
        assert float(library(scalars, at)) == pytest.approx(value(formula, scalars, at), rel=rel, abs=1e-12)


# --- the map ---------------------------------------------------------------------------------------------------------


def test_C1_steps_down_the_slope_of_the_loss():
    """W_V = C₁V*, so that dL/dC₁ = ⟨dL/dW_V, V*⟩, and a step of W_V is one of C₁ by this over ‖V*‖²."""
    same(-sp.diff(loss, C1) / V_sq, to_C1)


def test_the_gap_steps_down_the_slope_of_the_loss():
    """A unit of gap moves each of D columns of logits by √D along a vector of square K(D−K)/D: DK(D−K) in all."""
    same(-per_gap(loss) / (D * K * (D - K)), to_gap)


@pytest.mark.parametrize("case", CASES)
def test_the_library_has_this_loss_and_this_map(case):
    meets(loss, lambda scalars, gap: scalars.excess_loss(1.3, gap), case)
    meets(to_C1, lambda scalars, gap: scalars._force(1.3, gap)[0], case)
    meets(to_gap, lambda scalars, gap: scalars._force(1.3, gap)[1], case)


# --- the slow manifold -----------------------------------------------------------------------------------------------


def test_C1_rests_on_the_slow_manifold():
    same(to_C1.subs(C1, manifold), 0)


def test_the_loss_there_is_1_minus_C_squared():
    """C = cos θ (1 + β(tan θ − θ))."""
    same(loss.subs(C1, manifold), scale * (1 - cos_sq * drive**2))
    same(sp.expand_trig(C / cos(theta)), 1 + beta * (sin(theta) / cos(theta) - theta))


def test_the_bracket_there():
    same((b - C1 * k).subs(C1, manifold), (1 - beta * angle) * cos_sq * x * (1 + r * x))


def test_where_the_slow_manifold_rises():
    """The factor is positive, so the sign is that of the bracket: `RationalScalars.overshoot` rests on it."""
    rise = 1 - 2 * x - r * x**2 + beta * sqrt(r) * x**2 * (1 + r * x) / drive
    same(sp.diff(manifold, x), manifold * r / ((1 + r * x) * (1 + r * x**2)) * rise)


def test_the_identity_overshoots_at_rx2_plus_2x_equal_to_1():
    top = 1 / (1 + sqrt(1 + r))
    same(sp.diff(manifold.subs(beta, 0), x), r * (1 - 2 * x - r * x**2) / (1 + r * x**2) ** 2)
    assert sp.simplify((r * x**2 + 2 * x).subs(x, top)) == 1
    assert sp.radsimp(manifold.subs(beta, 0).subs(x, top) - (1 + sqrt(1 + r)) / 2).equals(0)
    for D, K in ((36, 4), (20, 3)):
        scalars = scalars_of(D, K, 1.0)
        assert laws.overshoot(scalars) == pytest.approx(value((1 + sqrt(1 + r)) / 2, scalars), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_library_has_this_manifold(case):
    meets(manifold, laws.slow_manifold, case)
    meets(
        scale * (1 - cos_sq * drive**2),
        lambda scalars, gap: scalars.excess_loss(float(laws.slow_manifold(scalars, gap)), gap),
        case,
        rel=1e-10,
    )


# --- the gap opens: the facts of its proof ---------------------------------------------------------------------------


def test_b_grows_with_the_gap():
    same(per_gap(b), 2 * beta * sin_cos * cos_sq * (t**2 + x))  # tan² = sin²/cos²


def test_k_grows_with_the_gap():
    same(per_gap(k), x * (1 + r) / (1 + r * x) ** 2)


def test_what_multiplies_a_step_grows_at_most_as_e_to_the_gap():
    """x/(1+rx)² has a logarithmic slope of at most one, either way."""
    slope = per_gap(log(x / (1 + r * x) ** 2))
    same(1 - slope, 2 / (1 + r * x))
    same(1 + slope, 2 * r * x / (1 + r * x))


def test_the_slow_manifold_stays_below_A():
    """Cauchy–Schwarz twice: C² ≤ (cos θ + β sin θ)² ≤ 1 + β² ≤ 1 + π⁻², and (1+rx)² ≤ (1+r)(1+rx²)."""
    same(manifold**2, (1 + r * x) ** 2 / (1 + r * x**2) * cos_sq * drive**2)
    assert sp.simplify(1 + beta**2 - (cos(theta) + beta * sin(theta)) ** 2 - (sin(theta) - beta * cos(theta)) ** 2) == 0
    same((1 + r) * (1 + r * x**2) - (1 + r * x) ** 2, r * (1 - x) ** 2)


def test_arithmetic_and_geometric_means():
    """Each difference is a product of what is not negative, z = rx: 4z ≤ (1+z)² and 27z ≤ 4(1+z)³."""
    same((1 + z) ** 2 - 4 * z, (1 - z) ** 2)
    same(4 * (1 + z) ** 3 - 27 * z, (2 * z - 1) ** 2 * (z + 4))


def test_the_constants_of_the_proof():
    """For r ≥ 1 and g ≤ 1: a step of the gap, the two losses of B, and that the second is less than ½ ≤ 1 − βθ."""
    same(2 - (1 + r) / r**2, (2 * r + 1) * (r - 1) / r**2)  # (1+r)/r² is at most 2, and (1+r)/r too
    same(2 - (1 + r) / r, (r - 1) / r)
    A_sq = 1 + pi**-2
    step, first, second = sqrt(2 * A_sq) / 4, A_sq * half**2, A_sq * 2 * sp.Rational(4, 27)
    for constant, told in ((step, 0.372), (first, 0.276), (second, 0.327), (second * exp(step), 0.475)):
        assert told - 2.5e-3 < constant.evalf() < told
    assert first * exp(step) < 1


# --- the time that the slow flow takes -------------------------------------------------------------------------------

per_T = (1 + t**2) ** 2 / (a * (1 + r) ** 2 * x**2 * (1 - beta * angle) * drive)  # dτ/dgap, of `slow_time`


def test_slow_time_is_one_over_the_rate_on_the_manifold():
    """T* = KD²/(η‖V*‖²), and the gap moves by η times `to_gap` a step."""
    same(1 / per_T, to_gap.subs(C1, manifold) * K * D**2 / V_sq)


def test_slow_time_as_an_integral_over_the_angle():
    """dθ/dgap = −sin θ cos θ, so that dτ = −(r/(a(1+r)²)) dθ/N."""
    same(per_gap(angle), -sin_cos)
    same(per_T, front * sin_cos / (sin_cos**3 * (1 - beta * angle) * drive))


def test_slow_time_of_the_identity():
    """r[sinh 2u + 2u]/(1+r)², u = gap − ½ ln r, and from there the half-attention time."""
    u = gap - log(r) / 2
    closed = r * (sinh(2 * u) + 2 * u) / (1 + r) ** 2
    integrand = per_T.subs({beta: 0, a: 1}).subs(x, exp(-gap))
    assert sp.simplify((sp.diff(closed, gap) - integrand).rewrite(exp)) == 0
    at_half = (closed.subs(gap, log(r)) - closed.subs(gap, 0)).rewrite(exp)
    same(sp.expand_log(sp.simplify(at_half), force=True), (r**2 - 1 + 2 * r * log(r)) / (1 + r) ** 2)
    meets(closed - closed.subs(gap, 0), laws.slow_time, (36, 4, 1.0))
    for D, K in ((36, 4), (20, 3)):
        scalars = scalars_of(D, K, 1.0)
        half_time = (r**2 - 1 + 2 * r * log(r)) / (1 + r) ** 2
        assert laws.slow_time(scalars, math.log(scalars.r)) == pytest.approx(value(half_time, scalars), rel=1e-12)


def integral(formula, scalars, end) -> float:
    """∫ over the gap from 0 to `end`, in 20 digits."""
    at = sp.lambdify(gap, known(formula, scalars).subs(x, exp(-gap)), "mpmath", cse=True)
    with mpmath.workdps(20):
        return float(mpmath.quad(at, [0, end / 2, end]))


@pytest.mark.parametrize("case", CASES)
def test_the_library_has_this_slow_time(case):
    scalars = scalars_of(*case)
    assert laws.slow_time(scalars, 2.0) == pytest.approx(integral(per_T, scalars, 2.0), rel=1e-10)


# --- the delay of C₁ -------------------------------------------------------------------------------------------------

# C₁ trails by e = −(dC₁*/dgap)(gap's rate)/λ, λ = −∂to_C1/∂C₁, and 1/rate changes by −e ∂ log(rate)/∂C₁ of itself.
per_lag = (per_gap(manifold) * sp.diff(log(to_gap), C1) / -sp.diff(to_C1, C1)).subs(C1, manifold)


def test_the_lag_of_the_identity():
    """s = 1 + (r/(1+r)) ∫ (rx²+2x−1)²/(1+rx²)² dgap, and (1+r)(s−1) = r gap − 2 − (2r−2−4rx)/(1+rx²)."""
    same(per_lag.subs({beta: 0, a: 1}), r / (1 + r) * (r * x**2 + 2 * x - 1) ** 2 / (1 + r * x**2) ** 2)
    closed = (-r * log(x) - 2 - (2 * r - 2 - 4 * r * x) / (1 + r * x**2)) / (1 + r)
    same(per_gap(closed), per_lag.subs({beta: 0, a: 1}))
    same(closed.subs(x, 1), 0)
    meets(1 + closed, laws.lag, (36, 4, 1.0), rel=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_the_library_has_this_lag(case):
    scalars = scalars_of(*case)
    start = 2 / (1 + case[2] ** 2)  # 1/a
    assert laws.lag(scalars, 2.0) == pytest.approx(start + integral(per_lag, scalars, 2.0), rel=1e-9)


# --- the next order of the late law ----------------------------------------------------------------------------------

A, ln_w, p, q = sp.symbols("A ln_w p q")  # A: the finite part of ∫dθ/N
to_log = 2 + beta**2


def test_what_diverges_in_the_slow_time():
    """1/N = 1/θ³ + β/θ² + (2+β²)/θ + …: so w² = 1/θ² + 2β/θ − 2(2+β²) ln θ + 2A, w² = 2a(1+r)²τ/r."""
    starts(theta**3 / N, theta, 1 + beta * theta + to_log * theta**2)


def test_the_late_loss_as_a_series_in_the_angle():
    starts(1 - C**2, theta, theta**2 - 2 * beta * theta**3 / 3 - theta**4 / 3)


def test_epsilon():
    """θ = (1 + p/w + q/w²)/w solves it, and the loss over the late law is 1 + 4β/(3w) + [2A − ⅓ + (2+β²) ln w²]/w²."""
    u = sp.Symbol("u", positive=True)  # 1/w
    bent = u * (1 + p * u + q * u**2)
    short = 1 / bent**2 + 2 * beta / bent + 2 * to_log * (ln_w - log(bent / u)) + 2 * A - 1 / u**2
    orders = sp.series(sp.expand(short), u, 0, 1).removeO()
    assert orders.coeff(u, -2) == orders.coeff(u, -3) == 0
    found = sp.solve([orders.coeff(u, -1), orders.coeff(u, 0)], [p, q], dict=True)[0]
    ratio = bent**2 * (1 - 2 * beta * bent / 3 - bent**2 / 3) / u**2
    starts(ratio.subs(found), u, 1 + 4 * beta * u / 3 + (2 * A - sp.Rational(1, 3) + 2 * to_log * ln_w) * u**2)


def test_the_finite_part_of_the_identity():
    """2A = r − 1/r + 2 ln r − ⅔: the antiderivative is ½ tan² + 2 ln tan − ½ tan⁻²."""
    antiderivative = z**2 / 2 + 2 * log(z) - 1 / (2 * z**2)  # z = tan θ, 1/N = (1+z²)³/z³, dθ = dz/(1+z²)
    same(sp.diff(antiderivative, z), (1 + z**2) ** 2 / z**3)
    assert sp.simplify((1 / N).subs(beta, 0).subs(theta, atan(z)) - (1 + z**2) ** 3 / z**3) == 0
    below = antiderivative.subs(z, tan(theta)) + 1 / (2 * theta**2) - 2 * log(theta)
    lost = sp.limit(sp.logcombine(below, force=True), theta, 0)
    whole = sp.expand_log(antiderivative.subs(z, sqrt(r)), force=True) - lost
    same(2 * whole, r - 1 / r + 2 * log(r) - sp.Rational(2, 3))


@pytest.mark.parametrize("case", CASES)
def test_the_library_has_this_next_order(case):
    """A as it is defined, by mpmath; 1e-5 is the library's quadrature, 1e-7 of terms as large as r."""
    scalars = scalars_of(*case)
    per_angle, log_of = sp.lambdify(theta, known(1 / N, scalars), "mpmath"), float(known(to_log, scalars))
    b_, small, top = float(known(beta, scalars)), mpmath.mpf("1e-7"), mpmath.atan(mpmath.sqrt(scalars.r))
    with mpmath.workdps(40):
        nodes = [small, *(mpmath.mpf(10) ** -n for n in range(6, 0, -1)), top]
        A_ = mpmath.quad(per_angle, nodes) - 1 / (2 * small**2) - b_ / small + log_of * mpmath.log(small)
    T = 1e3 * scalars.escape_time
    w_ = (1 + scalars.r) * math.sqrt(2 * value(a, scalars) * 1e3 / scalars.r)
    epsilon = 4 * b_ / (3 * w_) + (2 * float(A_) - 1 / 3 + 2 * log_of * math.log(w_)) / w_**2
    delay = laws.lag(scalars, laws.late(scalars, T).gap) / (scalars.eta * T)
    start = math.atan(math.sqrt(scalars.r))
    N_ = float(sp.lambdify(theta, known(N, scalars), "mpmath")(start))
    gain = -0.5 * math.log(w_**2 * N_ / (math.sin(start) * math.cos(start))) / T  # F = N/(sin θ cos θ)
    assert laws.next_order(scalars, T) == pytest.approx(epsilon + delay + gain, rel=1e-5)


# --- half of the attention, among many tokens ------------------------------------------------------------------------


def test_half_of_the_attention_among_many_tokens():
    """κ < 1: 1/(2a) + [β + 1/(β − πβ²/2)]/(a√r) + O(ln r/r).

    From θ = atan 1/√r on, 1/N starts as 1/θ³ + β/θ², as above; near π/2 it is 1/((β − πβ²/2)φ²), φ = π/2 − θ, down to
    φ = atan 1/√r. What both leave out grows as ln r.
    """
    wall = beta - pi * beta**2 / 2
    phi, root = sp.symbols("phi rho", positive=True)
    starts(sp.trigsimp(phi**2 / N.subs(theta, pi / 2 - phi)), phi, 1 / wall)
    low = atan(1 / root)
    both = 1 / (2 * low**2) + beta / low + 1 / (wall * low)
    starts((front.subs(r, root**2) * both).subs(root, 1 / z), z, 1 / (2 * a) + (beta + 1 / wall) / a * z)
    for slope in (0.0, 0.1):
        scalars = scalars_of(10**8, 1, slope)
        ends = value(1 / (2 * a) + (beta + 1 / wall) / (a * sqrt(r)), scalars)
        left_out = 30 * math.log(scalars.r) / scalars.r  # with a factor of the order of 1/β² = 10
        assert laws.slow_time(scalars, math.log(scalars.r)) == pytest.approx(ends, abs=left_out)
