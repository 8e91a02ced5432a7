import json

import numpy as np
import pytest
from PIL import Image

from offstride.data.camvid import CamVid
from offstride.data.catalog import CAMVID


@pytest.fixture
def root(tree):
    root = tree(splits=("train",))
    (root / "classes.json").unlink()
    return root


def test_void_is_eleven_without_a_class_file(root):
    mask = (np.arange(16 * 24) % 12).astype(np.uint8).reshape(16, 24)
    Image.fromarray(mask).save(root / "labels/train/0.png")
    dataset = CamVid(root, "train")
    assert dataset.classes == CAMVID
    assert np.array_equal(dataset[0].label, np.where(mask == 11, 255, mask))


def test_a_class_file_is_believed_and_its_thin_classes_are_marked(root):
    layout = {"classes": ["Pole", "Road"], "ignore_index": 11}
    (root / "classes.json").write_text(json.dumps(layout))
    assert CamVid(root, "train").classes.names == ("Pole", "Road")
    assert CamVid(root, "train").classes.thin == ("Pole",)
    (root / "classes.json").write_text(json.dumps(layout | {"thin": ["Road"]}))
    assert CamVid(root, "train").classes.thin == ("Road",)
