import fusion_equations as equations
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from offstride.fusion import FPN, FUSIONS, GFF, Addition, Concat, GatedFPN, GatedFusion

CHANNELS = (3, 5, 4, 6)
SIZES = ((13, 9), (7, 5), (7, 5), (4, 3))  # no factor between them; two share a grid
KINDS = {
    "concat": (Concat, {}, equations.concat),
    "addition": (Addition, {}, equations.addition),
    "fpn": (FPN, {}, equations.fpn),
    "gated_fpn": (GatedFPN, {}, equations.gated_fpn),
    "gated_fpn, all channels": (GatedFPN, {"gate_channels": "all"}, equations.gated_fpn),
    "gff": (GFF, {}, equations.gff),
    "gff, all channels": (GFF, {"gate_channels": "all"}, equations.gff),
    "gff in sequence": (GFF, {"sequential": True}, equations.gff_in_sequence),
}
GATED = [name for name, (kind, *_) in KINDS.items() if issubclass(kind, GatedFusion)]


def build(name, count=4):
    """In double precision, with normalisations that do something; levels to go with it."""
    kind, options, equation = KINDS[name]
    module = equations.enliven(kind(CHANNELS[:count], width=4, **options))
    levels = [
        torch.randn(2, number, *size, dtype=torch.float64)
        for number, size in zip(CHANNELS[:count], SIZES[:count], strict=True)
    ]
    return module, equation, levels


@pytest.mark.parametrize("count", [4, 2, 1])
@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_equals_its_equation(name, count):
    module, equation, levels = build(name, count)
    fused = module(levels)
    expected, gates = equations.fusion(module, equation, levels)
    for level, reference, size in zip(fused.levels, expected, SIZES, strict=False):
        assert level.shape == (2, 4, *size)
        assert (reference > 0).double().mean() > 0.2  # the comparison is one of live values
        torch.testing.assert_close(level, reference, rtol=1e-9, atol=1e-9)
    assert len(fused.levels) == count
    assert len(fused.gates) == len(gates)
    for gate, reference in zip(fused.gates, gates, strict=True):
        assert gate.shape[1] == 1
        torch.testing.assert_close(gate, reference.mean(1, keepdim=True))


@pytest.mark.parametrize("closed", [(0,), (3,), (1, 2)])
@pytest.mark.parametrize("name", GATED)
@torch.no_grad()
def test_closed_gates_are_zero_in_the_equation(name, closed):
    module, equation, levels = build(name)
    fused = module(levels, closed)
    expected, _ = equations.fusion(module, equation, levels, closed)
    torch.testing.assert_close(fused.levels, expected, rtol=1e-9, atol=1e-9)
    assert [bool((gate == 0).all()) for gate in fused.gates] == [index in closed for index in range(4)]
    opened = module(levels).levels
    assert any(not torch.allclose(a, b) for a, b in zip(fused.levels, opened, strict=True))


def test_order_of_the_released_code_differs_from_the_paper():
    paper, _, levels = build("gff")
    release = GFF(CHANNELS, 4, sequential=True).double().eval()
    release.load_state_dict(paper.state_dict())
    theirs, ours = release(levels).levels, paper(levels).levels
    torch.testing.assert_close(theirs[0], ours[0])  # nothing was updated before the first
    assert all(not torch.allclose(a, b) for a, b in zip(theirs[1:], ours[1:], strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_gradients_reach_every_parameter_and_every_level(name):
    module, _, levels = build(name)
    levels = [level.requires_grad_() for level in levels]
    fused = module.train()(levels)
    sum((level * torch.randn_like(level)).sum() for level in fused.levels).backward()
    for label, parameter in module.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.abs().sum() > 0, label
    assert all(level.grad.abs().sum() > 0 for level in levels)


@pytest.mark.parametrize("name", KINDS)
def test_bfloat16_autocast(name):
    module, _, levels = build(name)
    expected = module(levels).levels
    module, levels = module.float(), [level.float() for level in levels]
    with torch.autocast("cpu", torch.bfloat16):
        fused = module(levels)
    for level, reference in zip(fused.levels, expected, strict=True):
        assert level.dtype == torch.bfloat16
        error = (level.double() - reference).norm() / reference.norm()
        assert error < 0.02  # eight bits of mantissa


def levels_of_resnet101(size=512):
    """Stages of a ResNet-101 at output stride 8."""
    grids = (size // 4, size // 8, size // 8, size // 8)
    return [torch.empty(1, number, grid, grid) for number, grid in zip((256, 512, 1024, 2048), grids, strict=True)]


def test_gff_adds_to_a_pspnet_what_was_recomputed():
    """PSPNet-R101 with 19 classes: 65,583,699 parameters and 254.65 GMAC at 512×512; with GFF 71.315 M and 293.4 GMAC.

    The classifier reads 512 + 4·256 channels on the coarse grid, where that of PSPNet reads 512.
    """
    with torch.device("meta"):
        module, added = GFF((256, 512, 1024, 2048)), nn.Conv2d(1024, 19, 1, bias=False)
        levels = levels_of_resnet101()
        with FlopCounterMode(display=False) as counter:
            module(levels)
            added(torch.empty(1, 1024, 64, 64))
    count = sum(parameter.numel() for part in (module, added) for parameter in part.parameters())
    assert count == (256 + 512 + 1024 + 2048) * (256 + 1) + 4 * (512 + 1 + 2 * (9 * 256**2 + 512)) + 1024 * 19
    assert round((65_583_699 + count) / 1e6, 3) == 71.315
    assert round(254.65 + counter.get_total_flops() / 2e9, 1) == 293.4


def test_names_lead_to_the_kinds():
    assert {"addition": Addition, "concat": Concat, "fpn": FPN, "gated_fpn": GatedFPN, "gff": GFF} == FUSIONS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GFF([]), r"channels: expected one positive number per level, got \[\]"),
        (lambda: Concat([3, 0]), r"channels: expected one positive number per level, got \[3, 0\]"),
        (lambda: FPN([3], width=0), "width: expected a positive number, got 0"),
        (lambda: GFF([3], gate_channels="two"), r"gate_channels: expected one of \('one', 'all'\), got 'two'"),
        (lambda: build("gff")[0](build("gff")[2][:3]), "levels: expected 4 feature maps, got 3"),
        (lambda: build("gff")[0](build("gff")[2], {1, 4}), r"closed: expected levels 0 … 3, got \[4\]"),
        (lambda: build("fpn")[0](build("fpn")[2], [1]), r"closed: expected no levels, FPN has no gates; got \[1\]"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
