"""How chapters are executed. What stands here is part of what makes an executed chapter stale."""

ENVIRONMENT = {  # of the kernel: one core each, since chapters run side by side, and the same hashes each time
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",
    "PYTHONHASHSEED": "0",
    "TQDM_DISABLE": "1",  # no progress bars on pages
}
PAPERMILL = {"kernel_name": "python3", "coalesce_streams": True}
STRIPPED = ("papermill", "execution")  # metadata that differ from run to run
TAGS = ("parameters", "raises-exception", "skip-execution")  # the tags of a cell that change how it runs
# Whose versions count, besides those that the book names.
PACKAGES = ("ipykernel", "ipython", "papermill", "nbclient", "jupytext", "myst-nb", "matplotlib")
