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
from offstride.inference.scores import Predict
from offstride.inference.views import Reduce, check_reduce, look_at
from offstride.inference.windows import Grid, Tile, check_windows, tiles

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
        overlap: Share of a window that the next one sees again, 0 to less than 1; the releases of PSPNet and EncNet
            have 1/3.
        flip: Predict the mirror image of every window, too.
        reduce: What is averaged; for `"scores"` the softmax is taken of the average.

    Returns:
        Field of shape `(B, C, H, W)`, which holds all probabilities. `label_sliding` never does.

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
    """Label map of an image of any size, in bands of rows that come as soon as no further window reaches them.

    Equals `argmax(predict_sliding(…))`. Held are one window and, for every class, the rows in which windows overlap:
    4 · C · W · h · overlap bytes in float32. The height of the image does not matter.

    Example:
        `labels = torch.cat(list(label_sliding(model.field, pixel_reader(pixels, model.mean, model.std), (H, W), …)))`

    Args:
        predict: As for `predict_sliding`, for one image.
        read: Reads a part of the image; `pixel_reader` makes one of an array, also a memory-mapped one.
        size: (H, W) of the image.
        window: (h, w) in pixels.
        overlap: Share of a window that the next one sees again.
        flip: Predict the mirror image of every window, too.
        reduce: What is averaged.

    Returns:
        Iterator of `(R, W)` labels on the device of the scores, uint8 up to 256 classes and int64 above. Put below each
        other they are the `(H, W)` map.

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
    """As `label_sliding`, in tuples: of a band of labels and, if asked for, a band of their probabilities."""
    check_windows(window, overlap)
    check_reduce(reduce)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: expected a positive (H, W), got {size!r}")
    source = _Windows(predict, lambda rows, columns: read(rows, columns)[None], size, window, flip, reduce)
    maps = (_labels, partial(_confidence, reduce)) if confidences else (_labels,)
    return _bands(source.tiles(overlap), size[1], maps)


def _labels(values: Tensor) -> Tensor:
    return values.argmax(0).to(torch.uint8 if len(values) <= 256 else torch.int64)


def _confidence(reduce: Reduce, values: Tensor) -> Tensor:
    return (values.softmax(0) if reduce == "scores" else values).amax(0)


@torch.inference_mode()
def _bands(
    tiles: Iterator[Tile], width: int, maps: Sequence[Callable[[Tensor], Tensor]]
) -> Iterator[tuple[Tensor, ...]]:
    """Maps of the `(C, r, c)` average, in bands as wide as the image."""
    pieces: list[list[Tensor]] = []
    for tile in tiles:
        pieces.append([each(tile.values[0]) for each in maps])
        if tile.left + tile.values.shape[3] == width:
            yield tuple(torch.cat(row, 1) for row in zip(*pieces, strict=True))
            pieces.clear()


def sliding_mean(
    predict: Predict, images: Tensor, *, window: tuple[int, int], overlap: float, flip: bool, reduce: Reduce
) -> Tensor:
    """`(B, C, H, W)` means over checked windows of what `reduce` names."""
    size = (images.shape[2], images.shape[3])
    source = _Windows(predict, lambda rows, columns: images[:, :, rows, columns], size, window, flip, reduce)
    result: Tensor | None = None
    for top, left, values in source.tiles(overlap):
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


class _Windows:
    """Predictions of the windows of one image, or of several of a size.

    Args:
        predict: The model.
        read: Parts of the images, `(B, 3, h, w)`.
        size: (H, W) of the images.
        window: (h, w), also larger than the images.
        flip: Predict mirror images, too.
        reduce: What the model's scores are turned to.
    """

    def __init__(
        self,
        predict: Predict,
        read: Callable[[slice, slice], Tensor],
        size: tuple[int, int],
        window: tuple[int, int],
        flip: bool,
        reduce: Reduce,
    ) -> None:
        self.predict, self.read, self.size, self.window, self.flip = predict, read, size, window, flip
        self.reduce: Reduce = reduce
        self.inside = min(window[0], size[0]), min(window[1], size[1])

    def tiles(self, overlap: float) -> Iterator[Tile]:
        """Finished parts of the average."""
        return tiles(self.look, Grid(self.size, self.inside, overlap))

    def look(self, top: int, left: int) -> Tensor:
        """What is averaged in one window, as far as the image reaches: float32 or better."""
        h, w = self.inside
        part = self.read(slice(top, top + h), slice(left, left + w))
        part = F.pad(part, (0, self.window[1] - w, 0, self.window[0] - h))
        return look_at(self.predict, part, flip=self.flip, reduce=self.reduce).rows(0, h)[..., :w]
