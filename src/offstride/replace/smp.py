"""Models of segmentation_models_pytorch: those whose segmentation head ends in an interpolation."""

from typing import Any

from segmentation_models_pytorch.base import SegmentationHead, SegmentationModel
from torch import Tensor, nn

from offstride.models import Decoded
from offstride.replace.anatomy import Anatomy, Interpolation, dissect, last_convolution, upsample_at
from offstride.replace.replaced import ReplacedModel


class CoarseHead(nn.Sequential):
    """`SegmentationHead` up to its classifier; interpolation and activation stay in it, unused."""

    def forward(self, input: Tensor) -> Tensor:
        """Joint map."""
        return self[0](input)


class CoarseDPTHead(nn.Module):
    """The head of DPT up to its classifier."""

    head: nn.Module
    activation: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Joint map."""
        return self.head(x)


class ReplacedSmp(ReplacedModel):
    """Returns scores after the activation; with a classification head, a pair of scores and image labels."""

    def decode(self, images: Tensor, size: tuple[int, int] | None = None) -> Decoded:
        output = self.model(images)
        joint = output[0] if isinstance(output, tuple) else output
        return Decoded(self._field(joint, images, size))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """`(B, C, H, W)`, and `(B, labels)` if there is a classification head."""
        output = self.model(x)
        joint, *labels = output if isinstance(output, tuple) else (output,)
        masks = self._activation()(self._field(joint, x, None).dense())
        return (masks, *labels) if labels else masks

    def _activation(self) -> nn.Module:
        inside = "2" if isinstance(self.model.segmentation_head, CoarseHead) else "activation"
        return self.model.get_submodule(f"segmentation_head.{inside}")


def find(model: nn.Module, classifier: str | None, upsampling: str | None) -> Anatomy:
    """Anatomy of a model of segmentation_models_pytorch.

    Raises:
        ValueError: If it is no model for segmentation, or its head does not end in an interpolation.
    """
    if not isinstance(model, SegmentationModel):
        raise ValueError(f"model: expected a SegmentationModel, got {type(model).__name__}")
    head: Any = model.segmentation_head
    if isinstance(head, SegmentationHead):
        path, kind, where = "segmentation_head.0", CoarseHead, "segmentation_head.1"
        if isinstance(head[1], nn.Identity):
            raise ValueError(
                f"model: expected a decoder that ends in an interpolation; that of {type(model).__name__} reaches the "
                "resolution of the image by itself (segmentation_head.1 is an Identity), nothing is left to replace"
            )
        interpolation = upsample_at(model, where)
    elif hasattr(head, "head") and hasattr(head, "upsampling_factor") and hasattr(head, "activation"):
        path, kind, where = last_convolution(model, "segmentation_head.head"), CoarseDPTHead, "segmentation_head"
        factor = float(head.upsampling_factor)
        text = f"interpolate(scale_factor={factor}, align_corners=True) in {where}.forward"
        interpolation = Interpolation(text, "aligned", (factor, factor))
    else:
        raise ValueError(f"model: expected a SegmentationHead, got a {type(head).__name__} in {type(model).__name__}")
    for argument, given, own in (("classifier", classifier, path), ("upsampling", upsampling, where)):
        if given not in (None, own):
            raise ValueError(f"{argument}: expected {own!r} in this model, got {given!r}")
    name = f"segmentation_models_pytorch {type(model).__name__}"
    return dissect(model, name, path, interpolation, {"segmentation_head": kind}, ReplacedSmp)
