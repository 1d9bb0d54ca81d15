"""Many runs at once: threads, processes, a Dask cluster; what is remembered, and what is refused."""

import contextlib
import doctest
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import bilinear
from bilinear import descent, sweeps
from bilinear.laws import theorem_eta
from bilinear.teachers import convolution

from .cases import normal

CELLS = """
import math, os, time
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

CALLS = Path(__file__).parent / "calls"


def cell(x, y, wait=0.0):
    (CALLS / f"{x} {y} {time.time_ns()}").touch()
    time.sleep(wait)
    return {"sum": x + y / 3, "count": 3, "odd": [math.nan, math.inf, -math.inf, -0.0][x % 4]}


def product(x, y):
    return x * y


def fails(x, y):
    (CALLS / f"{x} {y} {time.time_ns()}").touch()
    if x == 1:
        raise FloatingPointError(f"diverged at {y}")
    return x


def ends(x, y):
    if (x, y) == (2, 1):
        time.sleep(4)  # the cells before it end, on a busy machine too
        os._exit(1)
    return x


def threads(x):
    blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    cores = os.environ.get("LOKY_MAX_CPU_COUNT", "")
    return {"torch": torch.get_num_threads(), "blas": max(blas), "cores": int(cores or 0), "process": os.getpid()}


def returns(x, what):
    return {
        "text": "no", "array": [1.0, 2.0], "none": None, "nothing": {}, "taken": {"x": 1.0}, "unnamed": {1: 1.0},
        "tensor": {"a": torch.tensor(0.5), "b": torch.ones(1)[0] > 0}, "other": {"a" if x else "b": 1.0},
    }[what]


def outer():
    def inner(x):
        return x
    return inner


class Holder:
    def method(x):
        return x


nameless = lambda x: x
"""
GRID = {"x": range(4), "y": [0.1, 0.7]}
LIBRARY = Path(bilinear.__file__).parents[1]


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A module of functions to sweep, with a memory of its own; one core, unless a test asks for two."""
    (tmp_path / "swept.py").write_text(CELLS, encoding="utf-8")
    (tmp_path / "calls").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{LIBRARY}")
    monkeypatch.setenv("BILINEAR_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    import swept

    yield swept
    del sys.modules["swept"]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)


def calls(cells) -> dict[tuple, int]:
    """How often each cell was computed."""
    found = {}
    for file in cells.CALLS.iterdir():
        x, y, _ = file.name.split()
        found[int(x), float(y)] = found.get((int(x), float(y)), 0) + 1
    return found


def kept(cells) -> dict[tuple, Path]:
    """The files of cells that are remembered."""
    rows = {file: json.loads(file.read_text())["of"]["arguments"] for file in memory(cells).glob("*.json")}
    return {(row["x"], row["y"]): file for file, row in rows.items()}


def memory(cells) -> Path:
    return cells.CALLS.parent / "kept"


def bits(frame) -> str:
    """A frame as text that tells apart all that a bit tells apart, but for the payload of NaN."""
    return f"{list(frame.columns)} {list(frame.dtypes)} {[[repr(v) for v in row] for row in frame.values.tolist()]}"


# --- together --------------------------------------------------------------------------------------------------------


def test_calls_side_by_side_come_back_in_order(two_cores):
    """Each waits for the other, so one after another they would never end."""
    meet = threading.Barrier(2, timeout=30)

    def call(n):
        meet.wait()
        return n

    assert sweeps.together(partial(call, n) for n in range(4)) == [0, 1, 2, 3]


def test_with_one_core_calls_run_in_line(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert sweeps.together([threading.get_ident] * 3) == [threading.get_ident()] * 3
    assert sweeps.together([]) == []


@pytest.mark.parametrize("verb", [descent.online, descent.population], ids=["online", "population"])
def test_runs_side_by_side_have_the_bits_of_one_by_one(two_cores, verb):
    teacher = convolution(normal(0, 3, 4), 12, 3)
    given = [{"seed": seed} for seed in range(4)] if verb is descent.online else [{}] * 2
    several = [partial(verb, teacher, 0.05, 60, **more) for more in given]
    for alone, beside in zip([call() for call in several], sweeps.together(several), strict=True):
        assert torch.equal(alone.W_V, beside.W_V)
        assert torch.equal(alone.W_KQ, beside.W_KQ)
        assert all((alone.columns[name] == beside.columns[name]).all() for name in alone.columns)


def test_a_run_that_ends_does_not_give_threads_to_another(two_cores):
    """`descent` restores torch's number of threads, which is the process's, while the other run goes on."""
    inside, ended = threading.Event(), threading.Event()

    def first():
        descent.descend(lambda w: (inside.set() or 0.0, {"w": w}), {"w": torch.ones(1)}, 0.1, 1)
        ended.set()

    def second():
        ended.wait(30)
        return torch.get_num_threads()

    torch.set_num_threads(3)
    try:
        assert sweeps.together([first, second])[1] == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("cores", ["1", "2"])
def test_the_error_of_a_call_is_raised_when_no_call_is_under_way(monkeypatch, cores):
    monkeypatch.setattr("joblib.cpu_count", lambda: int(cores))
    under_way = []

    def slow():
        under_way.append(1)
        time.sleep(0.3)
        under_way.pop()

    def fails():
        time.sleep(0.1)
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        sweeps.together([slow, fails, slow])
    assert not under_way


def test_what_is_no_call_is_refused():
    with pytest.raises(TypeError, match=r"calls must be functions without arguments.*got 3"):
        sweeps.together([int, 3])
    with pytest.raises(TypeError, match="calls must be a collection"):
        sweeps.together(int)


# --- a grid ----------------------------------------------------------------------------------------------------------


def test_a_grid_is_tidy_and_in_order(cells):
    frame = sweeps.grid(cells.cell, y=(0.5, 0.25), x=range(2), wait=0)
    assert list(frame.columns) == ["y", "x", "sum", "count", "odd"]
    assert frame.y.tolist() == [0.5, 0.5, 0.25, 0.25]
    assert frame.x.tolist() == [0, 1, 0, 1]
    assert frame["sum"].tolist() == [x + y / 3 for y in (0.5, 0.25) for x in (0, 1)]
    assert [str(kind) for kind in frame.dtypes] == ["float64", "int64", "float64", "int64", "float64"]


def test_a_number_gets_the_name_of_the_function(cells):
    frame = sweeps.grid(cells.product, x=torch.arange(3).numpy(), y=2)
    assert frame.to_dict("list") == {"x": [0, 1, 2], "product": [0, 2, 4]}


def test_the_example_of_the_docstring(cells):
    [shown] = [one for one in doctest.DocTestParser().get_examples(sweeps.grid.__doc__) if "D=" in one.source]
    assert f"{eval(shown.source, vars(sweeps) | {'theorem_eta': theorem_eta})}\n" == shown.want


def test_the_frame_is_the_same_in_line_in_processes_and_from_memory(cells, monkeypatch, two_cores):
    beside = sweeps.grid(cells.cell, **GRID)
    assert set(calls(cells).values()) == {1}
    assert bits(sweeps.grid(cells.cell, **GRID)) == bits(beside)
    assert set(calls(cells).values()) == {1}
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    monkeypatch.setenv("BILINEAR_CACHE", str(memory(cells) / "another"))
    alone = sweeps.grid(cells.cell, **GRID)
    assert bits(alone) == bits(beside)
    assert set(calls(cells).values()) == {2}
    assert [repr(value) for value in alone.odd[::2]] == ["nan", "inf", "-inf", "-0.0"]


def test_a_cell_has_one_thread_wherever_it_runs(cells, two_cores, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    torch.set_num_threads(3)
    try:
        with threadpool_limits(2):
            alone, beside = sweeps.grid(cells.threads, x=[0]), sweeps.grid(cells.threads, x=[1, 2, 3])
            assert max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas") == 2
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    for frame in alone, beside:
        assert set(frame.torch) == {1}
        assert set(frame.blas) == {1}
    assert set(beside.cores) == {1}  # what runs many runs inside a cell runs them in line
    assert set(alone.process) == {os.getpid()}
    assert os.getpid() not in set(beside.process)


# --- what is remembered ----------------------------------------------------------------------------------------------


def test_a_larger_grid_computes_only_what_is_new(cells):
    sweeps.grid(cells.cell, x=[0, 1], y=[0.5])
    sweeps.grid(cells.cell, y=[0.5, 1.5], x=[1])
    assert calls(cells) == {(0, 0.5): 1, (1, 0.5): 1, (1, 1.5): 1}


def test_another_number_constant_library_or_source_is_another_cell(cells, monkeypatch):
    def computed(**parameters):
        before = sum(calls(cells).values())
        sweeps.grid(cells.cell, **parameters)
        return sum(calls(cells).values()) - before

    assert computed(x=[0], y=0.1 + 0.2) == 1
    assert computed(x=[0], y=0.3) == 1
    assert computed(x=[0], y=0.3, wait=0) == 1
    assert computed(x=[0], y=0.3) == 0
    monkeypatch.setattr(sweeps, "fingerprint", lambda: "another")
    assert computed(x=[0], y=0.3) == 1
    with Path(cells.__file__).open("a") as file:
        file.write("# changed\n")
    assert computed(x=[0], y=0.3) == 1
    assert computed(x=[0], y=0.3) == 0


def spoil_a_digit(file):
    text = file.read_text()
    at = text.index('"sum": ') + len('"sum": ')
    file.write_text(text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :])


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_a_digit,
        lambda file: file.write_text(file.read_text()[:-20]),
        lambda file: file.write_text(""),
        lambda file: file.write_text("[1]\n"),
        lambda file: file.write_text('{"row": 1}\n'),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_text(next(f for f in file.parent.iterdir() if f != file).read_text()),
        lambda file: file.unlink(),
    ],
    ids=["digit", "cut", "empty", "list", "number", "bytes", "another's", "gone"],
)
def test_a_damaged_file_is_computed_again_and_mended(cells, spoil):
    sound = sweeps.grid(cells.cell, x=[4, 5], y=[0.1])
    file = kept(cells)[5, 0.1]
    text = file.read_text()
    spoil(file)
    assert bits(sweeps.grid(cells.cell, x=[4, 5], y=[0.1])) == bits(sound)
    assert calls(cells) == {(4, 0.1): 1, (5, 0.1): 2}
    assert file.read_text() == text


def test_a_memory_that_cannot_be_written_is_one_warning(cells, monkeypatch):
    file = cells.CALLS.parent / "file"
    file.touch()
    monkeypatch.setenv("BILINEAR_CACHE", str(file / "below"))
    with pytest.warns(UserWarning, match="this sweep is not remembered") as told:
        frame = sweeps.grid(cells.cell, **GRID)
    assert len(told) == 1
    assert len(frame) == 8


def test_where_cells_are_remembered(monkeypatch):
    monkeypatch.delenv("BILINEAR_CACHE", raising=False)
    assert sweeps._folder().parts[-2:] == ("transformers-learn-teachers", "sweeps")
    monkeypatch.setenv("BILINEAR_CACHE", "~/cells")
    assert sweeps._folder() == Path.home() / "cells"


SWEEP = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests may ignore it
import swept
from bilinear import sweeps
import joblib
joblib.cpu_count = lambda: {cores}
sweeps.grid(swept.cell, x=range(40), y=[0.1, 0.7], wait=0.05)
"""


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_sweep_that_was_ended_goes_on_where_it_was(cells, sent, cores):
    command = [sys.executable, "-c", SWEEP.format(cores=cores)]
    ended = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    with contextlib.ExitStack() as stack:
        stack.callback(silently, os.killpg, ended.pid, signal.SIGKILL)
        until(lambda: len(list(memory(cells).glob("*.json"))) >= 8)
        if sent == signal.SIGKILL:
            os.killpg(ended.pid, sent)
        else:
            ended.send_signal(sent)
        told = ended.communicate(timeout=60)[1]
    assert ended.returncode == -sent, told
    until(lambda: not alive(ended.pid))
    finished = kept(cells)
    computed = calls(cells)
    assert 8 <= len(finished) < 80
    assert len(computed) - len(finished) <= 2 * cores  # what was under way, or on its way back
    frame = sweeps.grid(cells.cell, x=range(40), y=[0.1, 0.7], wait=0.05)
    assert len(frame) == 80
    again = calls(cells)
    assert all(again[one] == 1 for one in finished)
    assert len(again) == 80


