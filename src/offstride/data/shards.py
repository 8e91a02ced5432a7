"""Data sets in a few large tar files, for storage on which opening many small files is slow.

A split `train` is `train-000000.tar`, `train-000001.tar`, … with the members `NAME.jpg` (the image file as it was) and
`NAME.label.png` (class indices, 255 where there is none), the index `train.json`, and `classes.json` beside them.

The index has offset and length of each member. A sample therefore costs two reads from an open file and no look-up of a
name, which is slow on network file systems. Samples have random access, so that the shuffled, exactly resumable order
of `SampleStream` is the same as for folders. Sequential formats shuffle only within a buffer and cannot resume exactly.
The price is that reads are as small as the files: storage with slow random access (rotating discs, object stores) gains
less.
"""

import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from offstride.data.catalog import ClassSet
from offstride.data.decode import read_image, read_mask
from offstride.data.layout import read_classes
from offstride.data.sample import Sample

VERSION = 1


class ShardedDataset(Dataset[Sample]):
    """The samples of one split, read from tar files by offset and length.

    Files stay open after the first read. They are read at explicit offsets (`pread`), so that threads and forked
    processes share no position. Pickles contain no open files: a spawned process opens its own.

    Args:
        root: Folder of the shards.
        split: Name of the split; `write_shards` writes them.

    Raises:
        ValueError: When the index or a shard is missing, or a shard has another length than when it was written.
            Indexing raises one when a member is damaged.
    """

    def __init__(self, root: str | Path, split: str | None) -> None:
        self.root, self.split = Path(root), split
        index = read_index(self.root, split)
        self._shards: list[str] = list(index["shards"])
        self._sizes: list[int] = list(index["shards"].values())
        self.names: tuple[str, ...] = tuple(index["names"])
        self._places = np.array(index["places"], np.int64).reshape(-1, 5)
        self.classes: ClassSet = read_classes(self.root)
        self._files = _Files()
        for shard, size in index["shards"].items():
            _check_shard(self.root / shard, size)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        shard, offset, size, _, _ = map(int, self._places[index])
        image = read_image(self._title(index, "image"), self._read(shard, offset, size))
        # Channels stay last in memory: that is what resizing of uint8 images is fast on.
        return Sample(torch.from_numpy(image).permute(2, 0, 1), self.label(index), self.names[index])

    def label(self, index: int) -> Tensor:
        """The label map of a sample, without its image: `(H, W)` uint8."""
        shard, _, _, offset, size = map(int, self._places[index])
        title = self._title(index, "label")
        try:
            return torch.from_numpy(self.classes.encode(read_mask(title, self._read(shard, offset, size))))
        except ValueError as error:
            raise ValueError(str(error) if title in str(error) else f"file {title}: {error}") from error

    def label_stamp(self, index: int) -> tuple[object, ...]:
        """Path and modification time of the shard, offset and size of the label in it, and the name of the sample."""
        shard, _, _, offset, size = map(int, self._places[index])
        path = self.root / self._shards[shard]
        return str(path.resolve()), path.stat().st_mtime_ns, offset, size, self.names[index]

    def _read(self, shard: int, offset: int, size: int) -> BinaryIO:
        path = self.root / self._shards[shard]
        data = self._files.read(path, self._sizes[shard], offset, size)
        if len(data) != size:
            raise ValueError(f"shard {path}: expected {size} bytes from byte {offset} on, got {len(data)}: truncated")
        return io.BytesIO(data)

    def _title(self, index: int, kind: str) -> str:
        return f"{self.root / self._shards[self._places[index, 0]]}, {kind} of {self.names[index]}"


class _Files:
    """Open files; the length of each is checked when it is opened."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}

    def read(self, path: Path, length: int, offset: int, size: int) -> bytes:
        """Bytes of a file of a known length."""
        if path not in self._open:
            _check_shard(path, length)
            opened = os.open(path, os.O_RDONLY)
            if self._open.setdefault(path, opened) != opened:
                os.close(opened)  # another thread was faster
        return os.pread(self._open[path], size, offset)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Files, ()

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)


def index_file(root: Path, split: str | None) -> Path:
    """The index file of a split; `all.json` for a data set without splits."""
    return root / f"{split or 'all'}.json"


def read_index(root: Path, split: str | None) -> dict[str, Any]:
    """The index of a split: `shards` (name to length), `names` of the samples, and their `places`.

    A place is the number of the shard, then offset and length of the image and of the label in it, in bytes.

    Raises:
        ValueError: When there is no index, or it has another format.
    """
    path = index_file(root, split)
    if not path.is_file():
        known = sorted(shard.name.rpartition("-")[0] for shard in root.glob("*-000000.tar"))
        raise ValueError(
            f"root: expected the index {path}, which is missing; shards of {', '.join(known) or 'no split'} are there "
            f"(offstride data shard writes both, the index last)"
        )
    try:
        index = json.loads(path.read_text())
        if index["version"] != VERSION or len(index["names"]) != len(index["places"]):
            raise ValueError(f"version {index['version']}, {len(index['names'])} names, {len(index['places'])} places")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"index {path}: expected an index of shards, version {VERSION}, got {error!r}") from error
    return index


def _check_shard(path: Path, size: int) -> None:
    if not path.is_file():
        raise ValueError(f"shard {path}: expected {size} bytes, the file is missing")
    if path.stat().st_size != size:
        raise ValueError(f"shard {path}: expected {size} bytes, got {path.stat().st_size}: truncated or another file")
