"""Eqs. 2 to 6 of the GFF paper, transcribed as loops over levels and pixels, apart from the code under test."""

import torch
import torch.nn.functional as F
from torch import nn


def enliven(module):
    """Give normalisations something to do, with biases that keep most values above the ReLU; evaluation mode, double
    precision.
    """
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low, high in ((norm.weight, 0.5, 2), (norm.running_var, 0.5, 2), (norm.running_mean, -1, 1)):
                tensor.data.uniform_(low, high)
            norm.bias.data.uniform_(0.5, 2)
    return module.double().eval()


def moved(values, size):
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)


def unit(block, x):
    """Convolution, normalisation by stored statistics, ReLU, written out."""
    weight, norm = block[0].weight, block[1]
    x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
    mean, variance, gain, bias = (
        tensor.view(1, -1, 1, 1) for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return ((x - mean) / (variance + 1e-5).sqrt() * gain + bias).clamp(min=0)


def gate(layer, level):
    """sigmoid(w ∗ X) pixel by pixel."""
    B, _, h, w = level.shape
    out = level.new_zeros(B, len(layer.weight), h, w)
    for b in range(B):
        for y in range(h):
            for x in range(w):
                score = layer.weight[:, :, 0, 0] @ level[b, :, y, x] + layer.bias
                out[b, :, y, x] = 1 / (1 + (-score).exp())
    return out


def concat(levels, gates):
    return [torch.cat([moved(each, level.shape[2:]) for each in levels], 1) for level in levels]


def addition(levels, gates):
    fused = []
    for level in levels:
        fused.append(torch.zeros_like(level))
        for each in levels:
            fused[-1] = fused[-1] + moved(each, level.shape[2:])
    return fused


def fpn(levels, gates):
    fused = {len(levels) - 1: levels[-1]}
    for i in range(len(levels) - 2, -1, -1):
        fused[i] = moved(fused[i + 1], levels[i].shape[2:]) + levels[i]
    return [fused[i] for i in range(len(levels))]


def mixed(level, gate, received):
    """(1 + G)·X + (1 − G)·received, pixel by pixel."""
    out = torch.zeros_like(level)
    for b in range(level.shape[0]):
        for y in range(level.shape[2]):
            for x in range(level.shape[3]):
                g = gate[b, :, y, x]
                out[b, :, y, x] = (1 + g) * level[b, :, y, x] + (1 - g) * received[b, :, y, x]
    return out


def gated_fpn(levels, gates):
    last = len(levels) - 1
    fused = {last: mixed(levels[last], gates[last], torch.zeros_like(levels[last]))}
    for i in range(last - 1, -1, -1):
        sent = moved(gates[i + 1] * fused[i + 1], levels[i].shape[2:])
        fused[i] = mixed(levels[i], gates[i], sent)
    return [fused[i] for i in range(len(levels))]


def gff(levels, gates):
    fused = []
    for j, level in enumerate(levels):
        received = torch.zeros_like(level)
        for i, other in enumerate(levels):
            if i != j:
                received = received + moved(gates[i] * other, level.shape[2:])
        fused.append(mixed(level, gates[j], received))
    return fused


def gff_in_sequence(levels, gates):
    """The order of the released code: a level is replaced before the next one listens to it."""
    levels = list(levels)
    for j in range(len(levels)):
        received = torch.zeros_like(levels[j])
        for i in range(len(levels)):
            if i != j:
                received = received + moved(gates[i] * levels[i], levels[j].shape[2:])
        levels[j] = mixed(levels[j], gates[j], received)
    return levels


def fusion(module, equation, levels, closed=()):
    """Whole module: gates from the unreduced levels, 1×1, the equation, two 3×3."""
    gates = [gate(layer, level) for layer, level in zip(getattr(module, "gates", ()), levels, strict=False)]
    for index in closed:
        gates[index] = torch.zeros_like(gates[index])
    fused = equation([unit(block, level) for block, level in zip(module.reduce, levels, strict=True)], gates)
    refined = [unit(blocks[1], unit(blocks[0], level)) for blocks, level in zip(module.refine, fused, strict=True)]
    return refined, gates
