"""What is frozen is computed once: the outputs of a model before its upsampler, by content.

Shapes: B batch, C classes, D channels of a feature, h×w coarse grid, H×W image.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from math import lcm
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from offstride import __version__
from offstride.data.coarse_grid import CoarseGrid
from offstride.features import Coarse
from offstride.field import LogitField
from offstride.ops.pixels import normalize
from offstride.replace.compare import evaluating
from offstride.train.frozen_store import Folder, Memory, TensorStore
from offstride.upsamplers import Upsampler

FORMAT = 1
"""Changes when equal keys would no longer mean equal outputs."""


class FrozenModel(Protocol):
    """What is asked of a model whose upsampler is trained alone: `Segmenter` and models like it."""

    upsampler: Upsampler

    @property
    def stride(self) -> int:
        """Stride of the coarse scores and of the features that the classifier reads."""
        ...

    @property
    def level_strides(self) -> Sequence[int]:
        """Strides of `Coarse.levels`."""
        ...

    def coarse(self, images: Tensor) -> Coarse:
        """Outputs of the frozen parts."""
        ...

    def field_of(self, coarse: Coarse, images: Tensor) -> LogitField:
        """The upsampler alone."""
        ...


class FrozenOutputs:
    """Computes outputs of frozen parts that a store lacks.

    A key is a hash of the weights and the architecture of all but the upsampler, of the normalised image as the network
    gets it, of its label, and of the version of this package. Only maps that the upsampler reads are kept, in full
    precision.

    Args:
        model: A `Segmenter`, or a model like it, on its device. Its parts run in evaluation mode and full precision.
        image: `(3, H, W)` uint8 example; with it the model is asked which maps its upsampler reads.
        folder: Where outputs are kept; None for memory.
        mean: Mean colour that images are normalised by, in 0 … 1; by default the model's.
        std: Standard deviation of the colours, likewise.
        layout: Memory format of the images that the model gets.

    Attributes:
        names: Maps that are kept: `scores`, `features`, `level0`, `level1` …
        strides: Strides of all maps by name.
        grid: The grid that crops lie on: it fits all maps that are kept.
        computed: Number of images computed so far.
        found: Number of images that were in the store.
    """

    def __init__(
        self,
        model: Any,
        image: Tensor,
        folder: Path | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.model, self.layout = model, layout
        self.store: TensorStore = Memory() if folder is None else Folder(folder)
        self.mean, self.std = mean or model.mean, std or model.std
        self.key = frozen_key(model)
        levels = {f"level{i}": stride for i, stride in enumerate(model.level_strides)}
        self.strides = {"scores": model.stride, "features": model.stride, **levels}
        self.names = maps_read(model, self._input(normalize(image, self.mean, self.std)))
        self.grid = CoarseGrid(lcm(*(self.strides[name] for name in self.names)), model.upsampler.origin)
        self.computed = self.found = 0

    def keep(self, image: Tensor, label: Tensor, crop: tuple[int, int] | None = None) -> str:
        """Compute and store what is missing of an image, and the image and its label themselves.

        Args:
            image: `(3, H, W)` uint8.
            label: `(H, W)` uint8.
            crop: (height, width) of the crops that will be taken; None for the whole image.

        Returns:
            The key.

        Raises:
            ValueError: If such crops do not fit the grid, or maps of the model do not lie on it.
        """
        size = (label.shape[0], label.shape[1])
        crop = crop or size
        padded = [self.grid.padded(length, part) for length, part in zip(size, crop, strict=True)]
        pixels = torch.zeros(3, *padded)
        pixels[:, : size[0], : size[1]] = normalize(image, self.mean, self.std)
        key = _digest(self.key, pixels, label)
        names = {"image", "label", *self.names}
        if all(self.store.has(key, name) for name in names):
            self.found += 1
            return key
        maps = self._maps(pixels)
        cropped = [length != part for length, part in zip(padded, crop, strict=True)]
        for name, values in maps.items():
            self._check(name, values, padded, cropped)
        self.store.write(key, {"image": image, "label": label, **maps})
        self.computed += 1
        return key

    def _input(self, pixels: Tensor) -> Tensor:
        return pixels[None].to(next(self.model.parameters())).to(memory_format=self.layout)

    def _maps(self, pixels: Tensor) -> dict[str, Tensor]:
        with evaluating(self.model):
            coarse = self.model.coarse(self._input(pixels))
        return {name: values[0].cpu() for name, values in named_maps(coarse).items() if name in self.names}

    def _check(self, name: str, values: Tensor, padded: Sequence[int], cropped: Sequence[bool]) -> None:
        grid = self.grid.at(self.strides[name])
        expected = [grid.count(length) for length in padded]
        wrong = [part and got != n for part, got, n in zip(cropped, values.shape[1:], expected, strict=True)]
        if any(wrong):
            raise ValueError(
                f"crop: expected the size of the image, since the {name} of this model are {tuple(values.shape[1:])} "
                f"for {tuple(padded)} pixels, not {tuple(expected)}: there is no grid that crops could lie on"
            )


def named_maps(coarse: Coarse) -> dict[str, Tensor]:
    """The maps by their names in a store."""
    levels = {f"level{i}": values for i, values in enumerate(coarse.levels)}
    return {"scores": coarse.scores, "features": coarse.features, **levels}


def maps_read(model: Any, images: Tensor) -> set[str]:
    """Names of the maps that the upsampler reads: those that a row of the field has gradients for.

    Args:
        model: See `FrozenModel`.
        images: `(B, 3, H, W)` that the model takes.
    """
    with evaluating(model):
        coarse = model.coarse(images).map(lambda values: values.detach().clone())
        with torch.enable_grad():
            maps = named_maps(coarse)
            for values in maps.values():
                values.requires_grad_()
            row = model.field_of(coarse, images).rows(0, 1)
            gradients = torch.autograd.grad(row.sum(), [*maps.values()], allow_unused=True)
    return {name for name, gradient in zip(maps, gradients, strict=True) if gradient is not None}


def frozen_key(model: nn.Module) -> str:
    """Hash of all of a model but its upsampler: architecture, weights and batch statistics."""
    config: Any = getattr(model, "config", None)
    if hasattr(config, "upsampler"):
        config = replace(config, upsampler="", upsampler_options={})
    frozen = [(name, part) for name, part in model.named_children() if name != "upsampler"]
    described = [FORMAT, __version__, config, *((name, repr(part)) for name, part in frozen)]
    tensors = {f"{name}.{key}": value for name, part in frozen for key, value in part.state_dict().items()}
    return _digest(repr([*described, *tensors]), *tensors.values())


def _digest(text: str, *tensors: Tensor) -> str:
    result = blake2b(text.encode(), digest_size=16)
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        result.update(repr((values.dtype, tuple(values.shape))).encode())
        result.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return result.hexdigest()
