"""Where the outputs of frozen parts are kept: in memory or in a folder, by keys that are hashes of their content."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from offstride.files import write_whole

Slices = tuple[slice, slice]
"""Rows and columns, the last two dimensions of a tensor."""

WHOLE: Slices = (slice(None), slice(None))


class TensorStore(Protocol):
    """Tensors by key and name."""

    def has(self, key: str, name: str) -> bool:
        """Whether there is such a tensor."""
        ...

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors by name; those of the same key and name are the same."""
        ...

    def read(self, key: str, name: str, part: Slices = WHOLE) -> Tensor:
        """Part of a tensor, as a new one."""
        ...


class Memory(TensorStore):
    """A store in memory."""

    def __init__(self) -> None:
        self.tensors: dict[tuple[str, str], Tensor] = {}

    def has(self, key: str, name: str) -> bool:
        return (key, name) in self.tensors

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        self.tensors |= {(key, name): tensor.contiguous() for name, tensor in tensors.items()}

    def read(self, key: str, name: str, part: Slices = WHOLE) -> Tensor:
        return self.tensors[key, name][..., *part].clone()


class Folder(TensorStore):
    """A store of files, one for each tensor, that runs and processes may share. Of a file only what is asked for is
    read.

    Args:
        path: The folder, made if needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, key: str, name: str) -> bool:
        return self._file(key, name).exists()

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            with write_whole(self._file(key, name), sync=False) as temporary:
                save_file({name: tensor.contiguous()}, temporary)

    def read(self, key: str, name: str, part: Slices = WHOLE) -> Tensor:
        with safe_open(self._file(key, name), "pt") as file:
            tensor = file.get_slice(name)
            return tensor[*[slice(None)] * (len(tensor.get_shape()) - 2), *part]

    def _file(self, key: str, name: str) -> Path:
        return self.path / f"{key}-{name}.safetensors"
