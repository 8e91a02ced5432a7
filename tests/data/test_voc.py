import shutil

import numpy as np
import pytest

from official_trees import VOC_VALUES, raw, write_list, write_mask, write_mat, write_tree
from offstride.data import build_dataset

SIZE = (48, 64)


def test_augmented_images_are_those_of_voc_and_sbd_without_val(tmp_path):
    root = write_tree("voc2012", tmp_path)
    dataset = build_dataset("voc2012", "trainaug", root=root)
    expected = {f"2007_train{index}" for index in range(3)} | {f"2008_extra{index}" for index in range(3)}
    assert set(dataset.names) == expected
    assert dataset.names == tuple(sorted(expected))
    for index, name in enumerate(dataset.names):
        from_voc = name.startswith("2007")
        values = raw(name, VOC_VALUES, SIZE) if from_voc else raw(f"sbd {name}", VOC_VALUES[:-1], SIZE)
        assert dataset[index].label.tolist() == values.tolist()
    assert "img" in str(dataset.image_files[dataset.names.index("2008_extra0")])
    both = build_dataset("voc2012", "trainaug+val", root=root)
    assert len(both) == 9


def test_a_list_is_believed(tmp_path):
    root = write_tree("voc2012", tmp_path)
    path = root / "VOCdevkit/VOC2012/ImageSets/Segmentation/trainaug.txt"
    write_list(path, ["/JPEGImages/2008_extra1.jpg /SegmentationClassAug/2008_extra1.png", "2007_train0"])
    assert build_dataset("voc2012", "trainaug", root=root).names == ("2008_extra1", "2007_train0")


def test_converted_masks_instead_of_sbd(tmp_path):
    root = write_tree("voc2012", tmp_path)
    augmented = root / "VOCdevkit/VOC2012/SegmentationClassAug"
    expected = build_dataset("voc2012", "trainaug", root=root)
    for index, name in enumerate(expected.names):
        write_mask(augmented / f"{name}.png", expected.label(index).numpy())
    write_mask(augmented / "2007_val0.png", np.zeros(SIZE))
    shutil.move(root / "benchmark_RELEASE/dataset/img/2008_extra0.jpg", root / "VOCdevkit/VOC2012/JPEGImages")
    shutil.rmtree(root / "benchmark_RELEASE")
    converted = build_dataset("voc2012", "trainaug", root=root)
    assert converted.names == expected.names
    assert converted.label_file(5).parent == augmented


def test_without_sbd_the_message_says_what_to_do(tmp_path):
    root = write_tree("voc2012", tmp_path)
    shutil.rmtree(root / "benchmark_RELEASE")
    with pytest.raises(ValueError, match=r"'trainaug' needs SBD \(benchmark\.tgz\): found neither .* there is 'train'"):
        build_dataset("voc2012", "trainaug", root=root)
    assert len(build_dataset("voc2012", "train", root=root)) == 3


def test_a_half_unpacked_sbd(tmp_path):
    root = write_tree("voc2012", tmp_path)
    (root / "benchmark_RELEASE/dataset/cls/2008_extra2.mat").unlink()
    with pytest.raises(ValueError, match=r"images without a mask.*\(1\): .*2008_extra2\.jpg"):
        build_dataset("voc2012", "trainaug", root=root)
    (root / "benchmark_RELEASE/dataset/val.txt").unlink()
    with pytest.raises(
        ValueError, match=r"root: expected the list .*benchmark_RELEASE/dataset/val\.txt, which is missing"
    ):
        build_dataset("voc2012", "trainaug", root=root)


def test_an_empty_list(tmp_path):
    root = write_tree("voc2012", tmp_path)
    (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"expected names in the list .*val\.txt, which is empty"):
        build_dataset("voc2012", "val", root=root)


def test_sbd_files_without_the_class_map(tmp_path):
    root = write_tree("voc2012", tmp_path)
    dataset = build_dataset("voc2012", "trainaug", root=root)
    write_mat(dataset.label_file(3), GTcls={"Boundaries": np.zeros(3)})
    with pytest.raises(ValueError, match=r"2008_extra0\.mat: expected GTcls\.Segmentation, which is missing"):
        dataset.label(3)
