"""Every published data set in a tiny tree of its official layout, against label values translated one by one."""

import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from official_trees import STUFF_NUMBERS, VOC_VALUES, WRITERS, raw, write_list, write_mask, write_mat, write_tree
from offstride.data import OFFICIAL, FileDataset, Joined, LabelMaps, Streets, build_dataset
from offstride.data.pascal_context import CONTEXT_IDS

SIZE = (48, 64)

CITYSCAPES_TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip


def translated(values, mapping, default=255):
    return [[mapping.get(int(value), default) for value in row] for row in values]


def expected_label(name, sample):
    """The class indices of a sample, from the raw values that its tree holds."""
    if name == "voc2012":
        return raw(sample, VOC_VALUES, SIZE).tolist()
    if name.startswith("pascal_context"):
        values = raw(sample, tuple(range(1, 460)), SIZE)
        first = 0 if name.endswith("59") else 1
        mapping = {number: index for index, number in enumerate(CONTEXT_IDS, first)}
        return translated(values, mapping, default=255 if first == 0 else 0)
    if name == "ade20k":
        return translated(raw(sample, tuple(range(151)), SIZE), {value: value - 1 for value in range(1, 151)})
    if name == "cityscapes":
        return translated(raw(sample, tuple(range(34)), SIZE), CITYSCAPES_TRAIN_IDS)
    if name == "coco_stuff10k":
        numbers = {number: index for index, number in enumerate(STUFF_NUMBERS)}
        return translated(raw(sample, (0, *STUFF_NUMBERS), SIZE), numbers)
    values = (*(number - 1 for number in STUFF_NUMBERS), 255)
    return translated(raw(sample, values, SIZE), {value: index for index, value in enumerate(values[:-1])})


SPLITS = [
    ("voc2012", "train"),
    ("voc2012", "val"),
    ("pascal_context59", "train"),
    ("pascal_context60", "val"),
    ("ade20k", "train"),
    ("ade20k", "val"),
    ("cityscapes", "train"),
    ("cityscapes", "val"),
    ("cityscapes", "train_extra"),
    ("coco_stuff10k", "train"),
    ("coco_stuff10k", "test"),
    ("coco_stuff164k", "train"),
    ("coco_stuff164k", "val"),
]


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_labels_are_the_official_classes(tmp_path, name, split):
    dataset = build_dataset(name, split, root=write_tree(name, tmp_path))
    assert isinstance(dataset, FileDataset)
    assert len(dataset) == len(set(dataset.names)) == 3
    assert dataset.labelled
    for index, sample in enumerate(dataset[i] for i in range(3)):
        assert sample.name == dataset.names[index]
        assert sample.image.shape == (3, *SIZE)
        assert sample.label.tolist() == expected_label(name, sample.name)
        assert sample.label.equal(LabelMaps(dataset)[index])
        with Image.open(dataset.image_files[index]) as image:
            assert np.array_equal(sample.image.permute(1, 2, 0), np.asarray(image))
    assert pickle.loads(pickle.dumps(dataset))[1].label.equal(dataset[1].label)


@pytest.mark.parametrize("name", WRITERS)
def test_joined_splits_come_one_after_another(tmp_path, name):
    root = write_tree(name, tmp_path)
    second = "test" if name == "coco_stuff10k" else "val"
    first, other = (build_dataset(name, split, root=root) for split in ("train", second))
    both = build_dataset(name, f"train+{second}", root=root)
    assert len(both) == len(first) + len(other)
    assert both.names == (*first.names, *other.names)
    assert both.classes == first.classes
    for index in range(len(both)):
        expected = first[index] if index < len(first) else other[index - len(first)]
        assert both[index].name == expected.name
        assert both[index].label.equal(expected.label)
        assert both.label(index).equal(expected.label)
    if name != "coco_stuff10k":
        assert build_dataset(name, "trainval", root=root).names == both.names
    with pytest.raises(IndexError):
        both[len(both)]
    with pytest.raises(ValueError, match="split: expected splits without common images, got 3"):
        build_dataset(name, "train+train", root=root)


def test_only_datasets_of_the_same_classes_are_joined(tmp_path):
    part = build_dataset("ade20k", "val", root=write_tree("ade20k", tmp_path))
    for parts in ([], [part, Streets(1, SIZE)]):
        with pytest.raises(ValueError, match=f"parts: expected datasets of the same classes, got {len(parts)} of them"):
            Joined(parts)


def test_stamps_of_joined_sets_follow_their_files(tmp_path):
    root = write_tree("ade20k", tmp_path)
    maps = LabelMaps(build_dataset("ade20k", "trainval", root=root))
    before = [maps.fingerprint(range(index, index + 1)) for index in range(6)]
    assert len(set(before)) == 6
    write_mask(root / "ADEChallengeData2016/annotations/validation/ADE_val_00000002.png", np.ones((5, 5)))
    after = [maps.fingerprint(range(index, index + 1)) for index in range(6)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, True, True, False, True]


