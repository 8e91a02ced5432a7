"""Without a GPU: the tests of this folder in triton's interpreter, and whether its compiler takes the kernels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from offstride.ops.cross_entropy.triton import unusable

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def run(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    told = run("-m", "pytest", "-p", "no:cacheprovider", str(HERE), TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
    assert "[100%]" in told


def test_kernels_compile_and_spill_nothing():
    pytest.importorskip("triton")
    kinds = ("bilinear, all terms", "located, all terms", "fixed point", "argmax")
    told = run(str(ROOT / "benchmarks" / "triton_resources.py"), "--arch", "80", "--size", "voc", "--kind", *kinds)
    for kernel in ("pack", "losses", "gradient", "gather", "pixels", "scatter", "unpack", "best"):
        assert f" {kernel} " in told


def test_a_cpu_is_refused():
    pytest.importorskip("triton")
    assert unusable(torch.ones(1, 2, 3, 4), None) == "needs a CUDA device, got cpu"


def test_nothing_fails_where_triton_is_missing():
    code = """
import sys
import torch
sys.modules["triton"] = None
from offstride.ops.argmax import triton as argmax
from offstride.ops.cross_entropy import triton as cross_entropy
assert argmax.unusable is cross_entropy.unusable
print(cross_entropy.unusable(torch.ones(1, 2, 3, 4), None))
"""
    assert run("-c", code).strip() == "needs the package triton, which is not installed"
