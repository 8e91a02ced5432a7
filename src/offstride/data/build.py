"""Datasets by name, as recipes and the command line ask for them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from offstride.data.camvid import CamVid
from offstride.data.folder import FolderDataset
from offstride.data.join import Joined
from offstride.data.registry import OFFICIAL
from offstride.data.sample import SampleSet
from offstride.data.shards import ShardedDataset
from offstride.data.streets import Streets

_IN_FOLDERS: Mapping[str, Callable[[str | Path, str | None], SampleSet]] = {
    "folder": FolderDataset,
    "camvid": CamVid,
    "shards": ShardedDataset,
}
_SPLITS = ("train", "val", "test")


def build_dataset(
    name: str,
    split: str | None,
    *,
    root: str | Path | None = None,
    count: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> SampleSet:
    """Open a dataset that lies in folders, or make one that is drawn.

    Args:
        name: `"folder"`, `"camvid"` and `"shards"` lie in `root`, see `FolderDataset`, `CamVid` and `ShardedDataset`;
            so do the published ones, in the folders that their archives unpack to: `"voc2012"`, `"pascal_context59"`,
            `"pascal_context60"`, `"ade20k"`, `"cityscapes"`, `"coco_stuff10k"`, `"coco_stuff164k"`, `"coco_voc"`;
            `"streets"` is drawn, see `Streets`.
        split: `"train"`, `"val"`, `"test"` or another split of this dataset; a `+` joins splits of any. For `"folder"`
            any that exists, or None where there are none.
        root: Where the files lie; not for `"streets"`.
        count: Number of drawn scenes, by default 2000 for `"train"` and 200 otherwise; only for `"streets"`.
        size: (height, width) of drawn scenes, by default (192, 256); only for `"streets"`.
        seed: Of the drawn scenes; files do not depend on it.

    Raises:
        ValueError: When the name or split is unknown, an argument is missing or means nothing to this dataset, or files
            are missing. Of splits whose labels are not public (test of VOC, ADE20K, Cityscapes) only names and images
            can be had, see `FileDataset`.
    """
    if name != "streets" and name not in _IN_FOLDERS and name not in OFFICIAL:
        raise ValueError(f"name: expected one of {(*_IN_FOLDERS, *OFFICIAL, 'streets')}, got {name!r}")
    joins = OFFICIAL[name].joins if name in OFFICIAL else {}
    splits = [part for given in (split or "").split("+") for part in joins.get(given, given).split("+")]
    parts = [_open(name, part or None, root, count, size, seed) for part in splits]
    return parts[0] if len(parts) == 1 else Joined(parts)


def _open(
    name: str, split: str | None, root: str | Path | None, count: int | None, size: tuple[int, int] | None, seed: int
) -> SampleSet:
    """One split that is no join."""
    if name == "streets":
        _refuse(name, root=root)
        if split not in _SPLITS:
            raise ValueError(f"split: expected one of {_SPLITS} for {name!r}, got {split!r}")
        default = 2000 if split == "train" else 200
        return Streets(default if count is None else count, size or (192, 256), seed, split)
    _refuse(name, count=count, size=size)
    if root is None:
        raise ValueError(f"root: expected the folder that holds {name!r}, got None")
    return OFFICIAL[name].open(root, split or "") if name in OFFICIAL else _IN_FOLDERS[name](root, split)


def _refuse(name: str, **arguments: object) -> None:
    """Raise a `ValueError` for the first argument that is given: it would silently do nothing."""
    for argument, value in arguments.items():
        if value is not None:
            raise ValueError(f"{argument}: expected none for {name!r}, got {value!r}")
