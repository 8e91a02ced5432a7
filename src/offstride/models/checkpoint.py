"""Checkpoints: one safetensors file with the weights, and configuration and classes as JSON in its metadata."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import save as serialise
from torch import Tensor, nn

from offstride import __version__
from offstride.backbones.weights import mismatches, read_metadata, read_tensors
from offstride.data.catalog import ClassSet
from offstride.files import write_bytes
from offstride.models.config import ModelConfig
from offstride.models.foreign_config import ForeignConfig, config_from_dict

Config = TypeVar("Config", ModelConfig, ForeignConfig)

FORMAT_VERSION = 1
PARTS = ("backbone", "head", "fusion", "classifier", "upsampler", "auxiliary")
"""Parts of a model that can be loaded on their own, with the names that they have in its configuration."""
_KEY = "offstride"


@dataclass(frozen=True)
class Checkpoint(Generic[Config]):
    """Content of a checkpoint file."""

    tensors: dict[str, Tensor]
    config: Config
    classes: ClassSet | None

    def fill(self, model: nn.Module) -> None:
        """Load the tensors into a model.

        Raises:
            ValueError: Naming tensors that are missing, unexpected or of another shape; the model is unchanged then.
        """
        if problems := mismatches(model.state_dict(), self.tensors):
            raise ValueError(f"the weights do not fit the model: {problems}")
        model.load_state_dict(self.tensors)

    def fill_parts(self, model: nn.Module, config: ModelConfig, parts: Collection[str]) -> None:
        """Load the tensors of some parts into a model, whose other parts may differ.

        A head is the same part with and without a fusion around it.

        Args:
            model: Model to fill.
            config: Its configuration.
            parts: Some of `PARTS`.

        Raises:
            ValueError: Naming unknown parts, parts that have no tensors here or there, and tensors that are missing,
                unexpected or of another shape; the model is unchanged then.
        """
        if unknown := [part for part in parts if part not in PARTS]:
            raise ValueError(f"start_parts: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
        inside = {named_by_part(name, config): name for name in model.state_dict()}
        wanted = _of_parts({name: model.state_dict()[own] for name, own in inside.items()}, parts, "the model")
        assert isinstance(self.config, ModelConfig)
        named = {named_by_part(name, self.config): tensor for name, tensor in self.tensors.items()}
        given = _of_parts(named, parts, "the file")
        if problems := mismatches(wanted, given):
            raise ValueError(f"start_parts: the weights do not fit the model: {problems}")
        model.load_state_dict({inside[name]: tensor for name, tensor in given.items()}, strict=False)


def named_by_part(name: str, config: ModelConfig) -> str:
    """Name of a tensor that begins with its part of `PARTS`: in the model, a fusion contains the head."""
    first, _, rest = name.partition(".")
    if first != "head" or config.fusion is None:
        return name
    return f"head.{rest.removeprefix('context.')}" if rest.startswith("context.") else f"fusion.{rest}"


def _of_parts(tensors: Mapping[str, Tensor], parts: Collection[str], owner: str) -> dict[str, Tensor]:
    """The tensors of some parts, each of which must have one."""
    chosen = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in parts}
    if empty := [part for part in parts if not any(name.startswith(f"{part}.") for name in chosen)]:
        raise ValueError(f"start_parts: {owner} has no weights in {', '.join(empty)}")
    return chosen


def write_checkpoint(
    path: str | Path, tensors: Mapping[str, Tensor], config: ModelConfig | ForeignConfig, classes: ClassSet | None
) -> None:
    """Write a file atomically; missing folders are created.

    Raises:
        ValueError: Naming the path, if it cannot be written.
    """
    header = {
        "format_version": FORMAT_VERSION,
        "written_by": f"offstride {__version__}",
        "config": config.to_dict(),
        "classes": classes and classes.to_dict(),
    }
    layout = torch.contiguous_format  # copies, since the file format has no views and no shared memory
    copies = {name: tensor.detach().to("cpu", copy=True, memory_format=layout) for name, tensor in tensors.items()}
    content = serialise(copies, metadata={"format": "pt", _KEY: json.dumps(header)})
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ValueError(f"checkpoint {path}: cannot be written ({error})") from error


def check_classes(stored: ClassSet | None, count: int, expected: ClassSet | None) -> None:
    """Raise unless the model has the expected classes; without names, their number is compared."""
    if expected is None:
        return
    if stored is None:
        if count != len(expected):
            raise ValueError(f"classes: expected {len(expected)}, the model has {count}")
    elif stored.names != expected.names:
        raise ValueError(f"classes: expected {', '.join(expected.names)}; the model has {', '.join(stored.names)}")


def read_checkpoint(path: str | Path) -> Checkpoint[Any]:
    """Read what `write_checkpoint` wrote.

    Raises:
        ValueError: Naming the path, if it is no such file or one of a later version.
    """
    tensors, metadata = read_tensors(path, "checkpoint")
    try:
        header = _header(metadata)
        config: Any = config_from_dict(header.get("config", {}))
        classes = header.get("classes")
        return Checkpoint(tensors, config, ClassSet.from_dict(classes) if classes else None)
    except ValueError as error:
        raise ValueError(f"checkpoint {path}: {error}") from error


def holds_foreign(path: str | Path) -> bool:
    """Whether a file holds a model of another library; only its header is read.

    Raises:
        ValueError: Naming the path, if it is no such file or one of a later version.
    """
    try:
        config = _header(read_metadata(path, "checkpoint")).get("config")
    except ValueError as error:
        message = str(error).removeprefix(f"checkpoint {path}: ")
        raise ValueError(f"checkpoint {path}: {message}") from error
    return isinstance(config, Mapping) and "library" in config


def _header(metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ValueError(
            "holds tensors but no model of Offstride; weights of a backbone go to create_model(pretrained=…)"
        )
    header = json.loads(metadata[_KEY])
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(version, int):
        raise ValueError(f"expected a format version in its metadata, got {metadata[_KEY][:80]!r}")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"has format version {version} ({header.get('written_by')}), this is offstride {__version__} "
            f"and reads up to {FORMAT_VERSION}: update offstride"
        )
    return header
