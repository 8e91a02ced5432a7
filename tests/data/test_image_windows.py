"""Image files, read in windows."""

import numpy as np
import pytest
from PIL import Image

from offstride.data import ImageWindows, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def save(path, kind):
    image = Image.fromarray(PIXELS)
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    elif kind == "grey":
        image.convert("L").save(path)
    elif kind == "palette":
        image.quantize(16).save(path)
    elif kind == "alpha":
        image.convert("RGBA").save(path)
    else:
        image.save(path)


@pytest.mark.parametrize("kind", ["plain", "turned", "grey", "palette", "alpha"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_windows_are_parts_of_the_image(tmp_path, kind, suffix):
    path = tmp_path / f"image{suffix}"
    save(path, kind)
    whole, windows = read_image(path), ImageWindows(path)
    assert windows.shape == whole.shape == ((30, 20, 3) if kind == "turned" else (20, 30, 3))
    for part in (np.s_[3:9, 2:17], np.s_[:, :], np.s_[19:20, 0:1]):
        assert np.array_equal(windows[part], whole[part])
        assert windows[part].flags.writeable


def test_arrays_stay_on_disk(tmp_path):
    np.save(tmp_path / "image.npy", PIXELS)
    windows = ImageWindows(tmp_path / "image.npy")
    assert windows.shape == PIXELS.shape
    assert np.array_equal(windows[4:7, 8:30], PIXELS[4:7, 8:30])
    np.save(tmp_path / "image.npy", 255 - PIXELS)
    assert isinstance(windows._pixels, np.memmap)


def test_there_is_no_limit_to_the_size_and_the_limit_of_others_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    save(tmp_path / "image.png", "plain")
    with pytest.raises(ValueError, match="exceeds limit"):
        read_image(tmp_path / "image.png")
    assert np.array_equal(ImageWindows(tmp_path / "image.png")[0:2, 0:3], PIXELS[0:2, 0:3])
    assert Image.MAX_IMAGE_PIXELS == 20


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_damaged_files_are_named(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    with pytest.raises(ValueError, match=f"file .*image{suffix}"):
        ImageWindows(path)
    save(tmp_path / "whole.png", "plain")
    path.write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    with pytest.raises(ValueError, match=f"file .*image{suffix}: cannot be"):
        ImageWindows(path)


@pytest.mark.parametrize("array", [PIXELS[..., 0], PIXELS.astype(np.float32), PIXELS[..., :2]])
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "image.npy", array)
    with pytest.raises(ValueError, match=r"image\.npy: expected \(H, W, 3\) uint8"):
        ImageWindows(tmp_path / "image.npy")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "image.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as an array"):
        ImageWindows(tmp_path / "image.npy")