def until(true, seconds=60):
    """Wait for it; a limit against waiting for ever, not a measurement."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def silently(call, *given):
    with contextlib.suppress(ProcessLookupError):
        call(*given)


def alive(group: int) -> bool:
    """Whether a process of the group still runs; one that nobody has waited for yet does not."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


# --- cells that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cores", [1, 2])
def test_a_cell_that_fails_is_named_and_the_others_are_remembered(cells, monkeypatch, cores):
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    with pytest.raises(RuntimeError) as caught:
        sweeps.grid(cells.fails, x=range(3), y=[0.1, 0.7])
    assert str(caught.value) == (
        "2 of 6 cells failed, the others are finished: fails(x=1, y=0.1): FloatingPointError: diverged at 0.1; "
        "fails(x=1, y=0.7): FloatingPointError: diverged at 0.7"
    )
    assert "in fails" in caught.value.__notes__[0]
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    with pytest.raises(RuntimeError, match="2 of 6"):
        sweeps.grid(cells.fails, x=range(3), y=[0.1, 0.7])
    assert calls(cells) == {(x, y): 2 if x == 1 else 1 for x in range(3) for y in (0.1, 0.7)}


def test_of_many_that_fail_a_few_are_named(cells):
    with pytest.raises(RuntimeError) as caught:
        sweeps.grid(cells.fails, x=[1], y=range(5))
    assert str(caught.value).startswith("5 of 5 cells failed")
    assert str(caught.value).endswith("; fails(x=1, y=2): FloatingPointError: diverged at 2; …")


