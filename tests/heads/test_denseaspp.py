import pytest
import torch
import torch.nn.functional as F
from head_costs import model_costs
from plain_layers import applied, normalised, shake

from offstride.features import FeatureInfo
from offstride.heads import DenseASPPHead


@pytest.mark.parametrize("transition", [True, False])
def test_equals_its_definition(transition):
    options = {"rates": (1, 2, 3), "inner": 5, "channels": 4, "transition": transition}
    head = shake(DenseASPPHead([FeatureInfo(6, 8, "last")], **options))
    x = torch.randn(2, 6, 9, 7)
    decoded = head([torch.empty(0), x.clone()])
    known = applied(head.transition, x) if transition else x
    for i, (rate, step) in enumerate(zip((1, 2, 3), head.steps, strict=True)):
        y = (normalised(step[0], known) if i else known).clamp(min=0)
        y = F.conv2d(y, step[2].weight, step[2].bias)
        y = normalised(step[3], y).clamp(min=0)
        known = torch.cat([known, F.conv2d(y, step[5].weight, step[5].bias, padding=rate, dilation=rate)], 1)
    torch.testing.assert_close(decoded, known)
    assert head.out_channels == decoded.shape[1] == (3 if transition else 6) + 12


def test_the_feature_itself_is_not_changed():
    head, x = DenseASPPHead([FeatureInfo(6, 8, "last")], rates=(1,), transition=False).eval(), torch.randn(2, 6, 4, 4)
    before = x.clone()
    head([x])
    assert x.equal(before)


def released_parameters(growth, start, blocks, inner, channels, classes):
    """Those of the released models, layer by layer: stem, dense blocks, a transition after each, last normalisation,
    atrous steps and classifier.
    """
    total, width = 49 * 3 * start + 2 * start, start
    for layers in blocks:
        for _ in range(layers):
            total += 2 * width + width * 4 * growth + 2 * 4 * growth + 9 * 4 * growth * growth
            width += growth
        total += 2 * width + width * (width // 2)
        width //= 2
    total += 2 * width
    for i in range(5):
        total += (2 * width if i else 0) + (width + 1) * inner + 2 * inner + (9 * inner + 1) * channels
        width += channels
    return total + (width + 1) * classes


@pytest.mark.parametrize(
    ("backbone", "growth", "start", "blocks", "inner", "channels"),
    [
        ("densenet121", 32, 64, (6, 12, 24, 16), 128, 64),
        ("densenet161", 48, 96, (6, 12, 36, 24), 512, 128),
    ],
)
def test_has_the_parameters_of_the_released_models(backbone, growth, start, blocks, inner, channels):
    parameters, _ = model_costs(backbone, 32, DenseASPPHead, 19, (64, 64), inner=inner, channels=channels)
    assert parameters == released_parameters(growth, start, blocks, inner, channels, 19)
