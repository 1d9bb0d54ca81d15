"""Many runs at once: side by side, or over a grid of parameters that remembers what is finished.

`together`   calls without arguments, in threads
`grid`       a function over a grid of its parameters: processes, or a Dask cluster; a data frame

Both give the same bits on any number of cores. The variable LOKY_MAX_CPU_COUNT says how many of them may be taken; with
one, everything runs in line. Both need the extra `sweeps`; the rest of the library does without it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import itertools
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
import torch

from . import checks, fingerprint

if TYPE_CHECKING:
    import pandas

NAMED = 3  # failed cells that an error names


def together(calls: Iterable[Callable]) -> list:
    """What calls without arguments return, in their order. They run side by side, in threads, on all cores.

    For runs whose loop leaves the interpreter to others. Each draws from its own generator, so the bits are those of
    one by one. Meanwhile torch has one thread in the whole process. An error of a call is raised as it is, once the
    calls under way have ended.

    >>> from functools import partial
    >>> together([partial(pow, 2, n) for n in range(4)])
    [1, 2, 4, 8]
    """
    with _the_extra():
        import joblib
    calls = checks.collection("calls", calls)
    for call in calls:
        if not callable(call):
            raise TypeError(f"calls must be functions without arguments, such as partial(f, 1), got {call!r}")
    with _one_torch_thread():
        if (cores := min(joblib.cpu_count(), len(calls))) <= 1:
            return [call() for call in calls]
        with ThreadPoolExecutor(cores) as pool:
            return list(pool.map(lambda call: call(), calls))


def grid(function: Callable, /, *, scheduler: str | None = None, **parameters) -> pandas.DataFrame:
    """`function` over the grid of its parameters: one row a cell, the axes first; the last axis runs fastest.

    A list, tuple, range or 1-dimensional array is an axis. A number, string or None is given to every cell, and is no
    column. `function` returns a number, which gets the function's name, or a dict of numbers by name. It must be found
    by other processes: a function at the top of a module that is a file, not of a notebook.
    Cells run in processes of one thread each, on all cores, or on the workers of a Dask `scheduler`, such as
    "tcp://10.0.0.1:8786". Workers must have the same library. One that is lost costs what it was at; the others do it
    again, or wait for a worker.
    Finished cells are kept as small files in the user's cache, or in the folder BILINEAR_CACHE, keyed by function,
    arguments and `bilinear.fingerprint()`; outside the library also by the source of the function's own module, and of
    no other. So a sweep that was ended goes on where it was. Old files may be deleted at any time.
    Raises TypeError and ValueError for bad arguments before any work. Cells that fail let the others finish, and are
    then named in one RuntimeError.

    >>> from bilinear.laws import theorem_eta
    >>> grid(theorem_eta, D=[4, 16], M=[1, 2])  # doctest: +SKIP
        D  M  theorem_eta
    0   4  1     0.031250
    1   4  2     0.015625
    2  16  1     0.000977
    3  16  2     0.000488
    """
    with _the_extra():
        import pandas
        from tqdm import tqdm
    place = _place(function)
    axes, cells = _cells(function, parameters)
    if scheduler is not None:
        checks.instance("scheduler", scheduler, str)
    version = _version(place)
    known = [{"function": place, "version": version, "arguments": dict(sorted(cell.items()))} for cell in cells]
    files = [_folder() / f"{_hash(json.dumps(one))}.json" for one in known]
    rows = [_recall(file, one) for file, one in zip(files, known, strict=True)]
    missing = {i: cell for i, cell in enumerate(cells) if rows[i] is None}
    faults, writable = {}, True
    attempts = _in_processes(place, version, missing)
    if scheduler is not None:
        attempts = _on_dask(scheduler, place, version, missing)
    bar = tqdm(total=len(cells), initial=len(cells) - len(missing), desc=function.__name__, disable=not _watched())
    with bar, closing(attempts):
        for i, row, fault in attempts if missing else ():
            rows[i] = row
            if fault:
                faults[i] = fault
            elif writable:
                try:
                    _keep(files[i], known[i], row)
                except OSError as error:
                    writable = False
                    warnings.warn(f"this sweep is not remembered: {error}", stacklevel=2)
            bar.update()
    if faults:
        raise _failure(place, cells, faults)
    for cell, row in zip(cells, rows, strict=True):
        if row.keys() != rows[0].keys():
            told = f"{', '.join(row)} at {_call(place, cell)} and {', '.join(rows[0])} at {_call(place, cells[0])}"
            raise ValueError(f"function must return the same names in each cell, got {told}")
    return pandas.DataFrame([{name: cell[name] for name in axes} | row for cell, row in zip(cells, rows, strict=True)])


# --- what is asked ---------------------------------------------------------------------------------------------------


def _place(function) -> str:
    """module:name of a function that another process finds there."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    home = sys.modules.get(module)
    if (
        not inspect.isfunction(function)
        or module == "__main__"
        or getattr(home, name, None) is not function
        or not getattr(home, "__file__", None)
    ):
        raise TypeError(
            f"function must stand at the top of a module that other processes can import, such as one of bilinear; "
            f"a lambda, a method, a function inside another or one of a notebook does not; got {function!r}"
        )
    return f"{module}:{name}"


