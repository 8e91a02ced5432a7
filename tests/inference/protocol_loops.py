"""The protocols in plain loops, as the papers' releases go through them."""

import math

import torch
import torch.nn.functional as F


def views(predict, image, flip, probabilities):
    """Probabilities or scores of one view or two, at the size of the image."""

    def one(picture):
        scores = F.interpolate(predict(picture).float(), picture.shape[2:], mode="bilinear", align_corners=False)
        return scores.softmax(1) if probabilities else scores

    if not flip:
        return one(image)
    return (one(image) + one(image.flip(3)).flip(3)) / 2


def sliding(predict, image, window, overlap, flip=False, probabilities=True):
    """Mean over windows; an image that is too small is padded with zeros below and to the right."""
    B, _, H, W = image.shape
    (h, w), (padded_h, padded_w) = window, (max(H, window[0]), max(W, window[1]))
    padded = torch.zeros(B, 3, padded_h, padded_w)
    padded[:, :, :H, :W] = image
    step_y, step_x = h - math.floor(h * overlap + 1e-6), w - math.floor(w * overlap + 1e-6)
    total, count = 0, torch.zeros(padded_h, padded_w)
    for row in range(math.ceil((padded_h - h) / step_y) + 1):
        for column in range(math.ceil((padded_w - w) / step_x) + 1):
            top, left = min(row * step_y, padded_h - h), min(column * step_x, padded_w - w)
            mean = views(predict, padded[:, :, top : top + h, left : left + w], flip, probabilities)
            place = torch.zeros(B, mean.shape[1], padded_h, padded_w)
            place[:, :, top : top + h, left : left + w] = mean
            total = total + place
            count[top : top + h, left : left + w] += 1
    return (total / count)[:, :, :H, :W]


def scales(predict, image, factors, flip=False, window=None, overlap=1 / 3, base=None, probabilities=True):
    """Mean over scales of predictions that are brought back to the size of the image."""
    H, W = image.shape[2:]
    total = 0
    for factor in factors:
        by = factor if base is None else factor * base / max(H, W)
        size = (math.floor(H * by + 0.5), math.floor(W * by + 0.5))
        scaled = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
        if window is None:
            mean = views(predict, scaled, flip, probabilities)
        else:
            mean = sliding(predict, scaled, window, overlap, flip, probabilities)
        total = total + F.interpolate(mean, (H, W), mode="bilinear", align_corners=False)
    return total / len(factors)


class Crooked(torch.nn.Module):
    """A small network that sees the position in the window, left from right, and all of its surroundings."""

    def __init__(self, classes=5):
        super().__init__()
        self.coarse = torch.nn.Conv2d(3, classes, 3, stride=2, padding=1)

    def forward(self, images):
        scores = 3 * self.coarse(images)
        h, w = scores.shape[2:]
        scores = scores + torch.linspace(-1, 2, w) * torch.linspace(0, 1, scores.shape[1])[:, None, None]
        return scores - torch.linspace(0, 1, h)[:, None] + images.mean((2, 3), keepdim=True).sum(1, keepdim=True).sin()
