import json

import pytest

from offstride.models import ModelConfig

FULL = {
    "backbone": "resnet18",
    "classes": 11,
    "head": "aspp",
    "upsampler": "lau",
    "fusion": "gff",
    "output_stride": 8,
    "multi_grid": [1, 2, 4],
    "cascade": None,
    "taps": ["b1u2c3"],
    "backbone_options": {"drop_path_rate": 0.1},
    "head_options": {"rates": [3, 6]},
    "upsampler_options": {"scale": 4},
    "fusion_options": {"pyramid": True},
    "auxiliary": "layer3",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.1, 0.2, 0.3],
}


def test_plain_data_there_and_back():
    config = ModelConfig.from_dict(FULL)
    assert config.mean == (0.5, 0.4, 0.3)
    assert json.loads(json.dumps(config.to_dict())) == FULL
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_only_backbone_and_classes_are_required():
    assert ModelConfig.from_dict({"backbone": "resnet18", "classes": 2}) == ModelConfig(
        "resnet18", 2, head="fcn", upsampler="bilinear", fusion=None, output_stride=16
    )
    with pytest.raises(ValueError, match="model config: classes missing"):
        ModelConfig.from_dict({"backbone": "resnet18"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"haed": "fcn", "stride": 8}, "model config: unknown haed, stride; known are auxiliary, backbone,"),
        ({"classes": 0}, "classes: expected a positive whole number, got 0"),
        ({"classes": "21"}, "classes: expected a positive whole number, got '21'"),
        ({"classes": True}, "classes: expected a positive whole number, got True"),
        ({"output_stride": 8.0}, r"output_stride: expected a positive whole number, got 8\.0"),
        ({"head_options": ["rates"]}, "head_options: expected names and values"),
        ({"backbone_options": {"act_layer": object}}, "backbone_options: expected values that JSON can hold"),
        ({"mean": 0.5}, r"mean: expected three numbers, got 0\.5"),
        ({"std": [1, 2]}, "std: expected three numbers"),
    ],
)
def test_bad_values_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict({**FULL, **change})


@pytest.mark.parametrize(
    ("values", "message"), [({"classes": 3}, "backbone missing"), (["backbone"], "names and values")]
)
def test_other_data_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict(values)
