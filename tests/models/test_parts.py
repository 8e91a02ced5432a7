import pytest

from offstride.models import ModelConfig
from offstride.models.parts import build_parts
from offstride.upsamplers import Bilinear, LaU


def build(**fields):
    return build_parts(ModelConfig("test_resnet", 5, **fields))


def rates(parts):
    return [branch[0].dilation[0] for branch in parts.head.branches[1:]]


def test_rates_double_at_output_stride_8():
    assert rates(build(head="aspp")) == [6, 12, 18]
    parts = build(head="aspp", output_stride=8)
    assert rates(parts) == [12, 24, 36]
    assert "rates" not in parts.config.head_options


def test_rates_that_are_given_stay():
    assert rates(build(head="aspp", output_stride=8, head_options={"rates": [2, 4]})) == [2, 4]


@pytest.mark.parametrize(("stride", "scale"), [(8, 4), (16, 8)])
def test_lau_covers_half_of_the_stride(stride, scale):
    parts = build(upsampler="lau", output_stride=stride)
    assert isinstance(parts.upsampler, LaU)
    assert parts.upsampler.scale == scale
    assert parts.config.upsampler_options == {"scale": scale}


def test_lau_covers_what_it_is_told():
    parts = build(upsampler="lau", output_stride=8, upsampler_options={"scale": 8, "origin": "corner"})
    assert parts.upsampler.scale == 8
    assert parts.upsampler.origin == "corner"


def test_bilinear_needs_no_channels():
    assert isinstance(build(upsampler_options={"origin": "corner"}).upsampler, Bilinear)


def test_the_colours_are_filled_in():
    parts = build(std=(1.0, 1.0, 1.0))
    assert parts.config.mean == parts.backbone.mean
    assert parts.config.std == (1.0, 1.0, 1.0)


def test_the_auxiliary_head_reads_its_feature():
    parts = build_parts(ModelConfig("test_efficientnet", 5, auxiliary="blocks.2"))
    head = parts.auxiliary["blocks_2"]
    assert head.head.convolution[0].in_channels == parts.backbone.features[2].channels
    assert parts.backbone.features[2].name == "blocks.2"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head": "fpn"}, "head: expected one of aspp, .*, psp, got 'fpn'"),
        ({"upsampler": "cubic"}, "upsampler: expected one of bilinear, .*, got 'cubic'"),
        ({"head_options": {"chanels": 64}}, "head_options: 'fcn' knows channels, dilation, dropout, got chanels"),
        ({"head_options": {"in_channels": 64}}, "head_options: 'fcn' knows .* got in_channels"),
        ({"upsampler_options": {"scale": 4}}, "upsampler_options: 'bilinear' knows origin, got scale"),
        ({"head": "aspp", "head_options": {"rates": 6}}, "head_options: ASPPHead refuses {'rates': 6}"),
        ({"upsampler": "lau", "upsampler_options": {"scale": 0}}, "upsampler_options: LaU refuses {'scale': 0}"),
        ({"fusion": "sum"}, "fusion: expected one of addition, .*, gff, got 'sum'"),
        (
            {"fusion": "gff", "fusion_options": {"levels": ["layer9"]}},
            "fusion_options: FusionHead refuses .*'layer9'|layer9",
        ),
        (
            {"head": "deeplabv3plus", "head_options": {"upsampler": "dupsampling"}},
            "head_options upsampler: expected one that upsamples any map, got 'dupsampling'",
        ),
        (
            {"upsampler": "dupsampling", "upsampler_options": {"scale": 8}},
            "output_stride: the windows of this DUpsampling are 8 pixels wide.* got 16",
        ),
        ({"auxiliary": "layer9"}, "auxiliary: expected one of the features act1, layer1, .*, got 'layer9'"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        build(**fields)


def test_offsets_of_each_class_follow_their_number():
    parts = build(upsampler="lau", upsampler_options={"scale": 2, "groups": "classes"})
    assert parts.config.upsampler_options == {"scale": 2, "groups": 5}


def test_an_upsampler_that_classifies_has_no_classifier_before_it():
    parts = build(upsampler="dupsampling")
    assert not list(parts.classifier.parameters())
    assert parts.config.upsampler_options == {"scale": 16}


def test_an_upsampler_inside_deeplabv3plus():
    options = {"upsampler": "lau", "upsampler_options": {"scale": 4}, "channels": 32}
    parts = build(head="deeplabv3plus", head_options=options)
    assert isinstance(parts.head.upsample, LaU)
    assert parts.head.upsample.vertical[0].in_channels == 32


def test_lau_covers_half_of_what_a_decoder_leaves():
    parts = build(head="deeplabv3plus", upsampler="lau")  # its map has stride 4
    assert parts.upsampler.scale == 2
