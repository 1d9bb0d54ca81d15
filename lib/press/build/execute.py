"""Chapters executed by papermill, side by side, each in a process of its own; a notebook is put in place whole."""

import ast
import difflib
import fcntl
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

import psutil
import yaml
from joblib import cpu_count
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from press import ROOT
from press.build.chapters import BUILD, Chapter, call_faults, checked, digest, find, ledger_faults, parameters, versions

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def refuse(faults: list[str]) -> None:
    if faults:
        raise SystemExit("\n".join(faults))


def chosen(names: list[str]) -> list[Chapter]:
    """The chapters that the names mean: `convolution`, `paper/convolution` or `book/paper/convolution.md`."""
    chapters, found = {chapter.name: chapter for chapter in find()}, []
    for name in names:
        short = name.removeprefix("./").removeprefix("book/").removesuffix(".md")
        matches = [chapter for known, chapter in chapters.items() if f"/{known}".endswith(f"/{short}")]
        if len(matches) != 1:
            close = difflib.get_close_matches(short, [*chapters, *(known.split("/")[-1] for known in chapters)])
            raise SystemExit(f"press: '{name}' names {len(matches)} chapters; choose: {', '.join(close or chapters)}")
        found += matches
    return found


def changes(chapters: list[Chapter], given: list[str]) -> dict:
    """The changed parameters, each value a Python literal or else YAML; names that a chapter lacks are refused."""
    changed = {}
    for setting in given:
        name, equals, text = setting.partition("=")
        if not (equals and chapters):
            raise SystemExit(f"press: -p {setting}: give name=value, and the chapter that it is for")
        for chapter in chapters:
            if name not in (known := parameters(chapter)):
                allowed = ", ".join(known) or "none"
                raise SystemExit(f"press: {chapter.name} has no parameter '{name}'; it has: {allowed}")
        try:
            changed[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            changed[name] = yaml.safe_load(text)
    return changed


def run_chapters(names: list[str], given: list[str]) -> None:
    """Execute the chapters that are named, or the stale ones; with changed parameters into _build/runs."""
    chapters = chosen(names)
    changed = changes(chapters, given)
    chapters = chapters or [chapter for chapter in find() if not chapter.is_current()]
    refuse(call_faults(chapters) + ledger_faults(chapters, whole=False))
    with lock():
        if not run(chapters, changed):
            raise SystemExit(1)
    for chapter in chapters:
        print(chapter.notebook("runs" if changed else "executed").relative_to(ROOT))


@contextmanager
def lock():
    """Keep a second build out while one is running."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit("press: another build of this book is running; wait for it to end") from None
        shutil.rmtree(BUILD / "partial", ignore_errors=True)
        yield


def _end_children() -> None:
    """End every process below this one; a busy kernel does not notice by itself that its parent is gone."""
    for process in psutil.Process().children(recursive=True):
        process.kill()


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    _end_children()
    os._exit(1)


def _execute(chapter: Chapter, changed: dict, outcome: Connection) -> None:
    """Run one chapter and send what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # the kernel's notes about its sockets
    os.environ.update(ONE_THREAD, PYTHONHASHSEED="0")
    import nbformat
    import papermill
    from jupytext.myst import myst_to_notebook

    room = BUILD / "partial" / chapter.name
    room.mkdir(parents=True)
    kept = {"hash": digest(chapter), "versions": versions()}
    notebook = myst_to_notebook(chapter.text, add_source_map=True)
    lines = notebook.metadata["source_map"]
    nbformat.write(notebook, room / "in.ipynb")
    began, error = time.monotonic(), None
    try:
        options = {"kernel_name": "python3", "progress_bar": False, "coalesce_streams": True, "cwd": room}
        papermill.execute_notebook(room / "in.ipynb", room / "out.ipynb", changed, **options)
    except papermill.PapermillExecutionError as failed:
        line = lines[failed.cell_index - bool(changed)]  # one cell more where parameters are injected
        error = f"cell [{failed.exec_count}] at line {line}: {failed.ename}: {failed.evalue}"
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed}"
    kept["seconds"] = round(time.monotonic() - began, 1)

    notebook = nbformat.read(room / ("out.ipynb" if (room / "out.ipynb").exists() else "in.ipynb"), as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kept["claims"] = [output.metadata["claim"] for output in outputs if "claim" in output.get("metadata", {})]
    if not error and (left_out := _left_out(chapter, kept["claims"])):
        error = f"claims in the text that were not checked: {', '.join(left_out)}"
    for number, cell in enumerate(notebook.cells):  # nothing that differs from run to run
        cell["id"] = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["press"] = kept
    nbformat.write(notebook, room / "done.ipynb")
    target = chapter.notebook("failed" if error else "runs" if changed else "executed")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(room / "done.ipynb", target)
    if not error and not changed:
        chapter.notebook("failed").unlink(missing_ok=True)
    shutil.rmtree(room)
    outcome.send((error, kept))


def _left_out(chapter: Chapter, records: list[dict]) -> list[str]:
    """Claims of the chapter's text that its run neither checked nor gave a reason for."""
    done = {record["id"] for record in records}
    return [claim for _, claim in checked(chapter) if claim not in done]


def run(chapters: list[Chapter], changed: dict | None = None) -> bool:
    """Execute the chapters, longest first, and tell how each ended; True where all of them succeeded."""
    context, console = multiprocessing.get_context("spawn"), Console(highlight=False)
    expected = {chapter: chapter.kept().get("seconds") for chapter in chapters}
    waiting = sorted(chapters, key=lambda chapter: expected[chapter] or float("inf"), reverse=True)
    running, done = {}, {}
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {c: bars.add_task(c.name, total=expected[c] or None, state="waiting") for c in waiting}
        try:
            while waiting or running:
                while waiting and len(running) < cpu_count():
                    chapter = waiting.pop(0)
                    receiver, sender = context.Pipe(duplex=False)
                    process = context.Process(target=_execute, args=(chapter, changed or {}, sender))
                    process.start()
                    sender.close()
                    running[chapter] = process, receiver, time.monotonic()
                    if not console.is_terminal:
                        console.print(f"running {chapter.name}")
                wait([receiver for _, receiver, _ in running.values()], timeout=0.2)
                for chapter, (process, receiver, began) in list(running.items()):
                    elapsed = time.monotonic() - began
                    if not receiver.poll():
                        bars.update(tasks[chapter], completed=elapsed, state=f"running {elapsed:.0f} s")
                        continue
                    try:
                        done[chapter] = receiver.recv()
                    except EOFError:
                        done[chapter] = "its process ended before the chapter did", {}
                    process.join()
                    del running[chapter]
                    state = "failed" if done[chapter][0] else "done"
                    bars.update(tasks[chapter], total=1, completed=1, state=f"{state} {elapsed:.0f} s")
                    if not console.is_terminal:
                        console.print(f"{state} {chapter.name} after {elapsed:.1f} s")
        except KeyboardInterrupt:
            _end_children()
            ended = len(done)
            raise KeyboardInterrupt(f"{ended} of {len(chapters)} chapters had ended; they are kept") from None
    _tell(console, done)
    return not any(error for error, _ in done.values())


def _tell(console: Console, done: dict[Chapter, tuple[str | None, dict]]) -> None:
    """The closing table, and below it what failed: chapter, cell and error."""
    table = Table("chapter", "state", "seconds", "claims", box=None, header_style="bold")
    for chapter, (error, kept) in sorted(done.items(), key=lambda item: item[0].name):
        records = kept.get("claims", [])
        passed = sum(record["verdict"] != "missed" for record in records)
        state = "[red]failed[/]" if error else "done"
        table.add_row(chapter.name, state, str(kept.get("seconds", "")), f"{passed}/{len(records)}")
    if done:
        console.print(table)
    for chapter, (error, _) in done.items():
        if error:
            console.print(f"\nbook/{chapter.name}.md: {error}", markup=False, soft_wrap=True)
            if chapter.notebook("failed").exists():
                console.print(f"the notebook as far as it ran: _build/failed/{chapter.name}.ipynb", markup=False)
