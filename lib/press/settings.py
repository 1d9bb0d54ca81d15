"""How chapters are executed. What stands here is part of what makes an executed chapter stale."""

from press import ROOT

ENVIRONMENT = {  # of the kernel: one core each, since chapters run side by side, and the same hashes each time
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",
    "PYTHONHASHSEED": "0",
    "TQDM_DISABLE": "1",  # no progress bars on pages
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
PYTHON = {  # of every interpreter: this checkout's library, nothing of the home or the working directory
    "PYTHONPATH": str(ROOT / "lib"),
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
}
# Of the user's variables a kernel sees these alone: where things lie, and nothing that changes how a program computes.
# A book adds its own in pyproject.toml: [tool.press] variables.
PASSED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "PYTHONHOME")
PASSED += ("DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "NUMBA_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")
SECONDS = 1200  # a chapter that takes longer is ended
CHARACTERS = 1_000_000  # a cell that puts out more is ended
STRIPPED = ("papermill", "execution")  # metadata that differ from run to run
TAGS = ("parameters", "raises-exception", "skip-execution")  # the tags of a cell that change how it runs
# Whose versions count, besides those that the book names.
PACKAGES = ("ipykernel", "ipython", "papermill", "nbclient", "jupytext", "myst-nb", "matplotlib")
