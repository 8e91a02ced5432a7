"""Universal upsampling: a plain reference, what it must not depend on, and the weights of the package."""

import math
from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride import create_model
from offstride.features import Guides
from offstride.field import BilinearField, argmax
from offstride.upsamplers import LaU, Residual, UniversalLaU
from offstride.upsamplers.universal import WEIGHTS, _at_cells, _cells, describe, shipped_recipe

ORIGINS = ("center", "corner", "aligned")


def universal(**options) -> UniversalLaU:
    """With shipped weights, in double precision."""
    return UniversalLaU(**options).double().eval()


def pair(classes: int = 3, stride: int = 8, size: tuple[int, int] = (52, 75), seed: int = 0):
    """Random scores and an image, float64."""
    random = torch.Generator().manual_seed(seed)
    grid = [math.ceil(length / stride) for length in size]
    scores = 3 * torch.randn(1, classes, *grid, generator=random, dtype=torch.float64)
    return scores, torch.randn(1, 3, *size, generator=random, dtype=torch.float64)


def test_descriptors_equal_loops():
    scores, _ = pair(4, size=(40, 48))
    _, C, h, w = scores.shape
    p = np.exp(scores[0].numpy())
    p /= p.sum(0)
    expected = np.zeros((11, h, w))
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    for y in range(h):
        for x in range(w):
            here = np.sort(p[:, y, x])[::-1]
            expected[:3, y, x] = here[0], here[1], -(here * np.log(here)).sum()
            for k, (i, j) in enumerate(around):
                there = p[:, min(max(y + i, 0), h - 1), min(max(x + j, 0), w - 1)]
                expected[3 + k, y, x] = sum(math.sqrt(p[c, y, x] * there[c]) for c in range(C))
    np.testing.assert_allclose(describe(scores)[0], expected, atol=1e-5)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("size", [(52, 75), (32, 33), (1, 1)])
def test_coarse_maps_are_read_at_the_centres_of_cells(origin, size):
    """The centre of a cell is the middle of its four pixels."""
    scores, image = pair(2, 8, size)
    (h, w), (H, W) = scores.shape[2:], size
    cells = _cells(image)
    got = _at_cells(scores, size, cells, origin)

    def place(pixel, fine, coarse):
        if origin == "aligned":
            return pixel * (coarse - 1) / max(fine - 1, 1)
        return pixel * coarse / fine if origin == "corner" else (pixel + 0.5) * coarse / fine - 0.5

    for i in range(cells.shape[2]):
        for j in range(cells.shape[3]):
            y = min(max(place(4 * i + 1.5, H, h), 0), h - 1)
            x = min(max(place(4 * j + 1.5, W, w), 0), w - 1)
            y0, x0 = min(int(y), h - 1), min(int(x), w - 1)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            top = scores[0, :, y0, x0] * (1 - x + x0) + scores[0, :, y0, x1] * (x - x0)
            bottom = scores[0, :, y1, x0] * (1 - x + x0) + scores[0, :, y1, x1] * (x - x0)
            torch.testing.assert_close(got[0, :, i, j], top * (1 - y + y0) + bottom * (y - y0))


@pytest.mark.parametrize("origin", ["center", "aligned"])
@pytest.mark.parametrize("stride", [4, 8, 14, 16, 32])
@pytest.mark.parametrize("classes", [1, 2, 150])
def test_zero_weights_are_bilinear(origin, stride, classes):
    scores, image = pair(classes, stride, (61, 45))
    upsampler = UniversalLaU(init="zero", origin=origin).double()
    field = upsampler(scores, scores, (61, 45), Guides(image))
    torch.testing.assert_close(field.dense(), BilinearField(scores, (61, 45), origin).dense())


def test_the_normalisation_of_images_does_not_matter():
    scores, image = pair()
    factor, shift = torch.tensor([[3.0, 0.01, 60]]), torch.tensor([[1.0, -4, 120]])
    other = image * factor[:, :, None, None] + shift[:, :, None, None]
    upsampler = universal()
    torch.testing.assert_close(upsampler.offsets(scores, image), upsampler.offsets(scores, other), atol=1e-6, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 60), st.integers(1, 60), st.sampled_from(["center", "aligned"])
)
def test_what_is_mirrored_has_mirrored_offsets(h, w, height, width, origin):
    upsampler, generator = UniversalLaU(origin=origin).double(), torch.Generator().manual_seed(h * 9 + w)
    scores = torch.randn(1, 3, h, w, generator=generator, dtype=torch.float64)
    image = torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)
    y, x = upsampler.offsets(scores, image).chunk(2, 1)
    expected = torch.cat((y.flip(-1), -x.flip(-1)), 1)
    assert torch.allclose(upsampler.offsets(scores.flip(-1), image.flip(-1)), expected, atol=1e-9)


def test_without_the_mirror_image_one_pass_is_left():
    one, both = UniversalLaU(mirrored=False), UniversalLaU()
    scores, image = torch.randn(1, 3, 8, 12), torch.rand(1, 3, 64, 96)
    y, x = one.offsets(scores.flip(-1), image.flip(-1)).flip(-1).chunk(2, 1)
    expected = (one.offsets(scores, image) + torch.cat((y, -x), 1)) / 2
    assert torch.allclose(both.offsets(scores, image), expected, atol=1e-6)
    corner = [UniversalLaU(mirrored=it, origin="corner").offsets(scores, image) for it in (True, False)]
    assert torch.equal(*corner)


