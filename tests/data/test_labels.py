import os

import torch

from offstride.data import FolderDataset, LabelMaps, Streets


def test_masks_are_read_without_images(tree):
    dataset = FolderDataset(tree(), "train")
    expected = [dataset[index].label for index in range(len(dataset))]
    for path in (dataset.root / "images" / "train").iterdir():
        path.write_bytes(b"")
    maps = LabelMaps(dataset)
    assert len(maps) == len(expected)
    assert all(torch.equal(maps[index], label) for index, label in enumerate(expected))


def test_fingerprints_tell_changed_files_and_other_maps(tree):
    dataset = FolderDataset(tree(), "train")
    maps = LabelMaps(dataset)
    before, others = maps.fingerprint(range(2)), maps.fingerprint(range(2, 3))
    assert maps.fingerprint(range(2)) == before != others
    os.utime(dataset.label_file(1), ns=(1, 1))
    assert maps.fingerprint(range(2)) != before
    assert maps.fingerprint(range(2, 3)) == others


def test_drawn_scenes_have_fingerprints_by_what_they_are_drawn_from():
    one = LabelMaps(Streets(3, (40, 56))).fingerprint(range(2))
    assert one == LabelMaps(Streets(4, (40, 56))).fingerprint(range(2))
    for other in (Streets(3, (40, 57)), Streets(3, (40, 56), seed=1), Streets(3, (40, 56), split="val")):
        assert LabelMaps(other).fingerprint(range(2)) != one


def test_any_other_data_set_is_known_by_its_labels():
    class Others:
        def __init__(self, streets):
            self.streets, self.classes = streets, streets.classes

        def __len__(self):
            return len(self.streets)

        def __getitem__(self, index):
            return self.streets[index]

    prints = [LabelMaps(Others(Streets(1, (40, 56), seed=seed))).fingerprint(range(1)) for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
