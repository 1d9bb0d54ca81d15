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
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

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
from press.build.staleness import data, is_current, key, named_by_the_book, resolve, versions

CONSOLE = Console(highlight=False)
Outcome = tuple[str | None, float | str, list[dict]]  # the error, the seconds, the records of claims


@dataclass(frozen=True, eq=False)
class Job:
    """A run of a chapter with changed parameters: its notebook goes to `target`, or to `failed`."""

    chapter: Chapter
    changed: dict
    target: Path
    failed: Path

    @property
    def told(self) -> str:
        """The changed parameters in print: " seed=3"; nothing where there are none."""
        return "".join(f" {name}={value}" for name, value in self.changed.items())

    @property
    def name(self) -> str:
        return self.chapter.name + self.told


def jobs(chapters: list[Chapter], changed: dict | None = None) -> list[Job]:
    """The chapters once each, as they are into _build/executed, with changed parameters into _build/runs."""
    folder = "runs" if changed else "executed"
    return [Job(chapter, changed or {}, chapter.path(folder), chapter.path("failed")) for chapter in chapters]


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
    wanted = jobs(chapters, changed)
    with lock():
        if not tell(run(wanted)):
            raise SystemExit(1)
    for job in wanted:
        print(job.target.relative_to(ROOT))


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


def _execute(job: Job, outcome: Connection) -> None:
    """Run one chapter and send what came of it."""
    chapter = job.chapter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # the kernel's notes about its sockets
    os.environ.update(settings.ENVIRONMENT)
    import papermill

    room = BUILD / "partial" / job.target.relative_to(BUILD).with_suffix("")
    room.mkdir(parents=True)
    kept = {"hash": key(chapter), "versions": versions()}
    notebook = chapter.notebook()
    lines = notebook.metadata["source_map"]
    nbformat.write(notebook, room / "in.ipynb")
    began, error = time.monotonic(), None
    try:
        options = {"progress_bar": False, "cwd": room}
        papermill.execute_notebook(room / "in.ipynb", room / "out.ipynb", job.changed, **settings.PAPERMILL, **options)
    except papermill.PapermillExecutionError as failed:
        tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
        injected = bool(job.changed) and failed.cell_index > tagged[0]  # one cell more, after the parameters
        line = lines[failed.cell_index - injected]
        error = f"cell [{failed.exec_count}] at line {line}: {failed.ename}: {failed.evalue}"
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed}"
    kept["seconds"] = round(time.monotonic() - began, 1)

    notebook = nbformat.read(room / ("out.ipynb" if (room / "out.ipynb").exists() else "in.ipynb"), as_version=4)
    found = records(notebook)
    if not error and (missing := left_out(chapter, found)):
        error = f"claims in the text that were not checked: {', '.join(missing)}"
    for part in [notebook, *notebook.cells]:
        for name in settings.STRIPPED:
            part.metadata.pop(name, None)
    notebook.metadata["press"] = kept | ({"error": error} if error else {})
    nbformat.write(notebook, room / "done.ipynb")
    target = job.failed if error else job.target
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(room / "done.ipynb", target)
    if not error and not job.changed:
        job.failed.unlink(missing_ok=True)
    shutil.rmtree(room)
    outcome.send((error, kept["seconds"], found))


def left_out(chapter: Chapter, found: list[dict]) -> list[str]:
    """Claims of the chapter's text that its run neither checked nor gave a reason for."""
    done = {record["id"] for record in found}
    return [claim for _, claim in checked(chapter) if claim not in done]


def longest_first(jobs: list[Job]) -> list[Job]:
    """In the order of their chapters' seconds at the last good run; a chapter that has none may be the longest."""
    return sorted(jobs, key=lambda job: job.chapter.kept().get("seconds") or float("inf"), reverse=True)


def run(jobs: list[Job]) -> dict[Job, Outcome]:
    """Do the jobs, as many at once as there are cores, longest first: what came of each."""
    for job in jobs:
        data(job.chapter)  # what it refuses is told before any chapter runs
    if jobs and (named := named_by_the_book().get("prepare")):
        resolve(named, "pyproject.toml: [tool.press] prepare")
    context, waiting, running, done = multiprocessing.get_context("spawn"), longest_first(jobs), {}, {}
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("running {task.completed:.0f} s")
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as bars:
        try:
            while waiting or running:
                while waiting and len(running) < cpu_count():
                    job = waiting.pop(0)
                    receiver, sender = context.Pipe(duplex=False)
                    process = context.Process(target=_execute, args=(job, sender))
                    process.start()
                    sender.close()
                    bar = bars.add_task(job.name, total=job.chapter.kept().get("seconds"))
                    running[job] = process, receiver, time.monotonic(), bar
                    if not CONSOLE.is_terminal:
                        CONSOLE.print(f"running {job.name}", markup=False)
                wait([receiver for _, receiver, _, _ in running.values()], timeout=0.2)
                for job, (process, receiver, began, bar) in list(running.items()):
                    elapsed = time.monotonic() - began
                    if not receiver.poll():
                        bars.update(bar, completed=elapsed)
                        continue
                    try:
                        done[job] = receiver.recv()
                    except EOFError:
                        done[job] = "its process ended before the chapter did", "", []
                    process.join()
                    del running[job]
                    bars.remove_task(bar)
                    state = "failed" if done[job][0] else "done"
                    CONSOLE.print(f"{state} {job.name} after {elapsed:.1f} s", markup=False)
        except KeyboardInterrupt:
            _end_children()
            raise KeyboardInterrupt(f"{len(done)} of {len(jobs)} runs had ended; they are kept") from None
    return done


def tell(done: dict[Job, Outcome]) -> bool:
    """The closing table, and below it what failed; True where nothing did."""
    table = Table("chapter", "state", "seconds", "claims", box=None, header_style="bold")
    for job, (error, seconds, found) in sorted(done.items(), key=lambda item: item[0].name):
        passed = sum(record["verdict"] != "missed" for record in found)
        table.add_row(job.chapter.name, "[red]failed[/]" if error else "done", str(seconds), f"{passed}/{len(found)}")
    if done:
        CONSOLE.print(table)
    errors = {job: error for job, (error, _, _) in done.items() if error}
    tell_errors(errors)
    return not errors


def tell_errors(errors: dict[Job, str]) -> None:
    """What failed, each with chapter, cell, error and notebook."""
    for job, error in errors.items():
        CONSOLE.print(f"\n{job.chapter.place}{job.told}: {error}", markup=False, soft_wrap=True)
        if job.failed.exists():
            CONSOLE.print(
                f"the notebook as far as it ran: {job.failed.relative_to(ROOT)}", markup=False, soft_wrap=True
            )
