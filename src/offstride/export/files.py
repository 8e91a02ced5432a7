"""Exported files, and packages that may be missing."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from offstride.files import write_bytes


def write_output(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; missing folders are made.

    Raises:
        ValueError: Naming the path, if it cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ValueError(f"output: {path} cannot be written ({error})") from error


def optional(name: str) -> ModuleType:
    """A package of the extra `export`.

    Raises:
        ValueError: If it is not installed, with the command that does so.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"{name} is not installed, which ONNX files need: pip install 'offstride[export]'") from error
