"""What the README says works: its Python runs, its commands parse, its files exist."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from offstride import create_model
from offstride.cli import evaluate, finetune_upsampling, predict, sharpen, train
from offstride.cli.main import COMMANDS
from offstride.train.reading import parse_stages, split_arguments, split_settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PARSERS = {"evaluate": evaluate, "finetune-upsampling": finetune_upsampling, "predict": predict, "sharpen": sharpen}
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[list[str]]:
    """Command lines of Offstride, without the program's name."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line and line[0] == "offstride"]


def test_python_blocks_run(tmp_path, monkeypatch):
    """In a folder with a model and a photograph."""
    monkeypatch.chdir(tmp_path)
    create_model(backbone="test_resnet", classes=3).save("best.safetensors")
    Image.new("RGB", (70, 50)).save("street.jpg")
    scope: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, scope)


def test_parameters_are_those_that_the_text_claims():
    from offstride.upsamplers import LaU

    assert f"{sum(p.numel() for p in LaU(in_channels=512, scale=4).parameters()):,} parameters" in TEXT


@pytest.mark.parametrize("line", commands(), ids=" ".join)
def test_commands_parse(line):
    name = next(name for name in COMMANDS if name.split() == line[: len(name.split())])
    arguments = line[len(name.split()) :]
    if name == "train" and "--help" not in arguments:
        files, words = split_arguments(arguments)
        assert parse_stages(train._parser("offstride train"), [ROOT / file for file in files], *split_settings(words))
    elif name in PARSERS:
        PARSERS[name]._parser(name).parse_args(arguments)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
