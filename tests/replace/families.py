"""Small models of three libraries, one for each way in which they end, whose random weights all do something."""

from functools import partial

import segmentation_models_pytorch as smp
import tiny_transformers
import torch
from torch import nn
from torchvision.models import segmentation

TINY = {"encoder_name": "tu-test_resnet", "encoder_weights": None, "classes": 4}
VIT = {"dynamic_img_size": True, "decoder_intermediate_channels": (8, 8, 8, 8), "decoder_fusion_channels": 16}


class TwoLevels(nn.Module):
    """A backbone as torchvision's segmentation models have it: one map for each classifier."""

    def __init__(self, names=("aux", "out")):
        super().__init__()
        self.names = names
        self.stem, self.deep = nn.Conv2d(3, 6, 7, 4, 3), nn.Conv2d(6, 8, 3, 2, 1)

    def forward(self, x):
        shallow = self.stem(x).tanh()
        return dict(zip(self.names, (shallow, self.deep(shallow).tanh()), strict=True))


def fcn():
    head, auxiliary = (
        nn.Sequential(nn.Conv2d(c, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 5, 1))
        for c in (8, 6)
    )
    return segmentation.FCN(TwoLevels(), head, auxiliary)


def deeplabv3():
    return segmentation.DeepLabV3(TwoLevels(), segmentation.deeplabv3.DeepLabHead(8, 5, (1, 2, 3)))


def lraspp():
    return segmentation.LRASPP(TwoLevels(("low", "high")), 6, 8, num_classes=5, inter_channels=8)


TORCHVISION = {
    "FCN": fcn,
    "DeepLabV3": deeplabv3,
    "LRASPP": lraspp,
}
SMP = {
    "DeepLabV3": partial(smp.DeepLabV3, decoder_channels=16, **TINY),
    "DeepLabV3Plus": partial(smp.DeepLabV3Plus, decoder_channels=16, **TINY),
    "DPT": partial(smp.DPT, **{**TINY, **VIT, "encoder_name": "tu-test_vit"}),
    "FPN": partial(smp.FPN, decoder_pyramid_channels=16, decoder_segmentation_channels=32, **TINY),
    "PAN": partial(smp.PAN, decoder_channels=16, **TINY),
    "PSPNet": partial(smp.PSPNet, psp_out_channels=16, activation="sigmoid", **TINY),
    "Segformer": partial(smp.Segformer, decoder_segmentation_channels=16, aux_params={"classes": 3}, **TINY),
    "UPerNet": partial(smp.UPerNet, decoder_channels=16, **TINY),
}
TRANSFORMERS = {**tiny_transformers.COARSE, **tiny_transformers.FINE}
FAMILIES = {
    f"{library} {name}": make
    for library, table in (("torchvision", TORCHVISION), ("smp", SMP), ("transformers", TRANSFORMERS))
    for name, make in table.items()
}
SIZES = {"smp PAN": (128, 160), "smp DPT": (64, 96)}
ODD = {  # sizes that the stride does not divide, where the model takes any
    "torchvision FCN": (53, 70),
    "torchvision DeepLabV3": (45, 61),
    "torchvision LRASPP": (65, 50),
    "transformers segformer": (53, 70),
    "transformers upernet": (70, 53),
    "transformers mobilenet_v2": (53, 70),
}


def build(name, seed=0):
    torch.manual_seed(seed)
    return enliven(FAMILIES[name]()).eval()


def size_of(name):
    return SIZES.get(name, (64, 64) if name.startswith("transformers") else (64, 96))


def enliven(model):
    """Weights that keep the variance of what passes, so that outputs differ from place to place."""
    for parameter in model.parameters():
        if parameter.ndim == 3:  # tokens and positions, which are zero at first
            nn.init.normal_(parameter, std=0.5)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
    return model