def test_a_cell_that_ends_its_process_is_an_error(cells, two_cores):
    with pytest.raises(RuntimeError, match="a cell ended its process; finished cells are remembered"):
        sweeps.grid(cells.ends, x=range(4), y=range(2))
    assert {(0, 0), (0, 1), (1, 0), (1, 1)} <= kept(cells).keys()


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("text", "result returns must be a number, got 'no'"),
        ("array", r"result returns must be a number, got \[1.0, 2.0\]"),
        ("none", "result returns must be a number, got None"),
        ("nothing", "a result must have at least one number"),
        ("taken", "a name that is no argument's, got 'x'"),
        ("unnamed", "a name that is no argument's, got 1"),
    ],
)
def test_what_is_no_number_is_a_cell_that_fails(cells, what, named):
    with pytest.raises(RuntimeError, match=rf"returns\(x=0, what='{what}'\): \w+: .*{named}"):
        sweeps.grid(cells.returns, x=[0], what=what)


def test_tensors_of_one_number_are_numbers(cells):
    assert sweeps.grid(cells.returns, x=[0], what="tensor").to_dict("list") == {"x": [0], "a": [0.5], "b": [True]}


def test_all_cells_have_the_same_names(cells):
    with pytest.raises(ValueError, match=r"same names in each cell, got a at returns\(x=1, .*and b at returns\(x=0, "):
        sweeps.grid(cells.returns, x=[0, 1], what="other")


