"""Universal location-aware upsampling: offsets from the image and from scores in which no class has a name.

LaU with one group of offsets moves all classes together, so that what predicts the offsets need not know the classes,
the model or its features. It sees the image, standardised in place, and a description of the coarse scores. One set of
weights serves any model; the one that comes with the package was trained on drawn scenes alone (`offstride
fit-universal`).

Shapes: B batch, C classes, h×w coarse grid, H×W image, G×V the image in cells of 4×4 pixels.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file
from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField, LocatedField, LogitField
from offstride.ops.crop import top_left
from offstride.ops.grid import Origin, coordinate_dtype, same_grid
from offstride.ops.precision import without_autocast
from offstride.upsamplers.base import Compared, Size, Upsampler, check_choice, check_positive

Start = Literal["shipped", "zero"]

CELL = 4
"""Side of a cell of the image, in pixels: all pixels of a cell are channels of one place."""
COARSEST = 4 * CELL
"""Stride of the deepest level of the network; images are padded to a multiple of it."""
NEIGHBOURHOOD = 17
"""Width of the window of the local mean and deviation of colours, in places of the coarsest level: 272 pixels."""
UNIT = 8.0
"""Pixels of the image that an output of 1 moves by."""
WIDTHS = (32, 48, 64)
"""Channels at strides 4, 8 and 16 of the weights that come with the package."""
WEIGHTS = "universal.safetensors"

_AROUND = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
_DESCRIPTORS = 3 + len(_AROUND) + 1


class UniversalLaU(Upsampler):
    """Location-aware upsampling (LaU, Eq. 2, one group) for any model, without training on it.

    The network reads the image in cells of 4×4 pixels, each channel standardised by its mean and deviation around the
    place, so that any normalisation of images gives the same offsets, and `describe(scores)` beside it. It is a small
    U-Net with strides 4, 8 and 16. Scores of one class are taken for logits of a binary model.

    Args:
        widths: Channels at strides 4, 8 and 16.
        blocks: Residual 3×3 convolutions at each of the strides 8 and 16.
        mirrored: Take the mean of the offsets and of those of the mirror image, turned back: what is mirrored then has
            mirrored labels, at twice the cost. Without effect with the origin `"corner"`, whose grid has no mirror
            image.
        upsample: An upsampler whose result ends below the resolution of the image and goes on bilinearly, such as
            `Residual`: this one then replaces that last step. By default the coarse scores are read directly.
        origin: Pixel convention of the coarse scores.
        init: `"shipped"` for the weights that come with the package, or `"zero"` for zero offsets at first, which are
            exactly bilinear upsampling.

    Raises:
        ValueError: If an argument is out of range, or the weights of the package are of other widths.
    """

    compared_as = (Compared("universal LaU: offsets from the image and the scores, from weights for any model"),)

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        blocks: int = 2,
        mirrored: bool = True,
        upsample: Upsampler | None = None,
        origin: Origin = "center",
        init: Start = "shipped",
    ) -> None:
        super().__init__(origin)
        if len(widths) != len(WIDTHS):
            raise ValueError(f"widths: expected {len(WIDTHS)} numbers of channels, got {list(widths)}")
        check_positive(**{f"widths[{level}]": width for level, width in enumerate(widths)}, blocks=blocks)
        check_choice("init", init, Start)
        if upsample is not None and not upsample.reads_scores:
            raise ValueError(f"upsampler: expected one that reads scores, got {type(upsample).__name__}")
        self.mirrored = mirrored and origin != "corner"
        self.upsample = upsample
        self.network = OffsetNetwork(widths, blocks)
        if init == "shipped":
            self._load_shipped(widths, blocks)

    def _load_shipped(self, widths: Sequence[int], blocks: int) -> None:
        if (tuple(widths), blocks) != (WIDTHS, 2):
            raise ValueError(
                f"init: expected 'zero' for widths {list(widths)} and {blocks} blocks; "
                f"the shipped weights have {list(WIDTHS)} and 2"
            )
        self._fill(load(files("offstride.upsamplers").joinpath(WEIGHTS).read_bytes()))

    def load_weights(self, path: str | Path) -> None:
        """Take the weights of a file that `offstride fit-universal` wrote.

        Raises:
            ValueError: Naming the path, if it is no such file.
        """
        try:
            self._fill(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ValueError(f"weights {path}: expected a file of `offstride fit-universal` ({error})") from error

    def _fill(self, state: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict({name: tensor.float() for name, tensor in state.items()})

    def offsets(self, scores: Tensor, image: Tensor) -> Tensor:
        """`(B, 2, H, W)` offsets (y, x) in coarse pixels, float32 or better.

        Args:
            scores: `(B, C, h, w)` coarse scores, before any activation.
            image: `(B, 3, H, W)`, normalised in any way.
        """
        offsets = self._offsets(scores, image)
        if not self.mirrored:
            return offsets
        y, x = self._offsets(scores.flip(-1), image.flip(-1)).flip(-1).chunk(2, 1)
        return (offsets + torch.cat((y, -x), 1)) / 2

    def _offsets(self, scores: Tensor, image: Tensor) -> Tensor:
        (h, w), (H, W) = scores.shape[2:], image.shape[2:]
        dtype, weight = coordinate_dtype(scores.dtype), self.network.offsets.weight
        with without_autocast(image.device.type):
            cells = _cells(image.to(dtype))
            described = _at_cells(describe(scores.to(dtype)), (H, W), cells, self.origin)
            stride = _ratio(cells, H, h) * _ratio(cells, W, w)
            described = torch.cat((described, (0.5 * stride.log2() - 3).expand_as(described[:, :1])), 1)
        pixels = self.network(cells.to(weight.dtype), described.to(weight.dtype)).to(dtype)
        last = 1 if self.origin == "aligned" else 0
        steps = [_ratio(pixels, n - last, torch.sym_max(fine - last, 1)) for n, fine in ((h, H), (w, W))]
        return top_left(pixels, (H, W)) * torch.stack(steps).view(2, 1, 1)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`; raises a `ValueError` without an image of that size."""
        image = guides.image
        if image is None or not same_grid(image.shape[2:], size):
            got = "none" if image is None else tuple(image.shape)
            raise ValueError(f"guides: expected an image of {tuple(size)} for universal upsampling, got {got}")
        if image.shape[1] != 3:
            raise ValueError(f"guides: expected an image of 3 channels, got {image.shape[1]}")
        if self.upsample is not None:
            scores = _unfinished(self.upsample(scores, features, size, guides), self.origin)
        return LocatedField(scores, self.offsets(scores, image), self.origin)

    def offset_layers(self) -> list[nn.Module]:
        """The last convolution."""
        return [self.network.offsets]

    def shortest_side(self, stride: int, fine: int = 1) -> int:
        """1: offsets are made for every size."""
        return 1 if self.upsample is None else self.upsample.shortest_side(stride, fine)

    def extra_repr(self) -> str:
        """Show the pixel convention when printed."""
        return f"mirrored={self.mirrored}, origin={self.origin!r}"


