"""Parameters and multiply-adds of models that are never given memory."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from offstride.backbones import Backbone


def parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def model_costs(backbone, output_stride, head, scores, size, **options):
    """Parameters, and 1e9 multiply-adds of convolutions and linear layers, of a model with a 1×1 classifier."""
    with torch.device("meta"):
        network = Backbone(backbone, output_stride=output_stride).eval()
        decoder = head(network.features, **options).eval()
        classifier = nn.Conv2d(decoder.out_channels, scores, 1)
        with FlopCounterMode(display=False) as counter:
            decoded = decoder.decode(network(torch.empty(1, 3, *size)))
            classifier(decoded.map)
    flops = counter.get_flop_counts()["Global"]
    layers = sum(
        flops[operator] for operator in (torch.ops.aten.convolution, torch.ops.aten.addmm) if operator in flops
    )
    return parameters(network, decoder, classifier), layers / 2e9
