"""python benchmarks/bench.py [options of pytest]: how long a step takes and what it holds, as a table and a record.

The steps are those of `bench_step.py`; the peak memory of an exact run is that of a process of its own, less what it
had before the run. Times are told in seconds and as multiples of the unit; all goes into `book/records/bench.json`.
Options such as `--benchmark-max-time=0.1 --benchmark-min-rounds=1` make it short and rough.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bilinear import fingerprint

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "book" / "records" / "bench.json"
COMPARED = ("numpy", "torch", "numba", "jax")
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
PEAK = """
import resource, sys
sys.path.insert(0, "benchmarks")
import bench_step
from bilinear import descent
D, sigma = int(sys.argv[1]), bench_step.SIGMAS[sys.argv[2]]
descent.population(bench_step.teacher(4, sigma), bench_step.ETA, 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
descent.population(bench_step.teacher(D, sigma), bench_step.ETA, 2)
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sep="\\n")
"""


def timings(options: list[str]) -> dict:
    """What pytest-benchmark has written of `bench_step.py`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "timings.json"
        command = [sys.executable, "-m", "pytest", "benchmarks/bench_step.py", "-q", "-rs", "-o", "addopts="]
        command += ["-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={file}", *options]
        subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, check=True)
        return json.loads(file.read_text(encoding="utf-8"))


def rows(benchmarks: list[dict]) -> list[dict]:
    """Seconds a step, from the best rounds, and the ratio to the unit of the same D."""
    best, steps = {}, {}
    for one in benchmarks:
        info = one["extra_info"]
        run = info["what"], info["sigma"], info["D"]
        best.setdefault(run, {})[info["steps"] > 0] = one["stats"]["min"]
        steps[run] = max(info["steps"], steps.get(run, 0))
    seconds = {run: (of[True] - of[False]) / steps[run] for run, of in best.items()}
    return [
        {"what": what, "sigma": sigma, "D": D, "seconds": value, "ratio": value / seconds["exponentials", None, D]}
        for (what, sigma, D), value in seconds.items()
    ]


def peak(D: int, sigma: str) -> dict:
    """Bytes that an exact run adds to the peak of a fresh process."""
    command = [sys.executable, "-c", PEAK, str(D), sigma]
    told = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    before, after = (unit * int(line) for line in told.stdout.split())
    return {"sigma": sigma, "D": D, "bytes": after - before, "bytes_of_process": after}


def main() -> None:
    found = timings(sys.argv[1:])
    cpu = found["machine_info"]["cpu"]
    record = {
        "command": "make bench",
        "fingerprint": fingerprint(),
        "date": found["datetime"][:10],
        "machine": {
            "cpu": cpu.get("brand_raw", platform.processor()),
            "cores": os.cpu_count(),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {name: version(name) for name in COMPARED if find_spec(name)},
        "steps": rows(found["benchmarks"]),
    }
    exact = [row for row in record["steps"] if row["what"] == "exact"]
    record["memory"] = [peak(row["D"], row["sigma"]) for row in exact]

    machine = record["machine"]
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB; one core is used")
    print(f"{'':18} {'sigma':>9} {'D':>5} {'µs a step':>11} {'of D² exp':>10} {'peak MiB':>9}")
    held = {(one["sigma"], one["D"]): f"{one['bytes'] / 2**20:9.1f}" for one in record["memory"]}
    for row in record["steps"]:
        peaked = held[row["sigma"], row["D"]] if row["what"] == "exact" else ""
        named = f"{row['what']:18} {row['sigma'] or '':>9} {row['D']:5}"
        print(f"{named} {1e6 * row['seconds']:11.1f} {row['ratio']:10.2f} {peaked}".rstrip())
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {RECORD.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
