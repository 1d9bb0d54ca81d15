"""python benchmarks/mutants.py bilinear|press: plant single faults, one at a time, and see whether a test notices.

Faults are those of cosmic-ray: an operator, a number, a comparison, a branch, a decorator changed. A sample of them is
drawn over the whole package. Each is planted in a copy of the project, and the tests run that name its module, with the
module's own examples. What came of it is a line of `_build/mutants/PACKAGE.jsonl`, kept by the module's content: a run
that was ended goes on where it was, and only what changed is tried again. Hours, so not part of `make test`.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.commands.init import _operators as operators
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parents[1]
ROOM = ROOT / "_build" / "mutants"
LONGEST = 900  # seconds for the tests of one fault; a loop without end is a fault that was noticed


def copy(package: str) -> Path:
    """A fresh copy of what git knows, and of files not yet added: an ended run may have left a fault in the last."""
    tree = ROOM / package
    shutil.rmtree(tree, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    return tree


def unseen(module: Path) -> list[range]:
    """Lines that no run can depend on: annotations, which are never evaluated."""
    found = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                found.append(((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)))
    return found


def faults(module: Path) -> list[MutationSpec]:
    """Every single fault of a module, but for its annotations."""
    tree, quiet, found = get_ast_from_path(module), unseen(module), []
    for name, arguments, operator in operators({}):
        places = (place for node in ast_nodes(tree) for place in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(places):
            if not any(low <= start and end <= high for low, high in quiet):
                found.append(MutationSpec(module, name, occurrence, start, end, arguments))
    return found


def tests_of(module: Path, tree: Path, package: str) -> list[str]:
    """The test files that name the module, or all of the package's where none does; and the module for its examples."""
    name = module.stem if module.stem != "__init__" else module.parent.name
    names = re.compile(rf"\b{package}(\.\w+)*\.{name}\b|^from {package}(\.\w+)* import [^\n]*\b{name}\b", re.M)
    files = sorted((tree / "tests" / package).glob("test_*.py"))
    chosen = [file for file in files if names.search(file.read_text(encoding="utf-8"))] or files
    return [str(file.relative_to(tree)) for file in [*chosen, module]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", choices=("bilinear", "press"))
    parser.add_argument("--sample", type=int, default=300, help="how many faults are drawn (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    chosen = parser.parse_args()
    tree = copy(chosen.package)
    modules = sorted((tree / "lib" / chosen.package).rglob("*.py"))
    drawn = [(module, fault) for module in modules for fault in faults(module)]
    total = len(drawn)
    drawn = random.Random(chosen.seed).sample(drawn, min(chosen.sample, total))
    record = ROOM / f"{chosen.package}.jsonl"
    known = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    kept = {(row["module"], row["content"], row["operator"], row["occurrence"]): row for row in known}
    os.environ |= {"PYTHONPATH": str(tree / "lib"), "OMP_NUM_THREADS": "1"}
    os.chdir(tree)
    rows, sound = [], set()
    for number, (module, fault) in enumerate(sorted(drawn, key=lambda pair: str(pair[0])), start=1):
        place, content = str(module.relative_to(tree)), hashlib.sha256(module.read_bytes()).hexdigest()[:12]
        key = (place, content, fault.operator_name, fault.occurrence)
        if key not in kept:
            options = "-x -q -p no:cacheprovider -p no:randomly"
            command = f"{sys.executable} -m pytest {options} {' '.join(tests_of(module, tree, chosen.package))}"
            if command not in sound:
                if subprocess.run(command.split(), capture_output=True, check=False).returncode:
                    raise SystemExit(f"mutants: without a fault these tests fail already:\n{command}")
                sound.add(command)
            result = mutate_and_test([fault], command, LONGEST)
            row = dict(zip(("module", "content", "operator", "occurrence"), key, strict=True))
            row |= {"line": fault.start_pos[0], "noticed": result.test_outcome != TestOutcome.SURVIVED}
            row["diff"] = [line for line in result.diff.splitlines() if re.match(r"[-+](?![-+])", line)]
            with record.open("a") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            kept[key] = row
            print(
                f"{number}/{len(drawn)} {place}:{row['line']} {'noticed' if row['noticed'] else 'SURVIVED'}", flush=True
            )
        rows.append(kept[key])
    survivors = [row for row in rows if not row["noticed"]]
    for row in survivors:
        print(f"\n{row['module']}:{row['line']} {row['operator']}", *row["diff"], sep="\n    ")
    share = len(survivors) / max(len(rows), 1)
    print(f"\n{chosen.package}: {len(survivors)} of {len(rows)} faults survived, {share:.0%}; drawn of {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
