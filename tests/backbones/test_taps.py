"""Intermediate maps against hooks of our own on timm's full models."""

from copy import deepcopy

import pytest
import timm
import torch

from offstride.backbones import Backbone

# name of the paper, module in timm's full model, channels, stride (of the image, at output stride 16)
RESNET = [("b3u6c3", "layer3.5.bn3", 1024, 16), ("conv1_3", "act1", 128, 2), ("b1u2c3", "layer1.1.bn3", 256, 4)]
XCEPTION = [("mfb1u16c3", "blocks.18.stack.conv3", 728, 16), ("efb2u1c2", "blocks.1.stack.act3", 256, 4)]
SMALL = {"channels": (8, 8, 8, 8), "zero_init_last": False}  # zeros would hide what `b1u2c3` is
XCEPTION71 = [("mfb1u16c3", "blocks.20.stack.conv3", 728, 16), ("efb2u1c2", "blocks.1.stack.act3", 256, 4)]


@pytest.mark.parametrize(
    ("name", "expected"), [("resnet50s", RESNET), ("xception65", XCEPTION), ("xception71", XCEPTION71)]
)
def test_names_of_the_papers(name, expected):
    with torch.device("meta"):
        backbone = Backbone(name, output_stride=16, taps=[alias for alias, *_ in expected]).eval()
        maps = backbone(torch.zeros(1, 3, 97, 130))
    assert [tuple(info) for info in backbone.features[: len(expected)]] == [
        (channels, stride, alias) for alias, _, channels, stride in expected
    ]
    assert [info.name for info in backbone.features[len(expected) :]] == backbone.network.feature_info.module_name()
    assert [tuple(each.shape[1:]) for each in maps[: len(expected)]] == [
        (channels, -(-97 // stride), -(-130 // stride)) for _, _, channels, stride in expected
    ]


def recorded(model, path, images):
    """Copy of what a module returns, before anything else happens to it."""
    outputs = []
    handle = model.get_submodule(path).register_forward_hook(
        lambda module, inputs, output: outputs.append(output.clone())
    )
    with torch.no_grad():
        model(images)
    handle.remove()
    return outputs[0]


@pytest.mark.parametrize(
    ("name", "arguments", "taps"),
    [
        ("resnet50s", SMALL, dict([*[each[:2] for each in RESNET], ("layer2.0.conv1",) * 2])),
        ("xception65", {}, dict(each[:2] for each in XCEPTION)),
        ("densenet121", {}, {"features.denseblock2.denselayer3.conv2": "features.denseblock2.denselayer3.conv2"}),
    ],
)
def test_maps_are_what_the_modules_return(name, arguments, taps):
    full = timm.create_model(name, **arguments).eval()
    backbone = Backbone(name, taps=list(taps), options=arguments).eval()
    state = full.state_dict()
    paths = {path: path if path in state else path.replace("_", ".", 1) for path in backbone.network.state_dict()}
    backbone.network.load_state_dict({path: state[source] for path, source in paths.items()})
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = backbone(images)
    for tapped, path in zip(maps, taps.values(), strict=False):
        torch.testing.assert_close(tapped, recorded(full, path, images))


@pytest.fixture
def backbone():
    """Stem and layer1 of a slim ResNet."""
    return Backbone(
        "resnet50s", output_stride=4, taps=["b1u2c3", "conv1_3"], options=SMALL | {"out_indices": (0, 1)}
    ).eval()


def test_gradients_reach_the_image(backbone):
    images = torch.randn(1, 3, 45, 67, requires_grad=True)
    for tapped in backbone(images)[:2]:
        (gradient,) = torch.autograd.grad(tapped.square().sum(), images, retain_graph=True)
        assert gradient.abs().max() > 0


def test_nothing_is_kept_after_a_run(backbone):
    def tensors():
        return [value for value in vars(backbone._taps).values() if value]

    before = tensors()
    backbone(torch.zeros(1, 3, 32, 32))
    assert tensors() == before
    backbone.network.layer1[2].register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
    with pytest.raises(RuntimeError, match="stop"):
        backbone(torch.zeros(1, 3, 32, 32))
    assert tensors() == before


def test_copies_are_independent(backbone):
    images = torch.randn(1, 3, 45, 67)
    copy = deepcopy(backbone)
    with torch.no_grad():
        copy.network.conv1[0].weight.zero_()
        expected, changed, again = backbone(images), copy(images), backbone(images)
    for first, second, other in zip(expected, again, changed, strict=True):
        assert torch.equal(first, second)
        assert not torch.equal(first, other)


def test_compiled_maps_are_the_same(backbone):
    images = torch.randn(1, 3, 45, 67)
    with torch.no_grad():
        expected = backbone(images)
        compiled = torch.compile(backbone, backend="aot_eager", fullgraph=True)(images)
    for each, reference in zip(compiled, expected, strict=True):
        torch.testing.assert_close(each, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "taps", "message"),
    [
        ("resnet50", ["layer1.1.bn4"], "'resnet50', got 'layer1.1.bn4'; close: .*layer1.1.bn3"),
        ("resnet50", ["conv1_3"], "got 'conv1_3'; close: b1u2c3, b3u6c3"),  # the stem is a single convolution
        ("resnet18", ["b1u2c3"], "taps: expected modules of 'resnet18', got 'b1u2c3'"),
        ("xception65", ["mfb1u8c3"], "got 'mfb1u8c3'; close: efb2u1c2, mfb1u16c3"),
        ("resnet50", ["fc"], "taps: expected modules of 'resnet50', got 'fc'"),
        ("resnet50", ["layer1", "layer1"], "taps: expected different names"),
        ("resnet50", "layer1", "taps: expected different names, got 'layer1'"),
        ("test_vit", ["blocks.1.mlp"], r"taps: .*'blocks.1.mlp' returns \(1, 17, 64\) for an image of \(64, 64\)"),
        ("test_vit", ["head_drop"], "taps: .*'head_drop' returns none"),
    ],
)
def test_impossible_taps_are_refused(name, taps, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        Backbone(name, output_stride=16, taps=taps)
