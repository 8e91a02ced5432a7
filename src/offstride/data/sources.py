"""Images from files, patterns of file names, Pillow images, arrays and tensors."""

from collections.abc import Iterator
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from offstride.data.decode import pixels_of, read_image
from offstride.data.image_windows import ImageWindows
from offstride.data.layout import IMAGE_SUFFIXES

Picture = str | Path | Image.Image | np.ndarray | Tensor
"""An image: a file, a Pillow image, a uint8 array `(H, W, 3)` or tensor `(3, H, W)`; arrays `(H, W)` are grey."""


def open_pixels(image: Picture, *, in_windows: bool = False) -> np.ndarray | ImageWindows:
    """The pixels of an image.

    Files and Pillow images are converted like in `read_image`. Arrays and tensors lose their alpha channel, grey
    becomes RGB; they are not copied.

    Args:
        image: The image.
        in_windows: Read a file in windows, so that it need not fit into memory; it may be a `.npy` file then.

    Returns:
        `(H, W, 3)` uint8, RGB; `ImageWindows`, which slices like such an array, for a file in windows.

    Raises:
        ValueError: If a file cannot be read, or the image is not of these types and shapes.
    """
    if isinstance(image, str | Path):
        return ImageWindows(image) if in_windows else read_image(image)
    if isinstance(image, Image.Image):
        return pixels_of(ImageOps.exif_transpose(image))
    if isinstance(image, Tensor):
        array = image.detach().cpu().numpy() if image.element_size() == 1 else np.empty(image.shape, np.float32)
        return _rgb(np.moveaxis(array, 0, -1) if array.ndim == 3 else array, image, "(3, H, W)")
    if isinstance(image, np.ndarray):
        return _rgb(image, image, "(H, W, 3)")
    raise ValueError(
        f"image: expected a path, a Pillow image, an array (H, W, 3) or a tensor (3, H, W), got {type(image).__name__}"
    )


def _rgb(pixels: np.ndarray, given: np.ndarray | Tensor, layout: str) -> np.ndarray:
    if pixels.dtype != np.uint8:
        raise ValueError(f"image: expected uint8, got {given.dtype}; pixels in 0 … 1 are to be multiplied by 255")
    if not pixels.size or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ValueError(f"image: expected {layout}, or (H, W) for grey, got {tuple(given.shape)}")
    return pixels[..., :3] if pixels.ndim == 3 else np.broadcast_to(pixels[..., None], (*pixels.shape, 3))


def find_images(sources: list[str]) -> dict[Path, Path]:
    """Image files by the path of their results, relative to the output folder and without suffix.

    Files of a folder or pattern keep their path relative to it.

    Raises:
        ValueError: If a source has no images, or two images would have the same results.
    """
    images: dict[Path, Path] = {}
    for source in sources:
        pairs = list(_expand(source))
        if not pairs:
            raise ValueError(f"images: nothing found for {source!r}; looked for {', '.join(IMAGE_SUFFIXES)}")
        for name, path in pairs:
            if images.setdefault(name, path) != path:
                raise ValueError(f"images: {images[name]} and {path} would both be written to {name}.png")
    return images


def _expand(source: str) -> Iterator[tuple[Path, Path]]:
    path = Path(source)
    if path.is_file():
        yield Path(path.stem), path
        return
    fixed = path if path.is_dir() else Path(*takewhile(lambda part: not has_magic(part), path.parts))
    candidates = path.rglob("*") if path.is_dir() else map(Path, glob(source, recursive=True))
    for file in sorted(candidates):
        if file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES:
            yield file.relative_to(fixed).with_suffix(""), file


def listed_images(images: dict[Path, Path], path: Path) -> dict[Path, Path]:
    """The images whose stems a text file lists, one per line, in this order; e.g. `ImageSets/Segmentation/test.txt`.

    Raises:
        ValueError: If the file cannot be read or is empty, or there is no image of a name.
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"list: {path} cannot be read ({error})") from error
    stems = {place.name: place for place in images}
    missing = [name for name in names if name not in stems]
    if missing or not names:
        raise ValueError(f"list: expected names of images in {path}, no image is named {', '.join(missing[:3])!r}")
    return {stems[name]: images[stems[name]] for name in names}