def _cells(function, parameters: dict) -> tuple[list[str], list[dict]]:
    """The names of the axes and the arguments of every cell, as plain numbers."""
    lists, axes = {}, []
    for name, value in parameters.items():
        if isinstance(value, list | tuple | range) or (isinstance(value, np.ndarray) and value.ndim):
            if not len(value):
                raise ValueError(f"{name} must have at least one value, got none")
            axes.append(name)
            lists[name] = [_plain(f"a value of {name}", one, str | None) for one in value]
        else:
            lists[name] = [_plain(name, value, str | None)]
    cells = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    signature = inspect.signature(function)
    try:
        signature.bind(**cells[0])
    except TypeError as error:
        raise TypeError(f"{function.__name__}{signature} cannot be called so: {error}") from None
    return axes, cells


def _plain(name: str, value, others=()):
    """`value` as Python's own number, or as one of the `others` that are allowed too."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray | torch.Tensor) and not value.ndim):
        value = value.item()
    if not isinstance(value, bool | int | float) and not (others and isinstance(value, others)):
        raise TypeError(f"{name} must be a number{', a string or None' if others else ''}, got {value!r}")
    return value


# --- one cell --------------------------------------------------------------------------------------------------------


def _attempt(place: str, version: str, i: int, cell: dict) -> tuple[int, dict | None, tuple[str, str] | None]:
    """(i, row, None), or (i, None, fault): what is wrong in a line, and where."""
    try:
        if (here := _version(place)) != version:
            raise RuntimeError(f"this worker has another library: {here}, not {version}")
        found = _function(place)(**cell)
        if not isinstance(found, Mapping):
            found = {place.partition(":")[2]: found}
        row = {}
        for key, value in found.items():
            if not isinstance(key, str) or key in cell:
                raise ValueError(f"a result must have a name that is no argument's, got {key!r}")
            row[key] = _plain(f"result {key}", value)
        if not row:
            raise ValueError("a result must have at least one number, got none")
        return i, row, None
    except Exception as error:
        return i, None, (f"{type(error).__name__}: {error}", traceback.format_exc())


def _in_worker(place: str, version: str, i: int, cell: dict):
    """An attempt in a process made for it, which keeps to one core for good: other cells may run beside it."""
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"
    _one_blas_thread(place)
    torch.set_num_threads(1)
    return _attempt(place, version, i, cell)


@functools.cache
def _one_blas_thread(place: str) -> None:
    from threadpoolctl import threadpool_limits

    with suppress(Exception):  # first what it imports, since only what is loaded is limited; an attempt tells the error
        _function(place)
    threadpool_limits(1)


def _function(place: str) -> Callable:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _version(place: str) -> str:
    """What a cell's number depends on besides its arguments."""
    module = place.partition(":")[0]
    if module.partition(".")[0] == __package__:
        return fingerprint()
    return f"{fingerprint()} {_hash(Path(importlib.import_module(module).__file__).read_text(encoding='utf-8'))}"


def _call(place: str, cell: dict) -> str:
    return f"{place.partition(':')[2]}({', '.join(f'{name}={value!r}' for name, value in cell.items())})"


