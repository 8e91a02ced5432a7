"""How the compiled kernels are built, found and chosen."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from offstride.ops import native, upsample_cross_entropy

ROOT = Path(__file__).parents[2]
compiled = pytest.mark.skipif(native.library() is None, reason="the kernels are not compiled")


@pytest.fixture
def forgotten():
    """The library is looked for again, before and after."""
    native.library.cache_clear()
    yield
    native.library.cache_clear()


def build(folder, compiler):
    shutil.copy(ROOT / "setup.py", folder)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    sources = folder / "src" / "offstride" / "ops" / "native"
    shutil.copytree(ROOT / "src/offstride/ops/native", sources, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (folder / "src/offstride/__init__.py").write_text('__version__ = "0"\n')
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=os.environ | {"CC": compiler}, capture_output=True, text=True)
    return done, list(sources.glob("*.so"))


def test_installs_without_a_compiler(tmp_path):
    done, libraries = build(tmp_path, "no-such-compiler")
    assert done.returncode == 0, done.stderr
    assert not libraries


def test_a_notice_says_that_the_kernels_are_missing_and_plain_torch_serves(monkeypatch, tmp_path, forgotten):
    monkeypatch.delenv("OFFSTRIDE_CPU", raising=False)
    monkeypatch.setattr(native, "__file__", str(tmp_path / "__init__.py"))
    scores, labels = torch.randn(1, 3, 4, 4), torch.zeros(1, 8, 8, dtype=torch.int64)
    with pytest.warns(UserWarning, match="no compiled CPU kernels, plain PyTorch serves"):
        found = upsample_cross_entropy(scores, labels)
    torch.testing.assert_close(found, upsample_cross_entropy(scores, labels, impl="reference"))
    with pytest.raises(ValueError, match=r'impl: \'cpu\' cannot be used here.*not compiled.*"?banded'):
        upsample_cross_entropy(scores, labels, impl="cpu")


@compiled
def test_can_be_switched_off(monkeypatch, forgotten):
    monkeypatch.setenv("OFFSTRIDE_CPU", "off")
    assert native.library() is None


@compiled
def test_an_instruction_set_can_be_chosen(monkeypatch, forgotten):
    assert native.use("baseline") == "baseline"
    assert native.use() in ("baseline", "avx2", "avx512")
    with pytest.raises(ValueError, match="name: expected an instruction set of this processor, got 'mmx'"):
        native.use("mmx")
    native.library.cache_clear()
    monkeypatch.setenv("OFFSTRIDE_CPU", "mmx")
    with pytest.raises(ValueError, match="OFFSTRIDE_CPU: expected avx512, avx2, baseline or off"):
        native.library()


@compiled
def test_the_library_knows_neither_python_nor_torch():
    (path,) = Path(native.__file__).parent.glob("_kernels*.so")
    symbols = subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, text=True)
    if symbols.returncode:
        pytest.skip("nm is not installed")
    assert "Py" not in symbols.stdout
    assert "torch" not in symbols.stdout