def test_classes_have_no_names():
    scores, image = pair(5)
    upsampler, order = universal(), [3, 1, 4, 0, 2]
    torch.testing.assert_close(upsampler.offsets(scores, image), upsampler.offsets(scores[:, order], image))


def test_one_class_is_a_binary_model():
    scores, image = pair(1)
    upsampler, both = universal(), torch.cat((scores, torch.zeros_like(scores)), 1)
    torch.testing.assert_close(upsampler.offsets(scores, image), upsampler.offsets(both, image))


def test_a_window_equals_the_whole_image_away_from_its_edges():
    scores, image = pair(3, 16, (96, 1024))
    whole = universal()(scores, scores, (96, 1024), Guides(image)).dense()
    part, own = scores[:, :, :, 8:56], image[:, :, :, 128:896]
    window = universal()(part, part, (96, 768), Guides(own)).dense()
    torch.testing.assert_close(window[..., 256:512], whole[..., 384:640], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_moves_by_nearly_the_same(dtype):
    scores, image = pair(size=(64, 64))
    expected = universal().offsets(scores, image)
    low = UniversalLaU().eval().to(dtype).offsets(scores.to(dtype), image.to(dtype))
    assert low.dtype == torch.float32
    assert (low.double() - expected).abs().max() < 0.1 * expected.abs().max()


def test_gradients_reach_scores_and_weights():
    scores, image = pair(2, 8, (16, 16))
    upsampler = universal()
    assert torch.autograd.gradcheck(
        lambda values: upsampler(values, values, (16, 16), Guides(image)).dense().sum((2, 3)),
        (scores.requires_grad_(),),
        atol=1e-4,
    )
    upsampler(scores, scores, (16, 16), Guides(image)).dense().square().sum().backward()
    assert all(parameter.grad is not None for parameter in upsampler.parameters())


def test_it_stands_behind_a_trained_upsampler():
    model = create_model(backbone="test_resnet", classes=3, upsampler="residual", output_stride=16).eval()
    torch.nn.init.normal_(model.upsampler.classify.weight)
    behind = UniversalLaU(init="zero", upsample=model.upsampler).eval()
    images = torch.randn(1, 3, 64, 80)
    expected = model(images)
    model.upsampler = behind
    torch.testing.assert_close(model(images), expected)
    behind.network.load_state_dict(UniversalLaU().network.state_dict())
    assert not torch.allclose(model(images), expected)
    assert isinstance(behind.upsample, Residual)


def test_it_compiles_as_one_graph():
    scores, image = pair(size=(32, 32))
    scores, image, upsampler = scores.float(), image.float(), UniversalLaU().eval()
    compiled = torch.compile(upsampler.offsets, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(scores, image), upsampler.offsets(scores, image))


def test_a_sharper_edge_follows_the_image():
    """Blurred scores of a box: the labels come nearer to the box that the image shows."""
    label = torch.zeros(1, 1, 128, 128)
    label[..., 40:92, 33:101] = 1
    blurred = torch.nn.functional.avg_pool2d(label, 33, 1, 16, count_include_pad=False)
    share = torch.nn.functional.interpolate(blurred, (8, 8), mode="bilinear").clamp(0.02, 0.98)
    scores = torch.cat((1 - share, share), 1).log()
    image = (label + 0.02 * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))).float()
    wrong = [
        (argmax(field) != label[:, 0]).sum()
        for field in (
            BilinearField(scores, (128, 128)),
            UniversalLaU().eval()(scores, scores, (128, 128), Guides(image)),
        )
    ]
    assert wrong[1] < 0.7 * wrong[0]


def test_bad_input_is_refused():
    scores, image = pair()
    with pytest.raises(ValueError, match=r"guides: expected an image of \(52, 75\) for universal upsampling, got none"):
        universal()(scores, scores, (52, 75))
    with pytest.raises(ValueError, match="guides: expected an image of 3 channels, got 1"):
        universal()(scores, scores, (52, 75), Guides(image[:, :1]))
    with pytest.raises(ValueError, match="widths: expected 3 numbers of channels"):
        UniversalLaU([8, 8], init="zero")
    with pytest.raises(ValueError, match="init: expected 'zero' for widths"):
        UniversalLaU([8, 8, 8])
    inner = LaU(3, scale=8, rest="offsets")
    with pytest.raises(ValueError, match="upsampler: expected one that ends below the image's resolution"):
        UniversalLaU(upsample=inner)(scores.float(), scores.float(), (52, 75), Guides(image.float()))


def test_the_weights_of_the_package_are_small_and_say_how_they_were_made():
    content = files("offstride.upsamplers").joinpath(WEIGHTS).read_bytes()
    assert len(content) <= 1_000_000
    described = shipped_recipe()
    assert described["data"] == ["drawn segments", "drawn streets"]
    assert described["parameters"] == sum(parameter.numel() for parameter in UniversalLaU().parameters()) <= 250_000
    assert described["recipe"]["seed"] == 0
