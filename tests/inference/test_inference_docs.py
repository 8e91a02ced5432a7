"""What docs/inference.md says works: its Python runs where nothing has to be downloaded, its commands parse."""

import re
import shlex
from pathlib import Path

import pytest

from offstride.cli import evaluate, predict
from offstride.cli.protocol import protocol_of

TEXT = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_python_blocks_run():
    ours, torchvision, *others = blocks("python")
    for block in (ours, torchvision):
        exec(block, {})
    for block in others:  # transformers, which would download, and an image that is not there
        compile(block, "docs/inference.md", "exec")


@pytest.mark.parametrize("line", "".join(blocks("bash")).splitlines())
def test_commands_parse(line):
    program, name, *arguments = shlex.split(line)
    assert program == "offstride"
    values = {"evaluate": evaluate, "predict": predict}[name]._parser(name).parse_args(arguments)
    protocol_of(values)
