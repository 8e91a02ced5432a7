import shutil
from pathlib import Path

import pytest

from offstride.data.layout import abridged, class_file, list_pairs, match_files, read_classes, split_names


def test_pairs_are_matched_by_stem_and_sorted(tree):
    root = tree()
    (root / "images/train/.hidden.jpg").touch()
    (root / "images/train/notes.txt").touch()
    (root / "images/train/2.jpg").rename(root / "images/train/2.JPG")
    pairs = list_pairs(root, "train")
    assert [pair.name for pair in pairs] == ["0", "1", "2"]
    assert [pair.image.name for pair in pairs] == ["0.jpg", "1.jpg", "2.JPG"]
    assert {pair.label for pair in pairs} == set((root / "labels/train").iterdir())


def test_masks_may_be_called_masks(tree):
    root = tree(labels="masks")
    assert list_pairs(root, "val")[0].label == root / "masks/val/0.png"


def test_files_without_splits(tree):
    root = tree(splits=("",))
    assert split_names(root) == ()
    assert len(list_pairs(root, None)) == 3


def test_matching_tells_what_is_left_over(tree):
    root = tree()
    (root / "images/train/0.jpg").unlink()
    (root / "labels/train/1.png").unlink()
    shutil.copy(root / "images/train/2.jpg", root / "images/train/2.jpeg")
    matching = match_files(root, "train")
    assert [pair.name for pair in matching.pairs] == ["2"]
    assert matching.without_label == (root / "images/train/1.jpg",)
    assert matching.without_image == (root / "labels/train/0.png",)
    assert matching.ambiguous == (root / "images/train/2.jpeg", root / "images/train/2.jpg")


def test_left_over_files_are_named(tree):
    root = tree()
    (root / "images/train/0.jpg").rename(root / "images/train/x.jpg")
    with pytest.raises(ValueError, match=r"root: images without a mask .*labels/train \(1\): .*images/train/x\.jpg"):
        list_pairs(root, "train")
    (root / "images/train/x.jpg").unlink()
    with pytest.raises(ValueError, match=r"root: masks without an image .*images/train \(1\): .*labels/train/0\.png"):
        list_pairs(root, "train")
    shutil.copy(root / "images/val/0.jpg", root / "images/train/0.jpg")
    shutil.copy(root / "images/val/0.jpg", root / "images/train/0.jpeg")
    with pytest.raises(ValueError, match=r"root: files that share their stem \(2\): .*0\.jpeg, .*0\.jpg"):
        list_pairs(root, "train")


def test_a_wrong_split_names_the_splits_that_exist(tree):
    root = tree()
    with pytest.raises(ValueError, match="split: expected one of 'train', 'val', got 'training'"):
        list_pairs(root, "training")
    with pytest.raises(ValueError, match="split: expected one of 'train', 'val', got None"):
        list_pairs(root, None)
    with pytest.raises(ValueError, match=r"split: expected one of 'train', 'val', got '../images/train'"):
        list_pairs(root, "../images/train")
    shutil.rmtree(root / "labels/val")
    with pytest.raises(ValueError, match=r"got 'val': there is no .*labels/val"):
        list_pairs(root, "val")


def test_a_split_where_there_are_none(tree):
    with pytest.raises(ValueError, match=r"expected one of None .*got 'train'"):
        list_pairs(tree(splits=("",)), "train")


def test_missing_and_empty_folders(tree, tmp_path: Path):
    with pytest.raises(ValueError, match=r"root: expected a folder, got .*nowhere"):
        list_pairs(tmp_path / "nowhere", "train")
    root = tree()
    for file in (*(root / "images/val").iterdir(), *(root / "labels/val").iterdir()):
        file.unlink()
    with pytest.raises(ValueError, match=r"root: no images \(\.jpg.* in .*images/val"):
        list_pairs(root, "val")
    shutil.rmtree(root / "labels")
    with pytest.raises(ValueError, match=r"images and labels \(or masks\) in .*, found classes\.json, images"):
        list_pairs(root, "train")


def test_class_files(tree):
    root = tree()
    assert read_classes(root).names == ("sky", "road", "pole")
    (root / "classes.json").unlink()
    assert class_file(root) is None
    with pytest.raises(ValueError, match=r"classes: none were given, and .* holds none of classes\.json"):
        read_classes(root)
    (root / "classes.yaml").write_text("classes: [a, b]")
    assert read_classes(root).names == ("a", "b")


def test_abridged():
    assert abridged([1, 2]) == "1, 2"
    assert abridged(range(8), limit=3) == "0, 1, 2 and 5 more"
