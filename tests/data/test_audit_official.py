import json
import shutil

import numpy as np
import pytest

from official_trees import WRITERS, raw, write_mask, write_tree
from offstride.data import OFFICIAL, audit_dataset, build_dataset

SIZE = (48, 64)


@pytest.mark.parametrize("name", WRITERS)
def test_a_sound_tree_is_counted(tmp_path, name):
    audit = audit_dataset(name, write_tree(name, tmp_path))
    assert audit.ok
    assert list(audit.splits) == list(OFFICIAL[name].counts)
    assert audit.absent == {}
    for split, split_audit in audit.splits.items():
        dataset = build_dataset(name, split, root=tmp_path)
        assert split_audit.pairs == len(dataset)
        assert split_audit.official == OFFICIAL[name].counts[split]
        assert (split_audit.smallest, split_audit.largest) == (SIZE, SIZE)
        labels = [dataset.label(index).numpy() for index in range(len(dataset))] if dataset.labelled else []
        for index in range(len(dataset.classes)):
            assert split_audit.pixels[index] == sum((label == index).sum() for label in labels)
            assert split_audit.images[index] == sum((label == index).any() for label in labels)
        assert split_audit.ignored == sum((label == 255).sum() for label in labels)
    known = [split for split, count in OFFICIAL[name].counts.items() if count]
    assert len(audit.warnings) == len(known)
    if known:
        pairs = audit.splits[known[0]].pairs
        count = OFFICIAL[name].counts[known[0]]
        assert audit.warnings[0] == f"{known[0]}: {pairs} images that can be used, {count} were published"
    data = json.loads(json.dumps(audit.to_dict()))
    assert data["warnings"] == audit.warnings
    assert data["splits"]["train"]["pixels"] == audit.splits["train"].pixels


def test_splits_by_name(tmp_path):
    root = write_tree("voc2012", tmp_path)
    assert list(audit_dataset("voc2012", root, "trainaug+val").splits) == ["trainaug", "val"]
    assert list(audit_dataset("voc2012", root, "trainval").splits) == ["train", "val"]
    with pytest.raises(ValueError, match=r"split: expected one of 'train', .*'trainval' for 'voc2012', got 'dev'"):
        audit_dataset("voc2012", root, "dev")


def test_splits_that_are_not_there(tmp_path):
    root = write_tree("voc2012", tmp_path)
    shutil.rmtree(root / "benchmark_RELEASE")
    (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt").unlink()
    audit = audit_dataset("voc2012", root)
    assert audit.ok
    assert list(audit.splits) == ["train", "val"]
    assert list(audit.absent) == ["trainaug", "test"]
    assert "trainaug: not there (root: the split 'trainaug' needs SBD" in audit.warnings[2]
    with pytest.raises(ValueError, match="needs SBD"):
        audit_dataset("voc2012", root, "trainaug")
    with pytest.raises(ValueError, match="root: expected VOC 2012"):
        audit_dataset("voc2012", root / "VOCdevkit" / "VOC2012" / "ImageSets")


def test_everything_that_is_wrong_is_collected(tmp_path):
    root = write_tree("cityscapes", tmp_path, count=6)
    dataset = build_dataset("cityscapes", "train", root=root)
    images, labels = dataset.image_files, [dataset.label_file(index) for index in range(6)]
    images[0].unlink()
    labels[1].unlink()
    images[2].write_bytes(images[2].read_bytes()[:-300])
    labels[3].write_bytes(b"")
    write_mask(labels[4], np.full((5, 64), 7))
    write_mask(labels[5], np.full(SIZE, 200))
    audit = audit_dataset("cityscapes", root, "train+val+test")
    split_audit = audit.splits["train"]
    assert not audit.ok
    assert audit.splits["val"].problems == audit.splits["test"].problems == []
    assert split_audit.missing == [str(images[0])]
    assert split_audit.without_label == [str(images[1])]
    assert set(split_audit.unreadable) == {str(images[2]), str(labels[3])}
    assert split_audit.mismatches == {str(labels[4]): (SIZE, (5, 64))}
    assert split_audit.unknown_values == {str(labels[5]): [200]}
    assert split_audit.pairs == 4
    assert len(audit.problems) == 5
    assert audit.problems[0] == f"train: images of the list that are missing (1): {images[0]}"


def test_unreadable_matlab_files_are_collected(tmp_path):
    root = write_tree("pascal_context59", tmp_path)
    path = root / "trainval" / "2008_train1.mat"
    path.write_bytes(path.read_bytes()[:200])
    audit = audit_dataset("pascal_context59", root, "train")
    assert list(audit.splits["train"].unreadable) == [str(path)]
    assert audit.splits["train"].pairs == 3


def test_objects_of_another_size_name_the_image(tmp_path):
    root = write_tree("coco_voc", tmp_path)
    path = root / "annotations/instances_train2017.json"
    layout = json.loads(path.read_text())
    layout["images"][1]["height"] += 2
    path.write_text(json.dumps(layout))
    split_audit = audit_dataset("coco_voc", root, "train").splits["train"]
    assert split_audit.mismatches == {f"{path}, train{1:012}": (SIZE, (50, 64))}


def test_folders_have_names_too(tree):
    root = tree()
    assert audit_dataset("folder", root) == audit_dataset("folder", root, "train+val")
    assert audit_dataset("folder", root).warnings == []
    (root / "classes.json").unlink()
    for path in (root / "labels").glob("*/*.png"):
        write_mask(path, raw(path.stem, tuple(range(12)), (16 + int(path.stem), 24)))
    audit = audit_dataset("camvid", root)
    assert audit.ok
    assert audit.warnings == [
        "train: 3 images that can be used, 367 were published",
        "val: 3 images that can be used, 101 were published",
    ]
    assert audit.splits["train"].ignored > 0


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"name: expected one of \('folder', 'camvid', 'voc2012', .*got 'streets'"):
        audit_dataset("streets", tmp_path)
    with pytest.raises(ValueError, match="classes: expected none for 'ade20k', which has its own"):
        audit_dataset("ade20k", tmp_path, classes=OFFICIAL["ade20k"].classes)
