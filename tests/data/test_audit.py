import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from offstride.data.audit import audit_folder
from offstride.data.catalog import ClassSet


def test_a_sound_dataset_is_counted(tree):
    root = tree()
    audit = audit_folder(root)
    assert audit.ok
    assert audit.problems == []
    assert list(audit.splits) == ["train", "val"]
    for name, split in audit.splits.items():
        masks = [np.asarray(Image.open(path)) for path in (root / "labels" / name).iterdir()]
        pixels = Counter(np.concatenate([mask.ravel() for mask in masks]).tolist())
        assert split.pixels == [pixels[value] for value in range(3)]
        assert split.images == [sum((mask == value).any() for mask in masks) for value in range(3)]
        assert (split.ignored, split.unknown, split.pairs) == (pixels[255], 0, 3)
        assert (split.smallest, split.largest) == ((16, 24), (18, 24))
        assert sum(split.shares) + split.ignored_share == pytest.approx(1)
        assert split.ignored_share == pytest.approx(pixels[255] / pixels.total())


def test_everything_that_is_wrong_is_collected(tree):
    root = tree(count=7)
    labels, images = root / "labels/train", root / "images/train"
    (labels / "0.png").unlink()
    (images / "1.jpg").unlink()
    (images / "2.jpg").write_bytes((images / "2.jpg").read_bytes()[:-300])
    (labels / "3.png").write_bytes(b"")
    Image.new("L", (24, 5)).save(labels / "4.png")
    Image.new("L", (24, 21), 200).save(labels / "5.png")
    shutil.copy(images / "6.jpg", images / "6.jpeg")

    audit = audit_folder(root)
    split = audit.splits["train"]
    assert not audit.ok
    assert audit.splits["val"].problems == []
    assert split.pairs == 5
    assert split.without_label == [str(images / "0.jpg")]
    assert split.without_image == [str(labels / "1.png")]
    assert set(split.unreadable) == {str(images / "2.jpg"), str(labels / "3.png")}
    assert split.mismatches == {str(labels / "4.png"): ((20, 24), (5, 24))}
    assert split.unknown_values == {str(labels / "5.png"): [200]}
    assert split.unknown == 24 * 21
    assert split.ambiguous == [str(images / "6.jpeg"), str(images / "6.jpg")]
    assert sum(split.shares) + split.ignored_share < 1
    assert len(audit.problems) == 6
    assert all(problem.startswith("train: ") for problem in audit.problems)
    assert "unreadable files (2)" in audit.problems[3]
    assert "values 200" in audit.problems[5]


def test_one_split_and_its_name(tree):
    root = tree()
    assert list(audit_folder(root, "val").splits) == ["val"]
    with pytest.raises(ValueError, match="split: expected one of 'train', 'val', got 'dev'"):
        audit_folder(root, "dev")


def test_a_split_without_masks_is_a_finding(tree):
    root = tree()
    shutil.rmtree(root / "labels/val")
    audit = audit_folder(root)
    assert [problem.split(":")[:2] for problem in audit.problems] == [["val", " images without a mask (3)"]]
    assert audit_folder(root, "val").problems == audit.problems


def test_an_empty_split_is_a_finding(tree):
    root = tree()
    (root / "images/test").mkdir()
    assert audit_folder(root).problems == ["test: no images"]
    assert audit_folder(root).splits["test"].shares == [0, 0, 0]


def test_files_without_splits(tree):
    audit = audit_folder(tree(splits=("",)))
    assert audit.ok
    assert audit.splits[""].pairs == 3


def test_given_classes_are_used(tree):
    audit = audit_folder(tree(), classes=ClassSet(("road",), values=(1,), ignore_values=(0, 255)))
    assert {tuple(values) for values in audit.splits["train"].unknown_values.values()} == {(2,)}
    assert audit.splits["train"].ignored > audit_folder(tree()).splits["train"].ignored


def test_no_folder_and_no_classes(tree, tmp_path):
    with pytest.raises(ValueError, match="root: expected a folder"):
        audit_folder(tmp_path / "nowhere")
    root = tree()
    (root / "classes.json").unlink()
    with pytest.raises(ValueError, match="classes: none were given"):
        audit_folder(root)


def test_progress_and_workers(tree):
    calls: list[tuple[int, int]] = []
    one = audit_folder(tree(), workers=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]
    assert audit_folder(tree(), workers=4) == one


def test_plain_data_survives_json(tree):
    audit = audit_folder(tree())
    data = json.loads(json.dumps(audit.to_dict()))
    assert data["ok"] is True
    assert ClassSet.from_dict(data["classes"]) == audit.classes
    assert data["splits"]["val"]["pixels"] == audit.splits["val"].pixels
    assert data["splits"]["val"]["shares"] == audit.splits["val"].shares
