"""The guided filter against the loops of its paper."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from offstride import create_model
from offstride.features import Guides
from offstride.field import argmax, confidence, cross_entropy
from offstride.upsamplers import GuidedFilter
from offstride.upsamplers.render import render


def by_the_letter(scores, image, size, radius, eps, aligned=False):
    """Eqs. 11, 13, 14 and 19: windows w_k, their regression (a_k, b_k), and the means of those that hold a pixel."""
    chance = scores.softmax(1) if scores.shape[1] > 1 else scores.sigmoid()
    p = F.interpolate(chance, size, mode="bilinear", align_corners=aligned)[0].numpy()
    (C, H, W), guide = p.shape, image[0].numpy()
    n = len(guide)
    guide = (guide - guide.mean((1, 2), keepdims=True)) / guide.std((1, 2), keepdims=True)
    a, b = np.zeros((C, n, H, W)), np.zeros((C, H, W))

    def window(y, x):
        return slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)

    for y in range(H):
        for x in range(W):
            colours = guide[(slice(None), *window(y, x))].reshape(n, -1)
            around = p[(slice(None), *window(y, x))].reshape(C, -1)
            mean = colours.mean(1)
            covariance = colours @ colours.T / colours.shape[1] - np.outer(mean, mean) + eps * np.eye(n)
            for c in range(C):
                joint = (colours * around[c]).mean(1) - mean * around[c].mean()
                a[c, :, y, x] = np.linalg.solve(covariance, joint)
                b[c, y, x] = around[c].mean() - a[c, :, y, x] @ mean
    q = np.zeros((C, H, W))
    for y in range(H):
        for x in range(W):
            mean_a = a[(..., *window(y, x))].mean((2, 3))
            q[:, y, x] = mean_a @ guide[:, y, x] + b[(slice(None), *window(y, x))].mean((1, 2))
    return q


def inputs(classes=3, size=(13, 18), colours=3, dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(2, classes, 3, 5, dtype=dtype), torch.rand(2, colours, *size, dtype=dtype)


@pytest.mark.parametrize("origin", ["center", "aligned"])
@pytest.mark.parametrize(("classes", "colours", "radius"), [(3, 3, 2), (1, 3, 3), (2, 1, 30)])
def test_fields_are_the_equations_of_the_paper(classes, colours, radius, origin):
    scores, image = inputs(classes, colours=colours)
    field = GuidedFilter(radius, 0.05, origin)(scores, scores, (13, 18), Guides(image))
    expected = by_the_letter(scores[:1], image[:1], (13, 18), radius, 0.05, origin == "aligned")
    expected = torch.from_numpy(expected)[None].clamp(1e-6, 1 - 1e-6)
    actual = field.dense()[:1]
    torch.testing.assert_close(actual.softmax(1) if classes > 1 else actual.sigmoid(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(actual, expected.log() if classes > 1 else expected.logit(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(render(field), field.dense())


@pytest.mark.parametrize("rows", [(0, 1), (5, 8), (29, 40)])
def test_bands_read_two_radii_around_them(rows):
    scores, image = inputs(size=(40, 18))
    field = GuidedFilter(3)(scores, scores, (40, 18), Guides(image))
    torch.testing.assert_close(field.rows(*rows), field.dense()[:, :, slice(*rows)], rtol=1e-9, atol=1e-9)


def test_bands_hold_no_whole_map():
    scores = torch.zeros(1, 150, 2, 100)
    field = GuidedFilter(8)(scores, scores, (1000, 800), Guides(torch.rand(1, 3, 1000, 800)))
    bands = list(field.bands())
    assert [start for start, _ in bands] == list(range(0, 1000, 32))
    assert bands[-1][1] == 1000


def test_the_normalisation_of_images_does_not_matter():
    scores, image = inputs()
    field = GuidedFilter(2)(scores, scores, (13, 18), Guides(image))
    scale, shift = torch.tensor([200.0, 0.3, 5.0]).double(), torch.tensor([7.0, -2.0, 0.0]).double()
    other = GuidedFilter(2)(scores, scores, (13, 18), Guides(image * scale[:, None, None] + shift[:, None, None]))
    torch.testing.assert_close(other.dense(), field.dense())


def test_single_precision_is_exact_where_a_window_has_nearly_one_colour():
    """Grey edges: the covariance has one large direction and two that are nearly nothing."""
    torch.manual_seed(0)
    grey = (torch.rand(1, 1, 40, 60, dtype=torch.float64) > 0.95).double()
    image = grey + 1e-4 * torch.rand(1, 3, 40, 60, dtype=torch.float64)
    scores = 3 * torch.randn(1, 4, 5, 8, dtype=torch.float64)
    double = GuidedFilter(4, 1e-3)(scores, scores, (40, 60), Guides(image)).dense().softmax(1)
    single = GuidedFilter(4, 1e-3)(scores.float(), scores, (40, 60), Guides(image.float())).dense().softmax(1)
    assert (single - double).abs().max() < 2e-3
    half = GuidedFilter(4, 1e-3)(scores.half(), scores, (40, 60), Guides(image.half())).dense()
    assert half.dtype == torch.float16
    assert half.isfinite().all()


def test_an_edge_of_the_image_becomes_an_edge_of_the_labels():
    """Scores know only that the left half is one class; the image says where it ends."""
    image = torch.zeros(1, 3, 16, 32)
    image[..., 14:] = 3
    scores = torch.tensor([[4.0, 0.0, -4.0, -4.0], [-4.0, 0.0, 4.0, 4.0]]).view(1, 2, 1, 4).expand(1, 2, 2, 4)
    field = GuidedFilter(8)(scores, scores, (16, 32), Guides(image))
    assert torch.equal(argmax(field)[0, 8], (torch.arange(32) >= 14).to(torch.uint8))
    torch.testing.assert_close(confidence(field), field.dense().softmax(1).amax(1))


@pytest.mark.parametrize("classes", [1, 3])
def test_an_image_of_one_colour_leaves_means(classes):
    scores, image = inputs(classes)
    field = GuidedFilter(1, origin="aligned")(scores, scores, (13, 18), Guides(torch.full_like(image, 0.3)))
    chance = scores.softmax(1) if classes > 1 else scores.sigmoid()
    expected = F.interpolate(chance, (13, 18), mode="bilinear", align_corners=True)
    for _ in range(2):
        expected = F.avg_pool2d(expected, 3, 1, 1, count_include_pad=False)
    actual = field.dense()
    torch.testing.assert_close(actual.softmax(1) if classes > 1 else actual.sigmoid(), expected)


@pytest.mark.parametrize("classes", [1, 3])
def test_scores_of_one_pixel_are_returned(classes):
    scores = torch.randn(2, classes, 1, 1)
    for size in ((1, 1), (5, 7)):
        actual = GuidedFilter()(scores, scores, size, Guides(torch.rand(2, 3, *size))).dense()
        expected = scores.log_softmax(1) if classes > 1 else scores
        torch.testing.assert_close(actual, expected.expand_as(actual), rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_the_equations():
    scores, image = inputs(size=(7, 9))
    image.requires_grad_()
    scores.requires_grad_()

    def dense(scores, image):
        return GuidedFilter(2, 0.1)(scores, scores, (7, 9), Guides(image)).dense()

    assert torch.autograd.gradcheck(dense, (scores, image))
    labels = torch.randint(0, 3, (2, 7, 9))
    field = GuidedFilter(2, 0.1)(scores, scores, (7, 9), Guides(image))
    expected = F.cross_entropy(field.dense(), labels)
    torch.testing.assert_close(cross_entropy(field, labels), expected)
    assert not list(GuidedFilter().parameters())


def test_models_choose_the_radius():
    model = create_model(backbone="test_resnet", classes=2, head="linear", upsampler="guided_filter", output_stride=8)
    assert model.upsampler.radius == 8
    assert GuidedFilter.start_options(16) == {"radius": 16}
    options = {"radius": 3, "origin": "aligned"}
    model = create_model(
        backbone="test_resnet", classes=2, head="linear", upsampler="guided_filter", upsampler_options=options
    )
    assert (model.upsampler.radius, model.upsampler.origin) == (3, "aligned")


def test_what_it_needs_is_asked_for():
    scores = torch.randn(1, 3, 2, 3)
    for guides in (Guides(), Guides(torch.zeros(1, 3, 4, 4))):
        with pytest.raises(ValueError, match=r"guides: expected an image of \(8, 12\)"):
            GuidedFilter()(scores, scores, (8, 12), guides)
    for options in ({"radius": 0}, {"eps": 0.0}, {"eps": math.nan}, {"origin": "middle"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
            GuidedFilter(**options)
