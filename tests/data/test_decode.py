from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offstride.data.decode import read_image, read_mask

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def test_rgb(tmp_path):
    decoded = read_image(save(tmp_path / "a.png", Image.fromarray(RGB)))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, RGB)
    assert decoded.flags.writeable


def test_grey_is_repeated(tmp_path):
    assert np.array_equal(read_image(save(tmp_path / "a.png", Image.fromarray(GREY))), GREY[..., None].repeat(3, 2))


def test_alpha_is_dropped(tmp_path):
    rgba = np.dstack((RGB, GREY))
    assert np.array_equal(read_image(save(tmp_path / "a.png", Image.fromarray(rgba))), RGB)


@pytest.mark.parametrize("transparency", [0, b"\x00\x80"])
def test_palette_with_and_without_transparency(tmp_path, transparency):
    image = Image.fromarray(GREY // 128).convert("L")
    palette = Image.frombytes("P", image.size, image.tobytes())
    palette.putpalette([10, 20, 30, 40, 50, 60])
    expected = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)[GREY // 128]
    assert np.array_equal(read_image(save(tmp_path / "a.png", palette)), expected)
    assert np.array_equal(read_image(save(tmp_path / "b.png", palette, transparency=transparency)), expected)


def test_cmyk(tmp_path):
    cmyk = Image.new("CMYK", (7, 5), (0, 255, 255, 0))
    assert np.abs(read_image(save(tmp_path / "a.jpg", cmyk)).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    deep = np.linspace(0, 65535, 35).astype(np.uint16).reshape(5, 7)
    decoded = read_image(save(tmp_path / f"a{suffix}", Image.fromarray(deep)))
    assert np.array_equal(decoded, np.round(deep / 65535 * 255).astype(np.uint8)[..., None].repeat(3, 2))


def test_exif_orientation_turns_the_image_upright(tmp_path):
    gradient = np.zeros((16, 24, 3), np.uint8)
    gradient[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by 90° clockwise to look at it
    decoded = read_image(save(tmp_path / "a.jpg", Image.fromarray(gradient), exif=exif, quality=95))
    assert decoded.shape == (24, 16, 3)
    assert decoded[:, :6].max() < 20
    assert decoded[:, 10:].min() > 235


def test_floating_point_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image .*a\.tif: expected integers, got floating-point"):
        read_image(save(tmp_path / "a.tif", Image.new("F", (4, 4))))


def test_palette_masks_are_read_as_indices(tmp_path):
    mask = Image.frombytes("P", (7, 5), (GREY % 3).tobytes())
    mask.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    assert np.array_equal(read_mask(save(tmp_path / "a.png", mask)), GREY % 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_grey_masks(tmp_path, dtype):
    mask = (np.arange(35).reshape(5, 7) * (1000 if dtype is np.uint16 else 1)).astype(dtype)
    assert np.array_equal(read_mask(save(tmp_path / "a.png", Image.fromarray(mask))), mask)


def test_masks_of_several_channels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mask .*a\.png: expected one channel.*'RGB'"):
        read_mask(save(tmp_path / "a.png", Image.fromarray(RGB)))


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, read, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = save(tmp_path / f"a{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"file .*a\{suffix}: cannot be decoded"):
        read(path)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.png: does not exist"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.png: cannot be decoded"):
        read_mask(tmp_path / "text.png")
