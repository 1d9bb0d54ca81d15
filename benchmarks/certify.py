"""python benchmarks/certify.py: numbers with proved bounds, as a table and a record.

The two scalars of `bilinear.enclosures` at exact parameters, into `book/records/certified.json`. Each number is written
as a decimal, and lies within `radius` of it; the balls are narrower by far, so that no digit depends on the machine.
"""

import json
import time
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

from bilinear.enclosures import RationalScalars

RECORD = Path(__file__).resolve().parents[1] / "book" / "records" / "certified.json"
BITS, DECIMALS = 256, 50
SIZES = {(20, 3): "1/20", (36, 4): "1/20", (100, 4): "1/40"}  # η at most K/(aD), where the gap is proved to open
SLOPES, V_NORM_SQ = ("1", "0", "1/10"), "32"
CASES = [(D, K, V_NORM_SQ, eta, slope) for (D, K), eta in SIZES.items() for slope in SLOPES]
BALLS = ("half_attention_time", "slow_half_attention", "highest_C1", "overshoot")


def decimal(ball) -> str:
    """The midpoint of a ball, to so many decimals that with `radius` it holds the ball."""
    middle, radius, power = (int(part) for part in ball.mid_rad_10exp(BITS // 3))
    with localcontext(prec=1000):
        exact = Decimal(middle).scaleb(power)
        written = round(exact, DECIMALS)
        if abs(written - exact) + Decimal(radius).scaleb(power) > Decimal(1).scaleb(-DECIMALS):
            raise ArithmeticError(
                f"the ball {ball.str(20)} is wider than {DECIMALS} decimals; more bits make it narrow"
            )
    return str(written)


def row(D: int, K: int, V_norm_sq: str, eta: str, slope: str) -> dict:
    """What is proved at one set of parameters; the times in T* = KD²/(η‖V*‖²) steps."""
    exact = RationalScalars(D, K, Fraction(V_norm_sq), Fraction(eta), Fraction(slope), BITS)
    return {
        **{"D": D, "K": K, "V_norm_sq": V_norm_sq, "eta": eta, "slope": slope},
        "half_attention_step": exact.half_attention_step,
        **{name: decimal(getattr(exact, name)) for name in BALLS},
    }


def main() -> None:
    rows = []
    for case in CASES:
        started = time.perf_counter()
        rows.append(found := row(*case))
        told = ", ".join(f"{name} {found[name][:12]}…" for name in BALLS)
        print(f"D, K, ‖V*‖², η, κ = {case}: step {found['half_attention_step']}, {told}"
              f" ({time.perf_counter() - started:.1f} s)")  # fmt: skip
    record = {"command": "make certify", "bits": BITS, "radius": f"1e-{DECIMALS}", "cases": rows}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {RECORD.relative_to(RECORD.parents[2])}")


if __name__ == "__main__":
    main()
