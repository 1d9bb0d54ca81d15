"""Chapters executed side by side, each in a process and a kernel of its own; a notebook is put in place whole."""

import ast
import difflib
import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

import nbformat
import psutil
from filelock import FileLock, Timeout
from joblib import cpu_count
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from press import ROOT, settings
from press.build.chapters import BUILD, Chapter, checked, find, parameters, records, seal
from press.build.faults import call_faults, folder_faults, ledger_faults
from press.build.staleness import data, is_current, key, named_by_the_book, parts, resolve

CONSOLE = Console(highlight=False)
FONTS = BUILD / "fonts"  # what matplotlib found out about the fonts of this machine
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


def jobs(chapters: list[Chapter], given: list[str] = ()) -> list[Job]:
    """The chapters once each, as they are into _build/executed, with changed parameters into _build/runs."""
    folder = "runs" if given else "executed"
    return [Job(chapter, changes(chapter, given), chapter.path(folder), chapter.path("failed")) for chapter in chapters]


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


def changes(chapter: Chapter, given: list[str]) -> dict:
    """The parameters changed by `name=value`, each of the kind of its default; a SystemExit names what is not."""
    known, changed = parameters(chapter), {}
    for setting in given:
        name, equals, text = setting.partition("=")
        if not equals:
            raise SystemExit(f"press: -p {setting}: give name=value")
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise SystemExit(f"press: {chapter.name} has no parameter '{name}'; it has: {allowed}")
        if name in changed:
            raise SystemExit(f"press: -p {setting}: {name} is given twice")
        try:
            changed[name] = of_kind(known[name], text)
        except (ValueError, SyntaxError, OverflowError, MemoryError, RecursionError):
            default = repr(known[name])
            kind = f"{'an' if type(known[name]) is int else 'a'} {type(known[name]).__name__} such as {default}"
            raise SystemExit(f"press: -p {' '.join(setting.split())}: {name} in {chapter.name} is {kind}") from None
    return changed


def of_kind(default, text: str):
    """The value that a text means where `default` stands: a Python literal of its kind; for a string, the text itself.

    A ValueError or SyntaxError where it is of another kind, empty, or not finite.
    """
    if not text.strip():
        raise ValueError
    if isinstance(default, str):
        return ast.literal_eval(text) if text[0] in "'\"" else text
    return like(default, ast.literal_eval(text.strip()))


def like(default, value):
    """`value`, if it is of the kind of `default`: integers pass as floats, a list or tuple has items of its kind."""
    if isinstance(default, float) and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if default is ... or default is None:  # a default that is computed, or none
        return value
    if type(value) is not type(default) or isinstance(default, float):
        raise ValueError
    if isinstance(default, list | tuple) and default:
        item = next((item for item in default if isinstance(item, float)), default[0])
        return type(default)(like(item, given) for given in value)
    return value


def run_chapters(names: list[str], given: list[str]) -> None:
    """Execute the chapters that are named, or the stale ones; with changed parameters into _build/runs."""
    if given and not names:
        raise SystemExit(f"press: -p {given[0]}: give the chapter that it is for")
    chapters = chosen(names) or [chapter for chapter in find() if not is_current(chapter)]
    wanted = jobs(chapters, given)
    refuse(call_faults(chapters) + ledger_faults(chapters, whole=False))
    with lock():
        if not tell(run(wanted)):
            raise SystemExit(1)
    for job in wanted:
        print(job.target.relative_to(ROOT))


@contextmanager
def lock():
    """Keep a second build out while one is running; what cannot be written to, or is full, is told before the work."""
    refuse(folder_faults())
    BUILD.mkdir(exist_ok=True)
    holder = BUILD / ".holder"
    try:
        with FileLock(BUILD / ".lock", blocking=False):
            command = " ".join(["press", *sys.argv[1:]])
            holder.write_text(f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}: {command}")
            shutil.rmtree(BUILD / "partial", ignore_errors=True)
            yield
    except Timeout:
        who = holder.read_text() if holder.exists() else "it has just begun"
        raise SystemExit(f"press: another build of this book is running ({who}); wait for it to end") from None


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # what nbclient logs is told by the error
    try:
        outcome.send(_executed(job))
    except Exception as failed:  # a full disk, a folder that is not to be written to
        outcome.send((f"{type(failed).__name__}: {failed}", "", []))


