"""Location-aware upsampling: the published cost, the plain branch, and bilinear upsampling at the start."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from offstride.field import BilinearField, LocatedField
from offstride.upsamplers import LaU


def inputs(D=8, C=3, grid=(4, 5), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(2, channels, *grid, generator=generator).to(dtype) for channels in (C, D))


@pytest.mark.parametrize(
    ("scale", "parameters", "gmac"),
    [(2, 140_288, 0.5050), (3, 151_808, 0.5465), (4, 167_936, 0.6046), (5, 188_672, 0.6792)],
)
def test_cost_is_that_of_table_1(scale, parameters, gmac):
    with torch.device("meta"):  # 480×480 at output stride 8, 512 channels
        upsampler = LaU(512, scale)
        features = torch.empty(1, 512, 60, 60)
    assert sum(parameter.numel() for parameter in upsampler.parameters()) == parameters
    with FlopCounterMode(display=False) as counter:
        assert upsampler.offsets(features).shape == (1, 2, 60 * scale, 60 * scale)
    assert counter.get_total_flops() == 2 * 3600 * parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=5e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_offsets_are_the_branches_as_pairs(groups):
    torch.manual_seed(0)
    _, features = inputs()
    upsampler = LaU(8, 2, groups=groups, hidden=6)
    offsets = upsampler.offsets(features)
    assert offsets.shape == (2, 2 * groups, 8, 10)
    convolutions = upsampler.offset_layers()
    assert [tuple(layer.weight.shape) for layer in convolutions] == 2 * [(6, 8, 1, 1), (4 * groups, 6, 3, 3)]
    for axis in (0, 1):  # y, then x
        reduce, predict = (layer.weight for layer in convolutions[2 * axis : 2 * axis + 2])
        maps = F.conv2d(F.leaky_relu(F.conv2d(features, reduce), 0.01), predict, padding=1)
        for m in range(groups):
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                torch.testing.assert_close(offsets[:, 2 * m + axis, i::2, j::2], maps[:, 4 * m + 2 * i + j])


def test_convolutions_start_xavier_uniform():
    torch.manual_seed(0)
    for layer in LaU(64, 4, hidden=32).offset_layers():
        area = layer.kernel_size[0] * layer.kernel_size[1]
        bound = (6 / (area * (layer.in_channels + layer.out_channels))) ** 0.5
        assert layer.bias is None
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(
    ("scale", "size", "kind"),
    [
        (4, (16, 20), LocatedField),  # reaches the image
        (4, (15, 18), LocatedField),  # is a few pixels larger
        (2, (16, 20), BilinearField),  # covers a part of the factor
        (2, (15, 18), BilinearField),
        (4, (17, 20), BilinearField),  # falls short along one axis
    ],
)
def test_zero_start_is_bilinear_upsampling(groups, scale, size, kind):
    scores, features = inputs(dtype=torch.float64)
    upsampler = LaU(8, scale, groups=groups, hidden=4, init="zero").double()
    field = upsampler(scores, features, size)
    assert type(field) is kind
    assert field.shape == (2, 3, *size)
    expected = scores
    if kind is BilinearField:
        expected = F.interpolate(scores, (4 * scale, 5 * scale), mode="bilinear", align_corners=False)
    expected = F.interpolate(expected, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(field.dense(), expected, rtol=0, atol=1e-13)
    field.dense().square().sum().backward()  # and from there the offsets can leave
    for branch in (upsampler.vertical, upsampler.horizontal):
        assert branch[2].weight.grad.abs().max() > 0


def test_larger_offset_maps_are_resampled_to_the_image():
    torch.manual_seed(0)
    scores, features = inputs()
    upsampler = LaU(8, 4, hidden=4)
    field = upsampler(scores, features, (13, 17))
    expected = F.interpolate(upsampler.offsets(features), (13, 17), mode="bilinear", align_corners=False)
    torch.testing.assert_close(field.offsets, expected)
    exact = upsampler(scores, features, (16, 20))
    assert torch.equal(exact.offsets, upsampler.offsets(features))


def test_the_origin_reaches_both_steps():
    scores, features = inputs(dtype=torch.float64)
    field = LaU(8, 2, hidden=4, origin="corner", init="zero").double()(scores, features, (16, 20))
    assert field.origin == field.source.origin == "corner"
    ramp = torch.arange(5.0, dtype=torch.float64).expand(2, 3, 4, 5)
    read = LaU(8, 4, hidden=4, origin="corner", init="zero").double()(ramp, features, (16, 20)).dense()
    expected = (torch.arange(20, dtype=torch.float64) / 4).clamp(max=4)
    torch.testing.assert_close(read, expected.expand_as(read), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_branches_give_single_precision_offsets(dtype):
    scores, features = inputs(dtype=dtype)
    field = LaU(8, 4, hidden=4).to(dtype)(scores, features, (16, 20))
    assert field.offsets.dtype == torch.float32
    assert field.dense().dtype == dtype
    if dtype == torch.bfloat16:
        with torch.autocast("cpu", dtype):
            assert LaU(8, 4, hidden=4)(scores, features.float(), (15, 20)).offsets.dtype == torch.float32


def test_the_block_feeds_the_branches_only():
    scores, features = inputs()
    plain, blocked = LaU(8, 4, hidden=4), LaU(8, 4, hidden=4, block=True)
    extra = sum(p.numel() for p in blocked.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == 9 * 8 * 8 + 2 * 8
    field = blocked.eval()(scores, features, (16, 20))
    assert field.scores is scores
    expected = blocked.vertical(blocked.block(features))
    torch.testing.assert_close(field.offsets[:, :1], expected)
    assert len(blocked.offset_layers()) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 0}, "in_channels: expected a positive .*got 0"),
        ({"scale": 0}, "scale: expected a positive .*got 0"),
        ({"groups": -1}, "groups: expected a positive .*got -1"),
        ({"hidden": 0}, "hidden: expected a positive .*got 0"),
        ({"init": "ones"}, "init: expected one of .*got 'ones'"),
        ({"origin": "middle"}, "origin: expected one of .*got 'middle'"),
    ],
)
def test_errors_name_the_argument(change, message):
    with pytest.raises(ValueError, match=message):
        LaU(**{"in_channels": 8} | change)


def test_it_says_what_it_is():
    assert repr(LaU(8, 3, origin="corner")).splitlines()[1].strip() == "scale=3, origin='corner'"