class OffsetNetwork(nn.Module):
    """A U-Net from cells of the image and descriptors to displacements in pixels; zero at first.

    Args:
        widths: Channels at strides 4, 8 and 16.
        blocks: Residual convolutions at each of the strides 8 and 16.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.image = _convolution(3 * CELL * CELL, fine)
        self.join = _convolution(fine + _DESCRIPTORS, fine)
        self.down_middle = _convolution(fine, middle, stride=2)
        self.middle = nn.ModuleList(_convolution(middle, middle) for _ in range(blocks))
        self.down_deep = _convolution(middle, deep, stride=2)
        self.deep = nn.ModuleList(_convolution(deep, deep) for _ in range(blocks))
        self.up_middle = nn.Conv2d(deep, middle, 1)
        self.end_middle = _convolution(middle, middle)
        self.up_fine = nn.Conv2d(middle, fine, 1)
        self.end_fine = _convolution(fine, fine)
        self.offsets = nn.Conv2d(fine, 2 * CELL * CELL, 1)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)  # type: ignore[arg-type]

    def forward(self, cells: Tensor, descriptors: Tensor) -> Tensor:
        """`(B, 2, 4·G, 4·V)` displacements in pixels, from `(B, 48, G, V)` and `(B, 12, G, V)`; G and V are multiples
        of 4.
        """
        fine = F.relu(self.join(torch.cat((F.relu(self.image(cells)), descriptors), 1)))
        middle = F.relu(self.down_middle(fine))
        for block in self.middle:
            middle = middle + F.relu(block(middle))
        deep = F.relu(self.down_deep(middle))
        for block in self.deep:
            deep = deep + F.relu(block(deep))
        middle = middle + _doubled(self.up_middle(deep))
        middle = middle + F.relu(self.end_middle(middle))
        fine = fine + _doubled(self.up_fine(middle))
        fine = fine + F.relu(self.end_fine(fine))
        return F.pixel_shuffle(self.offsets(fine), CELL) * UNIT


def describe(scores: Tensor) -> Tensor:
    """What is said of the scores, `(B, 11, h, w)`: probabilities of the two best classes, the entropy in nats, and the
    similarity Σ √(p q) of the probabilities p of a place to those q of each of its eight neighbours.
    """
    if scores.shape[1] == 1:
        scores = torch.cat((scores, torch.zeros_like(scores)), 1)
    probabilities = scores.softmax(1)
    best = probabilities.topk(2, 1).values
    entropy = -(probabilities * (probabilities + 1e-8).log()).sum(1, keepdim=True)
    roots = (probabilities + 1e-8).sqrt()
    (h, w), around = scores.shape[2:], F.pad(roots, (1, 1, 1, 1), mode="replicate")
    alike = [(roots * around[:, :, i : i + h, j : j + w]).sum(1, keepdim=True) for i, j in _AROUND]
    return torch.cat((best, entropy, *alike), 1)


def shipped_recipe() -> Mapping[str, Any]:
    """How the weights that come with the package were made: the recipe, its seeds, and what it measured."""
    content = files("offstride.upsamplers").joinpath(WEIGHTS).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["offstride"])


def fitted_options(path: str | Path) -> dict[str, Any]:
    """Options of `UniversalLaU` for the weights in a file that `offstride fit-universal` wrote.

    Raises:
        ValueError: Naming the path, if it is no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            recipe = json.loads(file.metadata()["offstride"])["recipe"]
        return {"widths": list(recipe["widths"]), "blocks": recipe["blocks"], "init": "zero"}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"weights {path}: expected a file of `offstride fit-universal` ({error})") from error


