"""One model of each head and one with gates through `torch.compile`, by its real backend."""

import pytest
import torch

from offstride.models import create_model
from offstride.models.parts import HEADS

LOW_LEVEL = {"taps": ["layer1.0"], "head_options": {"low_level": ["layer1.0"]}}
MODELS = {head: {"head": head} for head in HEADS} | {
    "dupsampling_decoder": {"head": "dupsampling_decoder", "upsampler": "dupsampling", **LOW_LEVEL},
    "GFF, DFP, LaU": {"fusion": "gff", "fusion_options": {"pyramid": True, "width": 8}, "upsampler": "lau"},
}


@pytest.mark.parametrize("kind", MODELS)
def test_compiled_models_give_the_same_scores(kind):
    torch.manual_seed(0)
    torch.compiler.reset()
    model = create_model(backbone="test_resnet", classes=3, output_stride=8, **MODELS[kind]).eval()
    images = torch.randn(2, 3, 33, 26)
    with torch.no_grad():
        found = torch.compile(model)(images)
        torch.testing.assert_close(found, model(images), rtol=1e-4, atol=1e-5)
