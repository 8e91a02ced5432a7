"""Context map and fused levels side by side, written out once more."""

import pytest
import torch
import torch.nn.functional as F

from offstride.features import FeatureInfo
from offstride.heads import FCNHead
from offstride.models.fusion_head import FusionHead

FEATURES = [FeatureInfo(4, 2, "stem"), FeatureInfo(5, 4, "a"), FeatureInfo(6, 8, "b"), FeatureInfo(7, 8, "c")]


def maps(batch=2):
    generator = torch.Generator().manual_seed(0)
    grids = ((15, 13), (8, 7), (4, 4), (4, 4))
    return [
        torch.randn(batch, info.channels, *grid, generator=generator)
        for info, grid in zip(FEATURES, grids, strict=True)
    ]


def head(**options):
    torch.manual_seed(0)
    context = FCNHead(FEATURES, channels=9)
    return FusionHead(FEATURES, context, "gff", levels=["c", "a"], width=3, **options).eval()


@pytest.mark.parametrize(("grid", "size", "stride"), [("context", (4, 4), 8), ("finest", (8, 7), 4)])
def test_the_classifier_reads_context_and_levels(grid, size, stride):
    module, features = head(grid=grid), maps()
    context = module.context(features)
    levels = module.fusion([features[1], features[3]]).levels  # finest first, whatever the order of the names
    expected = [F.interpolate(each, size, mode="bilinear") for each in (context, *levels)]
    joined = module(features)
    torch.testing.assert_close(joined, torch.cat(expected, 1))
    assert (module.out_channels, module.out_stride) == (9 + 2 * 3, stride) == (joined.shape[1], stride)


def test_the_last_four_levels_are_fused_unless_others_are_named():
    five = [FeatureInfo(3, 1, "image"), *FEATURES]
    module = FusionHead(five, FCNHead(five, channels=9), "concat", width=3).eval()
    features = [torch.randn(2, 3, 30, 26), *maps()]
    assert module.out_channels == 9 + 4 * 3
    fused = module.fusion(features[1:]).levels
    expected = [F.interpolate(each, (4, 4), mode="bilinear") for each in (module.context(features), *fused)]
    torch.testing.assert_close(module(features), torch.cat(expected, 1))


def test_with_the_pyramid_it_reads_its_maps():
    module, features = head(pyramid=True), maps()
    fused = module.fusion([features[1], features[3]]).levels
    pyramid = module.pyramid(module.context(features), fused)
    expected = [F.interpolate(each, (4, 4), mode="bilinear") for each in pyramid]
    torch.testing.assert_close(module(features), torch.cat(expected, 1))
    assert module.out_channels == module.pyramid.out_channels


def test_gates_are_told_and_closed():
    module, features = head(), maps()
    decoded = module.decode(features)
    assert [tuple(gate.shape) for gate in decoded.gates] == [(2, 1, 8, 7), (2, 1, 4, 4)]
    closed = module.decode(features, closed=[0])
    assert closed.gates[0].abs().max() == 0
    assert torch.equal(closed.gates[1], decoded.gates[1])
    assert not torch.allclose(closed.map, decoded.map)
    with pytest.raises(ValueError, match="closed: expected no levels, FCNHead has no gates"):
        module.context.decode(features, closed=[0])


def test_unknown_levels_and_grids():
    with pytest.raises(ValueError, match="levels: expected some of stem, a, b, c, got d"):
        FusionHead(FEATURES, FCNHead(FEATURES), "gff", levels=["d"])
    with pytest.raises(ValueError, match="grid: expected"):
        head(grid="coarse")
