"""Joint bilateral upsampling against the loops of its paper."""

import numpy as np
import pytest
import torch

from offstride.features import Guides
from offstride.field import argmax, cross_entropy
from offstride.upsamplers import JointBilateral
from offstride.upsamplers.render import render


def by_the_letter(scores, image, spatial, colour, window, aligned=False):
    """Eq. 3, with the mean colour of a coarse pixel for the colour at it."""
    (C, h, w), (H, W) = scores.shape, image.shape[1:]
    image = (image - image.mean((1, 2), keepdims=True)) / image.std((1, 2), keepdims=True)

    def place(fine, size, coarse):
        return fine * (coarse - 1) / max(size - 1, 1) if aligned else (fine + 0.5) * coarse / size - 0.5

    def share(i, size, coarse):
        if aligned:
            return [y for y in range(size) if int(place(y, size, coarse) + 0.5) == i]
        return list(range(i * size // coarse, -(-(i + 1) * size // coarse)))

    means = np.zeros((3, h, w))
    for i in range(h):
        for j in range(w):
            means[:, i, j] = image[:, share(i, H, h)][:, :, share(j, W, w)].mean((1, 2))
    out = np.zeros((C, H, W))
    for y in range(H):
        for x in range(W):
            total, norm = np.zeros(C), 0.0
            py, px = place(y, H, h), place(x, W, w)
            for i in range(-(window // 2), window // 2 + 1):
                for j in range(-(window // 2), window // 2 + 1):
                    v, u = int(py + 0.5) + i, int(px + 0.5) + j
                    if 0 <= v < h and 0 <= u < w:
                        near = ((py - v) ** 2 + (px - u) ** 2) / (2 * spatial**2)
                        alike = ((image[:, y, x] - means[:, v, u]) ** 2).sum() / (2 * colour**2)
                        weight = np.exp(-near - alike)
                        total, norm = total + weight * scores[:, v, u], norm + weight
            out[:, y, x] = total / norm
    return out


@pytest.mark.parametrize("origin", ["center", "aligned"])
@pytest.mark.parametrize("size", [(8, 12), (7, 10), (25, 29)])
def test_fields_are_the_sums_of_the_paper(size, origin):
    torch.manual_seed(0)
    scores = torch.randn(1, 3, 2, 3, dtype=torch.float64)
    image = torch.randn(1, 3, *size, dtype=torch.float64)
    field = JointBilateral(0.8, 0.9, 3, origin)(scores, scores, size, Guides(image))
    expected = by_the_letter(scores[0].numpy(), image[0].numpy(), 0.8, 0.9, 3, origin == "aligned")
    np.testing.assert_allclose(field.dense()[0].numpy(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(field.rows(3, 5), field.dense()[:, :, 3:5])
    torch.testing.assert_close(render(field), field.dense())
    other = JointBilateral(0.8, 0.9, 3, origin)(scores, scores, size, Guides(50 * image + 3))
    torch.testing.assert_close(other.dense(), field.dense())


@pytest.mark.parametrize("origin", ["center", "corner", "aligned"])
def test_one_coarse_pixel_is_everywhere(origin):
    scores = torch.randn(1, 3, 1, 1)
    for size in ((1, 1), (5, 8)):
        field = JointBilateral(origin=origin)(scores, scores, size, Guides(torch.rand(1, 3, *size)))
        torch.testing.assert_close(field.dense(), scores.expand(1, 3, *size))


def test_an_edge_of_the_image_becomes_an_edge_of_the_labels():
    """Scores know only that the left half is one class; the image says where it ends."""
    image = torch.zeros(1, 3, 16, 32)
    image[..., 13:] = 3
    scores = torch.tensor([[4.0, 0.0, -4.0, -4.0], [-4.0, 0.0, 4.0, 4.0]]).view(1, 2, 1, 4).expand(1, 2, 2, 4)
    labels = argmax(JointBilateral(1.0, 0.5, 3)(scores, scores, (16, 32), Guides(image)))
    assert torch.equal(labels[0, 8], (torch.arange(32) >= 13).to(torch.uint8))


def test_scores_train_through_it_and_nothing_else_does():
    upsampler = JointBilateral()
    assert not list(upsampler.parameters())
    scores = torch.randn(1, 3, 2, 3, requires_grad=True)
    field = upsampler(scores, scores, (8, 12), Guides(torch.randn(1, 3, 8, 12)))
    cross_entropy(field, torch.randint(0, 3, (1, 8, 12))).backward()
    assert scores.grad.abs().sum() > 0


def test_what_it_needs_is_asked_for():
    scores = torch.randn(1, 3, 2, 3)
    for guides in (Guides(), Guides(torch.zeros(1, 3, 4, 4))):
        with pytest.raises(ValueError, match=r"guides: expected an image of \(8, 12\)"):
            JointBilateral()(scores, scores, (8, 12), guides)
    for options in ({"spatial": 0}, {"colour": -1.0}, {"window": 2}):
        with pytest.raises(ValueError, match="expected a"):
            JointBilateral(**options)
