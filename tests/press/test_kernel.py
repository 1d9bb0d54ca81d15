"""The kernel is press's own, and what it ran, ran whole: faults planted in a chapter of the small book."""

import contextlib
import os
import signal
import sys
import time

import psutil
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from press import settings
from press.build import kernel
from press.build.chapters import Cell, Chapter
from press.build.execute import changes

CELL = "sum(range(10))"
FLOOD = "ended, since a cell may put out 1,000,000 characters"
KILLED = "the kernel died: it was ended by SIGKILL: memory may have run out"
LEFT = "exit() ends the kernel: the cells after it would not run"
UNFINISHED = {  # what stands in the cell at line 17, and what is told of it
    "sys.exit": ("import sys; sys.exit(0)", "SystemExit: 0: the cells after it would not run"),
    "exit()": ("exit()", LEFT),
    "quit": ("quit", LEFT),
    "os._exit(0)": ("import os; os._exit(0)", "the kernel died: it ended with status 0: a call such as os._exit"),
    "137": ("import os; os._exit(137)", "the kernel died: it ended with status 137: memory may have run out"),
    "killed": ("import os; os.kill(os.getpid(), 9)", KILLED),
    "crashed": ("import ctypes; ctypes.string_at(0)", "it was ended by SIGSEGV: compiled code crashed"),
    "memory": ("bytearray(2**60)", "MemoryError: memory ran out"),
    "a long line": ("print('x' * 3_000_000)", FLOOD),
    "many lines": ("for i in range(1_000_000): print(i)", FLOOD),
    "without end": ("while True: print('x' * 100)", FLOOD),
    "a long value": ("'x' * 3_000_000", FLOOD),
    "a long error": ("raise ValueError('x' * 3_000_000)", FLOOD),
    "displays": ("for i in range(40_000): display(i)", FLOOD),
    "written over": ("while True: print('x' * 100, end='\\r')", FLOOD),
    "stderr": ("import warnings; warnings.warn('careful')", "wrote to stderr: "),
    "stderr of C": ("import os; os.write(2, b'careful'); import time; time.sleep(1)", "wrote to stderr: careful"),
    "in time": ("import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass", "may take 5 s"),
}


SLOW = {"without end", "written over", "displays", "a long error", "crashed", "quit", "memory"}


@pytest.fixture
def run_cell(tmp_path):
    """Run a notebook of one cell and one more in a kernel; the notebook."""
    fonts = tmp_path / "fonts"
    fonts.mkdir()

    def run(source: str) -> NotebookNode:
        cells = [new_markdown_cell("text"), new_code_cell(source, id="one"), new_code_cell("1", id="two")]
        notebook = new_notebook(cells=cells)
        kernel.execute(notebook, tmp_path, {"one": 17, "two": 20}, kernel.environment(tmp_path, fonts, []))
        return notebook

    return run


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.faults) if n in SLOW else n for n in UNFINISHED])
def test_a_cell_that_does_not_run_to_its_end_is_told(run_cell, monkeypatch, name):
    source, told = UNFINISHED[name]
    monkeypatch.setattr(settings, "SECONDS", 5 if name == "in time" else 60)
    began, before = time.monotonic(), set(psutil.Process().children(recursive=True))  # other tests' browser, say
    with pytest.raises(kernel.Ended) as ended:
        run_cell(source)
    assert str(ended.value).startswith("cell [1] at line 17: ")
    assert told in str(ended.value)
    assert len(str(ended.value)) < 5000
    assert time.monotonic() - began < (18 if name == "in time" else 40)
    left = set(psutil.Process().children(recursive=True)) - before
    assert [process for process in left if "python" in process.name()] == []


def test_long_output_within_the_bound_is_quick_and_whole(run_cell):
    began = time.monotonic()
    notebook = run_cell("print('x' * 900_000)")
    assert time.monotonic() - began < 20
    assert notebook.cells[1].outputs[0].text == "x" * 900_000 + "\n"


def test_no_settings_are_looked_for_outside_the_room_of_the_run(run_cell, tmp_path):
    notebook = run_cell("print(*get_ipython().kernel.parent.config_file_paths, sep='\\n')")
    looked = notebook.cells[1].outputs[0].text.splitlines()
    assert looked
    assert [place for place in looked if not place.startswith(str(tmp_path))] == []


