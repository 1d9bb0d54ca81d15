"""The places that say what the book is installed with agree: pyproject.toml, constraints.txt, conda, the workflow."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from press import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def extras(line: str) -> set[str]:
    return set(re.split(r"[\s,]+", line.strip()))


def test_conda_installs_what_make_test_does_in_a_python_that_the_project_allows():
    python = next(line for line in CONDA["dependencies"] if str(line).startswith("python="))
    pip = next(line["pip"] for line in CONDA["dependencies"] if isinstance(line, dict))
    editable = re.fullmatch(r"-e \.\[(.*)\]", next(line for line in pip if line.startswith("-e")))
    assert CONDA["name"] == PROJECT["name"]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert "-c constraints.txt" in pip
    assert extras(editable[1]) == extras(re.search(r"^test: EXTRAS = (.*)$", MAKEFILE, re.M)[1])
    assert len(pip) == 2, "versions stand in pyproject.toml and constraints.txt alone"


# pip-audit looks at the versions from outside; it is no part of them
@pytest.mark.parametrize("extra", ["", *sorted(PROJECT["optional-dependencies"].keys() - {"advisories"})])
def test_every_dependency_is_pinned_within_its_range(extra):
    pinned = {canonicalize_name(name): version for name, version in PINNED.items()}
    for line in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line


def test_every_set_of_dependencies_has_a_target_that_installs_it():
    named = {name for line in re.findall(r"^[\w: ]*EXTRAS = (.*)$", MAKEFILE, re.M) for name in extras(line)}
    assert named == PROJECT["optional-dependencies"].keys()


def test_the_workflow_tries_every_python_from_the_oldest_and_makes_the_long_trials_weekly():
    pythons = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert pythons == [f"3.{minor}" for minor in range(11, 15)]
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={pythons[0]}")
    weekly = {
        step["run"]
        for job in WORKFLOW["jobs"].values()
        for step in job["steps"]
        if job.get("if") == "github.event_name == 'schedule'" and "run" in step
    }
    assert weekly >= {"make faults", "make grid", "make seeds", "make advisories", "make test"}
    targets = set(re.findall(r"^(\w+):", MAKEFILE, re.M))
    assert {run.split()[1] for run in weekly if run.startswith("make ")} <= targets
