"""The public face: names of `offstride` and of its rooms, and what loads with them."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import offstride

pytestmark = pytest.mark.slow

README = (Path(__file__).parents[1] / "README.md").read_text()
NAMES = {
    "LogitField",
    "Segmenter",
    "__version__",
    "argmax",
    "confidence",
    "create_model",
    "cross_entropy",
    "located_cross_entropy",
    "located_sample",
    "open_model",
    "plan_upsampling",
    "replace_upsampling",
    "sharpen",
    "upsample_argmax",
    "upsample_confusion",
    "upsample_cross_entropy",
}
ELSEWHERE = {("offstride.upsamplers", "LaU")}
"""What the README imports from a room alone."""


def readme_imports():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "offstride":
                yield from ((node.module, alias.name) for alias in node.names)


def test_public_names():
    assert set(offstride.__all__) == set(dir(offstride)) == NAMES
    assert all(getattr(offstride, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        offstride.nothing  # noqa: B018


@pytest.mark.parametrize(("module", "name"), sorted(set(readme_imports())))
def test_what_the_readme_imports_is_public(module, name):
    room = import_module(module)
    assert name in getattr(room, "__all__", vars(room))
    if (module, name) not in ELSEWHERE:
        assert getattr(offstride, name) is getattr(room, name)


HEAVY = ("torchmetrics", "transformers", "scipy", "matplotlib", "lightning", "onnx", "onnxruntime", "pycocotools")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("offstride", ("torch", "numpy", "jsonargparse")),
        ("offstride.cli.main", ("torch", "numpy", "jsonargparse", "rich")),
        ("offstride.cli.data_check", (*HEAVY, "torchvision", "timm", "torch._dynamo", "sympy", "jinja2")),
        ("offstride.cli.predict", (*HEAVY, "timm")),
    ],
)
def test_commands_start_without_what_they_do_not_need(module, absent):
    code = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