def _convolution(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, 1)


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear")


def _unfinished(field: LogitField, origin: Origin) -> Tensor:
    """The scores that a field still has to bring to the image bilinearly."""
    if not isinstance(field, BilinearField) or field.origin != origin:
        raise ValueError(
            f"upsampler: expected one that ends below the image's resolution, bilinear from there with origin "
            f"{origin!r}, got a {type(field).__name__}"
        )
    return field.source if isinstance(field.source, Tensor) else field.source.dense()


def _cells(image: Tensor) -> Tensor:
    """`(B, 48, G, V)` pixels of each cell, standardised by the mean and deviation of each colour around it, so that
    they do not depend on how images are normalised. Where all is flat, a hundredth of the deviation of the whole image
    keeps noise small.
    """
    H, W = image.shape[2:]
    padded = F.pad(image, (0, -W % COARSEST, 0, -H % COARSEST), mode="replicate")
    centred = padded - padded.mean((2, 3), keepdim=True)  # for the precision of the squares
    pixels = F.pixel_unshuffle(centred, CELL).unflatten(1, (3, CELL * CELL))
    moments = torch.cat((pixels.mean(2), pixels.square().mean(2)), 1)
    moments = F.avg_pool2d(moments, COARSEST // CELL)
    moments = F.avg_pool2d(moments, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2, count_include_pad=False)
    mean, square = F.interpolate(moments, scale_factor=COARSEST // CELL, mode="bilinear")[:, :, None].chunk(2, 1)
    floor = 1e-4 * centred.square().mean((2, 3))[:, :, None, None, None] + torch.finfo(image.dtype).tiny
    deviation = ((square - mean.square()).clamp(min=0) + floor).sqrt()
    return ((pixels - mean) / deviation).clamp(-4, 4).flatten(1, 2)


def _at_cells(maps: Tensor, size: Sequence[int], cells: Tensor, origin: Origin) -> Tensor:
    """`(B, C, G, V)` coarse maps, read bilinearly at the centres of cells."""
    axes = zip(cells.shape[2:], size, maps.shape[2:], strict=True)
    y, x = (_places(n, fine, coarse, origin, maps) for n, fine, coarse in axes)
    grid = torch.stack(torch.broadcast_tensors(x, y[:, None]), -1).expand(maps.shape[0], -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _places(cells: int, fine: int, coarse: int, origin: Origin, like: Tensor) -> Tensor:
    """`(G,)` normalised coordinates of the centres of cells along an axis, for `grid_sample`; nothing here branches on
    sizes, which `torch.export` leaves open.
    """
    pixel = torch.arange(cells, dtype=like.dtype, device=like.device) * CELL + (CELL - 1) / 2
    if origin == "center":
        return (2 * pixel + 1) / fine - 1
    if origin == "aligned":
        return (2 * pixel * _ratio(like, coarse - 1, torch.sym_max(fine - 1, 1)) + 1) / coarse - 1
    return (2 * pixel * _ratio(like, coarse, fine) + 1) / coarse - 1


def _ratio(like: Tensor, over: Any, under: Any) -> Tensor:
    """0-dim quotient of two sizes, which may be symbols."""
    return torch.ones((), dtype=like.dtype, device=like.device) * over / under
