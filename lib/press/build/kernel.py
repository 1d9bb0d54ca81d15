"""A notebook's cells run in a kernel of press's own: whole, within bounds of time and output, or told where it ended.

The kernel is the interpreter that runs press. It sees none of its user's kernels, profiles, styles or variables.
"""

import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode
from papermill.engines import Engine, papermill_engines

from press import settings

ENGINE = "press"  # as papermill knows it

START = """
from IPython.core import application
application.SYSTEM_CONFIG_DIRS.clear()
application.ENV_CONFIG_DIRS.clear()
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""  # without the settings that a system or an environment has for every IPython
PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
CAUSES = {signal.SIGKILL: "memory may have run out", signal.SIGSEGV: "compiled code crashed"}


class Ended(Exception):
    """A run that did not come to its end; the text says in which cell, and the likely cause."""


def environment(room: Path, fonts: Path, named: list[str]) -> dict[str, str]:
    """The kernel's variables: of the user's only those passed, the settings, and folders for what tools write.

    `fonts`: the folder for what matplotlib finds out about fonts. `named`: the variables that the book reads.
    """
    passed = {name: os.environ[name] for name in (*settings.PASSED, *named) if name in os.environ}
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(room / name.lower()) for name in folders} | {"MPLCONFIGDIR": str(fonts)}
    return passed | own | settings.PYTHON | settings.ENVIRONMENT


def find_fonts(fonts: Path) -> None:
    """Let matplotlib look for fonts once, before any chapter: where that takes long it says so on stderr."""
    fonts.mkdir(parents=True, exist_ok=True)
    for lock in fonts.glob("*.matplotlib-lock"):  # of a run that was killed
        lock.unlink()
    if not list(fonts.glob("fontlist*.json")):
        look = [sys.executable, "-c", "import matplotlib.font_manager"]
        subprocess.run(look, env=environment(fonts, fonts, []), stderr=subprocess.DEVNULL, cwd=fonts)


def ending(status: int | None) -> str:
    """How a process ended, in words, with the likely cause."""
    if status is None:
        return "it no longer answers"
    told = f"it was ended by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"
    cause = CAUSES.get(-status if status < 0 else status - 128, "")  # a shell adds 128
    return told + (f": {cause}" if cause else "" if status < 0 else ": a call such as os._exit")


class Client(NotebookClient):
    """Ends a cell at the message that goes beyond the bound of its output, and a chapter at the end of its time."""

    size, deadline = 0, math.inf

    def process_message(self, message, cell, index):
        self.size += len(str(message["content"]))
        if self.size > settings.CHARACTERS:
            return self.task_poll_for_reply.cancel()
        return super().process_message(message, cell, index)

    async def _async_poll_kernel_alive(self) -> None:
        with contextlib.suppress(AssertionError):  # it asks once more when the kernel is gone
            await super()._async_poll_kernel_alive()

    def _get_timeout(self, cell) -> int:
        return max(1, math.ceil(self.deadline - time.monotonic()))


class Papermill(Engine):
    """How papermill runs a notebook here."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, room, lines, variables, **_):
        execute(nb_man.nb, room, lines, variables)


papermill_engines.register(ENGINE, Papermill)


def execute(notebook: NotebookNode, room: Path, lines: dict[str, int], variables: dict[str, str]) -> None:
    """Run every cell of the notebook, in place, in the folder `room`, in a kernel of these environment variables.

    `lines`: by its id, the line of each cell.
    An Ended names the cell that raised, ended the kernel, wrote to stderr, or took more than the settings allow.
    """
    own = KernelSpecManager(kernel_dirs=[])  # there is left the kernel of this interpreter
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own, shutdown_wait_time=2.0)
    manager.kernel_spec.argv = [sys.executable, "-c", START, "-f", "{connection_file}"]
    manager.connection_file = str(room / "kernel.json")
    bounds = {"startup_timeout": 120, "iopub_timeout": 60, "raise_on_iopub_timeout": True}
    client = Client(notebook, km=manager, on_cell_executed=_refuse_exit, shutdown_kernel="immediate", **bounds)
    client.deadline = time.monotonic() + settings.SECONDS
    cell = process = None
    try:
        with (room / "stderr").open("wb") as stderr:  # notes about its sockets, and why it did not start
            client.start_new_kernel(cwd=str(room), env=variables, stderr=stderr, preexec_fn=end_with_maker)
        process = manager.provisioner.process
        client.start_new_kernel_client()
        for index, cell in enumerate(notebook.cells):
            client.size = 0
            client.execute_cell(cell, index)
            coalesce(cell)
            if said := [output.text for output in cell.get("outputs", ()) if output.get("name") == "stderr"]:
                raise Ended(f"wrote to stderr: {cut(said[0].strip())}")
        info = client.wait_for_reply(client.kc.kernel_info())  # it still answers
        notebook.metadata["language_info"] = info["content"]["language_info"]
        for cell in notebook.cells:
            wanted = cell.source.strip() and "skip-execution" not in cell.metadata.get("tags", ())
            if cell.cell_type == "code" and wanted and cell.execution_count is None:
                raise Ended("did not run")
        client.shutdown_kernel = "graceful"
    except Exception as error:
        place = "before its first cell"
        if cell:
            coalesce(cell)
            place = f"cell [{client.code_cells_executed}]" + (f" at line {lines[cell.id]}" if cell.id in lines else "")
        raise Ended(f"{place}: {reason(error, client, process, room)}") from None
    finally:
        if client.km:
            client._cleanup_kernel()
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it started


def reason(error: Exception, client: Client, process: subprocess.Popen | None, room: Path) -> str:
    """Why a run ended, in words."""
    if client.size > settings.CHARACTERS:
        return f"ended, since a cell may put out {settings.CHARACTERS:,} characters"
    if isinstance(error, CellTimeoutError):
        return f"ended, since a chapter may take {settings.SECONDS} s"
    if isinstance(error, CellExecutionError):
        likely = {"MemoryError": ": memory ran out", "SystemExit": ": the cells after it would not run"}
        return cut(f"{error.ename}: {error.evalue}".removesuffix(": ") + likely.get(error.ename, ""))
    if isinstance(error, RuntimeError) and process:  # of nbclient: the kernel died, or does not answer
        said = [] if client.code_cells_executed else (room / "stderr").read_text(errors="replace").split("\n")[-2:]
        return f"the kernel died: {ending(process.poll())} {' '.join(said)}".strip()
    return str(error) if isinstance(error, Ended) else f"{type(error).__name__}: {cut(str(error))}"


def _refuse_exit(cell, cell_index, execute_reply) -> None:
    if any(payload.get("source") == "ask_exit" for payload in execute_reply["content"].get("payload", ())):
        raise Ended("exit() ends the kernel: the cells after it would not run")


def end_with_maker() -> None:
    """In a process before it starts: on Linux it is killed with the one that made it, whatever it is busy with."""
    if PRCTL:
        PRCTL(1, signal.SIGKILL)


def coalesce(cell: NotebookNode) -> None:
    """One output for each stream of the cell; of a line that is written over, what is left. In linear time."""
    streams = {}
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            streams.setdefault(output.name, (output, []))[1].append(output.text)
    for output, texts in streams.values():
        output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in "".join(texts).split("\n"))
    if streams:
        cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or o is streams[o.name][0]]


def cut(text: str) -> str:
    """A text of at most 4,000 characters."""
    return text if len(text) <= 4000 else text[:4000] + " …"
