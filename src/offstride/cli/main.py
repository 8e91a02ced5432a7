"""`offstride COMMAND …`: loads the command and only what it needs, and turns errors into one readable line."""

import sys
import warnings
from argparse import ArgumentError
from importlib import import_module

from offstride import __version__
from offstride.cli.loading import loading

COMMANDS = {
    "train": ("offstride.cli.train", "train a model by a recipe, or resume a run"),
    "finetune-upsampling": ("offstride.cli.finetune_upsampling", "train a new upsampler on a frozen model"),
    "evaluate": ("offstride.cli.evaluate", "score a trained model on a data set"),
    "predict": ("offstride.cli.predict", "label images: PNG label maps and overlays"),
    "export": ("offstride.cli.export", "write a model for other runtimes: ONNX, torch.export"),
    "models": ("offstride.cli.models", "list the models of the papers, with what they cost"),
    "complexity": ("offstride.cli.complexity", "count and time a model; published figures beside ours"),
    "fit-upsampling": ("offstride.cli.fit_upsampling", "learn what DUpsampling decodes with, from labels"),
    "upper-bound": ("offstride.cli.upper_bound", "measure what a decoder could reach at best, from labels alone"),
    "visualize": ("offstride.cli.visualize", "show how a model labels images: offsets, gates, confidence"),
    "data check": ("offstride.cli.data_check", "look for what is wrong with a data set, before training"),
    "data prepare": ("offstride.cli.data_prepare", "check and unpack the published archives of a data set"),
    "data shard": ("offstride.cli.data_shard", "write a data set as tar files, for network storage"),
    "table": ("offstride.cli.table", "run a table of a paper and print it beside the figures of the paper"),
    "compare": ("offstride.cli.compare", "train upsamplers that differ in nothing else, and report what is sure"),
    "demo": ("offstride.cli.demo", "train bilinear and location-aware upsampling side by side, and report"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a check that failed, 2 for bad input, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
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
            command = import_module(COMMANDS[name][0])
        return command.main(f"offstride {name}", arguments[len(name.split()) :])
    except (ValueError, OSError, ArgumentError) as error:
        return _fail(_cause(str(error)))
    except KeyboardInterrupt:
        print("offstride: interrupted", file=sys.stderr)
        return 130


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        ["usage: offstride COMMAND [--help] …", "", "Semantic segmentation with learned upsampling.", "", *lines]
    )


def _cause(message: str) -> str:
    """The message proper: errors of processes that load data come with the trace of that process before it."""
    if "Original Traceback" not in message:
        return message
    return message.strip().splitlines()[-1].partition(": ")[2]


def _fail(message: str) -> int:
    print(f"offstride: {' '.join(message.split())}", file=sys.stderr)
    return 2
