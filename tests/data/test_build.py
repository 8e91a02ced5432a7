import pytest
import torch

from offstride.data.build import build_dataset
from offstride.data.camvid import CamVid
from offstride.data.catalog import CAMVID, STREETS
from offstride.data.drawn.streets import Streets
from offstride.data.files import FolderDataset


def test_folders(tree):
    root = tree()
    dataset = build_dataset("folder", "val", root=root)
    assert type(dataset) is FolderDataset
    assert dataset.split == "val"
    (root / "classes.json").unlink()
    dataset = build_dataset("camvid", "train", root=root)
    assert type(dataset) is CamVid
    assert dataset.classes == CAMVID


def test_a_folder_without_splits(tree):
    assert len(build_dataset("folder", None, root=tree(splits=("",)))) == 3


def test_streets():
    dataset = build_dataset("streets", "val", count=3, size=(32, 48), seed=5)
    assert type(dataset) is Streets
    assert len(dataset) == 3
    assert dataset.classes == STREETS
    expected = Streets(3, (32, 48), seed=5, split="val")[1]
    assert torch.equal(dataset[1].image, expected.image)
    assert [len(build_dataset("streets", split)) for split in ("train", "val", "test")] == [2000, 200, 200]
    assert build_dataset("streets", "test")[0].image.shape == (3, 192, 256)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "cityscape",
            {},
            r"name: expected one of \('folder', 'camvid', 'shards', 'voc2012', .*'streets'\), got 'cityscape'",
        ),
        ("folder", {}, "root: expected the folder that holds 'folder', got None"),
        ("camvid", {}, "root: expected the folder that holds 'camvid', got None"),
        ("folder", {"root": "x", "count": 3}, "count: expected none for 'folder', got 3"),
        ("camvid", {"root": "x", "size": (3, 4)}, "size: expected none for 'camvid'"),
        ("streets", {"root": "x"}, "root: expected none for 'streets', got 'x'"),
        ("streets", {"split": "dev"}, "split: expected one of .* got 'dev'"),
        ("streets", {"count": 0}, "count"),
        ("folder", {"root": "/nowhere"}, "root: expected a folder, got /nowhere"),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_dataset(name, **({"split": "train"} | arguments))
