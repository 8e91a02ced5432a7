"""One model of each head, one with LaU and one with gates through `torch.compile`.

Each must become one graph without breaks. Only one goes through inductor as well: the code that it writes takes most
of the time, and is torch's own.
"""

import pytest
import torch

from offstride.models import create_model
from offstride.models.parts import HEADS

pytestmark = pytest.mark.slow

LOW_LEVEL = {"taps": ["layer1.0"], "head_options": {"low_level": ["layer1.0"]}}
MODELS = {head: {"head": head} for head in HEADS} | {
    "dupsampling_decoder": {"head": "dupsampling_decoder", "upsampler": "dupsampling", **LOW_LEVEL},
    "LaU": {"head": "linear", "upsampler": "lau", "upsampler_options": {"hidden": 8}},
    "GFF, DFP, LaU": {"fusion": "gff", "fusion_options": {"pyramid": True, "width": 8}, "upsampler": "lau"},
}


@pytest.mark.parametrize(
    ("kind", "options"),
    [*((kind, {"backend": "aot_eager", "fullgraph": True}) for kind in MODELS), ("LaU", {})],
)
def test_compiled_models_give_the_same_scores(kind, options):
    torch.manual_seed(0)
    torch.compiler.reset()
    model = create_model(backbone="test_resnet", classes=3, output_stride=8, **MODELS[kind]).eval()
    images = torch.randn(2, 3, 33, 26)
    with torch.no_grad():
        scores = torch.compile(model, **options)(images)
        torch.testing.assert_close(scores, model(images), rtol=1e-4, atol=1e-5)
