import json
import sys

import numpy as np
import pytest

from official_trees import COCO_VOC_IDS, write_image, write_tree
from offstride.data import build_dataset
from offstride.data.coco_voc import _polygon_areas, draw_objects

SIZE = (48, 64)


def rectangle(top, left, bottom, right):
    """As a polygon, x before y."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def run_lengths(mask):
    """The uncompressed run-length code of COCO: runs down the columns, the first one of zeros."""
    flat, counts, value = mask.T.ravel().tolist(), [0], 0
    for pixel in flat:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"counts": counts, "size": list(mask.shape)}


@pytest.fixture
def write(tmp_path):
    """A function that writes train images with given annotations, and returns the root."""

    def tree(*images, size=SIZE):
        listed, annotations = [], []
        for index, objects in enumerate(images):
            write_image(tmp_path / "train2017" / f"{index}.jpg", size)
            listed.append({"id": 10 * index, "file_name": f"{index}.jpg", "height": size[0], "width": size[1]})
            annotations += [
                {"image_id": 10 * index, "category_id": category, "iscrowd": crowd, "segmentation": segmentation}
                for category, crowd, segmentation in objects
            ]
        path = tmp_path / "annotations" / "instances_train2017.json"
        path.parent.mkdir()
        path.write_text(json.dumps({"images": listed, "annotations": annotations}))
        return tmp_path

    return tree


def test_rectangles_become_classes(tmp_path):
    dataset = build_dataset("coco_voc", "train", root=write_tree("coco_voc", tmp_path))
    assert dataset.names == tuple(f"train{index:012}" for index in range(3))
    for index in range(3):
        expected = np.zeros(SIZE, int)
        expected[:, :16] = 15
        expected[:, 16:32] = 1 + index
        assert dataset[index].label.tolist() == expected.tolist()


@pytest.mark.parametrize(("index", "category"), list(enumerate(COCO_VOC_IDS, 1)))
def test_categories_in_the_order_of_voc(write, index, category):
    root = write([(category, 0, rectangle(0, 0, 40, 30)), (8, 0, rectangle(0, 30, 40, 60))])
    label = build_dataset("coco_voc", "train", root=root).label(0).numpy()
    expected = np.zeros(SIZE, int)
    expected[:40, :30] = index
    assert label.tolist() == expected.tolist()


def test_the_first_object_is_in_front_and_crowds_are_behind_all(write):
    crowd = np.zeros(SIZE, np.uint8)
    crowd[:, 20:50] = 1
    root = write(
        [
            (1, 1, run_lengths(crowd)),
            (17, 0, rectangle(0, 0, 48, 30)),
            (18, 0, rectangle(0, 10, 48, 40)),
            (13, 1, run_lengths(1 - crowd)),
        ]
    )
    expected = np.zeros(SIZE, int)
    expected[:, 20:50] = 255
    expected[:, 10:40] = 12
    expected[:, :30] = 8
    assert build_dataset("coco_voc", "train", root=root).label(0).tolist() == expected.tolist()


def test_compressed_run_lengths(write):
    from pycocotools import mask

    shape = (np.arange(48)[:, None] - 20) ** 2 + (np.arange(64) - 30) ** 2 < 400
    code = mask.encode(np.asfortranarray(shape.astype(np.uint8)))
    root = write([(3, 0, {"size": list(SIZE), "counts": code["counts"].decode()})])
    label = build_dataset("coco_voc", "train", root=root).label(0).numpy()
    assert label.tolist() == (7 * shape).tolist()


def test_only_images_with_more_than_a_thousand_pixels(write):
    """40 × 25 pixels are 1000; other categories and crowds do not count, two halves do, pixels count once."""
    ones = np.ones(SIZE, np.uint8)
    more = rectangle(0, 0, 40, 25)[0], [30, 40, 40, 40, 40, 48, 30, 48]
    root = write(
        [(1, 0, rectangle(0, 0, 40, 25))],
        [(1, 0, list(more))],
        [(13, 0, rectangle(0, 0, 48, 64))],
        [(1, 1, run_lengths(ones))],
        [(1, 0, rectangle(0, 0, 40, 15)), (3, 0, rectangle(0, 15, 40, 30))],
        [(1, 0, rectangle(0, 0, 40, 25)), (3, 0, rectangle(0, 0, 40, 25))],
        [],
        [(1, 0, run_lengths(ones))],
        [(1, 0, rectangle(0, 0, 48, 64))],
    )
    assert build_dataset("coco_voc", "train", root=root).names == ("1", "4", "7", "8")


def test_the_choice_by_areas_is_the_choice_by_pixels(write):
    """Irregular polygons around the limit, drawn one by one."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(60):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 12))
        radius = rng.uniform(0.4, 1.9) * rng.uniform(12, 30, 12)
        points = np.stack([100 + radius * np.cos(angle), 80 + radius * np.sin(angle)], 1)
        images.append([(1, 0, [points.ravel().tolist()])])
    root = write(*images, size=(160, 200))
    pixels = [int((draw_objects([(1, False, image[0][2])], (160, 200)) > 0).sum()) for image in images]
    expected = {str(index) for index, count in enumerate(pixels) if count > 1000}
    assert 10 < len(expected) < 50
    assert set(build_dataset("coco_voc", "train", root=root).names) == expected
    for image, count in zip(images, pixels, strict=True):
        low, high = _polygon_areas(np.reshape(image[0][2][0], (-1, 2)))
        assert low <= count <= high


def test_missing_images_and_annotations(write):
    root = write([(1, 0, rectangle(0, 0, 48, 64))])
    (root / "train2017" / "0.jpg").unlink()
    with pytest.raises(ValueError, match=r"root: images that the list of the split names are missing \(1\): .*0\.jpg"):
        build_dataset("coco_voc", "train", root=root)
    (root / "annotations" / "instances_train2017.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"instances_train2017\.json: expected the instances of COCO"):
        build_dataset("coco_voc", "train", root=root)
    (root / "annotations" / "instances_train2017.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"expected the instances of COCO \(KeyError: 'annotations'\)"):
        build_dataset("coco_voc", "train", root=root)


def test_no_image_shows_enough(write):
    root = write([(13, 0, rectangle(0, 0, 48, 64))])
    with pytest.raises(ValueError, match="root: no images of split 'train' of 'coco_voc'"):
        build_dataset("coco_voc", "train", root=root)


def test_drawing_without_pycocotools(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ValueError, match=r"needs pycocotools: pip install 'offstride\[coco\]'"):
        draw_objects([(1, False, rectangle(0, 0, 5, 5))], SIZE)