# --- refused before any work -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "function", "given", "named"),
    [
        (TypeError, "nameless", {"x": [1]}, "top of a module.*lambda"),
        (TypeError, "outer()", {"x": [1]}, "top of a module.*inner"),
        (TypeError, "Holder.method", {"x": [1]}, "top of a module.*method"),
        (TypeError, "Holder", {}, "top of a module.*Holder"),
        (TypeError, "math.sqrt", {"x": [1]}, "top of a module.*sqrt"),
        (TypeError, "cell", {"x": [1], "z": [2]}, r"cell\(x, y, wait=0.0\) cannot be called so: .*'y'"),
        (TypeError, "cell", {"x": [1], "y": 1, "z": [2]}, "cannot be called so: .*'z'"),
        (ValueError, "cell", {"x": [], "y": [1]}, "x must have at least one value, got none"),
        (
            TypeError,
            "cell",
            {"x": [[1], [1, 2]], "y": 1},
            r"a value of x must be a number, a string or None, got \[1\]",
        ),
        (TypeError, "cell", {"x": [1], "y": {1}}, r"y must be a number, a string or None, got \{1\}"),
        (TypeError, "cell", {"x": [1], "y": torch.ones(2)}, "y must be a number, a string or None, got tensor"),
        (TypeError, "cell", {"x": [1], "y": 1j}, "y must be a number, a string or None, got 1j"),
        (TypeError, "cell", {"x": [1], "y": 1, "scheduler": ["a"]}, "scheduler must be of the class str, got list"),
    ],
)
def test_refused(cells, error, function, given, named):
    with pytest.raises(error, match=named):
        sweeps.grid(eval(function, vars(cells)), **given)
    assert not calls(cells)
    assert not memory(cells).exists()


