import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.data.catalog import CAMVID, STREETS, ClassSet, voc_colors

CAMVID_FILE = {
    "dataset": "camvid",
    "classes": [
        {"id": index, "name": name, "color": list(color)}
        for index, (name, color) in enumerate(zip(CAMVID.names, CAMVID.palette, strict=True))
    ],
    "num_classes": 11,
    "ignore_index": 11,
    "void": {"id": 11, "name": "Void", "color": [0, 0, 0]},
    "splits": {"train": {"pairs": 367}},
}


def test_voc_colors_are_the_published_ones():
    published = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
        (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128),
        (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
    ]  # fmt: skip
    assert list(voc_colors(21)) == published
    assert voc_colors(256)[255] == (224, 224, 192)
    assert len(set(voc_colors(256))) == 256


def test_defaults():
    classes = ClassSet(("a", "b"))
    assert classes == ClassSet(("a", "b"), ((0, 0, 0), (128, 0, 0)), (0, 1), (255,), ())
    assert len(classes) == 2


@st.composite
def class_sets(draw: st.DrawFn) -> ClassSet:
    numbers = draw(st.lists(st.integers(0, 65535), min_size=2, max_size=12, unique=True))
    ignored = draw(st.integers(0, 2))
    values, ignore_values = numbers[ignored:], numbers[:ignored]
    if not values:
        values, ignore_values = numbers, []
    names = tuple(f"class {index}" for index in range(len(values)))
    return ClassSet(names, values=tuple(values), ignore_values=tuple(ignore_values), thin=names[:1])


@settings(deadline=None)
@given(class_sets(), st.randoms(use_true_random=False))
def test_encode_and_decode_against_a_plain_lookup(classes, random):
    expected = dict(zip(classes.values, range(len(classes)), strict=True)) | dict.fromkeys(classes.ignore_values, 255)
    mask = np.array([random.choice(list(expected)) for _ in range(12)]).reshape(3, 4)
    encoded = classes.encode(mask)
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == [[expected[value] for value in row] for row in mask.tolist()]

    back = dict(enumerate(classes.values)) | {255: (*classes.ignore_values, None)[0]}
    decoded = classes.decode(encoded)
    assert decoded.tolist() == [[back[index] for index in row] for row in encoded.tolist()]


@settings(deadline=None)
@given(class_sets())
def test_plain_data_round_trip(classes):
    assert ClassSet.from_dict(json.loads(json.dumps(classes.to_dict()))) == classes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_unknown_values_are_listed_beside_the_expected_ones(dtype):
    with pytest.raises(ValueError, match=r"mask: expected values 0-11, got also 12-13, 200"):
        CAMVID.encode(np.array([[0, 12, 200], [13, 12, 11]], dtype))


@pytest.mark.parametrize("value", [-1, 65536, 2**40])
def test_values_no_mask_file_can_hold_are_unknown(value):
    with pytest.raises(ValueError, match=f"got also {value}"):
        CAMVID.encode(np.array([0, value]))


def test_masks_of_booleans_and_of_floats():
    assert ClassSet(("no", "yes")).encode(np.array([True, False])).tolist() == [1, 0]
    with pytest.raises(ValueError, match="mask: expected integers, got float64"):
        CAMVID.encode(np.zeros((2, 2)))


def test_decode_refuses_what_has_no_value():
    with pytest.raises(ValueError, match="indices: expected values 0-10, 255, got also 11"):
        CAMVID.decode(np.array([0, 11]))
    with pytest.raises(ValueError, match="indices: expected values 0-1, got also 255"):
        ClassSet(("a", "b"), ignore_values=()).decode(np.array([0, 255]))


def test_decode_keeps_to_eight_bits_when_it_can():
    assert CAMVID.decode(np.array([255], np.uint8)).dtype == np.uint8
    assert ClassSet(("a",), values=(256,)).decode(np.array([0])).dtype == np.uint16


@pytest.mark.parametrize(
    ("suffix", "dump"), [(".json", json.dumps), (".yaml", yaml.safe_dump), (".yml", yaml.safe_dump)]
)
def test_class_files(tmp_path: Path, suffix, dump):
    path = tmp_path / f"classes{suffix}"
    path.write_text(dump(CAMVID_FILE))
    assert ClassSet.from_file(path) == ClassSet(CAMVID.names, CAMVID.palette, ignore_values=(11,))

    path.write_text(dump({"classes": ["sky", {"name": "road", "id": 7}, {"name": "pole", "color": [1, 2, 3]}]}))
    assert ClassSet.from_file(path) == ClassSet(
        ("sky", "road", "pole"), ((0, 0, 0), (128, 0, 0), (1, 2, 3)), (0, 7, 2), (255,)
    )

    path.write_text(dump({"classes": ["sky", "road"], "ignore_index": [9, 255], "thin": ["road"]}))
    assert ClassSet.from_file(path) == ClassSet(("sky", "road"), ignore_values=(9, 255), thin=("road",))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("[1, 2]", "classes: expected a list"),
        ("{}", "classes: expected a list"),
        ('{"classes": []}', "classes: expected a list"),
        ('{"classes": "sky"}', "classes: expected a list"),
        ('{"classes": [1]}', "names: expected 1 to 255 names"),
        ('{"classes": [{"id": 1}]}', "names: expected 1 to 255 names"),
        ('{"classes": ["a", "a"]}', "names: expected distinct"),
        ('{"classes": [{"name": "a", "color": 5}]}', "palette: expected 1 colours"),
        ('{"classes": [{"name": "a", "color": [0, 0, 256]}]}', "palette: expected 1 colours"),
        ('{"classes": [{"name": "a", "id": 255}]}', "values, ignore_values: expected distinct"),
        ('{"classes": ["a"], "ignore_index": null}', "values, ignore_values: expected distinct"),
        ('{"classes": ["a"], "ignore_index": -1}', "values, ignore_values: expected distinct"),
        ('{"classes": ["a"], "thin": "pole"}', r"thin: expected names out of \('a',\), got \['pole'\]"),
        ("{", "class file .*Expecting property name"),
    ],
)
def test_bad_class_files_name_the_path_and_the_trouble(tmp_path: Path, layout, message):
    path = tmp_path / "classes.json"
    path.write_text(layout)
    with pytest.raises(ValueError, match=message) as error:
        ClassSet.from_file(path)
    assert str(path) in str(error.value)


def test_class_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ValueError, match=r"class file .*none\.yaml"):
        ClassSet.from_file(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match=r"path: expected a \.json, \.yaml or \.yml file, got .*classes\.txt"):
        ClassSet.from_file(tmp_path / "classes.txt")
    (tmp_path / "bad.yaml").write_text("classes: [a")
    with pytest.raises(ValueError, match=r"class file .*bad\.yaml"):
        ClassSet.from_file(tmp_path / "bad.yaml")


def test_mismatched_lengths_are_refused():
    with pytest.raises(ValueError, match="palette: expected 2 colours"):
        ClassSet(("a", "b"), palette=((0, 0, 0),))
    with pytest.raises(ValueError, match="values: expected 2"):
        ClassSet(("a", "b"), values=(1,))
    with pytest.raises(ValueError, match="names: expected 1 to 255 names, got 256"):
        ClassSet(tuple(map(str, range(256))))


def test_the_sets_of_this_room():
    assert (len(CAMVID), CAMVID.names[3], CAMVID.ignore_values) == (11, "Road", (11,))
    assert (len(STREETS), STREETS.thin, STREETS.ignore_values) == (9, ("pole", "sign"), (255,))
    for classes in (CAMVID, STREETS):
        assert len(set(classes.palette)) == len(classes)
