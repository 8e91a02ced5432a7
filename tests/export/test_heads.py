"""Every head and every fusion as a graph that leaves the size of images open."""

from math import ceil

import pytest
import torch
from small_models import Strides

from offstride.export import export_program, shortest_side
from offstride.fusion import FUSIONS
from offstride.models import create_model
from offstride.models.parts import HEADS

pytestmark = pytest.mark.slow

PARTS = [{"head": name} for name in sorted(HEADS)] + [{"head": "fcn", "fusion": name} for name in sorted(FUSIONS)]


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(parts.values()))
def test_scores_at_other_sizes(parts):
    torch.manual_seed(0)
    model = create_model(backbone="test_resnet", classes=4, output_stride=16, mean=[0.4, 0.5, 0.6], **parts).eval()
    model.backbone = Strides(model.backbone.features)
    graph = export_program(model, size=(64, 64), dynamic="all", output="scores").program.module()
    for shape in ((1, 3, 48, 64), (2, 3, 37, 67)):
        images = torch.randn(shape)
        with torch.no_grad():
            expected = model.field(images).dense()
        assert expected.std() > 1e-3  # something to compare
        spread = (expected.max() - expected.min()).item()
        torch.testing.assert_close(graph(images), expected, rtol=0, atol=1e-5 * max(spread, 1))


def model_with_lau_inside(scale):
    torch.manual_seed(0)
    options = {"upsampler": "lau", "upsampler_options": {"scale": scale}}
    model = create_model(
        backbone="test_resnet", classes=4, output_stride=16, head="deeplabv3plus", head_options=options
    )
    model.backbone = Strides(model.backbone.features)
    return model.eval()


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_the_shortest_side_counts_an_upsampler_inside_a_head(scale):
    least = shortest_side(model_with_lau_inside(scale))
    reached = [scale * ceil(side / 16) >= ceil(side / 4) for side in range(200)]
    assert set(reached[least:]) == {scale >= 4}
    assert least == 32 or reached[least - 1]


@pytest.mark.parametrize("scale", [3, 4])
def test_an_upsampler_inside_a_head(scale):
    model = model_with_lau_inside(scale)
    least = shortest_side(model)
    graph = export_program(model, size=(64, 64), dynamic="all", output="scores").program.module()
    images = torch.randn(1, 3, least, least + 5)
    with torch.no_grad():
        expected = model.field(images).dense()
    torch.testing.assert_close(graph(images), expected, rtol=0, atol=1e-5 * (expected.max() - expected.min()).item())
