"""`offstride COMMAND …`: loads the command and only what it needs, and turns errors into one readable line."""

import sys
import warnings
from argparse import ArgumentError
from importlib import import_module

from offstride import __version__
from offstride.cli.loading import loading

COMMANDS = {
    "train": "train a model from a recipe, or resume a run",
    "sharpen": "sharpen the masks of a trained model, without training; report what it gains",
    "finetune-upsampling": "train a new upsampler on a frozen model",
    "evaluate": "score a trained model on a data set",
    "predict": "label images: PNG label maps and overlays",
    "export": "write a model for other runtimes: ONNX, torch.export",
    "models": "list the published models and their costs",
    "complexity": "count and time a model; compare with published figures",
    "fit-universal": "fit the weights of universal upsampling to drawn scenes and your pictures",
    "fit-upsampling": "learn the basis of DUpsampling from labels",
    "upper-bound": "measure the upper bound of a decoder, from labels alone",
    "visualize": "show how a model labels images: offsets, gates, confidence",
    "data check": "check the images and labels of a data set before training",
    "data prepare": "check and unpack the published archives of a data set",
    "data shard": "write a data set as tar files, for network storage",
    "table": "run a table of a paper and print it beside the published figures",
    "compare": "train models that differ only in the upsampler; report significant differences",
    "demo": "train a small network, sharpen it without training, and report",
}
"""Commands; each is a module of this room, named like it with underscores."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a failed check, 2 for bad input, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print("usage: offstride COMMAND [--help] …\n\nSemantic segmentation with learned upsampling.\n")
        print("\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items()))
        return 0
    if arguments[0] == "--version":
        print(f"offstride {__version__}")
        return 0
    name = next((name for name in COMMANDS if name.split() == arguments[: len(name.split())]), None)
    if name is None:
        return _fail(f"unknown command {arguments[0]!r}; there are: {', '.join(COMMANDS)}")
    warnings.filterwarnings("ignore", module=r"lightning|torch|timm|tensorboard|jsonargparse")
    try:
        with loading():
            command = import_module(f"offstride.cli.{name.replace(' ', '_').replace('-', '_')}")
        return command.main(f"offstride {name}", arguments[len(name.split()) :])
    except (ValueError, OSError, ArgumentError) as error:
        return _fail(_cause(str(error)))
    except KeyboardInterrupt:
        print("offstride: interrupted", file=sys.stderr)
        return 130


def _cause(message: str) -> str:
    """The message proper: errors of processes that load data are preceded by the trace of that process."""
    if "Original Traceback" not in message:
        return message
    return message.strip().splitlines()[-1].partition(": ")[2]


def _fail(message: str) -> int:
    print(f"offstride: {' '.join(message.split())}", file=sys.stderr)
    return 2
