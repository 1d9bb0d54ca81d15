"""The loops at machine speed. Each formula has its home elsewhere, named beside it; this file may repeat a formula but
never be its only place.

`population`      the loop of `descent.population`: one head, softmax, plain steps, Gaussian tokens
`force`, `scalars`   the two-scalar map of `scalar_dynamics`

numba compiles them when this module is imported, once on a machine: the result is kept beside this file, or in the
user's cache where that cannot be written. They release the GIL. Names and order are those of the homes, and the tests
hold the two together to 1e-12.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from numba import njit
from numba.core import event

# Sums may be taken in any order; NaN and infinity keep their meaning, since a diverging run is told by them.
FAST = {"reassoc", "contract", "nsz"}
LOG2_E, LOG_2, LEAST = 1 / math.log(2), math.log(2), -708.0  # e^LEAST is about the least double of full precision
TAYLOR = tuple(1 / math.factorial(k) for k in range(13))


class _Told(event.Listener):
    """Says once what takes so long."""

    def __init__(self):
        self.said = False

    def on_start(self, event):
        if not self.said:
            print("bilinear: compiling its loops; this takes some seconds, once on this machine", file=sys.stderr)
            self.said = True

    def on_end(self, event):
        pass


def _compiled(signature: str):
    """Compile now, for these types alone, or take what an earlier process has kept."""
    options = {"fastmath": FAST, "error_model": "numpy", "nogil": True}

    def compile(function):
        try:
            return njit(signature, cache=True, **options)(function)
        except (RuntimeError, OSError):  # nowhere to keep it: each process compiles anew
            return njit(signature, **options)(function)

    return compile


_told = _Told()
event.register("numba:compile", _told)


@njit(inline="always")
def _exponentials(z, top, per_root_D, s, powers):
    """s = e^{(z − top)/√D} for z ≤ top, and their sum. Written out, since the compiler can vectorise no call of exp.

    x = n log 2 + r with |r| ≤ ½ log 2; Taylor to r¹²/12! is exact to rounding; 2ⁿ is made from its bits.
    """
    total = 0.0
    for j in range(z.size):
        x = (z[j] - top) * per_root_D
        x = x if x > LEAST else LEAST
        n = math.floor(x * LOG2_E + 0.5)
        r = x - n * LOG_2
        p = TAYLOR[12]
        p = TAYLOR[11] + r * p
        p = TAYLOR[10] + r * p
        p = TAYLOR[9] + r * p
        p = TAYLOR[8] + r * p
        p = TAYLOR[7] + r * p
        p = TAYLOR[6] + r * p
        p = TAYLOR[5] + r * p
        p = TAYLOR[4] + r * p
        p = TAYLOR[3] + r * p
        p = TAYLOR[2] + r * p
        s[j] = 1 + r * (1 + r * p)
        powers[j] = (np.int64(np.int32(n)) + 1023) << 52
    two_to_n = powers.view(np.float64)
    for j in range(z.size):
        s[j] *= two_to_n[j]
        total += s[j]
    return total


@_compiled(
    "Tuple((int64, float64))("
    "float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], float64, float64, float64,"
    "float64[:, ::1], float64[:, ::1], float64, float64,"
    "int64, int64, float64, int64[::1], float64[:, ::1], float64[:, ::1])"
)
def population(
    V_star, S_star, s_star_sq, v_norm, V_star_sq, a, beta, W_V, logits, eta, eta_KQ, first, last, bound, record, sums, S
):
    """Steps `first` … `last` − 1 of gradient descent: at each the loss is taken, then `W_V` and `logits` are moved.

    `S_star` and `logits` D × D, **a row here is a column there**, so that all of a column's work is done while it is in
    the nearest cache. The first seven arguments are fields of `population.ExactLoss`, whose `slopes` these lines
    repeat; the score map and its pull-back are those of `scores.SOFTMAX`.
    At the steps in `record` (ascending), a row of `sums`: the loss, ‖W_V‖², ⟨W_V, V*⟩, ‖W_V − V*‖², and over all
    columns the score on the support, the score off it, ‖S − S*‖²; `descent` reads the columns of a run from them.
    `S` D × D is filled with the scores of the last of these steps, by columns too; 0 × 0 is not.
    Returns the step where the loss was no longer below `bound`, or −1, and the last loss.
    """
    (M, d), D = V_star.shape, len(logits)
    w_sq, w_dot, w_norm, per_w, sin_w_sq = np.empty(M), np.empty(M), np.empty(M), np.empty(M), np.empty(M)
    d_w_norm, d_w_dot = np.empty(M), np.empty(M)
    s, rest, powers = np.empty(D), np.empty(D), np.empty(D, np.int64)
    per_V_star_sq = 1 / V_star_sq if V_star_sq > 0 else 0.0
    per_root_D, loss, row = 1 / math.sqrt(D), 0.0, 0
    for t in range(first, last):
        # of W_V: ExactLoss._loss, what does not depend on the column
        W_sq = WV = value_sq = 0.0
        for m in range(M):
            w_sq[m] = w_dot[m] = 0.0
            for k in range(d):
                w_sq[m] += W_V[m, k] ** 2
                w_dot[m] += W_V[m, k] * V_star[m, k]
                value_sq += (W_V[m, k] - V_star[m, k]) ** 2
            W_sq += w_sq[m]
            WV += w_dot[m]
        c, across_sq = WV * per_V_star_sq, 0.0
        for m in range(M):
            w_norm[m] = math.sqrt(w_sq[m])
            per_w[m] = 1 / w_norm[m] if w_norm[m] > 0 else 1.0
            per_v_norm = 1 / v_norm[m] if v_norm[m] > 0 else 1.0
            share, w_rest_sq = w_dot[m] * per_v_norm**2, 0.0
            for k in range(d):
                across_sq += (W_V[m, k] - c * V_star[m, k]) ** 2
                w_rest_sq += (W_V[m, k] - share * V_star[m, k]) ** 2
            w_dot[m] *= per_v_norm
            # a zero row stands at a right angle; a division, since of a row near 1e-155 one over w_sq is no number
            sin_w_sq[m] = w_rest_sq / w_sq[m] if w_sq[m] > 0 else 1.0
            d_w_norm[m] = d_w_dot[m] = 0.0

        kept = row < record.size and record[row] == t
        S_sq = on_V_star = linear = even = mass = off = score_sq = 0.0
        for i in range(D):
            # of column i: its scores, and ExactLoss._loss
            z, s_star = logits[i], S_star[i]
            top = z[0]
            for j in range(D):
                top = max(top, z[j])
            scale, b = 1 / _exponentials(z, top, per_root_D, s, powers), 0.0
            for j in range(D):
                b += s[j] * s_star[j]
            b = scale * b / s_star_sq[i] if s_star_sq[i] > 0 else 0.0
            rest_sq = 0.0
            for j in range(D):
                s[j] *= scale
                rest[j] = s[j] - b * s_star[j]
                rest_sq += rest[j] ** 2
            if kept:
                on = rest_of_it = apart = 0.0
                for j in range(D):
                    on += s[j] if s_star[j] > 0 else 0.0
                    rest_of_it += 0.0 if s_star[j] > 0 else s[j]
                    apart += (s[j] - s_star[j]) ** 2
                mass, off, score_sq = mass + on, off + rest_of_it, score_sq + apart
            if S.size > 0:
                S[i] = s
            linear += s_star_sq[i] * ((b * c - 1) ** 2 * V_star_sq + b * b * across_sq) + W_sq * rest_sq
            # … ExactLoss.slopes
            s_sq = b * b * s_star_sq[i] + rest_sq
            S_sq += s_sq
            on_V_star += b * s_star_sq[i]
            on_teacher, on_rest = b * W_sq - WV, W_sq
            if beta > 0:
                s_star_norm, s_norm = math.sqrt(s_star_sq[i]), math.sqrt(s_sq)
                per_s = 1 / s_norm
                sin_s_sq, cos_s = rest_sq * per_s**2, b * s_star_norm * per_s
                d_s_norm = d_s_dot = 0.0
                for m in range(M):
                    sin = math.sqrt(sin_s_sq + (1 - sin_s_sq) * sin_w_sq[m])
                    cos = w_dot[m] * per_w[m] * cos_s
                    theta = math.atan2(sin, cos)
                    h = sin - theta * cos  # activations.angle_defect
                    if theta < 0.05:
                        square = theta * theta
                        h = theta * square * (1 / 3 - square * (1 / 30 - square * (1 / 840 - square / 45360)))
                    even += v_norm[m] * w_norm[m] * s_star_norm * s_norm * h
                    d_w_norm[m] += sin * s_star_norm * s_norm
                    d_w_dot[m] += theta * s_star_sq[i] * b
                    d_s_norm += v_norm[m] * w_norm[m] * sin
                    d_s_dot += v_norm[m] * w_dot[m] * theta
                d_s_norm *= s_star_norm * per_s
                on_teacher -= beta * (d_s_norm * b - d_s_dot)
                on_rest -= beta * d_s_norm
            if eta_KQ > 0:  # … SOFTMAX.pull_back, with ⟨s_i, dL/ds_i⟩ from the two parts of s_i
                inner = on_teacher * b * s_star_sq[i] + on_rest * rest_sq
                move = eta_KQ * a * per_root_D
                for j in range(D):
                    z[j] -= move * s[j] * (on_teacher * s_star[j] + on_rest * rest[j] - inner)

        loss = 0.5 * a * linear - a * beta * even
        if not loss < bound:
            return t, loss
        if kept:
            sums[row, 0], sums[row, 1], sums[row, 2], sums[row, 3] = loss, W_sq, WV, value_sq
            sums[row, 4], sums[row, 5], sums[row, 6] = mass, off, score_sq
            row += 1
        for m in range(M):
            on_W = S_sq - beta * v_norm[m] * d_w_norm[m] * per_w[m]
            on_V = on_V_star - beta * d_w_dot[m]  # of a zero row there is no V* to move along
            for k in range(d):
                W_V[m, k] -= eta * a * (on_W * W_V[m, k] - on_V * V_star[m, k])
    return -1, loss


@_compiled("UniTuple(float64, 2)(float64, float64, float64, float64, float64, float64, float64)")
def force(C1, gap, D, K, V_norm_sq, a, beta):
    """(−dL/dC₁, the gap's rate): `ScalarDynamics._force`."""
    r, x = (D - K) / K, math.exp(-gap)
    tan = math.sqrt(r) * x
    cos_sq, mass, theta = 1 / (1 + tan * tan), 1 / (1 + r * x), 0.0
    if beta > 0:
        theta = math.atan(tan)
    if C1 < 0:
        theta, tan = math.pi - theta, -tan
    to_C1 = a * D / K * mass * (1 + beta * (tan - theta) - C1 * (1 + r * x * x) * mass)
    bracket = 1 - beta * theta + beta * (1 - x) * tan * cos_sq - C1 * (1 - x) * mass
    return to_C1, a * V_norm_sq / K**3 * C1 * x * mass**2 * bracket if r > 0 else 0.0


@_compiled("int64(float64[::1], float64[::1], int64, float64, float64, float64, float64, float64, float64, float64)")
def scalars(C1, gap, first, eta, D, K, V_norm_sq, a, beta, bound):
    """Fill `C1` and `gap` from entry `first` on, from the entry before: the loop of `ScalarDynamics.run`.

    Returns the entry that left the bounds, |C1| < `bound` and gap > −300, or −1.
    """
    c, g = C1[first - 1], gap[first - 1]
    for t in range(first, C1.size):
        to_C1, to_gap = force(c, g, D, K, V_norm_sq, a, beta)
        c, g = c + eta * to_C1, g + eta * to_gap
        C1[t], gap[t] = c, g
        if not (abs(c) < bound and g > -300):  # a gap so negative that e^{−gap} is about to overflow
            return t
    return -1


event.unregister("numba:compile", _told)
