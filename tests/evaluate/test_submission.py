"""What test servers take, read back from the archives."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from offstride.data import ClassSet
from offstride.evaluate import SUBMISSIONS, open_submission

CITYSCAPES_IDS = {0: 7, 1: 8, 2: 11, 3: 12, 4: 13, 5: 17, 10: 23, 11: 24, 15: 28, 16: 31, 18: 33}
"""Some label ids, by train id: road, sidewalk, building, wall, fence, pole, sky, person, bus, train, bicycle."""


def labels_of(classes):
    """A map that holds every class, in the shape of no square."""
    return np.resize(np.arange(classes, dtype=np.uint8), (13, 16))


def files_of(path):
    """Content of an archive or a folder, by name."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive.getmembers()}


def picture(content):
    with Image.open(io.BytesIO(content)) as image:
        return image.mode, np.array(image), image.getpalette()


def submit(server, path, classes, names, labels):
    with open_submission(server, path, classes) as write:
        for name in names:
            write(name, labels)


CONTAINERS = ["results.zip", "results.tar", "results.tar.gz", "results.tgz", "results"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_voc(tmp_path, container):
    labels = labels_of(21)
    with open_submission("voc2012", tmp_path / "deep" / container, 21) as write:
        write("2008_000006", labels)
        write("2008_000011", labels[::-1])
    files = files_of(tmp_path / "deep" / container)
    place = "results/VOC2012/Segmentation/comp6_test_cls"
    assert set(files) == {f"{place}/2008_000006.png", f"{place}/2008_000011.png"}
    mode, pixels, palette = picture(files[f"{place}/2008_000006.png"])
    assert mode == "P"
    assert np.array_equal(pixels, labels)
    assert palette[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    assert palette[3 * 15 : 3 * 16] == [192, 128, 128]  # person
    assert palette[3 * 255 :] == [224, 224, 192]
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / container]


def test_ade20k(tmp_path):
    labels = labels_of(150)
    with open_submission("ade20k", tmp_path / "results.zip", 150) as write:
        write("ADE_test_00000001", labels)
    files = files_of(tmp_path / "results.zip")
    assert list(files) == ["ADE_test_00000001.png"]
    mode, pixels, _ = picture(files["ADE_test_00000001.png"])
    assert mode == "L"
    assert np.array_equal(pixels, labels.astype(int) + 1)
    assert (pixels.min(), pixels.max()) == (1, 150)


def test_cityscapes(tmp_path):
    labels = labels_of(19)
    with open_submission("cityscapes", tmp_path / "results.zip", 19) as write:
        write("berlin_000000_000019_leftImg8bit", labels)
        write("bad-honnef_000123_000019", labels)
    files = files_of(tmp_path / "results.zip")
    assert set(files) == {"berlin_000000_000019_pred_labelIds.png", "bad-honnef_000123_000019_pred_labelIds.png"}
    mode, pixels, _ = picture(files["berlin_000000_000019_pred_labelIds.png"])
    assert mode == "L"
    assert len(np.unique(pixels)) == 19
    for index, value in CITYSCAPES_IDS.items():
        assert (pixels[labels == index] == value).all()


def test_maps_may_have_any_integer_type(tmp_path):
    with open_submission("voc2012", tmp_path / "a", 21) as write:
        write("one", labels_of(21).astype(np.int64))
    with open_submission("voc2012", tmp_path / "b", 21) as write:
        write("one", labels_of(21))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_an_archive_that_fails_is_not_there_and_an_old_one_stays(tmp_path):
    path = tmp_path / "results.zip"
    path.write_bytes(b"of yesterday")
    with pytest.raises(ValueError, match="labels"):
        submit("voc2012", path, 21, ["one"], labels_of(22))
    assert path.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("server", "classes", "names", "labels", "message"),
    [
        ("coco", 21, ["one"], labels_of(21), "submission: expected one of voc2012, ade20k, cityscapes, got 'coco'"),
        ("voc2012", 19, ["one"], labels_of(19), "submission: 'voc2012' has 21 classes, the model has 19"),
        ("cityscapes", 19, ["street"], labels_of(19), "image: expected a name such as berlin.*got 'street'"),
        ("ade20k", 150, ["one", "one"], labels_of(150), r"image: expected one image for one\.png"),
        ("voc2012", 21, ["one"], labels_of(22), "labels: expected 0 to 20, got 0 to 21"),
        ("voc2012", 21, ["one"], labels_of(21).astype(float), "labels: expected integers"),
        ("voc2012", 21, ["one"], labels_of(21)[0], "labels: expected integers"),
    ],
)
def test_what_the_server_would_refuse_is_refused(tmp_path, server, classes, names, labels, message):
    with pytest.raises(ValueError, match=message):
        submit(server, tmp_path / "results.zip", classes, names, labels)
    assert not list(tmp_path.iterdir())


def test_classes_in_another_order_are_refused(tmp_path):
    official = SUBMISSIONS["cityscapes"].classes
    with open_submission("cityscapes", tmp_path / "a", ClassSet(official.names)) as write:
        write("berlin_000000_000019", labels_of(19))
    with pytest.raises(ValueError, match="got 'bicycle' for 'road'"):
        submit("cityscapes", tmp_path / "b", ClassSet(official.names[::-1]), ["berlin_000000_000019"], labels_of(19))


def test_two_names_of_one_cityscapes_image_are_refused(tmp_path):
    names = ["berlin_000000_000019_leftImg8bit", "berlin_000000_000019_rightImg8bit"]
    with pytest.raises(ValueError, match="got another one"):
        submit("cityscapes", tmp_path / "results", 19, names, labels_of(19))


def test_values_are_distinct():
    for submission in SUBMISSIONS.values():
        assert len(set(submission.classes.values)) == len(submission.classes)
