"""Backbones: any timm model, or one of ours, as a list of feature maps for images of any size.

Shapes: B batch, H×W image; a feature of stride s has D channels on a ⌈H/s⌉×⌈W/s⌉ grid.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from offstride.backbones.cascade import build_cascade
from offstride.backbones.multi_grid import check_multi_grid, residual_units, set_rates
from offstride.backbones.network import create_network, full_names
from offstride.backbones.taps import Taps
from offstride.backbones.weights import Triple, load_backbone_weights, normalisation
from offstride.features import FeatureInfo
from offstride.ops.crop import top_left

Size = tuple[int, int]
_MEASURED: dict[str, tuple[list[FeatureInfo], int, Size | None]] = {}
"""What `Backbone._measure` found, by the arguments that it depends on."""


class Backbone(nn.Module):
    """Feature network of a timm model, or of one of ours.

    Strides beyond `output_stride` become dilations (DeepLabv3, §3.1) where the architecture supports it; DenseNets do,
    without the poolings of their transitions. Neither the stride nor `multi_grid` changes the names or shapes of
    tensors: weights trained at one stride run at another.

    Any image size is accepted: networks that drop border pixels or need a multiple of their stride get images padded at
    the bottom and the right with zeros (the mean colour), and what lies beyond ⌈H/s⌉×⌈W/s⌉ is cut off again. Exceptions
    are some transformers, made for one image size, and the Inception family, whose unpadded convolutions give smaller
    grids.

    Args:
        name: timm model, with or without a tag (`resnet50`, `resnet50.a1_in1k`), `wider_resnet38` (Wu et al., arXiv
            1611.10080, model A2) or `resnetv2_50_gluon` (up to stride 16).
        output_stride: Stride of the last feature.
        pretrained: Path of a safetensors file, `True` for the weights that timm downloads, `False` for random ones.
            Cascaded blocks are always random.
        options: Further arguments of `timm.create_model`, such as `{"pad_type": "same", "bn_eps": 1e-3}` for weights
            from TensorFlow, or of our networks.
        multi_grid: For ResNets: factors of the rates of the units of block4 and of each cascaded block (DeepLabv3,
            §3.2.1), such as `(1, 2, 4)`, which gives rates 2, 4, 8 at output stride 16. By default every unit of a
            cascaded block has the rate of the block, and block4 is timm's: its first unit keeps the rate of block3.
        cascade: For ResNets: number of the last of the blocks 5, 6, 7 to append, copies of block4 (DeepLabv3, §3.2).
            Each can double the stride, up to 256 with 7. They become features `layer5`, `layer6`, `layer7`.
        taps: Intermediate maps to return as well, by the paths of their modules (`layer1.1.bn3`) or by names from
            papers: `conv1_3` (ResNets with a deep stem), `b1u2c3`, `b3u6c3` (ResNets), `efb2u1c2`, `mfb1u16c3`
            (Xception-65 and -71).

    Attributes:
        features: What `forward` returns: the taps in the given order, then the network's features, finest first.
        mean: Mean colour of the images that the network expects, in 0 … 1; from the weight file if it has one.
        std: Standard deviation, likewise.

    Raises:
        ValueError: If the model is unknown, cannot reach the stride, has no such blocks, units, taps or options, or if
            the weights are not available or do not fit.
    """

    mean: Triple
    std: Triple

    def __init__(
        self,
        name: str,
        *,
        output_stride: int = 32,
        pretrained: bool | str | Path = False,
        options: dict[str, Any] | None = None,
        multi_grid: Sequence[int] | None = None,
        cascade: int | None = None,
        taps: Sequence[str] = (),
    ) -> None:
        super().__init__()
        options = dict(options or {})
        own_stride = output_stride if cascade is None else min(output_stride, 32)
        self.network = create_network(name, own_stride, pretrained is True, options)
        features = [
            FeatureInfo(info["num_chs"], info["reduction"], info["module"])
            for info in self.network.feature_info.get_dicts()
        ]
        self.cascade, appended = self._append(name, features[-1], cascade, output_stride, multi_grid)
        if (reached := [*features, *appended][-1].stride) != output_stride:
            raise ValueError(f"output_stride: {name!r} cannot reach {output_stride}, its own is {reached}")
        self.in_channels: int = options.get("in_chans", 3)
        self._channels_last = str(getattr(self.network, "output_fmt", "")).endswith("NHWC")
        self._taps = Taps(self.network, name, taps)
        measured = repr((name, own_stride, sorted(options.items()), taps))
        if measured not in _MEASURED:
            _MEASURED[measured] = self._measure(features, options)
        tapped, self._multiple, self._only_size = _MEASURED[measured]
        self.features = (*tapped, *features, *appended)
        config = self.network.pretrained_cfg
        self.mean, self.std = tuple(config["mean"]), tuple(config["std"])
        if isinstance(pretrained, str | Path):
            metadata = load_backbone_weights(self.network, pretrained, full_names(name, options))
            self.mean, self.std = normalisation(metadata, pretrained) or (self.mean, self.std)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the features.

        Args:
            images: `(B, 3, H, W)`, normalised by `mean` and `std`.

        Returns:
            `(B, D, ⌈H/s⌉, ⌈W/s⌉)` for each of `features`.

        Raises:
            ValueError: If `images` are not such a tensor, or of a size that the network cannot take.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels or not images.is_floating_point():
            raise ValueError(
                f"images: expected floating-point (B, {self.in_channels}, H, W), "
                f"got {tuple(images.shape)} of {images.dtype}"
            )
        H, W = images.shape[2:]
        if self._only_size not in (None, (H, W)):
            raise ValueError(f"images: this backbone takes {self._only_size} pixels only, got {(H, W)}")
        bottom, right = -H % self._multiple, -W % self._multiple
        pads = bottom or right if isinstance(bottom, int) and isinstance(right, int) else self._multiple > 1
        maps = self._maps(self.network, F.pad(images, (0, right, 0, bottom)) if pads else images)
        for block in self.cascade:
            maps.append(block(maps[-1]))
        if pads:
            strides = [info.stride for info in self.features]
            maps = [top_left(feature, (-(-H // s), -(-W // s))) for feature, s in zip(maps, strides, strict=True)]
        return maps

    def _maps(self, network: Callable[[Tensor], list[Tensor]], images: Tensor) -> list[Any]:
        """Tapped maps, then the network's own."""
        try:
            own = network(images)
        finally:
            tapped = self._taps.take()
        maps = [*tapped, *own]
        return [_channels_first(feature) for feature in maps] if self._channels_last else maps

    def _append(
        self, name: str, block4: FeatureInfo, cascade: int | None, output_stride: int, multi_grid: Sequence[int] | None
    ) -> tuple[nn.ModuleList, list[FeatureInfo]]:
        """Set the rates of block4, and build the blocks after it with their features."""
        if cascade not in (None, 5, 6, 7):
            raise ValueError(f"cascade: expected 5, 6 or 7, got {cascade!r}")
        if multi_grid is None and cascade is None:
            return nn.ModuleList(), []
        units = residual_units(self.network, name, "multi_grid" if cascade is None else "cascade")
        if multi_grid is not None:
            check_multi_grid(multi_grid, len(units))
            set_rates(units, units[-1].dilation, multi_grid)
        if cascade is None:
            return nn.ModuleList(), []
        return build_cascade(units, block4, cascade, output_stride, multi_grid or [1] * len(units))

    def _measure(
        self, features: Sequence[FeatureInfo], options: dict[str, Any]
    ) -> tuple[list[FeatureInfo], int, Size | None]:
        """Tapped features, the number that image sizes must be a multiple of, and the only size if there is one."""
        largest = max(info.stride for info in features)
        size, only = (4 * largest, 4 * largest), None
        if (shapes := self._shapes(size)) is None:
            own = options.get("img_size", self.network.pretrained_cfg["input_size"][1:])
            size = only = (own, own) if isinstance(own, int) else tuple(own)
            shapes = self._shapes(size) if self._taps.names else None
        names, nothing = self._taps.names, [()] * len(self._taps.names)
        tapped = [_tapped(name, shape, size) for name, shape in zip(names, shapes or nothing, strict=False)]
        odd = 4 * largest + 1
        expected = [(-(-odd // info.stride),) * 2 for info in (*tapped, *features)]
        rounds_up = [shape[2:] for shape in self._shapes((odd, odd)) or []] == expected
        return tapped, 1 if only or rounds_up else largest, only

    def _shapes(self, size: Size) -> list[tuple[int, ...]] | None:
        """Shapes of the maps for an image, computed without values; `None` if the network refuses the size."""
        state = (*self.network.named_parameters(), *self.network.named_buffers())
        ghosts = {name: tensor.to("meta") for name, tensor in state}
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), _ShapesAlone():
                image = torch.empty(1, self.in_channels, *size, device="meta")
                maps = self._maps(lambda images: functional_call(self.network, ghosts, images), image)
        except Exception:  # every architecture refuses in its own way
            return None
        finally:
            self.network.train(training)
        return [tuple(getattr(feature, "shape", ())) for feature in maps]


class _ShapesAlone(TorchFunctionMode):
    """Skips batch normalisation, which keeps shapes and is slow on tensors without values."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return args[0] if func is F.batch_norm else func(*args, **(kwargs or {}))


def _channels_first(feature: Any) -> Any:
    return feature.permute(0, 3, 1, 2) if isinstance(feature, Tensor) and feature.ndim == 4 else feature


def _tapped(name: str, shape: tuple[int, ...], size: Size) -> FeatureInfo:
    """Feature of a tap that gives a map of some shape for an image of some size."""
    if len(shape) == 4 and not (size[0] % shape[2] or size[1] % shape[3]):
        strides = {size[0] // shape[2], size[1] // shape[3]}
        if len(strides) == 1:
            return FeatureInfo(shape[1], strides.pop(), name)
    returned = f"{shape} for an image of {size}" if shape else "none"
    raise ValueError(f"taps: expected modules that return a feature map (B, D, h, w), {name!r} returns {returned}")
