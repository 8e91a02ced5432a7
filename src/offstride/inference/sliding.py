"""Prediction in windows that overlap: for images larger than those of training, and larger than memory.

Shapes: images (B, 3, H, W), window h×w. B batch, C classes.

The windows are those of `offstride.inference.windows`. Where an image is smaller than the window, it is padded at the
bottom and the right with the mean pixel, which is 0 after normalisation, and the prediction is cropped back. Each
window counts the same in all its pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.inference.averaged import Averaged
from offstride.inference.whole import Predict, Reduce, check_reduce, predict_mirrored
from offstride.inference.windows import Grid, Tile, check_windows, tiles
from offstride.ops.labels import label_dtype

Read = Callable[[slice, slice], Tensor]
"""From rows and columns, both with a start and a stop inside the image, to that part of it: `(3, h, w)`, normalised and
on the device of the model."""


@torch.inference_mode()
def predict_sliding(
    predict: Predict,
    images: Tensor,
    *,
    window: tuple[int, int],
    overlap: float = 1 / 3,
    flip: bool = False,
    reduce: Reduce = "probabilities",
) -> Averaged:
    """Average over windows that cover the images (GFF, Experiments: "sliding window crop prediction").

    Args:
        predict: From `(B, 3, h, w)` images to a field or to scores, see `scores_of`. Fields are rendered window by
            window.
        images: `(B, 3, H, W)`, normalised.
        window: (h, w) in pixels.
        overlap: Share of a window that overlaps with the next one, 0 to less than 1; the releases of PSPNet and EncNet
            have 1/3.
        flip: Also predict the mirror image of every window.
        reduce: What is averaged; for `"scores"` the softmax is taken of the average.

    Returns:
        Field of shape `(B, C, H, W)`, which holds all probabilities; `label_sliding` does not.

    Raises:
        ValueError: If an argument is out of range, or the callable returns no scores.
    """
    check_windows(window, overlap)
    check_reduce(reduce)
    return averaged(sliding_mean(predict, images, window=window, overlap=overlap, flip=flip, reduce=reduce), reduce)


def label_sliding(
    predict: Predict,
    read: Read,
    size: tuple[int, int],
    *,
    window: tuple[int, int],
    overlap: float = 1 / 3,
    flip: bool = False,
    reduce: Reduce = "probabilities",
) -> Iterator[Tensor]:
    """Label map of an image of any size, in bands of rows, each as soon as no further window covers it.

    Equals `argmax(predict_sliding(…))`. It holds one window and, for every class, the rows in which windows overlap:
    4 · C · W · h · overlap bytes in float32, independent of the height of the image.

    Example:
        `labels = torch.cat(list(label_sliding(model.field, pixel_reader(pixels, model.mean, model.std), (H, W), …)))`

    Args:
        predict: As for `predict_sliding`, for one image.
        read: Reads a part of the image; `pixel_reader` makes one of an array, also a memory-mapped one.
        size: (H, W) of the image.
        window: As for `predict_sliding`, like all further arguments.

    Returns:
        Iterator of `(R, W)` labels on the device of the scores, uint8 up to 256 classes and int64 above. Concatenated
        they are the `(H, W)` map.

    Raises:
        ValueError: If an argument is out of range, or (while iterating) the callable returns no scores.
    """
    bands = predict_bands(predict, read, size, window=window, overlap=overlap, flip=flip, reduce=reduce)
    return (labels for (labels,) in bands)


def predict_bands(
    predict: Predict,
    read: Read,
    size: tuple[int, int],
    *,
    window: tuple[int, int],
    overlap: float = 1 / 3,
    flip: bool = False,
    reduce: Reduce = "probabilities",
    confidences: bool = False,
) -> Iterator[tuple[Tensor, ...]]:
    """As `label_sliding`, in tuples: a band of labels and, with `confidences`, a band of their probabilities."""
    check_windows(window, overlap)
    check_reduce(reduce)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: expected a positive (H, W), got {size!r}")
    source = _tiles(predict, lambda rows, columns: read(rows, columns)[None], size, window, overlap, flip, reduce)
    maps = (_labels, partial(_confidence, reduce)) if confidences else (_labels,)
    return _bands(source, size[1], maps)


def _labels(values: Tensor) -> Tensor:
    return values.argmax(0).to(label_dtype(len(values)))


def _confidence(reduce: Reduce, values: Tensor) -> Tensor:
    return (values.softmax(0) if reduce == "scores" else values).amax(0)


@torch.inference_mode()
def _bands(
    tiles: Iterator[Tile], width: int, maps: Sequence[Callable[[Tensor], Tensor]]
) -> Iterator[tuple[Tensor, ...]]:
    """Maps of the `(C, r, c)` average, in bands as wide as the image."""
    pieces: list[list[Tensor]] = []
    for tile in tiles:
        pieces.append([of_values(tile.values[0]) for of_values in maps])
        if tile.left + tile.values.shape[3] == width:
            yield tuple(torch.cat(row, 1) for row in zip(*pieces, strict=True))
            pieces.clear()


def sliding_mean(
    predict: Predict, images: Tensor, *, window: tuple[int, int], overlap: float, flip: bool, reduce: Reduce
) -> Tensor:
    """`(B, C, H, W)` means over checked windows of what `reduce` names."""
    size = (images.shape[2], images.shape[3])
    source = _tiles(predict, lambda rows, columns: images[:, :, rows, columns], size, window, overlap, flip, reduce)
    result: Tensor | None = None
    for top, left, values in source:
        B, C, r, c = values.shape
        if result is None:
            result = values.new_empty(B, C, *size)
        result[:, :, top : top + r, left : left + c] = values
    assert result is not None  # every image has a window
    return result


def averaged(mean: Tensor, reduce: Reduce) -> Averaged:
    """The field of a mean, which is overwritten if it is one of scores."""
    field = Averaged(mean)
    if reduce == "scores":
        for start, stop in field.bands():
            mean[:, :, start:stop] = mean[:, :, start:stop].softmax(1)
    return field


def _tiles(
    predict: Predict,
    read: Callable[[slice, slice], Tensor],
    size: tuple[int, int],
    window: tuple[int, int],
    overlap: float,
    flip: bool,
    reduce: Reduce,
) -> Iterator[Tile]:
    """Finished parts of the average over checked windows, which may be larger than the image; `read` gives parts of one
    image, or of several of the same size, `(B, 3, h, w)`.
    """
    h, w = inside = min(window[0], size[0]), min(window[1], size[1])

    def look(top: int, left: int) -> Tensor:
        part = read(slice(top, top + h), slice(left, left + w))
        part = F.pad(part, (0, window[1] - w, 0, window[0] - h))
        return predict_mirrored(predict, part, flip=flip, reduce=reduce)(0, h)[..., :w]

    return tiles(look, Grid(size, inside, overlap))
