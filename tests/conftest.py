"""What all tests share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also of processes that tests start; before torch reads it

import pytest
import torch


def pytest_collection_modifyitems(items):
    """Slow files first: at the end of a run no process waits for the last of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _one_thread_and_a_fixed_seed():
    """Tests run side by side, one process a core; what is random in them is the same in every run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
