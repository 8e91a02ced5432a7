import torch
import torch.nn.functional as F

from offstride.features import FeatureInfo
from offstride.heads import FCNHead


def test_equals_its_definition():
    torch.manual_seed(0)
    head = FCNHead([FeatureInfo(5, 8, "last")], channels=7, dilation=2).eval()
    norm = head.convolution[1]
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.uniform_(0.5, 2)
    finest, last = torch.randn(2, 3, 18, 14), torch.randn(2, 5, 9, 7)
    x = F.conv2d(last, head.convolution[0].weight, padding=2, dilation=2)
    shape = (1, 7, 1, 1)
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
    expected = (x * norm.weight.view(shape) + norm.bias.view(shape)).clamp(min=0)
    torch.testing.assert_close(head([finest, last]), expected)
    assert head.out_channels == 7


def test_dropout_acts_in_training_only():
    head = FCNHead([FeatureInfo(4, 8, "last")], channels=64, dropout=0.5)
    features = [torch.randn(2, 4, 8, 8)]
    active = (head.eval()(features) > 0).float().mean()
    kept = (head.train()(features) > 0).float().mean()
    assert 0.35 < kept / active < 0.65


def test_parameters_are_one_convolution_and_its_norm():
    assert (
        sum(parameter.numel() for parameter in FCNHead([FeatureInfo(1024, 8, "last")]).parameters())
        == 9 * 1024 * 256 + 2 * 256
    )