def test_a_function_of_the_program_itself_is_refused(cells, tmp_path):
    (tmp_path / "main.py").write_text("from bilinear import sweeps\ndef own(x): return x\nsweeps.grid(own, x=[1])\n")
    told = subprocess.run([sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True)
    assert re.search(r"TypeError: function must stand at the top of a module .* got <function own", told.stderr)


def test_the_library_alone_does_without_the_extra():
    extra = ("joblib", "pandas", "tqdm", "threadpoolctl", "distributed")
    code = f"""
import sys
for name in {extra}:
    sys.modules[name] = None  # as if it were not installed
from bilinear import laws, sweeps
for call in (lambda: sweeps.together([int]), lambda: sweeps.grid(laws.theorem_eta, M=1, D=[8])):
    try:
        call()
    except ModuleNotFoundError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    wanted = "bilinear.sweeps needs {}: pip install 'transformers-learn-teachers[sweeps]'\n"
    assert told.stdout == wanted.format("joblib") + wanted.format("pandas"), told.stderr


# --- progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("kind", "disabled", "shown"), [(Terminal, "", 1), (Terminal, "1", 0), (io.StringIO, "", 0)])
def test_progress_is_for_a_terminal(cells, monkeypatch, kind, disabled, shown):
    monkeypatch.setenv("TQDM_DISABLE", disabled)
    monkeypatch.setattr(sys, "stderr", kind())
    sweeps.grid(cells.cell, **GRID)
    told = sys.stderr.getvalue()
    assert ("cell: 100%" in told and "8/8" in told) if shown else told == ""


def test_progress_is_for_a_notebook_too(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(sys, "stderr", type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})())
    assert sweeps._watched()


# --- Dask ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(cells, tmp_path):
    """(address, start a worker → its process) of a scheduler on this machine."""
    started, file = [], tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    common = ["--host", "127.0.0.1", "--no-dashboard"]

    def start(module, *options, **changed):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *common, *options]
        started.append(subprocess.Popen(command, env=os.environ | changed, **quiet))
        return started[-1]

    def worker(**changed):
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path / "room")]
        return start("dask_worker", address, *options, **changed)

    start("dask_scheduler", "--port", "0", "--scheduler-file", str(file))
    until(lambda: file.exists() and file.read_text().strip().endswith("}"))
    address = json.loads(file.read_text())["address"]
    yield address, worker
    for process in started:
        process.kill()
        process.wait()


def until_workers(address, count):
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_cluster_loses_a_worker_and_nothing_else(cells, cluster, monkeypatch):
    address, worker = cluster
    with pytest.raises(RuntimeError, match=f"the scheduler {address} has no workers"):
        sweeps.grid(cells.cell, scheduler=address, **GRID)
    first, _ = worker(), worker()
    until_workers(address, 2)
    at_the_loss = {}

    def kill():
        until(lambda: len(list(memory(cells).glob("*.json"))) >= 6)
        first.kill()
        first.wait()
        at_the_loss.update(kept(cells))

    killer = threading.Thread(target=kill)
    killer.start()
    beside = sweeps.grid(cells.cell, scheduler=address, x=range(20), y=[0.1, 0.7], wait=0.1)
    killer.join()
    assert 6 <= len(at_the_loss) < 40
    computed = calls(cells)
    assert all(computed[one] == 1 for one in at_the_loss)
    assert len(computed) == 40
    monkeypatch.setenv("BILINEAR_CACHE", str(memory(cells) / "another"))
    assert bits(sweeps.grid(cells.cell, x=range(20), y=[0.1, 0.7], wait=0)) == bits(beside)


def test_a_cluster_tells_what_failed_and_refuses_another_library(cells, cluster, tmp_path):
    address, worker = cluster
    worker()
    until_workers(address, 1)
    with pytest.raises(RuntimeError, match=r"1 of 2 cells failed.*fails\(x=1, y=0.1\): FloatingPointError: diverged"):
        sweeps.grid(cells.fails, scheduler=address, x=[0, 1], y=0.1)
    assert kept(cells).keys() == {(0, 0.1)}
    subprocess.run(["cp", "-r", str(LIBRARY), str(tmp_path / "other")], check=True)
    with (tmp_path / "other" / "bilinear" / "floors.py").open("a") as file:
        file.write("\nANOTHER = 1\n")
    worker(PYTHONPATH=f"{tmp_path}{os.pathsep}{tmp_path / 'other'}")
    until_workers(address, 2)
    before = calls(cells)
    with pytest.raises(RuntimeError, match=r"the worker tcp://127.0.0.1:\d+ has another library: \w+ \w+, not \w+ \w+"):
        sweeps.grid(cells.cell, scheduler=address, x=[0], y=[0.5])
    assert calls(cells) == before


def test_a_worker_that_comes_late_with_another_library_is_refused_too(cells):
    place, other = "swept:product", "0" * 16
    _, row, fault = sweeps._attempt(place, other, 0, {"x": 1, "y": 2})
    assert row is None
    assert re.fullmatch(rf"RuntimeError: this worker has another library: \w+ \w+, not {other}", fault[0])


def test_a_scheduler_that_is_not_there_is_an_error(cells, monkeypatch):
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        sweeps.grid(cells.cell, scheduler="tcp://127.0.0.1:9", **GRID)
    assert not calls(cells)
    assert math.isnan(sweeps.grid(cells.cell, **GRID).odd[0])
