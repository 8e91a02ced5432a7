import pytest
import torch
from head_costs import model_costs, parameters
from plain_layers import applied, aspp, shake
from torch import nn

from offstride.features import FeatureInfo
from offstride.heads import ASPPHead, DeepLabv3PlusHead, DUpsamplingDecoder


@pytest.mark.parametrize("image_pooling", [True, False])
@pytest.mark.parametrize("separable", [True, False])
def test_equals_its_definition(image_pooling, separable):
    features = [FeatureInfo(5, 8, "last")]
    head = shake(ASPPHead(features, rates=(2, 3), channels=4, image_pooling=image_pooling, separable=separable))
    x = torch.randn(2, 5, 6, 9)
    torch.testing.assert_close(head([torch.empty(0), x]), aspp(head, x, (2, 3)))


def test_a_block_may_follow():
    head = shake(ASPPHead([FeatureInfo(5, 8, "last")], rates=(2,), channels=4, block=True))
    x = torch.randn(2, 5, 6, 9)
    torch.testing.assert_close(head([x]), applied(head.block, aspp(head, x, (2,))))


@pytest.mark.parametrize(("output_stride", "rates", "gmacs"), [(16, (6, 12, 18), 71.06), (8, (12, 24, 36), 246.18)])
def test_published_model_has_the_published_cost(output_stride, rates, gmacs):
    counted = model_costs("resnet101", output_stride, ASPPHead, 21, (513, 513), rates=rates)
    assert counted == (58_040_661, pytest.approx(gmacs, abs=0.005))


@pytest.mark.parametrize(
    ("backbone", "count", "gmacs"), [("resnet50s", 39.772, 170.70), ("resnet101s", 58.765, 248.28)]
)
def test_the_models_that_lau_starts_from_have_a_block(backbone, count, gmacs):
    counted, layers = model_costs(backbone, 8, ASPPHead, 59, (512, 512), rates=(12, 24, 36), block=True)
    assert (counted / 1e6, layers) == (pytest.approx(count, abs=5e-4), pytest.approx(gmacs, abs=0.005))


def test_torchvision_has_a_block():
    assert model_costs("resnet101", 16, ASPPHead, 21, (65, 65), block=True)[0] == 58_630_997


@pytest.mark.parametrize("kind", [ASPPHead, DeepLabv3PlusHead, DUpsamplingDecoder])
def test_rates_are_those_of_the_paper_at_output_stride_16(kind):
    head = kind([FeatureInfo(5, 4, "low"), FeatureInfo(6, 16, "last")])
    convolutions = [module for module in head.modules() if isinstance(module, nn.Conv2d)]
    assert [each.dilation for each in convolutions if each.dilation != (1, 1)] == [(6, 6), (12, 12), (18, 18)]


def test_four_rates_without_image_pooling():
    head = ASPPHead([FeatureInfo(3, 16, "last")], rates=(6, 12, 18, 24), channels=4, image_pooling=False)
    assert parameters(head) == (3 * 4 + 8) + 4 * (9 * 3 * 4 + 8) + (5 * 4 * 4 + 8)
    assert not any(name.startswith("pooling") for name in head.state_dict())
    assert head([torch.randn(1, 3, 8, 8)]).shape == (1, 4, 8, 8)  # one image has as many values as pixels


def test_without_rates_the_point_and_the_image_remain():
    head = ASPPHead([FeatureInfo(8, 8, "last")], rates=(), channels=4)
    assert parameters(head) == 2 * (8 * 4 + 8) + 8 * 4 + 8
    assert head([torch.randn(2, 8, 5, 3)]).shape == (2, 4, 5, 3)


def test_rates_beyond_the_map_are_harmless():
    head = ASPPHead([FeatureInfo(3, 8, "last")], rates=(30,), channels=4).eval()
    assert head([torch.randn(1, 3, 1, 2)]).shape == (1, 4, 1, 2)


def test_one_image_cannot_train_the_image_pooling():
    head = ASPPHead([FeatureInfo(3, 8, "last")], channels=4)
    with pytest.raises(ValueError, match="images: the image pooling of ASPP cannot train"):
        head([torch.randn(1, 3, 8, 8)])
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert head([torch.randn(1, 3, 8, 8)]).shape == (1, 4, 8, 8)


def test_names_of_parameters_stay():
    names = set(ASPPHead([FeatureInfo(3, 8, "last")], rates=(6,), channels=4).state_dict())
    convolutions = {"branches.0.0.weight", "branches.1.0.weight", "pooling.0.weight", "project.0.weight"}
    assert {name for name in names if name.endswith("0.weight")} == convolutions
