"""Weights of some parts of one model in another that has more parts, or others."""

import pytest
import torch

from offstride.data.catalog import ClassSet
from offstride.models import create_model

FIELDS = {
    "backbone": "test_resnet",
    "head": "psp",
    "head_options": {"channels": 8},
    "output_stride": 8,
    "auxiliary": "layer3",
}
FUSED = FIELDS | {"fusion": "gff", "fusion_options": {"width": 4, "pyramid": True}}
ABC = ClassSet(("a", "b", "c"))


@pytest.fixture
def plain(tmp_path):
    torch.manual_seed(1)
    model = create_model(classes=ABC, mean=(0.1, 0.2, 0.3), **FIELDS)
    model.save(tmp_path / "plain.safetensors")
    return tmp_path / "plain.safetensors", model


@pytest.fixture
def fused():
    torch.manual_seed(2)
    return create_model(classes=ABC, **FUSED)


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_fusion_starts_from_the_model_without_it(plain, fused):
    path, source = plain
    before = copied(fused)
    fused.start_from(path, ("backbone", "head", "auxiliary"))
    for ours, theirs in (
        (fused.backbone, source.backbone),
        (fused.head.context, source.head),
        (fused.auxiliary, source.auxiliary),
    ):
        assert same(ours.state_dict(), theirs.state_dict())
    fresh = [name for name in before if name.startswith(("head.fusion.", "head.pyramid.", "classifier."))]
    assert {name.split(".")[1] for name in fresh} == {"fusion", "pyramid", "weight", "bias"}
    assert all(torch.equal(fused.state_dict()[name], before[name]) for name in fresh)
    assert fused.mean == (0.1, 0.2, 0.3)


def test_and_the_other_way_round(plain, fused, tmp_path):
    _, target = plain
    fused.save(tmp_path / "fused.safetensors")
    backbone = copied(target.backbone)
    target.start_from(tmp_path / "fused.safetensors", ["head"])
    assert same(target.head.state_dict(), fused.head.context.state_dict())
    assert same(target.backbone.state_dict(), backbone)
    assert target.mean == (0.1, 0.2, 0.3)  # which belongs to the backbone


def test_a_fusion_alone(fused, tmp_path):
    fused.save(tmp_path / "fused.safetensors")
    torch.manual_seed(3)
    other = create_model(classes=ABC, **FUSED)
    context = copied(other.head.context)
    other.start_from(tmp_path / "fused.safetensors", ["fusion", "classifier"])
    assert same(other.head.fusion.state_dict(), fused.head.fusion.state_dict())
    assert same(other.head.pyramid.state_dict(), fused.head.pyramid.state_dict())
    assert same(other.classifier.state_dict(), fused.classifier.state_dict())
    assert same(other.head.context.state_dict(), context)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["backbone", "neck"], "start_parts: expected some of backbone, head, fusion, .* got neck"),
        (["context"], "start_parts: expected some of .* got context"),
        (["fusion"], "start_parts: the file has no weights in fusion"),
        (["backbone", "upsampler"], "start_parts: the model has no weights in upsampler"),
        (["classifier"], r"start_parts: the weights do not fit the model: 1 of another shape \(classifier.weight"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(plain, fused, parts, message):
    before, mean = copied(fused), fused.mean
    with pytest.raises(ValueError, match=rf"plain\.safetensors: {message}"):
        fused.start_from(plain[0], parts)
    assert same(fused.state_dict(), before)
    assert fused.mean == mean


def test_another_backbone_or_head_is_named(plain):
    other = create_model(classes=ABC, **{**FIELDS, "head": "fcn"})
    with pytest.raises(ValueError, match=r"start_parts: .* missing \(head\.convolution.*unexpected"):
        other.start_from(plain[0], ["head"])
    other = create_model(classes=ABC, **{**FIELDS, "auxiliary": "layer2"})
    with pytest.raises(ValueError, match=r"missing \(auxiliary\.layer2"):
        other.start_from(plain[0], ["auxiliary"])


def test_classes_matter_to_the_parts_that_know_them(plain):
    others = create_model(classes=ClassSet(("a", "b", "d", "e")), **FIELDS)
    others.start_from(plain[0], ["backbone", "head"])
    assert same(others.backbone.state_dict(), plain[1].backbone.state_dict())
    with pytest.raises(ValueError, match=r"classes: expected a, b, d, e; the model has a, b, c"):
        others.start_from(plain[0], ["backbone", "auxiliary"])
