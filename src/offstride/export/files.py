"""Files that appear whole or not at all, and packages that may be missing."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from uuid import uuid4


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write under another name in the same folder, then rename.

    Raises:
        ValueError: Naming the path, if it cannot be written.
    """
    partial = path.with_name(f".{uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        raise ValueError(f"output: {path} cannot be written ({error})") from error
    finally:
        if partial.exists():
            partial.unlink()


def optional(name: str) -> ModuleType:
    """A package of the extra `export`.

    Raises:
        ValueError: If it is not installed, with the command that does so.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"{name} is not installed, which ONNX files need: pip install 'offstride[export]'") from error