@pytest.mark.parametrize("name", ["voc2012", "ade20k", "cityscapes"])
def test_images_without_public_labels_can_be_seen_but_not_scored(tmp_path, name):
    dataset = build_dataset(name, "test", root=write_tree(name, tmp_path))
    assert len(dataset) == len(dataset.names) == 3
    assert not dataset.labelled
    assert dataset.image(2).shape == (3, *SIZE)
    for attempt in (lambda: dataset[0], lambda: dataset.label(0), lambda: dataset.label_stamp(0)):
        with pytest.raises(ValueError, match=r"split: expected one with labels, but .* has none.*offstride predict"):
            attempt()


@pytest.mark.parametrize("name", WRITERS)
def test_unknown_splits_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"split: expected one of 'train', .* for '{name}', got 'dev'"):
        build_dataset(name, "dev", root=tmp_path)
    with pytest.raises(ValueError, match="got ''"):
        build_dataset(name, None, root=tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_there_says_what_was_looked_for(tmp_path, name):
    with pytest.raises(ValueError, match=r"root: expected .*(found nothing|which is missing)"):
        build_dataset(name, "train", root=tmp_path)
    with pytest.raises(ValueError, match="root: expected a folder"):
        build_dataset(name, "train", root=tmp_path / "nowhere")


@pytest.mark.parametrize("name", WRITERS)
def test_half_unpacked_trees_name_the_files(tmp_path, name):
    root = write_tree(name, tmp_path)
    victim = build_dataset(name, "train", root=root).image_files[1]
    victim.unlink()
    with pytest.raises(ValueError, match=r"root: (images that the list|masks without an image).*") as error:
        build_dataset(name, "train", root=root)
    assert victim.stem.removesuffix("_leftImg8bit") in str(error.value)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "coco_voc"])
def test_missing_labels_name_the_images(tmp_path, name):
    root = write_tree(name, tmp_path)
    dataset = build_dataset(name, "train", root=root)
    dataset.label_file(1).unlink()
    with pytest.raises(ValueError, match=r"root: images without a mask.* \(1\)") as error:
        build_dataset(name, "train", root=root)
    assert str(dataset.image_files[1]) in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("voc2012", 21), ("ade20k", 151), ("cityscapes", 34), ("cityscapes", 255), ("coco_stuff164k", 11)],
)
def test_unknown_values_name_the_file(tmp_path, name, value):
    dataset = build_dataset(name, "train", root=write_tree(name, tmp_path))
    write_mask(dataset.label_file(0), np.full(SIZE, value))
    with pytest.raises(ValueError, match=f"got also {value}") as error:
        dataset[0]
    assert str(dataset.label_file(0)) in str(error.value)


@pytest.mark.parametrize(
    ("name", "variable", "value", "message"),
    [
        ("pascal_context59", "LabelMap", 460, "expected values 0-459, got 460"),
        ("pascal_context60", "LabelMap", 460, "expected values 0-459, got 460"),
        ("coco_stuff10k", "S", 183, "got also 183"),
        ("coco_stuff10k", "S", 1.5, "expected a matrix of whole numbers"),
        ("coco_stuff10k", "T", 1, "expected the variable S, which is missing"),
    ],
)
def test_bad_matlab_files_name_the_file(tmp_path, name, variable, value, message):
    dataset = build_dataset(name, "train", root=write_tree(name, tmp_path))
    write_mat(dataset.label_file(0), **{variable: np.full(SIZE, value)})
    with pytest.raises(ValueError, match=message) as error:
        dataset.label(0)
    assert str(dataset.label_file(0)) in str(error.value)
    dataset.label_file(0).write_bytes(b"MATLAB 5.0 MAT-file, cut off")
    with pytest.raises(ValueError, match="cannot be decoded"):
        dataset.label(0)


def test_official_sets_are_consistent():
    assert list(OFFICIAL) == list(WRITERS)
    for name, official in OFFICIAL.items():
        assert official.name == name
        assert set(official.unlabelled) <= set(official.counts)
        assert all(set(join.split("+")) <= set(official.counts) for join in official.joins.values())


def test_roots_may_be_the_folder_itself(tmp_path):
    root = write_tree("ade20k", tmp_path / "a")
    names = build_dataset("ade20k", "val", root=root).names
    assert build_dataset("ade20k", "val", root=root / "ADEChallengeData2016").names == names
    root = write_tree("voc2012", tmp_path / "b")
    names = build_dataset("voc2012", "trainaug", root=root).names
    for place in ("VOCdevkit", "VOCdevkit/VOC2012"):
        assert build_dataset("voc2012", "trainaug", root=root / place).names == names


