"""Whole models with hardly a layer, so that their graphs are theirs alone and quick to write."""

import torch
from torch import nn

from offstride.features import FeatureInfo
from offstride.models import create_model
from offstride.upsamplers import UniversalLaU

OPTIONS = {
    "carafe": {"scale": 2, "window": 3, "compressed": 8},
    "dysample": {"scale": 4, "dynamic": True},
    "joint_bilateral": {"window": 3},
    "residual": {"upsampler": "lau", "upsampler_options": {"scale": 4, "hidden": 8}},
    "sapa": {"window": 3, "embedding": 8},
}
HIDDEN = {"lau": {"hidden": 8}, "cascaded_lau": {"hidden": 8, "scales": (2, 4)}}


class Strides(nn.Module):
    """A convolution for each feature of a backbone, in its place."""

    mean = std = (0.4, 0.5, 0.6)

    def __init__(self, features: tuple[FeatureInfo, ...]) -> None:
        super().__init__()
        self.features = features
        entering, before = [3, *(info.channels for info in features)], [1, *(info.stride for info in features)]
        steps = [info.stride // stride for info, stride in zip(features, before, strict=False)]
        self.layers = nn.ModuleList(
            nn.Conv2d(channels, info.channels, 3, stride=step, padding=1)
            for channels, info, step in zip(entering, features, steps, strict=False)
        )

    def forward(self, images):
        maps = []
        for layer in self.layers:
            images = layer(images).tanh()
            maps.append(images)
        return maps


def randomised(model):
    """No parameter at rest: offsets move, kernels differ."""
    torch.manual_seed(1)
    if isinstance(model.upsampler, UniversalLaU):  # the weights of the package move enough; noise would by 1000 pixels
        return model
    with torch.no_grad():
        for parameter in model.upsampler.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        if getattr(model.upsampler, "log_temperature", None) is not None:
            model.upsampler.log_temperature.fill_(0.3)
    return model


def small_model(upsampler, classes=5, **options):
    """A model at output stride 8 with an upsampler that has something to do."""
    torch.manual_seed(0)
    options = {**HIDDEN.get(upsampler, {}), **OPTIONS.get(upsampler, {}), **options}
    fields = {"head": "linear", "upsampler": upsampler, "upsampler_options": options, "mean": [0.4, 0.5, 0.6]}
    model = create_model(backbone="test_resnet", classes=classes, output_stride=8, **fields)
    model.backbone = Strides(model.backbone.features)
    if model.upsampler.reads_scores:
        model.classifier.weight.data *= 8  # so that every class wins somewhere
    return randomised(model).eval()
