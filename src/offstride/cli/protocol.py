"""Inference options: the fields of `InferenceProtocol` that have a help text."""

from collections.abc import Iterator, Sequence
from dataclasses import Field, fields
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from offstride.inference import InferenceProtocol


def add_protocol(parser: ArgumentParser) -> None:
    """Add the options that `protocol_of` reads, and `output_stride`."""
    parser.add_argument("--output-stride", type=int | None, help="output stride (default: that of training)")
    types = get_type_hints(InferenceProtocol)
    for option, entry in _options():
        default = list(entry.default) if isinstance(entry.default, tuple) else entry.default
        parser.add_argument(f"--{option}", default=default, help=entry.metadata["help"], **_syntax(types[entry.name]))


def protocol_of(values: Namespace) -> InferenceProtocol:
    """The inference protocol from parsed options.

    Raises:
        ValueError: Naming the option that is out of range.
    """
    given: dict[str, Any] = {entry.name: values[option] for option, entry in _options()}
    given.update({name: tuple(given[name]) for name in ("scales", "window") if given[name]})
    return InferenceProtocol(**given)


def _options() -> Iterator[tuple[str, Field[Any]]]:
    """Names on the command line and the fields that they set."""
    return ((entry.metadata.get("option", entry.name), entry) for entry in fields(InferenceProtocol) if entry.metadata)


def _syntax(kind: Any) -> dict[str, Any]:
    """Arguments of `add_argument` for a type."""
    if kind is bool:
        return {"action": "store_true"}
    if kind == Sequence[float]:
        return {"type": float, "nargs": "+"}
    if kind == tuple[int, int] | None:
        return {"type": int, "nargs": 2, "metavar": ("H", "W")}
    return {"type": kind}