def test_coco_stuff_maps_beside_masks_of_other_programs(tmp_path):
    root = write_tree("coco_stuff164k", tmp_path)
    folder = root / "annotations" / "train2017"
    for path in list(folder.iterdir()):
        shutil.copy(path, path.with_name(f"{path.stem}_labelTrainIds.png"))
    assert len(build_dataset("coco_stuff164k", "train", root=root)) == 3
    (root / "annotations").rename(root / "stuffthingmaps")
    (root / "images" / "train2017").rename(root / "train2017")
    assert len(build_dataset("coco_stuff164k", "train", root=root)) == 3


def test_version_one_of_coco_stuff10k_counts_otherwise(tmp_path):
    """Version 1.0: 172 names, 1 is unlabelled, 2-172 are the annotated classes without gaps."""
    root = write_tree("coco_stuff10k", tmp_path)
    dataset = build_dataset("coco_stuff10k", "train", root=root)
    values = raw("old", tuple(range(1, 173)), SIZE)
    cells = np.array([[f"class {number}"] for number in range(172)], object)
    write_mat(dataset.label_file(0), S=values.astype(np.uint8), names=cells)
    expected = translated(values, {value: value - 2 for value in range(2, 173)})
    assert dataset.label(0).tolist() == expected
    write_mat(dataset.label_file(0), S=np.zeros(SIZE), names=cells)
    with pytest.raises(ValueError, match="expected values 1-172, got 0"):
        dataset.label(0)


def test_coarse_labels_of_the_images_that_have_fine_ones(tmp_path):
    root = write_tree("cityscapes", tmp_path)
    fine, coarse = (build_dataset("cityscapes", split, root=root) for split in ("train", "train_coarse"))
    assert coarse.names == fine.names
    assert coarse.image_files == fine.image_files
    for index, name in enumerate(coarse.names):
        labels = translated(raw(f"coarse {name}", tuple(range(34)), SIZE), CITYSCAPES_TRAIN_IDS)
        assert coarse.label(index).tolist() == labels != fine.label(index).tolist()
    assert len(build_dataset("cityscapes", "train_coarse+train_extra", root=root)) == 6
    with pytest.raises(ValueError, match="split: expected splits without common images, got 3"):
        build_dataset("cityscapes", "train+train_coarse", root=root)
    shutil.rmtree(root / "gtCoarse" / "train")
    with pytest.raises(ValueError, match=r"expected the labels of 'train_coarse' \(gtCoarse/train\)"):
        build_dataset("cityscapes", "train_coarse", root=root)


def test_train_ids_of_cityscapes(tmp_path):
    root = write_tree("cityscapes", tmp_path)
    dataset = build_dataset("cityscapes", "train", root=root)
    expected = [dataset.label(index).tolist() for index in range(3)]
    for index in range(3):
        path = dataset.label_file(index)
        write_mask(path.with_name(path.name.replace("labelIds", "labelTrainIds")), np.array(expected[index]))
    assert "labelIds" in build_dataset("cityscapes", "train", root=root).label_file(0).name
    for index in range(3):
        dataset.label_file(index).unlink()
    derived = build_dataset("cityscapes", "train", root=root)
    assert [derived.label(index).tolist() for index in range(3)] == expected
    assert derived.classes == dataset.classes
    write_mask(derived.label_file(0), np.full(SIZE, 19))
    with pytest.raises(ValueError, match=r"expected train ids 0-18, 255, got also \[19\]"):
        derived.label(0)


def test_other_distributions_of_pascal_context(tmp_path):
    root = write_tree("pascal_context59", tmp_path)
    voc = root / "VOCdevkit" / "VOC2010"
    for name in ("pascal_context59", "pascal_context60"):
        dataset = build_dataset(name, "train", root=root)
        expected = [dataset.label(index).tolist() for index in range(3)]
        first = 0 if name.endswith("59") else 1
        for index, sample in enumerate(dataset.names):
            classes = np.array(expected[index])
            classes[(classes == 255) | (classes < first)] = -1
            authors = np.where(classes < 0, 0, classes + 1 - first)
            write_mask(root / "59_context_labels" / f"{sample}.png", authors, palette=True)
            by_number = {rank: 1 + sorted(CONTEXT_IDS).index(number) for rank, number in enumerate(CONTEXT_IDS, 1)}
            write_mask(
                voc / "SegmentationClassContext" / f"{sample}.png", np.array(translated(authors, by_number, default=0))
            )
        for folder in (root / "59_context_labels", voc / "SegmentationClassContext"):
            converted = build_dataset(name, "train", root=root)
            assert converted.label_file(0).parent == folder
            assert [converted.label(index).tolist() for index in range(3)] == expected
            shutil.rmtree(folder)


def test_derived_split_of_pascal_context_comes_first(tmp_path):
    root = write_tree("pascal_context59", tmp_path)
    write_list(root / "VOCdevkit/VOC2010/ImageSets/SegmentationContext/train.txt", ["2008_train2"])
    assert build_dataset("pascal_context59", "train", root=root).names == ("2008_train2",)
