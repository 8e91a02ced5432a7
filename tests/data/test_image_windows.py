"""Image files, read in windows."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from offstride.data import ImageWindows, read_image
from offstride.data.png_rows import PngRows
from offstride.inference.windows import Grid

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


SMOOTH = np.cumsum(np.random.default_rng(0).integers(-3, 4, (300, 57, 4)), 1).astype(np.uint8)  # for all filters
DOWN = (np.s_[:50, 3:9], np.s_[40:150, :], np.s_[40:150, 5:], np.s_[190:194, 0:1], np.s_[190:, 0:1])


def save_png(path, mode, **options):
    image = Image.fromarray(SMOOTH)
    (image if mode == "RGBA" else image.convert("RGB").convert(mode)).save(path, **options)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "RGBA"])
def test_png_files_are_decoded_row_by_row_on_the_way_down(tmp_path, mode):
    save_png(tmp_path / "image.png", mode)
    whole, windows = read_image(tmp_path / "image.png"), ImageWindows(tmp_path / "image.png")
    for part in DOWN:
        assert np.array_equal(windows[part], whole[part])
        assert isinstance(windows._pixels, PngRows)
        assert len(windows._pixels._kept) < 2 * len(range(300)[part[0]]) + 64
    assert np.array_equal(windows[70:90, :], whole[70:90])
    assert not isinstance(windows._pixels, PngRows)


def test_the_windows_of_a_prediction_go_down_far_enough(tmp_path):
    """The last two rows of windows are read by turns."""
    save_png(tmp_path / "image.png", "RGB")
    windows = ImageWindows(tmp_path / "image.png")
    starts = [(top, left) for tops, _ in Grid((300, 57), (64, 32), 1 / 3).sweeps() for left in (0, 25) for top in tops]
    assert starts != sorted(starts)
    for top, left in starts:
        assert np.array_equal(windows[top : top + 64, left : left + 32], SMOOTH[top : top + 64, left : left + 32, :3])
    assert isinstance(windows._pixels, PngRows)


@pytest.mark.parametrize("number", range(5))
def test_every_filter_of_png_is_undone(tmp_path, number):
    """Written out by hand (PNG specification, §9.2): every row with the same filter."""
    pixels = SMOOTH[:140, :, :3].astype(int)
    left, above, corner = (np.zeros_like(pixels) for _ in range(3))
    left[:, 1:], above[1:], corner[1:, 1:] = pixels[:, :-1], pixels[:-1], pixels[:-1, :-1]
    guess = left + above - corner
    far = np.abs(np.stack([guess - left, guess - above, guess - corner]))
    paeth = np.take_along_axis(np.stack([left, above, corner]), far.argmin(0)[None], 0)[0]
    rows = ((pixels - [0, left, above, (left + above) // 2, paeth][number]) % 256).astype(np.uint8)
    filtered = b"".join(bytes([number]) + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 57, 140, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    windows = ImageWindows(tmp_path / "image.png")
    for start in range(0, 140, 20):
        assert np.array_equal(windows[start : start + 20, :], pixels[start : start + 20])
    assert isinstance(windows._pixels, PngRows)


def test_other_png_files_are_decoded_at_once(tmp_path):
    """With transparent colours, with metadata that turn the image, with 16 bits."""
    text, profile = PngInfo(), PngInfo()
    text.add_text("Software", "some")
    profile.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    for options, mode, by_rows in (
        ({"pnginfo": text}, "RGB", True),
        ({"pnginfo": profile}, "RGB", False),
        ({"transparency": 3}, "P", False),
    ):
        save_png(tmp_path / "image.png", mode, **options)
        windows = ImageWindows(tmp_path / "image.png")
        assert isinstance(windows._pixels, PngRows) == by_rows
        assert np.array_equal(windows[10:90, 3:40], read_image(tmp_path / "image.png")[10:90, 3:40])
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(tmp_path / "deep.png")
    assert isinstance(ImageWindows(tmp_path / "deep.png")._pixels, np.ndarray)


def test_damage_is_named_when_it_is_reached(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (400, 300, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.png")
    data = bytearray((tmp_path / "image.png").read_bytes())
    data[-60] ^= 255
    (tmp_path / "image.png").write_bytes(data)
    windows = ImageWindows(tmp_path / "image.png")
    assert np.array_equal(windows[:20, :], noise[:20])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"file .*image\.png: cannot be decoded"):
            windows[20:, :]


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
