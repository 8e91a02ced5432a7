"""Where kernels run: on the GPU if there is one, else on a CPU as Python, in an interpreter that triton brings.

The interpreter has to be asked for before triton is imported, and then no kernel of the process can be compiled. So
without a GPU the tests of kernels are not collected here, but run by `test_interpreter.py` in a process of their own.
"""

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if INTERPRETED or torch.cuda.is_available():
    collect_ignore = ["test_interpreter.py"]
else:
    collect_ignore_glob = ["test_*_kernels.py"]


@pytest.fixture
def device():
    return "cpu" if INTERPRETED else "cuda"


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch):
    """Memory that nobody has written holds NaN, or a large number."""

    def poisoned(allocate):
        def fill(*arguments, **options):
            found = allocate(*arguments, **options)
            return found.fill_(float("nan") if found.is_floating_point() else torch.iinfo(found.dtype).max)

        return fill

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))