def _executed(job: Job) -> Outcome:
    """Run one chapter and put its notebook in place: the error, the seconds, the records of claims."""
    import papermill

    from press.build import kernel

    chapter = job.chapter
    room = BUILD / "partial" / job.target.relative_to(BUILD).with_suffix("")
    room.mkdir(parents=True)
    variables = kernel.environment(room, FONTS, named_by_the_book().get("variables", []))
    os.environ.clear()  # Jupyter's side of the kernel reads some too
    os.environ.update(variables)
    kept = {"hash": key(chapter)} | parts(chapter)
    notebook = chapter.notebook()
    lines = dict(zip((cell.id for cell in notebook.cells), notebook.metadata["source_map"], strict=True))
    nbformat.write(notebook, room / "in.ipynb")
    began, error = time.monotonic(), None
    options = {"engine_name": kernel.ENGINE, "kernel_name": "python3", "progress_bar": False}
    try:
        files = room / "in.ipynb", room / "out.ipynb"
        papermill.execute_notebook(*files, job.changed, **options, room=room, lines=lines, variables=variables)
    except kernel.Ended as ended:
        error = str(ended)
    except papermill.PapermillExecutionError:
        pass  # of a cell that is tagged to raise; any other has ended the run
    kept["seconds"] = round(time.monotonic() - began, 1)
    notebook = nbformat.read(room / "out.ipynb", as_version=4)

    found = records(notebook)
    if not error and (missing := left_out(chapter, found)):
        error = f"claims in the text that were not checked: {', '.join(missing)}"
    for part in [notebook, *notebook.cells]:
        for name in settings.STRIPPED:
            part.metadata.pop(name, None)
    notebook.metadata["press"] = kept | ({"error": error} if error else {})
    notebook.metadata["press"]["seal"] = seal(json.loads(nbformat.writes(notebook)))
    nbformat.write(notebook, room / "done.ipynb")
    target = job.failed if error else job.target
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(room / "done.ipynb", target)
    if not error and not job.changed:
        job.failed.unlink(missing_ok=True)
    shutil.rmtree(room)
    return error, kept["seconds"], found


def left_out(chapter: Chapter, found: list[dict]) -> list[str]:
    """Claims of the chapter's text that its run neither checked nor gave a reason for."""
    done = {record["id"] for record in found}
    return [claim for _, claim in checked(chapter) if claim not in done]


def longest_first(jobs: list[Job]) -> list[Job]:
    """In the order of their chapters' seconds at the last good run; a chapter that has none may be the longest."""
    return sorted(jobs, key=lambda job: job.chapter.kept().get("seconds") or float("inf"), reverse=True)


def run(jobs: list[Job]) -> dict[Job, Outcome]:
    """Do the jobs, as many at once as there are cores, longest first: what came of each."""
    from press.build.kernel import ending, find_fonts  # takes long

    for job in jobs:
        data(job.chapter)  # what it refuses is told before any chapter runs
    if jobs:
        find_fonts(FONTS)
        if named := named_by_the_book().get("prepare"):
            resolve(named, "pyproject.toml: [tool.press] prepare")
    resource_tracker.ensure_running()  # its start would end the block of Ctrl-C below
    context, waiting, running, done = multiprocessing.get_context("spawn"), longest_first(jobs), {}, {}
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("running {task.completed:.0f} s")
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as bars:
        try:
            while waiting or running:
                while waiting and len(running) < cpu_count():
                    job = waiting.pop(0)
                    receiver, sender = context.Pipe(duplex=False)
                    process = context.Process(target=_execute, args=(job, sender))
                    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the child is not to be interrupted
                    process.start()
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
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
                        process.join()
                    except EOFError:
                        process.join()
                        done[job] = f"its process died: {ending(process.exitcode)}", "", []
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
