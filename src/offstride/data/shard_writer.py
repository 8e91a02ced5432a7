"""Writes data sets as shards for `ShardedDataset`."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from offstride.data.catalog import ClassSet
from offstride.data.sample import SampleSet, sample_name
from offstride.data.shards import VERSION, index_file
from offstride.files import write_text, write_whole
from offstride.ops.labels import IGNORE_INDEX

LABEL = ".label.png"
Place = list[int]


def write_shards(
    dataset: SampleSet,
    root: str | Path,
    split: str | None,
    *,
    shard_bytes: int = 1 << 30,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a data set as shards, or finish writing it.

    Image files are copied unchanged; images of sets that are not files become PNG. Labels become PNG files of class
    indices. Shards are written atomically and the index last: this can be stopped at any time, and continues after the
    last complete shard when it is called again.

    Args:
        dataset: One split.
        root: Folder for the shards; several splits of one data set share it.
        split: Name of the split.
        shard_bytes: A shard ends with the first sample that reaches this size.
        progress: Progress callback: `progress(samples written, all samples)`.

    Returns:
        Path of the index.

    Raises:
        ValueError: When the folder holds other samples under this name, or other classes; or a sample cannot be read.
    """
    root = Path(root)
    if shard_bytes < 1:
        raise ValueError(f"shard_bytes: expected at least 1, got {shard_bytes}")
    root.mkdir(parents=True, exist_ok=True)
    _write_classes(root, dataset.classes)
    index = _finished(root, split)
    shards, names, places = index["shards"], index["names"], index["places"]
    expected = [sample_name(dataset, number) for number in range(len(dataset))]
    if names != expected[: len(names)]:
        raise ValueError(f"root: expected no shards of {split!r} in {root} or shards of this data set, found others")
    while len(names) < len(dataset):
        number = len(shards)
        path = root / f"{split or 'all'}-{number:06}.tar"
        for name, place in _write_shard(dataset, len(names), path, shard_bytes):
            names.append(name)
            places.append([number, *place])
            if progress:
                progress(len(names), len(dataset))
        shards[path.name] = path.stat().st_size
    write_text(index_file(root, split), json.dumps(index))
    return index_file(root, split)


def _write_classes(root: Path, classes: ClassSet) -> None:
    """Write the class file: mask values are class indices in shards."""
    plain = replace(classes, values=tuple(range(len(classes))), ignore_values=(IGNORE_INDEX,))
    path = root / "classes.json"
    if path.exists() and ClassSet.from_file(path) != plain:
        raise ValueError(f"root: expected the classes of the data set in {path}, found others")
    write_text(path, json.dumps(plain.to_dict(), indent=2) + "\n")


def _finished(root: Path, split: str | None) -> dict[str, Any]:
    """The index of the complete shards of an earlier call, see `read_index`."""
    shards: dict[str, int] = {}
    names: list[str] = []
    places: list[Place] = []
    while (path := root / f"{split or 'all'}-{len(shards):06}.tar").exists():
        try:
            with tarfile.open(path, "r:") as shard:
                members = shard.getmembers()
        except tarfile.TarError as error:
            raise ValueError(f"shard {path}: cannot be read ({error}); remove it to write it again") from error
        for image, label in zip(members[::2], members[1::2], strict=True):
            names.append(label.name.removesuffix(LABEL))
            places.append([len(shards), image.offset_data, image.size, label.offset_data, label.size])
        shards[path.name] = path.stat().st_size
    return {"version": VERSION, "shards": shards, "names": names, "places": places}


def _write_shard(dataset: SampleSet, start: int, path: Path, shard_bytes: int) -> Iterator[tuple[str, Place]]:
    """Write one shard from the sample `start` on; yields name and place of each sample."""
    with write_whole(path) as temporary, tarfile.open(temporary, "w:", format=tarfile.PAX_FORMAT) as shard:
        for index in range(start, len(dataset)):
            name, image, suffix, label = _encoded(dataset, index)
            yield name, [*_add(shard, name + suffix, image), *_add(shard, name + LABEL, label)]
            if shard.offset >= shard_bytes:
                break


def _encoded(dataset: SampleSet, index: int) -> tuple[str, bytes, str, bytes]:
    """Name, image file and its suffix, and label file."""
    sample = dataset[index]  # decodes both: errors occur now rather than while training
    find = getattr(dataset, "image_file", None)
    path = None if find is None else find(index)
    if path is not None:
        image, suffix = path.read_bytes(), path.suffix.lower()
    else:
        image, suffix = _png(sample.image.permute(1, 2, 0).numpy()), ".png"
    return sample.name, image, suffix, _png(sample.label.numpy())


def _png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(file, "PNG")
    return file.getvalue()


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> Place:
    """Add a member; returns where its content begins and its length."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    shard.addfile(info, io.BytesIO(data))
    return [shard.offset - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, len(data)]
