"""Models of `torchvision.models.segmentation`: FCN, DeepLabV3 and LRASPP."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation import FCN, LRASPP, DeepLabV3
from torchvision.models.segmentation.lraspp import LRASPPHead

from offstride.field import LogitField
from offstride.models import Decoded
from offstride.replace.anatomy import Anatomy, Interpolation, dissect, last_convolution
from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import interpolated


class CoarseModel(nn.Module):
    """FCN and DeepLabV3 without their interpolations."""

    backbone: nn.Module
    classifier: nn.Module
    aux_classifier: nn.Module | None

    def forward(self, x: Tensor, auxiliary: bool = True) -> dict[str, Tensor]:
        """Joint map `"out"`, and coarse scores `"aux"` if there is an auxiliary classifier and they are asked for."""
        features = self.backbone(x)
        maps = {"out": self.classifier(features["out"])}
        if auxiliary and self.aux_classifier is not None:
            maps["aux"] = self.aux_classifier(features["aux"])
        return maps


class CoarseLRASPP(nn.Module):
    """LRASPP without its last interpolation. Its two classifiers count as one, which reads the features of both."""

    backbone: nn.Module
    classifier: LRASPPHead

    def forward(self, x: Tensor, auxiliary: bool = True) -> dict[str, Tensor]:
        """Joint map `"out"`; there are no auxiliary scores."""
        features, head = self.backbone(x), self.classifier
        low, high = features["low"], features["high"]
        high = head.cbr(high) * head.scale(high)
        high = F.interpolate(high, low.shape[2:], mode="bilinear", align_corners=False)
        scores = head.low_classifier(low) + head.high_classifier(high)
        return {"out": torch.cat((scores, low.to(scores.dtype), high.to(scores.dtype)), 1)}


class ReplacedTorchvision(ReplacedModel):
    """Returns a dictionary with `"out"`, and `"aux"` if the original does."""

    def decode(self, images: Tensor, size: tuple[int, int] | None = None) -> Decoded:
        maps = self.model(images)
        auxiliary = {name: self._auxiliary(scores, images, size) for name, scores in maps.items() if name != "out"}
        return Decoded(self._field(maps["out"], images, size), auxiliary)

    def field(self, images: Tensor, size: tuple[int, int] | None = None) -> LogitField:
        """See `ReplacedModel.field`; the auxiliary classifier is not computed."""
        return self._field(self.model(images, auxiliary=False)["out"], images, size)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """`(B, C, H, W)` scores by name."""
        maps = self.model(x)
        result = OrderedDict(out=self._field(maps["out"], x, None).dense())
        if "aux" in maps:
            result["aux"] = interpolated(maps["aux"], x)
        return result


def find(model: nn.Module, classifier: str | None, upsampling: str | None) -> Anatomy:
    """Anatomy of a model of torchvision.

    Raises:
        ValueError: If it is no model for segmentation, or has no classifier at this path.
    """
    if upsampling is not None:
        raise ValueError(f"upsampling: {type(model).__name__} interpolates in forward, not in a module; leave it out")
    if isinstance(model, LRASPP):
        return _lraspp(model, classifier)
    if not isinstance(model, FCN | DeepLabV3):
        raise ValueError(f"model: expected FCN, DeepLabV3 or LRASPP of torchvision, got {type(model).__name__}")
    path, name = classifier or last_convolution(model, "classifier"), f"torchvision {type(model).__name__}"
    return dissect(model, name, path, Interpolation(), {"": CoarseModel}, ReplacedTorchvision)


def _lraspp(model: LRASPP, classifier: str | None) -> Anatomy:
    if classifier is not None:
        raise ValueError("classifier: LRASPP has two, which are replaced together; leave it out")
    head = model.classifier
    low, high = head.low_classifier, head.high_classifier
    return Anatomy(
        model="torchvision LRASPP",
        classifier="classifier.low_classifier + classifier.high_classifier",
        classes=low.out_channels,
        features=low.in_channels + high.in_channels,
        interpolation=Interpolation(),
        changes={"": CoarseLRASPP},
        kind=ReplacedTorchvision,
    )
