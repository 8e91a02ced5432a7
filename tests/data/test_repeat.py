import pickle

import numpy as np
import pytest
import torch

from official_trees import write_mask, write_tree
from offstride.data import LabelMaps, Repeated, Sample, Streets, build_dataset
from offstride.data.repeat import shown_classes

SIZE = (48, 64)
HARD = ["bicycle", "chair", "diningtable", "pottedplant", "sofa"]


@pytest.fixture
def dataset(tmp_path):
    """VOC images of background, of background and one class each, and of what is ignored."""
    root = write_tree("voc2012", tmp_path, count=6)
    dataset = build_dataset("voc2012", "train", root=root)
    for index, value in enumerate((2, 0, 9, 15, 255, 11)):
        mask = np.zeros(SIZE)
        mask[3, 5] = value
        write_mask(dataset.label_file(index), mask)
    for path in dataset.image_files:
        path.write_bytes(b"")  # only labels may be read
    return dataset


def test_images_of_hard_classes_come_again(dataset):
    repeated = Repeated(dataset, HARD, 3)
    again = [dataset.names[index] for index in (0, 2, 5)]
    assert repeated.names == (*dataset.names, *again, *again)
    assert len(repeated) == 12
    assert repeated.classes == dataset.classes
    for index, name in enumerate(repeated.names):
        assert repeated.label(index).equal(dataset.label(dataset.names.index(name)))
    stamps = [LabelMaps(dataset).stamp(index) for index in range(6)]
    assert len(set(stamps)) == 6
    for index, name in enumerate(repeated.names):
        assert stamps[dataset.names.index(name)] in LabelMaps(repeated).stamp(index)
    assert LabelMaps(repeated).fingerprint(range(6, 7)) == LabelMaps(repeated).fingerprint(range(1))
    assert len(Repeated(dataset, HARD)) == 9
    assert pickle.loads(pickle.dumps(repeated)).names == repeated.names


def test_nothing_to_repeat(dataset):
    assert len(Repeated(dataset, ["sheep"])) == 6
    assert len(Repeated(dataset, HARD, 1)) == 6
    assert len(Repeated(dataset, [], 5)) == 6


def test_labels_are_looked_at_once(dataset):
    calls = []
    Repeated(dataset, HARD, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]
    Repeated(dataset, ["person"], progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == 6
    expected = np.zeros((6, 21), bool)
    expected[[0, 1, 2, 3, 4, 5], 0] = True
    expected[[0, 2, 3, 5], [2, 9, 15, 11]] = True
    assert shown_classes(dataset).tolist() == expected.tolist()


def test_samples_of_drawn_scenes():
    streets = Streets(4, SIZE)
    repeated = Repeated(streets, ["sky"])
    assert len(repeated) == 8
    sample = repeated[6]
    assert isinstance(sample, Sample)
    assert torch.equal(sample.image, streets[2].image)
    assert repeated.names[6] == streets[2].name


def test_joined_splits_can_be_repeated(tmp_path):
    root = write_tree("coco_voc", tmp_path)
    both = build_dataset("coco_voc", "train+val", root=root)
    assert len(Repeated(both, ["person"])) == 12


def test_bad_arguments(dataset):
    with pytest.raises(ValueError, match=r"classes: expected names out of .* got \['bike'\]"):
        Repeated(dataset, ["bike"])
    with pytest.raises(ValueError, match="times: expected at least 1, got 0"):
        Repeated(dataset, HARD, 0)
