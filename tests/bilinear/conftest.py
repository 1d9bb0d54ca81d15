"""One thread, every warning and repeatable draws for every test of the mathematics."""

import pytest
import torch
from hypothesis import settings

# The draws are the same on every run, so a failure can be repeated; no time limit, since the machine may be busy.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=25)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="session")
def one_thread_and_every_warning():
    """The matrices are tiny: more threads only cost time, and they change the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_warn_always(
        True
    )  # else torch gives some warnings once a process, and a test for them depends on the order
    yield
    torch.set_warn_always(False)
    torch.set_num_threads(before)
