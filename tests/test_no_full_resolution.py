"""Training, evaluation and prediction never hold scores at full resolution."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from offstride import create_model
from offstride.evaluate import label_map
from offstride.field import confidence, confusion
from offstride.losses import LossConfig, segmentation_losses

CLASSES, IMAGE = 90, (100, 132)
MODELS = {
    "bilinear": {"upsampler": "bilinear"},
    "LaU": {"upsampler": "lau", "upsampler_options": {"scale": 16}},
    "LaU, each pair of classes": {"upsampler": "lau", "upsampler_options": {"scale": 16, "groups": 2}},
}


class LargestFloat(TorchDispatchMode):
    """Elements of the largest floating-point tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                self.numel = max(self.numel, tensor.numel())
        return result


def case(name):
    torch.manual_seed(0)
    model = create_model(backbone="mobilenetv2_050", head="fcn", classes=CLASSES, output_stride=16, **MODELS[name])
    return model, torch.randn(2, 3, *IMAGE), torch.randint(0, CLASSES, (2, *IMAGE))


FULL = 2 * CLASSES * IMAGE[0] * IMAGE[1]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("location", ["none", "guided", "regression"])
def test_a_training_step(name, location):
    if name == "bilinear" and location != "none":
        pytest.skip("bilinear upsampling has no offsets")
    model, images, labels = case(name)
    with LargestFloat() as largest:
        decoded = model.train().decode(images)
        terms = segmentation_losses(decoded.main, decoded.auxiliary, labels, LossConfig(location=location))
        sum(terms.values()).backward()
    assert 0 < largest.numel < FULL / 2


@pytest.mark.parametrize("name", MODELS)
def test_prediction_and_counting(name):
    model, images, labels = case(name)
    with torch.inference_mode(), LargestFloat() as largest:
        label_map(model.eval(), images)
        field = model.field(images)
        confidence(field)
        confusion(field, labels)
    assert 0 < largest.numel < FULL / 2


def test_the_look_would_find_them():
    model, images, _ = case("bilinear")
    with torch.inference_mode(), LargestFloat() as largest:
        model.eval()(images)
    assert largest.numel >= FULL
