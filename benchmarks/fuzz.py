"""python benchmarks/fuzz.py: every odd value for every argument of `bilinear`, counted by what came of it.

The calls are those of `tests/bilinear/odd.py`. Faults are told one by one, and the counts go into
`book/records/fuzz.json`, which the scoreboard shows. Exits with 1 where there is a fault.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.bilinear import odd  # noqa: E402

from bilinear import fingerprint  # noqa: E402

RECORD = ROOT / "book" / "records" / "fuzz.json"


def main() -> int:
    torch.set_num_threads(1)
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BILINEAR_CACHE"] = folder
        for name in odd.CALLS:
            for argument, what, outcome, said in odd.outcomes(name):
                counts[outcome] += 1
                if outcome in odd.WRONG:
                    print(f"{outcome}: {name}({argument}: {what}): {said}")
    record = {
        "command": "python benchmarks/fuzz.py",
        "fingerprint": fingerprint(),
        "date": datetime.now(UTC).date().isoformat(),
        "names": len(odd.CALLS),
        "calls": counts.total(),
        "refused": counts["refused"],
        "as_the_plain_value": counts["same"],
        "accepted": counts["accepted"],
        "faults": sum(counts[outcome] for outcome in odd.WRONG),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(*(f"{name}: {value}" for name, value in record.items()), sep="\n")
    return 1 if record["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
