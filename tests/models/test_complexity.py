"""Counts against the figures that were recomputed independently: parameters to the unit, operations to a thousandth."""

import pytest
import torch

from offstride.models import complexity, create_model
from offstride.models.complexity import decoder_flops
from offstride.models.costs import count_preset, ghost_preset, read_costs
from offstride.models.presets import PRESETS

pytestmark = pytest.mark.slow

EXACT = [  # preset, image, parameters, GMAC
    ("encnet_resnet50_os8", (480, 480), 33_672_854, 128.849),
    ("encnet_resnet50_os8", (512, 512), 33_672_854, 146.60),
    ("encnet_resnet50_os32", (512, 512), 33_672_854, 30.924),
    ("encnet_resnet50_os8_lau", (512, 512), 33_672_854 + 167_936, 147.29),
    ("encnet_resnet50_os32_lau", (512, 512), 33_672_854 + 167_936, 30.967),
    ("encnet_resnet101_os8", (512, 512), 52_664_982, 224.18),
    ("encnet_resnet101_os8_lau", (512, 512), 52_664_982 + 83_968, 224.52),
    ("encnet_resnet101_os32", (512, 512), 52_664_982, 50.319),
    ("encnet_resnet101_os32_lau", (512, 512), 52_664_982 + 83_968, 50.340),
    ("aspp_resnet50", (512, 512), 41_821_411 - 2_049_000, 170.70),
    ("aspp_resnet50", (480, 480), 41_821_411 - 2_049_000, 150.03),
    ("aspp_resnet50_lau", (512, 512), 39_874_811, 171.12),
    ("aspp_resnet101", (512, 512), 58_764_539, 248.28),
    ("aspp_resnet101_lau", (512, 512), 58_815_739, 248.49),
    ("deeplabv3_resnet101_aspp", (513, 513), 58_040_661, 71.06),
    ("pspnet_resnet101", (512, 512), 65_583_699, 254.65),
    ("pspnet_resnet101_gff", (512, 512), 71_314_775, 293.4),
]
MILLIONS = [  # preset, millions of parameters, GMAC
    ("encnet_resnet101_os8", 52.665, 224.18),
    ("encnet_resnet101_os8_lau", 52.749, 224.52),
    ("aspp_resnet50_lau", 39.875, 171.12),
    ("aspp_resnet101", 58.765, 248.28),
    ("aspp_resnet101_lau", 58.816, 248.49),
    ("pspnet_resnet101_gff", 71.315, 293.4),
    ("deeplabv3_resnet50_block4", 23.551, 34.1),
    ("deeplabv3_resnet50_block5", 36.939, 48.7),
    ("deeplabv3_resnet50_block6", 50.327, 63.2),
    ("deeplabv3_resnet50_block7", 63.714, 77.8),
    ("deeplabv3_resnet101_block4", 42.543, 54.8),
    ("deeplabv3_resnet101_block5", 55.931, 69.3),
    ("deeplabv3_resnet101_block6", 69.319, 83.9),
    ("deeplabv3_resnet101_block7", 82.707, 98.4),
]
DECODERS = {  # GFLOPs of the decoder alone
    "dupsampling_resnet50_os16": 0.797,
    "dupsampling_resnet50_conv1_3": 1.133,
    "dupsampling_resnet50_b1u2c3": 1.147,
    "dupsampling_resnet50_b3u6c3": 1.227,
    "dupsampling_resnet50_b1u2c3_b3u6c3": 1.577,
    "dupsampling_resnet50_conv1_3_b3u6c3": 1.564,
    "vanilla_resnet50_b1u2c3": 5.527,
    "vanilla_xception65_efb2u1c2": 5.527,
    "dupsampling_xception65_efb2u1c2": 1.932,
    "dupsampling_xception65_mfb1u16c3": 1.981,
    "vanilla_xception65_mfb1u16c3": 0.411,
    "vanilla_xception71_cityscapes": 43.653,
    "dupsampling_xception71_cityscapes": 25.137,
}


@pytest.mark.parametrize(("name", "size", "parameters", "gmac"), EXACT)
def test_exact_figures(name, size, parameters, gmac):
    costs = count_preset(name, size)
    assert costs.parameters == parameters
    assert costs.macs / 1e9 == pytest.approx(gmac, rel=1e-3)
    assert costs.flops == 2 * costs.macs


@pytest.mark.parametrize(("name", "millions", "gmac"), MILLIONS)
def test_figures_in_millions(name, millions, gmac):
    costs = read_costs()[name]  # that this table is what is counted, `test_presets` checks
    assert round(costs["parameters"] / 1e6, 3) == millions
    assert costs["macs"] / 1e9 == pytest.approx(gmac, rel=1e-3)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_of_dupsampling(name):
    flops = decoder_flops(ghost_preset(name), PRESETS[name].size)
    assert float(f"{flops / 1e9:.3f}") == DECODERS[name]


def test_output_stride_8_of_deeplabv3():
    with torch.device("meta"):
        model = create_model("deeplabv3_resnet101_aspp", output_stride=8)
    costs = complexity(model, (513, 513))
    assert costs.parameters == 58_040_661
    assert costs.macs / 1e9 == pytest.approx(246.18, rel=1e-3)


@pytest.mark.parametrize(
    ("fields", "parameters", "gmac"),
    [
        ({"auxiliary": "layer3"}, 36_047_825, 137.397),
        ({"head_options": {"lateral": True}}, 41_540_246, 157.160),
    ],
)
def test_variants_of_encnet(fields, parameters, gmac):
    with torch.device("meta"):
        model = create_model("encnet_resnet50_os8", **fields)
    costs = complexity(model, (480, 480), auxiliary=True)
    assert costs.parameters == parameters
    assert costs.macs / 1e9 == pytest.approx(gmac, rel=1e-3)


@pytest.mark.parametrize("scale", [4, 16])
def test_products_in_a_field_count(scale):
    sizes = {"backbone": "resnet18", "classes": 5, "output_stride": 16}
    bilinear = complexity(create_model(**sizes), (64, 96)).macs
    model = create_model(**sizes, upsampler="transposed", upsampler_options={"scale": scale})
    assert complexity(model, (64, 96)).macs - bilinear == 4 * 6 * (9 * 5) * (5 * scale**2)


def test_a_model_is_not_touched_and_its_size_does_not_matter():
    model = create_model(backbone="test_resnet", classes=3, head="aspp").eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = complexity(model, (64, 64)), complexity(model, (128, 128))
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert first.parameters == second.parameters == sum(p.numel() for p in model.parameters())
    assert 3.5 < second.macs / first.macs <= 4


def test_activations_are_what_autograd_keeps():
    """Against the memory of a real forward pass: the same tensors, not those of the meta device."""
    model = create_model(backbone="test_resnet", classes=3)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        field = model.field(torch.randn(2, 3, 64, 64))
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // 2
    assert field.shape == (2, 3, 64, 64)
    assert complexity(model, (64, 64)).activation_bytes == pytest.approx(real, rel=0.05)


def test_bad_sizes_and_heads_are_refused():
    model = create_model(backbone="test_resnet", classes=3)
    with pytest.raises(ValueError, match="size: expected a positive"):
        complexity(model, (0, 64))
    with pytest.raises(ValueError, match="expected one with a DUpsamplingDecoder, got FCNHead"):
        decoder_flops(model, (64, 64))
