"""LaU in steps: each step is one LaU of the step before."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, LocatedField, cross_entropy
from offstride.ops import located_sample
from offstride.upsamplers import CascadedLaU


def test_steps_follow_one_another():
    torch.manual_seed(0)
    upsampler = CascadedLaU(6, (2, 3), hidden=5).double()
    scores, features = (torch.randn(2, channels, 3, 4, dtype=torch.float64) for channels in (3, 6))
    rendered = upsampler(scores, features, (18, 24)).dense()
    hidden = F.leaky_relu(F.conv2d(features, upsampler.reduce[0].weight), 0.01)
    for step, scale in zip(upsampler.steps, (2, 3), strict=True):
        maps = [F.conv2d(hidden, layer.weight, padding=1) for layer in (step.vertical, step.horizontal)]
        offsets = torch.cat([F.pixel_shuffle(each, scale) for each in maps], 1)
        scores, hidden = located_sample(scores, offsets), located_sample(hidden, offsets)
    torch.testing.assert_close(rendered, scores)


@pytest.mark.parametrize(
    ("size", "kind"), [((32, 40), LocatedField), ((29, 37), LocatedField), ((70, 80), BilinearField)]
)
def test_it_is_a_field_over_the_image(size, kind):
    upsampler = CascadedLaU(6, hidden=4)
    scores, features = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    field = upsampler(scores, features, size)
    assert isinstance(field, kind)
    assert field.shape == (2, 3, *size)


def test_zero_offsets_are_repeated_bilinear_upsampling():
    upsampler = CascadedLaU(6, (2, 2), hidden=4, init="zero")
    scores, features = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    expected = F.interpolate(F.interpolate(scores, scale_factor=2, mode="bilinear"), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(upsampler(scores, features, (16, 20)).dense(), expected)


def test_the_loss_trains_every_step():
    upsampler = CascadedLaU(6, hidden=4)
    scores, features = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    cross_entropy(upsampler(scores, features, (32, 40)), torch.randint(0, 3, (2, 32, 40))).backward()
    assert len(upsampler.offset_layers()) == 7
    for layer in upsampler.offset_layers():
        assert layer.weight.grad.abs().max() > 0


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="scales: expected positive"):
        CascadedLaU(6, ())
    with pytest.raises(ValueError, match="init: expected"):
        CascadedLaU(6, init="ones")
