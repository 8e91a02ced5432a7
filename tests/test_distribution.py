"""The source distribution, and the wheel that is built from it: both hold the shipped weights."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from safetensors import safe_open

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
WEIGHTS = "offstride/upsamplers/universal.safetensors"
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
LOAD = """
import offstride, torch
from offstride.upsamplers import UniversalLaU
offsets = UniversalLaU().offsets(torch.randn(1, 3, 8, 8), torch.rand(1, 3, 64, 64))
print(offstride.__file__, bool(offsets.abs().max() > 0))
"""


def build(kind: str, source: Path, output: Path) -> Path:
    """Build as pip does, without a compiler, which takes longest: the C kernels are optional."""
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(output)]
    environment = os.environ | {"CC": "/bin/false"}
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=True)
    return output / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Paths of the source distribution and of the wheel that is built from it alone."""
    folder = tmp_path_factory.mktemp("distribution")
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "tree" / "src", ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, folder / "tree")
    source = build("sdist", folder / "tree", folder)
    with tarfile.open(source) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return source, build("wheel", unpacked, folder)


def test_both_hold_the_weights(distributions):
    source, wheel = distributions
    with tarfile.open(source) as archive:
        names = archive.getnames()
    with zipfile.ZipFile(wheel) as archive:
        stored = archive.getinfo(WEIGHTS)
    assert any(name.endswith(f"/src/{WEIGHTS}") for name in names)
    assert stored.file_size == (ROOT / "src" / WEIGHTS).stat().st_size <= 1_000_000


def test_an_installed_wheel_loads_them(distributions, tmp_path):
    with zipfile.ZipFile(distributions[1]) as archive:
        archive.extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OFFSTRIDE_CPU": "off"}
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    place, moves = done.stdout.split()
    assert Path(place).is_relative_to(tmp_path)
    assert moves == "True"


def test_the_weights_are_few():
    with safe_open(ROOT / "src" / WEIGHTS, "pt") as file:
        numbers = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    assert numbers <= 250_000
