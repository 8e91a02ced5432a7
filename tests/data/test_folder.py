import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from offstride.data.catalog import ClassSet
from offstride.data.files import FolderDataset


def test_samples_are_the_files(tree):
    root = tree()
    dataset = FolderDataset(root, "train")
    assert len(dataset) == 3
    assert dataset.names == ("0", "1", "2")
    assert dataset.classes == ClassSet(("sky", "road", "pole"), thin=("pole",))
    for index, sample in enumerate(dataset[i] for i in range(3)):
        assert sample.name == str(index)
        assert sample.image.dtype == sample.label.dtype == torch.uint8
        assert np.array_equal(
            sample.image.permute(1, 2, 0), np.asarray(Image.open(root / f"images/train/{index}.jpg").convert("RGB"))
        )
        assert np.array_equal(sample.label, np.asarray(Image.open(root / f"labels/train/{index}.png")))
    with pytest.raises(IndexError):
        dataset[3]


def test_given_classes_translate_the_masks(tree):
    root = tree()
    classes = ClassSet(("pole", "rest"), values=(2, 0), ignore_values=(1, 255))
    translation = np.array([1, 255, 0] + [255] * 253, np.uint8)
    plain = FolderDataset(root, "val")
    for index, sample in enumerate(FolderDataset(root, "val", classes)[i] for i in range(3)):
        assert np.array_equal(sample.label, translation[plain[index].label.numpy()])


def test_it_travels_to_worker_processes(tree):
    dataset = FolderDataset(tree(), "train")
    dataset[0]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[1].label, dataset[1].label)


def test_a_mask_of_another_size(tree):
    root = tree()
    Image.new("L", (24, 15)).save(root / "labels/train/0.png")
    dataset = FolderDataset(root, "train")
    with pytest.raises(ValueError, match=r"mask .*labels/train/0\.png: expected .*\(16, 24\), got \(15, 24\)"):
        dataset[0]


def test_a_mask_with_unknown_values(tree):
    root = tree()
    Image.new("L", (24, 16), 200).save(root / "labels/train/0.png")
    with pytest.raises(ValueError, match=r"file .*labels/train/0\.png: mask: expected values 0-2, 255, got also 200"):
        FolderDataset(root, "train")[0]


def test_a_truncated_image(tree):
    path = tree() / "images/train/0.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"images/train/0\.jpg: cannot be decoded"):
        FolderDataset(path.parents[2], "train")[0]


def test_an_unknown_split(tree):
    with pytest.raises(ValueError, match="split: expected one of 'train', 'val', got 'test'"):
        FolderDataset(tree(), "test")
