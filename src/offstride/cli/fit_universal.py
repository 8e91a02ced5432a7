"""`offstride fit-universal`: make the weights of universal upsampling again, or fit them to other pictures."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from offstride.cli.console import announce, command_parser, progress_bar
from offstride.experiments.universal import Progress, UniversalRecipe, fit_universal


def main(program: str, arguments: list[str]) -> int:
    """Draw, fit, log, write."""
    values = _parser(program).parse_args(arguments)
    names = ("segments", "streets", "steps", "batch", "rate", "average", "seed")
    recipe = UniversalRecipe(**{name: values[name] for name in names})
    with progress_bar("drawing and fitting") as bar:
        progress = Progress(bar, lambda done, total, loss: bar(done, total), _log)
        described = fit_universal(recipe, values.output, values.data or [], progress)
    announce(f"{described['parameters']:,} parameters in {described['seconds']} s")
    print(values.output)
    return 0


def _log(entry: dict[str, Any]) -> None:
    gains = {name: gain for name, gain in entry.items() if name.startswith("stride")}
    text = ", ".join(f"{name} {gain['miou']:+.1f} / {gain['boundary_iou']:+.1f}" for name, gain in gains.items())
    announce(f"step {entry['step']}: loss {entry['loss']:.3f}; held-out gains in mIoU / boundary IoU: {text}")


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Fit the weights of universal upsampling on drawn segments and streets: with its defaults this makes the "
        "weights that come with the package again. --data adds labelled images of your own.",
    )
    result.add_argument("--output", type=Path, required=True, help="file to write (.safetensors)")
    result.add_argument("--data", type=Path, nargs="+", help="folders of labelled images")
    defaults = UniversalRecipe()
    texts = {
        "segments": "drawn pictures of segments",
        "streets": "drawn streets",
        "steps": "number of steps",
        "batch": "crops of a step",
        "rate": "learning rate",
        "average": "weight of the past in the mean of the weights, which is kept",
        "seed": "seed of scenes, weights and crops",
    }
    for name, text in texts.items():
        default = getattr(defaults, name)
        result.add_argument(f"--{name}", type=type(default), default=default, help=text)
    return result
