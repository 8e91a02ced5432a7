"""Models of `torchvision.models.segmentation`: `NAME`, `NAME@WEIGHTS` or `NAME@FILE`.

Architecture: `builder`, the name of the model, with its `num_classes` and `aux_loss`.
"""

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from offstride.backbones.weights import mismatches, read_tensors
from offstride.downloads import first_line, reachable
from offstride.replace.named.opened import OpenedModel, named_classes


def load(name: str) -> OpenedModel:
    """A model with its published weights, or with those of a local file.

    Raises:
        ValueError: If there is no such model, there are no such weights, or they do not fit.
    """
    builder, _, wanted = name.partition("@")
    _check(builder)
    weights = models.get_model_weights(builder)
    published: Any = weights.__members__.get(wanted or "DEFAULT")
    if published is None:
        state = _read(Path(wanted).expanduser(), builder, [one.name for one in weights])
        published = next((one for one in weights if Path(one.url).name == Path(wanted).name), None)
    else:
        state = _download(published, name)
    model, architecture = _fitting(builder, state, wanted or "DEFAULT")
    known = named_classes(published.meta["categories"]) if published else None
    preset = next(iter(weights)).transforms()
    return OpenedModel(model.eval(), architecture, 3, known, mean=preset.mean, std=preset.std, sides=(128,))


def rebuild(architecture: Mapping[str, Any]) -> nn.Module:
    """The network without weights.

    Raises:
        ValueError: If torchvision has no such model.
    """
    builder = str(architecture.get("builder"))
    _check(builder)
    options = {"num_classes": architecture.get("num_classes"), "aux_loss": architecture.get("aux_loss")}
    if options["aux_loss"] is None:  # LRASPP does not know it
        del options["aux_loss"]
    return models.get_model(builder, weights=None, weights_backbone=None, **options)


def _check(builder: Any) -> None:
    known = models.list_models(module=models.segmentation)
    if builder not in known:
        close = get_close_matches(str(builder), known, cutoff=0.4)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise ValueError(f"torchvision: expected one of {', '.join(known)}, got {builder!r}{hint}")


def _read(path: Path, builder: str, names: list[str]) -> dict[str, Tensor]:
    """Tensors of a local file, read without running code from it."""
    if not path.is_file():
        raise ValueError(
            f"torchvision: weights of {builder}: expected DEFAULT, {', '.join(names)} or a file, got {path}"
        )
    if path.suffix == ".safetensors":
        return read_tensors(path, "weights")[0]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of pickle, zip files and the system
        raise ValueError(f"weights {path}: expected tensors by name ({first_line(error)})") from error
    state = state.get("model", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"weights {path}: expected tensors by name, got {type(state).__name__}")
    return dict(state)


def _download(published: Any, name: str) -> dict[str, Tensor]:
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
    advice = f"give a local file: torchvision:{name.partition('@')[0]}@FILE.pth"
    if not cached.is_file() and not reachable(published.url):
        raise ValueError(f"torchvision:{name}: cannot be downloaded (no network?); {advice}")
    try:
        return published.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True)
    except Exception as error:  # of the network, of a file that is cut off
        raise ValueError(f"torchvision:{name}: cannot be downloaded ({first_line(error)}); {advice}") from error


def _fitting(builder: str, state: Mapping[str, Tensor], source: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network that has these tensors, and its architecture."""
    last = next(
        (state[key] for key in ("classifier.4.weight", "classifier.low_classifier.weight") if key in state), None
    )
    architecture: dict[str, Any] = {"builder": builder, "num_classes": 21 if last is None else len(last)}
    if not builder.startswith("lraspp"):
        architecture["aux_loss"] = any(key.startswith("aux_classifier.") for key in state)
    model = rebuild(architecture)
    if problems := mismatches(model.state_dict(), state):
        raise ValueError(f"torchvision: the weights {source} do not fit {builder}: {problems}")
    model.load_state_dict(state, strict=False)  # counters of batches may be missing
    return model, architecture
