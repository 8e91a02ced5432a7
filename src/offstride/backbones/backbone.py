"""Backbones: any timm model as a list of feature maps, for images of any size.

Shapes: B batch, H×W image; a feature of stride s has D channels on a ⌈H/s⌉×⌈W/s⌉ grid.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from offstride.backbones.weights import Triple, load_backbone_weights, normalisation


class FeatureInfo(NamedTuple):
    """A feature map: its channels, its stride in image pixels and the timm module that it comes from."""

    channels: int
    stride: int
    name: str


class Backbone(nn.Module):
    """Feature network of a timm model.

    Strides beyond `output_stride` become dilations (DeepLabv3, §3.1) where the architecture can do so. Any image size
    is accepted: networks that drop border pixels or need a multiple of their stride get images padded at the bottom and
    the right with zeros (the mean colour), and what lies beyond ⌈H/s⌉×⌈W/s⌉ is cut off again. Exceptions are some
    transformers, made for one image size, and the Inception family, whose unpadded convolutions give smaller grids.

    Args:
        name: timm model, with or without a tag (`resnet50`, `resnet50.a1_in1k`).
        output_stride: Stride of the last feature.
        pretrained: Path of a safetensors file, `True` for the weights that timm downloads, `False` for random ones.
        options: Further arguments of `timm.create_model`, such as `{"pad_type": "same", "bn_eps": 1e-3}` for weights
            from TensorFlow.

    Attributes:
        features: What `forward` returns, finest first.
        mean: Mean colour of the images that the network expects, in 0 … 1; from the weight file if it says so.
        std: Standard deviation, likewise.

    Raises:
        ValueError: If the model is unknown, cannot reach the stride, does not know an option, or if the weights cannot
            be had or do not fit.
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
    ) -> None:
        super().__init__()
        _check_name(name)
        options = dict(options or {})
        self.network = _create(name, output_stride, pretrained is True, options)
        self.features = tuple(
            FeatureInfo(info["num_chs"], info["reduction"], info["module"])
            for info in self.network.feature_info.get_dicts()
        )
        if self.features[-1].stride != output_stride:
            raise ValueError(
                f"output_stride: {name!r} cannot reach {output_stride}, its own is {self.features[-1].stride}"
            )
        self.in_channels: int = options.get("in_chans", 3)
        self._channels_last = str(getattr(self.network, "output_fmt", "")).endswith("NHWC")
        self._multiple, self._only_size = self._sizes(options)
        config = self.network.pretrained_cfg
        self.mean, self.std = tuple(config["mean"]), tuple(config["std"])
        if isinstance(pretrained, str | Path):
            metadata = load_backbone_weights(self.network, pretrained, _full_names(name, options))
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
        maps = self.network(F.pad(images, (0, right, 0, bottom)) if bottom or right else images)
        if self._channels_last:
            maps = [feature.permute(0, 3, 1, 2) for feature in maps]
        if bottom or right:
            strides = [info.stride for info in self.features]
            maps = [feature[:, :, : -(-H // s), : -(-W // s)] for feature, s in zip(maps, strides, strict=True)]
        return maps

    def _sizes(self, options: dict[str, Any]) -> tuple[int, tuple[int, int] | None]:
        """Number that image sizes must be a multiple of, and the only size if there is only one."""
        largest = max(info.stride for info in self.features)
        odd = 4 * largest + 1
        if self._grids(odd) == [-(-odd // info.stride) for info in self.features]:
            return 1, None
        if self._grids(4 * largest):
            return largest, None
        size = options.get("img_size", self.network.pretrained_cfg["input_size"][1:])
        return 1, (size, size) if isinstance(size, int) else tuple(size)

    def _grids(self, size: int) -> list[int] | None:
        """Heights of the features of a square image, found without computing them; `None` if the network refuses."""
        state = (*self.network.named_parameters(), *self.network.named_buffers())
        ghosts = {name: tensor.to("meta") for name, tensor in state}
        image = torch.empty(1, self.in_channels, size, size, device="meta")
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                maps = functional_call(self.network, ghosts, image)
        except Exception:  # each architecture has its own way to say no
            return None
        finally:
            self.network.train(training)
        return [feature.shape[1 if self._channels_last else 2] for feature in maps]


def _check_name(name: str) -> None:
    base = name.partition(".")[0]
    known = [base, *timm.list_pretrained(f"{base}.*")] if timm.is_model(base) else timm.list_models()
    if name not in known:
        close = ", ".join(get_close_matches(name, known, cutoff=0.4))
        raise ValueError(f"backbone: expected a timm model, got {name!r}" + (f"; close: {close}" if close else ""))


def _full_names(name: str, options: dict[str, Any]) -> set[str]:
    """Names of all tensors of the timm model, with those that the feature network has no use for."""
    options = {key: value for key, value in options.items() if key != "out_indices"}
    return set(timm.create_model(name, **options).state_dict())


def _create(name: str, output_stride: int, pretrained: bool, options: dict[str, Any]) -> Any:
    """timm's feature network, with the stride and free image sizes where the architecture knows these arguments."""
    wishes: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
    published = timm.get_pretrained_cfg(name)
    if published and published.fixed_input_size:
        wishes |= {"dynamic_img_size": True, "strict_img_size": False}
    wishes = {key: value for key, value in wishes.items() if key not in options}
    while True:
        try:
            return timm.create_model(name, pretrained=pretrained, features_only=True, **wishes, **options)
        except (TypeError, AssertionError) as error:
            refused = next((key for key in wishes if f"'{key}'" in str(error)), None)
            if refused is None and isinstance(error, AssertionError):
                refused = next(iter(wishes), None)  # an assertion about the stride names no argument
            if refused is None:
                raise ValueError(f"options: {name!r} refuses {options} ({error})") from error
            del wishes[refused]
        except Exception as error:
            if not pretrained:
                raise
            raise ValueError(
                f"pretrained: timm could not provide weights of {name!r} ({type(error).__name__}: {error}); "
                "give the path of a safetensors file instead, or False for random weights"
            ) from error
