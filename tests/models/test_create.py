import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from offstride.data.catalog import CAMVID
from offstride.models import ModelConfig, create_model


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def gmacs(model, side):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval().field(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(("stride", "expected"), [(16, 71.06), (8, 246.18)])
def test_deeplabv3_costs_what_its_authors_say(stride, expected):
    with torch.device("meta"):
        model = create_model(backbone="resnet101", head="aspp", classes=21, output_stride=stride)
    assert size(model) == 58_040_661
    assert gmacs(model, 513) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("backbone", "hidden", "before", "after", "macs"),
    [("resnet50s", 128, 39.772, 39.875, 171.12), ("resnet101s", 64, 58.765, 58.816, 248.49)],
)
def test_lau_costs_what_its_authors_say(backbone, hidden, before, after, macs):
    options = {"hidden": hidden, "block": True}
    with torch.device("meta"):
        model = create_model(
            backbone=backbone, head="aspp", classes=59, output_stride=8, upsampler="lau", upsampler_options=options
        )
    branches = size(model.upsampler) - (9 * 256 * 256 + 2 * 256)  # the paper's base has the 3×3 block too
    assert branches == 2 * (256 * hidden + 9 * hidden * 4**2)
    assert round((size(model) - branches) / 1e6, 3) == before
    assert round(size(model) / 1e6, 3) == after
    assert gmacs(model, 512) == pytest.approx(macs, abs=0.005)


def test_keywords_and_configuration_mean_the_same():
    config = ModelConfig("test_resnet", 5, head="aspp", upsampler="lau", output_stride=8)
    by_config = create_model(config)
    by_keywords = create_model(backbone="test_resnet", classes=5, head="aspp", upsampler="lau", output_stride=8)
    assert by_config.config == by_keywords.config
    assert by_config.state_dict().keys() == by_keywords.state_dict().keys()


def test_keywords_replace_fields():
    config = ModelConfig("test_resnet", 5)
    assert create_model(config, head="aspp").config.head == "aspp"
    assert config.head == "fcn"


def test_classes_bring_their_number_and_names():
    model = create_model(backbone="test_resnet", classes=CAMVID)
    assert model.config.classes == 11
    assert model.classes is CAMVID
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape[1] == 11


def test_classes_must_agree_and_be_known():
    with pytest.raises(ValueError, match="classes: expected 21 as in the configuration, got 11"):
        create_model(ModelConfig("test_resnet", 21), classes=CAMVID)
    with pytest.raises(ValueError, match="classes missing"):
        create_model(backbone="test_resnet")


def test_pretrained_weights_arrive_and_bring_their_colours(tmp_path):
    weights = timm.create_model("test_resnet").state_dict()
    save_file(weights, tmp_path / "w.safetensors", metadata={"mean": "0.5", "std": "0.25"})
    model = create_model(backbone="test_resnet", classes=3, pretrained=tmp_path / "w.safetensors")
    torch.testing.assert_close(model.backbone.network["layer1"][0].conv1.weight, weights["layer1.0.conv1.weight"])
    assert (model.mean, model.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    kept = create_model(backbone="test_resnet", classes=3, mean=[0.1, 0.2, 0.3], pretrained=tmp_path / "w.safetensors")
    assert (kept.mean, kept.std) == ((0.1, 0.2, 0.3), (0.25, 0.25, 0.25))


def test_the_model_is_ready_to_train():
    assert all(module.training for module in create_model(backbone="test_resnet", classes=3).modules())