def test_what_is_skipped_is_not_missed_and_what_did_not_run_is(run_cell, monkeypatch):
    notebook = run_cell("%%javascript\n1")
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    skip = kernel.Client.execute_cell
    monkeypatch.setattr(kernel.Client, "execute_cell", lambda c, cell, i: i == 1 or skip(c, cell, i))
    with pytest.raises(kernel.Ended, match=r"line 17: did not run"):
        run_cell("1")


def test_a_chapter_whose_kernel_died_is_told_and_not_kept(book):
    before = book.executed()["paper/two"]
    book.change("book/paper/two.md", CELL, "import os; os._exit(137)")
    run = book.press("run", "two")
    assert run.returncode == 1
    told = "book/paper/two.md: cell [1] at line 25: the kernel died: it ended with status 137: memory may have run out"
    assert told in run.stdout, run.stdout
    assert "Traceback" not in run.stderr
    assert book.executed()["paper/two"] == before
    assert "paper/two" in book.executed("failed")


HABITS = {  # of a user, as files of the folder `habits`
    "kernels/python3/kernel.json": '{"argv": ["/bin/false", "{connection_file}"], "display_name": "", "language": ""}',
    "profile_default/startup/00.py": "import os; os.environ['OMP_NUM_THREADS'] = '7'\n",
    "profile_default/ipython_config.py": "c.InteractiveShellApp.exec_lines = ['sum = max']\n",
    "matplotlibrc": "text.usetex: True\nlines.marker: o\nmathtext.fontset: stix\n",
    "sitecustomize.py": "import os, sys\nif '-f' in sys.orig_argv: os.environ['PYTHONHASHSEED'] = '8'\n",
    "statistics.py": "raise RuntimeError('of the user')\n",
    "startup.py": "sum = max\n",
    "jupyter_config.json": '{"KernelManager": {"transport": "ipc"}}',
}


def test_a_users_habits_change_nothing(book, tmp_path):
    before = book.executed()["paper/two"]
    for name, text in HABITS.items():
        (file := tmp_path / "habits" / name).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    folder = str(tmp_path / "habits")
    names = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    book.environment |= dict.fromkeys(names, folder) | {
        "PYTHONPATH": f"{book.environment['PYTHONPATH']}{os.pathsep}{folder}",
        "PYTHONSTARTUP": f"{folder}/startup.py",
        "PYTHONWARNINGS": "error",
        "PYTHONOPTIMIZE": "1",
        "MPLBACKEND": "module://nowhere",
        "HOME": "/dev/null",
        "LC_ALL": "tr_TR.UTF-8",
        "OMP_NUM_THREADS": "5",
        "NUMBA_DISABLE_JIT": "1",
    }
    book.change("book/paper/two.md", "import os\n", "import os  # again\nimport statistics\nassert sum([1, 2]) == 3\n")
    told = book.press("run", "two")
    assert told.returncode == 0, told.stdout + told.stderr
    after = book.executed()["paper/two"]
    figure = slice(after.index(b"<svg"), after.index(b"</svg>"))
    assert after[figure] == before[before.index(b"<svg") : before.index(b"</svg>")]
    assert b"OMP_NUM_THREADS is 1" in after
    assert b"PYTHONHASHSEED is 0" in after
    assert sys.executable.encode() not in after


@pytest.mark.faults
def test_without_a_home_and_from_anywhere(book, tmp_path):
    (tmp_path / "json.py").write_text("raise RuntimeError('of the user')\n")
    del book.environment["HOME"]
    book.change("book/paper/two.md", CELL, "import json; sum(range(10))")
    told = book.python("-m", "press", "run", "two", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def test_what_makes_the_pages_goes_with_press(book, wait_for):
    """And a long line of a chapter is on its page in seconds: its streams are not merged once more."""
    book.change("book/paper/two.md", CELL, "print('x' * 900_000)")
    began = time.monotonic()
    assert "done" in book.press("run", "two").stdout
    running = book.start("build")

    def maker():
        below = psutil.Process(running.pid).children(recursive=True)
        return [process for process in below if "press.site.make" in " ".join(process.cmdline())]

    wait_for(maker)
    made = maker()
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=20)
    wait_for(lambda: not any(alive(process) for process in made), 10)
    assert book.press("build").returncode == 0
    assert time.monotonic() - began < 90


