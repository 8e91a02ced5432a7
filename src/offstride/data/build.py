"""Datasets by name, as recipes and the command line ask for them."""

from pathlib import Path

from offstride.data.camvid import CamVid
from offstride.data.folder import FolderDataset
from offstride.data.sample import SampleSet
from offstride.data.streets import Streets

_IN_FOLDERS = {"folder": FolderDataset, "camvid": CamVid}
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
        name: `"folder"` and `"camvid"` lie in `root`, see `FolderDataset` and `CamVid`; `"streets"` is drawn, see
            `Streets`.
        split: `"train"`, `"val"` or `"test"`; for `"folder"` any that exists, or None where there are none.
        root: Where the files lie; not for `"streets"`.
        count: Number of drawn scenes, by default 2000 for `"train"` and 200 otherwise; only for `"streets"`.
        size: (height, width) of drawn scenes, by default (192, 256); only for `"streets"`.
        seed: Of the drawn scenes; files do not depend on it.

    Raises:
        ValueError: When the name or split is unknown, or an argument is missing or means nothing to this dataset.
    """
    if name == "streets":
        _refuse(name, root=root)
        if split not in _SPLITS:
            raise ValueError(f"split: expected one of {_SPLITS} for {name!r}, got {split!r}")
        default = 2000 if split == "train" else 200
        return Streets(default if count is None else count, size or (192, 256), seed, split)
    if name not in _IN_FOLDERS:
        raise ValueError(f"name: expected one of {(*_IN_FOLDERS, 'streets')}, got {name!r}")
    _refuse(name, count=count, size=size)
    if root is None:
        raise ValueError(f"root: expected the folder that holds {name!r}, got None")
    return _IN_FOLDERS[name](root, split)


def _refuse(name: str, **arguments: object) -> None:
    """Raise a `ValueError` for the first argument that is given: it would silently do nothing."""
    for argument, value in arguments.items():
        if value is not None:
            raise ValueError(f"{argument}: expected none for {name!r}, got {value!r}")
