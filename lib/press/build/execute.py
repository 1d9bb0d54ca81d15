"""Chapters executed by papermill, side by side, each in a process of its own; a notebook is put in place whole."""

import ast
import difflib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

import nbformat
import psutil
import yaml
from filelock import FileLock, Timeout
from joblib import cpu_count
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from press import ROOT, settings
from press.build.chapters import BUILD, Chapter, checked, find, parameters, records
from press.build.faults import call_faults, ledger_faults
from press.build.staleness import is_current, key, versions


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
    return list(dict.fromkeys(found))


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
    chapters = chapters or [chapter for chapter in find() if not is_current(chapter)]
    refuse(call_faults(chapters) + ledger_faults(chapters, whole=False))
    with lock():
        if not run(chapters, changed):
            raise SystemExit(1)
    for chapter in chapters:
        print(chapter.path("runs" if changed else "executed").relative_to(ROOT))


@contextmanager
def lock():
    """Keep a second build out while one is running."""
    BUILD.mkdir(exist_ok=True)
    try:
        with FileLock(BUILD / ".lock", blocking=False):
            shutil.rmtree(BUILD / "partial", ignore_errors=True)
            yield
    except Timeout:
        raise SystemExit("press: another build of this book is running; wait for it to end") from None


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
    os.environ.update(settings.ENVIRONMENT)
    import papermill

    room = BUILD / "partial" / chapter.name
    room.mkdir(parents=True)
    kept = {"hash": key(chapter), "versions": versions()}
    notebook = chapter.notebook()
    lines = notebook.metadata["source_map"]
    nbformat.write(notebook, room / "in.ipynb")
    began, error = time.monotonic(), None
    try:
        options = {"progress_bar": False, "cwd": room}
        papermill.execute_notebook(room / "in.ipynb", room / "out.ipynb", changed, **settings.PAPERMILL, **options)
    except papermill.PapermillExecutionError as failed:
        tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
        injected = bool(changed) and failed.cell_index > tagged[0]  # one cell more, after the parameters
        line = lines[failed.cell_index - injected]
        error = f"cell [{failed.exec_count}] at line {line}: {failed.ename}: {failed.evalue}"
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed}"
    kept["seconds"] = round(time.monotonic() - began, 1)

    notebook = nbformat.read(room / ("out.ipynb" if (room / "out.ipynb").exists() else "in.ipynb"), as_version=4)
    found = records(notebook)
    if not error and (left_out := _left_out(chapter, found)):
        error = f"claims in the text that were not checked: {', '.join(left_out)}"
    for part in [notebook, *notebook.cells]:
        for name in settings.STRIPPED:
            part.metadata.pop(name, None)
    notebook.metadata["press"] = kept
    nbformat.write(notebook, room / "done.ipynb")
    target = chapter.path("failed" if error else "runs" if changed else "executed")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(room / "done.ipynb", target)
    if not error and not changed:
        chapter.path("failed").unlink(missing_ok=True)
    shutil.rmtree(room)
    outcome.send((error, kept["seconds"], found))


def _left_out(chapter: Chapter, found: list[dict]) -> list[str]:
    """Claims of the chapter's text that its run neither checked nor gave a reason for."""
    done = {record["id"] for record in found}
    return [claim for _, claim in checked(chapter) if claim not in done]


def longest_first(chapters: list[Chapter]) -> list[Chapter]:
    """In the order of their last good runs' seconds; a chapter that has none may be the longest."""
    return sorted(chapters, key=lambda chapter: chapter.kept().get("seconds") or float("inf"), reverse=True)


def run(chapters: list[Chapter], changed: dict | None = None) -> bool:
    """Execute the chapters, longest first, and tell how each ended; True where all of them succeeded."""
    context, console = multiprocessing.get_context("spawn"), Console(highlight=False)
    waiting, running, done = longest_first(chapters), {}, {}
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {c: bars.add_task(c.name, total=c.kept().get("seconds"), state="waiting") for c in waiting}
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
                        done[chapter] = "its process ended before the chapter did", "", []
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
    return not any(error for error, _, _ in done.values())


def _tell(console: Console, done: dict[Chapter, tuple]) -> None:
    """The closing table, and below it what failed: chapter, cell and error."""
    table = Table("chapter", "state", "seconds", "claims", box=None, header_style="bold")
    for chapter, (error, seconds, found) in sorted(done.items(), key=lambda item: item[0].name):
        passed = sum(record["verdict"] != "missed" for record in found)
        table.add_row(chapter.name, "[red]failed[/]" if error else "done", str(seconds), f"{passed}/{len(found)}")
    if done:
        console.print(table)
    for chapter, (error, _, _) in done.items():
        if error:
            console.print(f"\n{chapter.place}: {error}", markup=False, soft_wrap=True)
            if chapter.path("failed").exists():
                console.print(f"the notebook as far as it ran: _build/failed/{chapter.name}.ipynb", markup=False)
