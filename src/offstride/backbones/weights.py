"""Pretrained backbone weights from a file: all tensors must match."""

from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

Triple = tuple[float, float, float]


def load_backbone_weights(network: nn.Module, path: str | Path, ignorable: Collection[str] = ()) -> dict[str, str]:
    """Load a safetensors file into a feature network; values are converted to the types of the network.

    timm's feature networks rename some tensors of the full model (`stages.0` becomes `stages_0` or
    `model.stages.0`); such tensors are also accepted under their full name.

    Args:
        network: Network to fill.
        path: File with the tensors of the network. Only the batch counters of batch normalisation may be missing.
        ignorable: Full-model names of tensors that the file may hold in addition, such as a classifier.

    Returns:
        Metadata of the file.

    Raises:
        ValueError: If the file cannot be read, or naming the tensors that are missing, unexpected or of another shape.
            The network is unchanged then.
    """
    tensors, metadata = read_tensors(path, "weights")
    known = {*tensors, *ignorable}
    own = network.state_dict()
    stored = {name: _stored_name(name, known) for name in own}
    if problems := mismatches({stored[name]: own[name] for name in own}, tensors, ignorable):
        raise ValueError(f"weights {path} do not fit the network: {problems}")
    network.load_state_dict({name: tensors[stored[name]] for name in own if stored[name] in tensors}, strict=False)
    return metadata


def mismatches(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor], ignorable: Collection[str] = ()) -> str:
    """Why `actual` cannot replace `expected`, in words; empty if it can.

    Batch counters of batch normalisation may be missing, and `ignorable` tensors may be there in addition.
    """
    missing = [name for name in expected if name not in actual and not name.endswith("num_batches_tracked")]
    unexpected = sorted(actual.keys() - expected.keys() - set(ignorable))
    misshapen = [
        f"{name} {tuple(actual[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in actual and actual[name].shape != tensor.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    return "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in kinds.items() if names)


def normalisation(metadata: Mapping[str, str], path: str | Path) -> tuple[Triple, Triple] | None:
    """Mean and standard deviation per channel (of images in 0 … 1) from the `mean` and `std` of a file's metadata,
    written as one number or three with commas; `None` unless it has both.

    Raises:
        ValueError: If they are not such numbers.
    """
    if not {"mean", "std"} <= metadata.keys():
        return None
    return _triple("mean", metadata["mean"], path), _triple("std", metadata["std"], path)


def _triple(name: str, text: str, path: str | Path) -> Triple:
    try:
        numbers = [float(number) for number in text.split(",")]
        first, second, third = numbers * 3 if len(numbers) == 1 else numbers
    except ValueError as error:
        raise ValueError(f"weights {path}: expected one or three numbers as {name}, got {text!r}") from error
    return first, second, third


def read_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; raises a `ValueError` that names its kind and path."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{kind} {path}: expected a safetensors file ({error})") from error


def read_metadata(path: str | Path, kind: str) -> dict[str, str]:
    """Metadata of a safetensors file alone; errors as `read_tensors`."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{kind} {path}: expected a safetensors file ({error})") from error


def _stored_name(own: str, stored: Collection[str]) -> str:
    """Full-model name of a feature network's tensor: itself, without a wrapper in front (`model.stages.0`), or with the
    first level of nesting restored (`stages_0`).
    """
    first, _, rest = own.partition(".")
    nested = (f"{first[:i]}.{first[i + 1 :]}.{rest}" for i, letter in enumerate(first) if letter == "_")
    return next((name for name in (own, rest, *nested) if name in stored), own)


def _first(names: list[str], count: int = 5) -> str:
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")
