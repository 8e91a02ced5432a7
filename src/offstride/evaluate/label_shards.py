"""The label windows of a data set, encoded by several processes into files that are read back one at a time."""

from collections.abc import Callable
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from offstride.data import LabelMaps, SampleSet
from offstride.ops import IGNORE_INDEX
from offstride.ops.label_basis import LabelWindows
from offstride.upsamplers.label_basis import encode_label_maps, read_tensors, write_tensors

_KEY = "offstride_windows"
_TENSORS = ("codes", "offsets", "counts", "keys")


class LabelShards:
    """Encoded windows in files; each file is read on every access.

    Attributes:
        paths: The files, in the order of the data set.
        reused: How many of them existed before.
    """

    def __init__(self, paths: list[Path], reused: int = 0) -> None:
        self.paths, self.reused = paths, reused

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> LabelWindows:
        return read_windows(self.paths[index])


def write_windows(path: Path, windows: LabelWindows) -> None:
    """Write encoded windows; raises a `ValueError` if they cannot be written."""
    header = {"scale": windows.scale, "classes": windows.classes}
    write_tensors(path, {name: getattr(windows, name) for name in _TENSORS}, _KEY, header)


def read_windows(path: Path) -> LabelWindows:
    """Read encoded windows; raises a `ValueError` if there are none."""
    tensors, header = read_tensors(path, _KEY, "label windows")
    try:
        return LabelWindows(header["scale"], header["classes"], *(tensors[name] for name in _TENSORS))
    except KeyError as error:
        raise ValueError(f"label windows {path}: lacks {error}") from error


def encode_dataset(
    dataset: SampleSet,
    folder: str | Path,
    *,
    scale: int,
    maps_per_shard: int = 32,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LabelShards:
    """Encode the label windows of a data set, some maps to a file.

    Existing files are reused: an interrupted call continues where it stopped, and a second fit with other channels
    reads no labels. The name of a file identifies its maps, see `LabelMaps.fingerprint`. The files are the same for any
    number of workers.

    Args:
        dataset: Labelled images.
        folder: Folder of the files.
        scale: Window r.
        maps_per_shard: Label maps per file.
        workers: Processes that read and encode; 0 for this one alone.
        progress: Called with the number of maps done and their total.

    Raises:
        ValueError: If an argument is out of range, or a map cannot be read or a file written.
    """
    for name, value, least in (("scale", scale, 1), ("maps_per_shard", maps_per_shard, 1), ("workers", workers, 0)):
        if value < least:
            raise ValueError(f"{name}: expected a whole number from {least} on, got {value}")
    jobs = _Jobs(LabelMaps(dataset), Path(folder), scale, maps_per_shard)
    missing = [index for index, path in enumerate(jobs.paths) if not path.is_file()]
    done, total = len(dataset) - sum(len(jobs.share(index)) for index in missing), len(dataset)
    progress(done, total)
    for written in DataLoader(jobs, batch_size=None, sampler=missing, num_workers=workers):
        done += int(written)
        progress(done, total)
    return LabelShards(jobs.paths, len(jobs.paths) - len(missing))


class _Jobs(Dataset[int]):
    """Reading an item writes a file, and returns the number of maps in it."""

    def __init__(self, maps: LabelMaps, folder: Path, scale: int, maps_per_shard: int) -> None:
        self.maps, self.scale, self.step = maps, scale, maps_per_shard
        count = -(-len(maps) // maps_per_shard)
        names = (f"windows-r{scale}-{index:05d}-{maps.fingerprint(self.share(index))}" for index in range(count))
        self.paths = [folder / f"{name}.safetensors" for name in names]

    def share(self, index: int) -> range:
        return range(index * self.step, min((index + 1) * self.step, len(self.maps)))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> int:
        share = self.share(index)
        maps = (self.maps[place] for place in share)
        windows = encode_label_maps(maps, scale=self.scale, classes=len(self.maps.classes), ignore_index=IGNORE_INDEX)
        write_windows(self.paths[index], windows)
        return len(share)