def test_the_kernel_goes_with_press_however_busy(book, wait_for):
    """A whole process group is killed, while the kernel holds Python's lock in compiled code."""
    book.change("book/paper/two.md", CELL, "open('busy', 'w').close(); 7 ** 7 ** 9; print(10 ** 10 ** 9)")
    running = book.start("run", "two")
    wait_for(lambda: list((book.root / "_build/partial").rglob("busy")))
    processes = psutil.Process(running.pid).children(recursive=True)
    assert any("ipykernel" in " ".join(process.cmdline()) for process in processes)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=20)
    wait_for(lambda: not any(alive(process) for process in processes), 10)


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("after", [0, 0.1, 0.4, 2])
def test_ctrl_c_is_one_line_from_the_start(book, wait_for, after):
    """From where the interpreter has come to press: it starts once more there, with variables of its own."""
    book.change("book/paper/two.md", CELL, "import time; time.sleep(60)")
    running = book.start("run", "two")
    wait_for(lambda: "PYTHONSAFEPATH" in psutil.Process(running.pid).environ())
    time.sleep(after)
    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=20)
    assert running.returncode == 130, told
    assert told.startswith("press: ended by Ctrl-C.")
    assert told.count("\n") == 1


# --- in this process -------------------------------------------------------------------------------------

DEFAULTS = (
    "count = 3\nrate = 1.0\nflag = True\nname = 'a'\nsizes = (1, 2)\nparts = [0.2, 0.5]\nsteps = 2**10\nnone = None"
)
CHAPTER = Chapter("one", "", {}, (Cell("code", DEFAULTS, 1, {"tags": ["parameters"]}),))
GOOD = {
    "count=5": 5, "count= -5": -5, "count=1_000": 1000, "rate=2": 2.0, "rate=1e-3": 0.001, "flag=False": False,
    "name=b": "b", "name=@x": "@x", "name=010": "010", "name='b c'": "b c", "name=1:30": "1:30",
    "sizes=(3,)": (3,), "sizes=3, 4": (3, 4), "parts=[1, 0.5]": [1.0, 0.5], "parts=[]": [],
    "steps=5": 5, "none=1.5": 1.5,
}  # fmt: skip
WRONG = [
    *("count={", "count=@x", "count=010", "count=1:30", "count=2026-01-01", "count=1,000", "count=", "count=2**3"),
    *("count=nan", "count=1.0", "count=1e3", "count=True", "count='3'", "count=[1]", "count=None", "count= "),
    *("rate=nan", "rate=inf", "rate=1e999", "rate=True", "rate='1'", "rate=1j", "rate=1,5", f"rate=1{'0' * 400}"),
    *("flag=1", "flag=yes", "flag=true", "sizes=[1, 2]", "sizes=(1, 2.5)", "sizes=3", "parts=0.5", "parts=['a']"),
    *("name=", "name='a", f"count={'(' * 400}", "steps=2**3", "steps=", f"count={'9' * 5000}"),
]  # fmt: skip


@pytest.mark.parametrize("setting", GOOD)
def test_a_parameter_takes_a_value_of_its_kind(setting):
    (value,) = changes(CHAPTER, [setting]).values()
    assert (value, type(value)) == (GOOD[setting], type(GOOD[setting]))


@pytest.mark.parametrize("setting", WRONG, ids=lambda setting: setting[:20])
def test_a_value_of_another_kind_is_refused_in_one_line(setting):
    with pytest.raises(SystemExit) as refused:
        changes(CHAPTER, [setting])
    told = str(refused.value)
    assert told.startswith(f"press: -p {setting[:8].strip()}")
    assert f"{setting.partition('=')[0]} in one is a" in told
    assert "\n" not in told


def test_a_parameter_is_given_once():
    with pytest.raises(SystemExit, match="count is given twice"):
        changes(CHAPTER, ["count=1", "count=2"])


@pytest.mark.parametrize(
    ("status", "told"),
    [(-9, "SIGKILL: memory"), (137, "status 137: memory"), (-11, "SIGSEGV: compiled"), (1, "status 1: a call"),
     (0, "status 0"), (-15, "ended by SIGTERM"), (255, "status 255"), (None, "no longer answers")],
)  # fmt: skip
def test_how_a_process_ended_is_said(status, told):
    assert told in kernel.ending(status)


def test_streams_become_one_each_and_lines_written_over_leave_what_is_left():
    texts = ["a\n10 %\r20", " %\r30 %\r\n", "x\rb\n"]
    cell = new_code_cell(outputs=[new_output("stream", text=text) for text in texts] + [new_output("display_data")])
    kernel.coalesce(cell)
    assert [output.get("text") for output in cell.outputs] == ["a\n30 %\nb\n", None]
    long = new_code_cell(outputs=[new_output("stream", text="x\r" * 1000) for _ in range(2000)])
    began = time.process_time()
    kernel.coalesce(long)
    assert time.process_time() - began < 2
