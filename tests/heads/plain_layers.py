"""The layers of heads written out, on the modules' own parameters."""

import torch
import torch.nn.functional as F
from torch import nn


def shake(module):
    """Give every normalisation parameters and statistics of its own, and put the module into evaluation mode."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                tensor.uniform_(0.5, 2)
    return module.eval()


def normalised(norm, x):
    """Normalisation by stored statistics."""
    mean, variance, gain, bias = (
        tensor.view(1, -1, 1, 1) for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (variance + 1e-5).sqrt() * gain + bias


def applied(block, x, dilation=1):
    """Convolution, normalisation, ReLU; depthwise and 1×1 if there are two."""
    for convolution, norm in zip(block[::3], block[1::3], strict=True):
        weight, rate = convolution.weight, dilation if convolution.weight.shape[2] > 1 else 1
        groups = 1 if weight.shape[1] == x.shape[1] else x.shape[1]
        x = F.conv2d(x, weight, padding=rate * (weight.shape[2] // 2), dilation=rate, groups=groups)
        x = normalised(norm, x).clamp(min=0)
    return x


def bilinear(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def aspp(head, x, rates):
    """DeepLabv3, §3.3."""
    maps = [applied(head.branches[0], x)]
    maps += [applied(branch, x, rate) for branch, rate in zip(head.branches[1:], rates, strict=True)]
    if head.pooling is not None:
        maps.append(bilinear(applied(head.pooling, x.flatten(2).mean(2)[..., None, None]), x.shape[2:]))
    return applied(head.project, torch.cat(maps, 1))
