import pytest
import torch
from fusion_equations import enliven, moved, unit
from torch.utils.flop_counter import FlopCounterMode

from offstride.fusion import DenseFeaturePyramid

SIZES = ((13, 9), (7, 5), (7, 5))
CONTEXT = (4, 3)


def build(kernel=1, count=3):
    module = enliven(DenseFeaturePyramid(6, 4, count, width=5, kernel=kernel))
    levels = [torch.randn(2, 4, *size, dtype=torch.float64) for size in SIZES[:count]]
    return module, torch.randn(2, 6, *CONTEXT, dtype=torch.float64), levels


def written_out(module, context, levels):
    """Eq. 6: y_i = H_i([y_0, X̃_1, …, X̃_{i−1}]), X̃_1 the deepest, on the grid of the last input."""
    X = dict(enumerate(reversed(levels), 1))
    pyramid = []
    for i in range(1, len(levels) + 2):
        size = context.shape[2:] if i == 1 else X[i - 1].shape[2:]
        inputs = [moved(context, size)] + [moved(X[j], size) for j in range(1, i)]
        pyramid.append(unit(module.layers[i - 1], torch.cat(inputs, 1)))
    return pyramid


@pytest.mark.parametrize("count", [3, 1])
@pytest.mark.parametrize("kernel", [1, 3])
@torch.no_grad()
def test_equals_its_equation(kernel, count):
    module, context, levels = build(kernel, count)
    pyramid = module(context, levels)
    assert [each.shape[2:] for each in pyramid] == [CONTEXT, *reversed(SIZES[:count])]
    assert sum(each.shape[1] for each in pyramid) == module.out_channels
    torch.testing.assert_close(pyramid, written_out(module, context, levels), rtol=1e-9, atol=1e-9)


def test_gradients_reach_every_parameter_and_every_input():
    module, context, levels = build()
    inputs = [each.requires_grad_() for each in (context, *levels)]
    sum((each * torch.randn_like(each)).sum() for each in module.train()(context, levels)).backward()
    for tensor in (*module.parameters(), *inputs):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0


def test_bfloat16_autocast():
    module, context, levels = build()
    expected = module(context, levels)
    with torch.autocast("cpu", torch.bfloat16):
        pyramid = module.float()(context.float(), [level.float() for level in levels])
    for each, reference in zip(pyramid, expected, strict=True):
        assert each.dtype == torch.bfloat16
        assert (each.double() - reference).norm() / reference.norm() < 0.02


def test_costs_what_its_description_says():
    """On PSPNet-ResNet-101 at 512×512."""
    with torch.device("meta"):
        module = DenseFeaturePyramid(512, 256, 4)
        levels = [torch.empty(1, 256, side, side) for side in (128, 64, 64, 64)]
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(1, 512, 64, 64), levels)
    assert sum(parameter.numel() for parameter in module.parameters()) == 1_313_280
    assert round(counter.get_total_flops() / 2e9, 1) == 10.2


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="count: expected a positive whole number, got 0"):
        DenseFeaturePyramid(3, 3, 0)
    with pytest.raises(ValueError, match="kernel: expected an odd number, got 2"):
        DenseFeaturePyramid(3, 3, 1, kernel=2)
    module, context, levels = build()
    with pytest.raises(ValueError, match="levels: expected 3 feature maps, got 2"):
        module(context, levels[:2])