def _failure(place: str, cells: list[dict], faults: dict[int, tuple[str, str]]) -> RuntimeError:
    told = [f"{_call(place, cells[i])}: {faults[i][0]}" for i in sorted(faults)[:NAMED]]
    if len(faults) > NAMED:
        told.append("…")
    error = RuntimeError(f"{len(faults)} of {len(cells)} cells failed, the others are finished: {'; '.join(told)}")
    error.add_note(faults[min(faults)][1])
    return error


# --- where cells run -------------------------------------------------------------------------------------------------


def _in_processes(place: str, version: str, cells: dict[int, dict]) -> Iterator:
    """The attempts as they finish: in processes on all cores, in line where there is one core or one cell."""
    with _the_extra():
        import joblib
        from joblib.externals.loky import get_reusable_executor
        from threadpoolctl import threadpool_limits
    cores = min(joblib.cpu_count(), len(cells))
    if cores == 1:
        with threadpool_limits(1), _one_torch_thread():
            for i, cell in cells.items():
                yield _attempt(place, version, i, cell)
        return
    try:
        with joblib.parallel_config("loky", inner_max_num_threads=1):
            jobs = joblib.Parallel(n_jobs=cores, batch_size=1, return_as="generator_unordered")
            attempts = jobs(joblib.delayed(_in_worker)(place, version, i, cell) for i, cell in cells.items())
        with closing(attempts):
            yield from attempts
    except BrokenProcessPool as error:
        raise RuntimeError(f"a cell ended its process; finished cells are remembered. {error}") from None
    finally:
        get_reusable_executor().shutdown()  # one that stays would go on with modules as they were


def _on_dask(scheduler: str, place: str, version: str, cells: dict[int, dict]) -> Iterator:
    """The attempts as they finish on the workers of a Dask scheduler, which gives a lost worker's to the others."""
    with _the_extra():
        from distributed import Client, as_completed
    with Client(scheduler, timeout=10, set_as_default=False) as client:
        workers = client.run(_version, place, on_error="return")
        if not workers:
            raise RuntimeError(f"the scheduler {scheduler} has no workers")
        for worker, here in workers.items():
            if here != version and not isinstance(here, OSError):  # an OSError is a worker that is just lost
                raise RuntimeError(f"the worker {worker} has another library: {here}, not {version}")
        jobs = client.map(functools.partial(_in_worker, place, version), list(cells), list(cells.values()), pure=False)
        indices = dict(zip(jobs, cells, strict=True))
        del jobs  # a future that is dropped is forgotten by the scheduler
        for future, found in as_completed(indices, loop=client.loop, with_results=True, raise_errors=False):
            i = indices.pop(future)
            if future.status == "cancelled":
                raise RuntimeError(f"the scheduler {scheduler} is lost; finished cells are remembered")
            yield found if future.status == "finished" else (i, None, (str(future.exception()), ""))


@contextmanager
def _one_torch_thread():
    """One thread for torch: more would change the order of sums, and small tensors are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _the_extra():
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"bilinear.sweeps needs {error.name}: pip install 'transformers-learn-teachers[sweeps]'"
        ) from None


def _watched() -> bool:
    """Whether someone looks at a progress bar: in a terminal or a notebook, unless TQDM_DISABLE is set."""
    in_notebook = type(sys.stderr).__module__.startswith("ipykernel.")
    return (sys.stderr.isatty() or in_notebook) and not os.environ.get("TQDM_DISABLE")


# --- what is remembered ----------------------------------------------------------------------------------------------


def _folder() -> Path:
    if chosen := os.environ.get("BILINEAR_CACHE"):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("transformers-learn-teachers") / "sweeps"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _text(of: dict, row: dict) -> str:
    """A cell's file: which cell, its row, and a checksum of both. JSON as Python writes it, which keeps NaN and inf."""
    return json.dumps({"of": of, "row": row, "checksum": _hash(json.dumps([of, row]))}) + "\n"


def _recall(file: Path, of: dict) -> dict | None:
    """The row that a file keeps; None unless it is, letter by letter, what would have been written."""
    try:
        text = file.read_text(encoding="utf-8")
        row = json.loads(text)["row"]
        return row if text == _text(of, row) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, of: dict, row: dict) -> None:
    """Write a cell's file whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".part", delete=False, encoding="utf-8") as part:
        part.write(_text(of, row))
    os.replace(part.name, file)
