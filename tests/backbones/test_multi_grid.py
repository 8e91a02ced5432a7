"""Multi-grid and cascaded blocks against DeepLabv3, §3.1 and §3.2 and Tables 1–3."""

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from offstride.backbones import Backbone

pytestmark = pytest.mark.slow


def on_meta(name, **arguments):
    with torch.device("meta"):
        return Backbone(name, **arguments).eval()


def rates(units):
    return [unit.conv2.dilation[0] for unit in units]


def randomise(module):
    """Weights and statistics of which none is trivial."""
    generator = torch.Generator().manual_seed(0)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            for tensor in (each.weight, each.bias, each.running_mean, each.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
    return module


@pytest.mark.parametrize(
    ("stride", "grid", "expected"),
    [(16, (1, 2, 4), [2, 4, 8]), (8, (1, 2, 1), [4, 8, 4]), (32, (1, 2, 4), [1, 2, 4]), (16, (1, 1, 1), [2, 2, 2])],
)
def test_unit_rates_are_multiples_of_the_rate_of_the_block(stride, grid, expected):
    backbone = on_meta("resnet50", output_stride=stride, multi_grid=grid)
    assert rates(backbone.network.layer4) == expected
    assert [unit.conv2.padding[0] for unit in backbone.network.layer4] == expected


def test_without_multi_grid_block4_is_as_timm_builds_it():
    assert rates(on_meta("resnet50", output_stride=16).network.layer4) == [1, 2, 2]


def test_both_convolutions_of_a_basic_unit_take_the_rate():
    units = on_meta("resnet18", output_stride=8, multi_grid=[1, 2]).network.layer4
    assert [(unit.conv1.dilation[0], unit.conv2.dilation[0]) for unit in units] == [(4, 4), (8, 8)]


@pytest.mark.parametrize(
    ("stride", "strides", "expected"),
    [
        (8, [8, 8, 8, 8], [4, 8, 16, 32]),
        (16, [16, 16, 16, 16], [2, 4, 8, 16]),
        (32, [32, 32, 32, 32], [1, 2, 4, 8]),
        (64, [32, 64, 64, 64], [1, 1, 2, 4]),
        (128, [32, 64, 128, 128], [1, 1, 1, 2]),
        (256, [32, 64, 128, 256], [1, 1, 1, 1]),
    ],
)
def test_cascades_halve_the_grid_up_to_the_stride_and_dilate_beyond(stride, strides, expected):
    backbone = on_meta("resnet50", output_stride=stride, multi_grid=(1, 2, 1), cascade=7)
    assert [info.stride for info in backbone.features[-4:]] == strides
    assert [info.name for info in backbone.features[-4:]] == ["layer4", "layer5", "layer6", "layer7"]
    blocks = [backbone.network.layer4, *backbone.cascade]
    assert [rates(block) for block in blocks] == [[rate, 2 * rate, rate] for rate in expected]
    maps = backbone(torch.zeros(1, 3, 97, 513, device="meta"))
    assert [tuple(each.shape[1:]) for each in maps[-4:]] == [(2048, -(-97 // s), -(-513 // s)) for s in strides]


def test_cascaded_blocks_without_multi_grid_have_one_rate():
    assert [rates(block) for block in on_meta("resnet50", output_stride=16, cascade=6).cascade] == [[4] * 3, [8] * 3]


@pytest.mark.parametrize(
    ("name", "block", "parameters", "macs"),
    [
        ("resnet50", 4, 23.551, 34.1),
        ("resnet50", 5, 36.939, 48.7),
        ("resnet50", 6, 50.327, 63.2),  # 63.251
        ("resnet50", 7, 63.714, 77.8),
        ("resnet101", 4, 42.543, 54.8),
        ("resnet101", 5, 55.931, 69.3),
        ("resnet101", 6, 69.319, 83.9),
        ("resnet101", 7, 82.707, 98.4),
    ],
)
def test_costs_of_the_cascades(name, block, parameters, macs):
    backbone = on_meta(name, output_stride=16, multi_grid=(1, 1, 1), cascade=block if block > 4 else None)
    classifier = nn.Conv2d(2048, 21, 1, device="meta")
    with FlopCounterMode(display=False) as counter:
        scores = classifier(backbone(torch.zeros(1, 3, 513, 513, device="meta"))[-1])
    assert scores.shape == (1, 21, 33, 33)
    count = sum(tensor.numel() for module in (backbone, classifier) for tensor in module.parameters())
    assert round(count / 1e6, 3) == parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(macs, abs=0.055)


def residual_block(block, x, stride, rates):
    """Three bottleneck units, written out from their tensors."""

    def normalised(norm, x):
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    for i, rate in enumerate(rates):
        unit, step = block[i], stride if i == 0 else 1
        y = F.relu(normalised(unit.bn1, F.conv2d(x, unit.conv1.weight)))
        y = F.relu(normalised(unit.bn2, F.conv2d(y, unit.conv2.weight, None, step, rate, rate)))
        y = normalised(unit.bn3, F.conv2d(y, unit.conv3.weight))
        x = F.relu(y + x[:, :, ::step, ::step])
    return x


@pytest.mark.parametrize(("stride", "steps", "expected"), [(64, [2, 1], [1, 2]), (16, [1, 1], [4, 8])])
def test_cascades_compute_residual_blocks(stride, steps, expected):
    options = {"channels": (8, 8, 8, 8)}
    backbone = Backbone("resnet50", output_stride=stride, multi_grid=(1, 2, 1), cascade=6, options=options).eval()
    randomise(backbone)
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 161, 99))
        for i, (step, rate) in enumerate(zip(steps, expected, strict=True)):
            reference = residual_block(backbone.cascade[i], maps[-3 + i], step, [rate, 2 * rate, rate])
            torch.testing.assert_close(maps[-2 + i], reference)


def test_cascaded_blocks_start_as_identities_with_weights_of_their_own(tmp_path):
    options = {"channels": (8, 8, 8, 16)}
    full = timm.create_model("resnet50", channels=(8, 8, 8, 16))
    save_file(full.state_dict(), tmp_path / "w.safetensors")
    backbone = Backbone("resnet50", pretrained=tmp_path / "w.safetensors", cascade=6, options=options).eval()
    torch.testing.assert_close(backbone.network.layer4[2].conv2.weight, full.layer4[2].conv2.weight)
    fresh = [unit.conv2.weight for block in backbone.cascade for unit in block]
    for i, weight in enumerate(fresh):
        assert not any(torch.equal(weight, other) for other in [full.layer4[2].conv2.weight, *fresh[:i]])
        assert weight.std().item() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.1)  # fan out
    with torch.no_grad():
        *_, block4, block5, block6 = backbone(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(block5, block4, rtol=0, atol=0)
    torch.testing.assert_close(block6, block4, rtol=0, atol=0)


def test_tensors_keep_their_names_and_shapes():
    """Any stride and multi-grid, and block4 in front of a cascade."""
    plain = on_meta("resnet50").state_dict()
    states = [
        on_meta("resnet50", output_stride=stride, multi_grid=grid, cascade=5).state_dict()
        for stride, grid in ((8, (1, 2, 1)), (16, None), (64, (1, 1, 1)))
    ]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    assert shapes[0] == shapes[1] == shapes[2]
    assert {name: tensor.shape for name, tensor in plain.items()}.items() <= shapes[0].items()
    assert {name.split(".")[0] for name in shapes[0].keys() - plain.keys()} == {"cascade"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet50", {"multi_grid": (1, 2)}, r"multi_grid: expected 3 positive whole numbers.*got \(1, 2\)"),
        ("resnet50", {"multi_grid": (1, 2, 0)}, r"multi_grid: expected 3 positive whole numbers.*got \(1, 2, 0\)"),
        ("resnet50", {"multi_grid": (1, 2, 1.5)}, "multi_grid: expected 3 positive whole numbers"),
        ("mobilenetv2_100", {"multi_grid": (1, 2, 4)}, "multi_grid: expected a ResNet.*got 'mobilenetv2_100'"),
        ("densenet121", {"cascade": 5}, "cascade: expected a ResNet.*got 'densenet121'"),
        ("resnet50", {"cascade": 5, "options": {"out_indices": [1, 2]}}, "cascade: expected a ResNet with its block4"),
        ("resnet50", {"cascade": 8}, "cascade: expected 5, 6 or 7, got 8"),
        ("resnet50", {"cascade": 5, "output_stride": 128}, "cannot reach 128, its own is 64"),
        ("test_resnet", {"cascade": 5}, "cascade: expected a backbone with several units in block4"),
    ],
)
def test_what_cannot_be_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        on_meta(name, **arguments)
