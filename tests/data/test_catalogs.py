"""The class sets of the published data sets, against facts that their makers state elsewhere."""

import numpy as np
import pytest

from offstride.data.catalog import voc_colors
from offstride.data.catalog_published import (
    ADE20K_150,
    CITYSCAPES_19,
    COCO_STUFF_10K,
    COCO_STUFF_164K,
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_60,
    VOC,
)
from offstride.data.coco_voc import COCO_IN_VOC
from offstride.data.pascal_context import CONTEXT_IDS

# The numbers that the converters of PASCAL in Detail keep out of the 459 (PyTorch-Encoding, MMSegmentation).
DETAIL = {
    0, 2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33, 162, 420, 454, 295, 296,
    427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68, 326, 72, 458, 34, 207, 80, 355, 85, 347, 220, 349,
    360, 98, 187, 104, 105, 366, 189, 368, 113, 115,
}  # fmt: skip


def test_voc():
    assert len(VOC) == 21
    assert [VOC.names[index] for index in (0, 1, 9, 11, 15, 16, 18, 20)] == [
        "background", "aeroplane", "chair", "diningtable", "person", "pottedplant", "sofa", "tvmonitor",
    ]  # fmt: skip
    assert VOC.palette[15] == (192, 128, 128)
    assert (VOC.values, VOC.ignore_values) == (tuple(range(21)), (255,))


def test_pascal_context():
    assert (len(PASCAL_CONTEXT_59), len(PASCAL_CONTEXT_60)) == (59, 60)
    assert PASCAL_CONTEXT_60.names[1:] == PASCAL_CONTEXT_59.names
    assert PASCAL_CONTEXT_59.names[:20] == VOC.names[1:]
    assert {0, *CONTEXT_IDS} == DETAIL
    assert len(CONTEXT_IDS) == 59
    assert PASCAL_CONTEXT_59.palette == PASCAL_CONTEXT_60.palette[1:] == voc_colors(60)[1:]


def test_the_459_categories_are_in_alphabetical_order():
    """Their numbers therefore order the 59 by name, but for three that have another name there."""
    other = {"diningtable": "table", "clothes": "cloth", "bedcloth": "bedclothes"}
    named = dict(zip((other.get(name, name) for name in PASCAL_CONTEXT_59.names), CONTEXT_IDS, strict=True))
    assert sorted(named, key=named.__getitem__) == sorted(named)


def test_ade20k():
    assert len(ADE20K_150) == 150
    assert {value: ADE20K_150.names[value - 1] for value in (1, 13, 21, 81, 131, 150)} == {
        1: "wall",
        13: "person",
        21: "car",
        81: "bus",
        131: "screen",
        150: "flag",
    }
    assert (ADE20K_150.values, ADE20K_150.ignore_values) == (tuple(range(1, 151)), (0,))
    assert ADE20K_150.palette[0] == (120, 120, 120)
    assert ADE20K_150.palette[149] == (92, 0, 255)


def test_cityscapes():
    assert len(CITYSCAPES_19) == 19
    assert {*CITYSCAPES_19.values, *CITYSCAPES_19.ignore_values} == set(range(34))
    assert CITYSCAPES_19.values[CITYSCAPES_19.names.index("train")] == 31
    assert CITYSCAPES_19.palette[CITYSCAPES_19.names.index("bicycle")] == (119, 11, 32)
    assert CITYSCAPES_19.decode(np.array([0, 18, 255])).tolist() == [7, 33, 0]


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "person"), (11, "fire hydrant"), (13, "stop sign"), (90, "toothbrush"), (92, "banner"), (169, "tree"),
     (181, "window-other"), (182, "wood")],
)  # fmt: skip
def test_coco_stuff(number, name):
    assert len(COCO_STUFF_10K) == len(COCO_STUFF_164K) == 171
    index = COCO_STUFF_10K.names.index(name)
    assert COCO_STUFF_10K.values[index] == number
    assert COCO_STUFF_164K.names[index] == name
    assert COCO_STUFF_164K.values[index] == number - 1


def test_coco_stuff_leaves_out_what_was_never_annotated():
    gone = sorted(set(range(1, 183)) - set(COCO_STUFF_10K.values))
    assert gone == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91]
    assert (COCO_STUFF_10K.ignore_values, COCO_STUFF_164K.ignore_values) == ((0,), (255,))
    assert len(set(COCO_STUFF_10K.palette)) == 171


def test_categories_of_coco_have_the_names_of_voc():
    other = {
        "airplane": "aeroplane", "dining table": "diningtable", "motorcycle": "motorbike",
        "potted plant": "pottedplant", "couch": "sofa", "tv": "tvmonitor",
    }  # fmt: skip
    numbers = dict(zip(COCO_STUFF_10K.values, COCO_STUFF_10K.names, strict=True))
    named = {index: other.get(numbers[number], numbers[number]) for number, index in COCO_IN_VOC.items()}
    assert named == dict(enumerate(VOC.names[1:], 1))
