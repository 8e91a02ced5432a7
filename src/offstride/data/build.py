"""Opens datasets by the names of recipes and the command line."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from offstride.data.camvid import CamVid
from offstride.data.catalog import CAMVID, ClassSet
from offstride.data.drawn import SPLITS, DrawnScenes, Segments, Streets
from offstride.data.files import FolderDataset
from offstride.data.join import Joined
from offstride.data.registry import OFFICIAL
from offstride.data.sample import SampleSet
from offstride.data.shards import ShardedDataset


class Source(NamedTuple):
    """A data set as `build_dataset` opens it.

    Attributes:
        open: From a folder and a split to the samples; None for drawn scenes.
        classes: The classes, if they are known without the files.
        joins: Splits that consist of others: name to their names, joined by `+`.
    """

    open: Callable[[str | Path, str | None], SampleSet] | None
    classes: ClassSet | None = None
    joins: Mapping[str, str] = {}


DRAWN: dict[str, type[DrawnScenes]] = {"segments": Segments, "streets": Streets}

DATASETS: dict[str, Source] = {
    "folder": Source(FolderDataset),
    "camvid": Source(CamVid, CAMVID),
    "shards": Source(ShardedDataset),
    **{name: Source(official.open, official.classes, official.joins) for name, official in OFFICIAL.items()},
    **{name: Source(None, kind.classes) for name, kind in DRAWN.items()},
}
"""The data sets of recipes and commands by name; a new data set is one more line."""


def build_dataset(
    name: str,
    split: str | None,
    *,
    root: str | Path | None = None,
    count: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> SampleSet:
    """Open a dataset.

    Args:
        name: `"folder"`, `"camvid"` and `"shards"` are read from `root`, see `FolderDataset`, `CamVid` and
            `ShardedDataset`; so are the published ones, in the folders that their archives unpack to: `"voc2012"`,
            `"pascal_context59"`, `"pascal_context60"`, `"ade20k"`, `"cityscapes"`, `"coco_stuff10k"`,
            `"coco_stuff164k"`, `"coco_voc"`; `"segments"` and `"streets"` are drawn, see `Segments` and `Streets`.
        split: `"train"`, `"val"`, `"test"` or another split of this dataset; `+` joins several splits. For `"folder"`
            any that exists, or None where there are none.
        root: Folder of the files; not for drawn ones.
        count: Number of drawn scenes, by default 2000 for `"train"` and 200 otherwise; only for drawn ones.
        size: (height, width) of drawn scenes, by default (192, 256); only for drawn ones.
        seed: Of the drawn scenes; files do not depend on it.

    Raises:
        ValueError: When the name or split is unknown, an argument is missing or does not apply to this dataset, or
            files are missing. Splits whose labels are not public (test of VOC, ADE20K, Cityscapes) have only names and
            images, see `FileDataset`.
    """
    if name not in DATASETS:
        raise ValueError(f"name: expected one of {tuple(DATASETS)}, got {name!r}")
    source = DATASETS[name]
    names = [part for given in (split or "").split("+") for part in source.joins.get(given, given).split("+")]
    splits = [part or None for part in names]
    if source.open is None:
        _refuse(name, root=root)
        parts = [_draw(name, part, count, size or (192, 256), seed) for part in splits]
    else:
        _refuse(name, count=count, size=size)
        if root is None:
            raise ValueError(f"root: expected the folder that holds {name!r}, got None")
        parts = [source.open(root, part) for part in splits]
    return parts[0] if len(parts) == 1 else Joined(parts)


def _draw(name: str, split: str | None, count: int | None, size: tuple[int, int], seed: int) -> DrawnScenes:
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {SPLITS} for {name!r}, got {split!r}")
    default = 2000 if split == "train" else 200
    return DRAWN[name](default if count is None else count, size, seed, split)


def _refuse(name: str, **arguments: object) -> None:
    """Raise a `ValueError` for the first argument that is given although it does not apply."""
    for argument, value in arguments.items():
        if value is not None:
            raise ValueError(f"{argument}: expected none for {name!r}, got {value!r}")
