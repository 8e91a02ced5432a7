"""Plans, refusals, other upsamplers, and models whose modules are named."""

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from families import build
from torch import nn
from transformers import MaskFormerForInstanceSegmentation, SegformerConfig, SegformerForImageClassification

from offstride import plan_upsampling, replace_upsampling, upsample_argmax, upsample_cross_entropy
from offstride.field import argmax, cross_entropy
from offstride.models.parts import UPSAMPLERS
from offstride.replace.choice import whole_ratio
from offstride.upsamplers import DySample, JointBilateral

EXAMPLE = (1, 3, 64, 96)
EXACT = {"bilinear", "deformable", "dysample", "lau", "residual"}


class Named(nn.Module):
    """A model of no library: classifier and interpolation are modules."""

    def __init__(self, align_corners=False, mode="bilinear", factor=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 7, 4, 3), nn.Tanh())
        self.classify = nn.Conv2d(12, 3, 1)
        self.rest = nn.ModuleDict({"up": nn.Upsample(scale_factor=factor, mode=mode, align_corners=align_corners)})
        if mode == "nearest":
            self.rest["up"] = nn.Upsample(scale_factor=factor)

    def forward(self, x):
        return self.rest["up"](self.classify(self.body(x)))


PATHS = {"classifier": "classify", "upsampling": "rest.up"}


@pytest.mark.parametrize("align_corners", [False, True])
def test_modules_that_are_named(align_corners):
    model, images = Named(align_corners), torch.randn(2, 3, 32, 48)
    replaced = replace_upsampling(model, example=images, **PATHS)
    torch.testing.assert_close(replaced(images), model(images), rtol=0, atol=1e-5)
    assert replaced.training
    assert replaced.plan.origin == ("aligned" if align_corners else "center")
    assert replaced.plan.exact
    model.load_state_dict(replaced.original_state_dict())
    assert repr(model) == repr(Named(align_corners))
    assert torch.equal(model.body(images), replaced.model.body(images))


@pytest.mark.parametrize("training", [True, False])
def test_all_of_it_is_in_the_mode_of_the_original(training):
    replaced = replace_upsampling(Named().train(training), example=EXAMPLE, **PATHS)
    assert {module.training for module in replaced.modules()} == {training}


def test_shared_modules_are_the_originals():
    model = Named()
    replaced = replace_upsampling(model, example=EXAMPLE, copy=False, **PATHS)
    assert replaced.model.body is model.body
    assert replaced.model.classify.weight is model.classify.weight
    assert type(model.classify) is nn.Conv2d


def test_the_stride_is_that_of_the_scores_whatever_follows_them():
    plan = plan_upsampling(Named(factor=2), example=EXAMPLE, **PATHS)
    assert plan.stride == 4
    assert plan.options["scale"] == 2
    assert "stride 4" in str(plan)


def test_a_plan_is_a_table():
    plan = plan_upsampling(Named(), "lau", example=EXAMPLE, hidden=8, **PATHS)
    assert (plan.classifier, plan.features, plan.classes, plan.stride) == ("classify", 12, 3, 4)
    assert (plan.upsampler, plan.options["scale"], plan.options["hidden"]) == ("lau", 4, 8)
    assert plan.parameters == 2 * (12 * 8 + 9 * 8 * 16)
    lines = str(plan).splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == [
        "model",
        "classifier",
        "interpolation",
        "convention",
        "upsampler",
        "at start",
    ]
    assert lines[1].endswith("classify: 12 channels to 3 classes, stride 4")
    assert "equals the original" in lines[-1]
    assert "differs from the original" in str(plan_upsampling(Named(), "carafe", example=EXAMPLE, **PATHS))


ALIGNED = ("smp FPN", "lau"), ("smp FPN", "residual"), ("smp FPN", "carafe")


@pytest.mark.parametrize(
    ("family", "name"), [*ALIGNED, *(("transformers segformer", name) for name in sorted(UPSAMPLERS))]
)
def test_any_upsampler(family, name):
    """Those that can start as the original do, and the plan tells; all have losses, labels and gradients."""
    torch.manual_seed(0)
    original = build(family)
    images, labels = torch.randn(1, 3, 64, 96), torch.randint(0, 4, (1, 64, 96))
    options = {"dupsampling": {"channels": 8}, "lau": {"groups": "classes"}}.get(name, {})
    replaced = replace_upsampling(original, name, example=images, **options)
    assert replaced.plan.exact == (name in EXACT)
    assert replaced.plan.exact == (replaced.plan.difference < 1e-3)
    field = replaced.field(images)
    assert field.shape[2:] == (64, 96)
    loss = cross_entropy(field, labels)
    torch.testing.assert_close(loss, F.cross_entropy(field.dense(), labels), rtol=1e-3, atol=1e-4)
    loss.backward()
    gradients = [parameter.grad for parameter in replaced.upsampler.parameters()]
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients) == bool(gradients)
    assert argmax(field).shape == labels.shape


def test_guides_are_the_image_at_coarser_grids():
    lau = replace_upsampling(build("smp FPN"), "lau", example=EXAMPLE, guide_stride=2)
    assert lau.plan.exact
    assert lau.upsampler.guide.reduce.in_channels == 12
    model, images = Named(), torch.randn(2, 3, 32, 48)  # scores of stride 4
    sapa = replace_upsampling(model, "sapa", example=images, guide_stride=2, **PATHS).eval()
    seen = []
    sapa.upsampler.query.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    sapa(images)
    assert seen == [(2, 16, 24, 12)]


@pytest.mark.parametrize(
    ("fine", "coarse", "stride"),
    [
        ((512, 512), (64, 64), 8),
        ((65, 97), (9, 13), 8),
        ((65, 97), (5, 7), 16),
        ((70, 53), (17, 13), 4),
        ((518, 518), (37, 37), 14),
    ],
)
def test_strides(fine, coarse, stride):
    assert whole_ratio(fine, coarse) == stride


def test_an_upsampler_that_is_built():
    upsampler = DySample(12, scale=4, init="zero")
    replaced = replace_upsampling(Named(), upsampler, example=EXAMPLE, **PATHS)
    assert replaced.upsampler is upsampler
    assert replaced.plan.upsampler == "DySample"
    with pytest.raises(ValueError, match="options: expected none beside an upsampler that is built, got scale"):
        replace_upsampling(Named(), upsampler, example=EXAMPLE, scale=2, **PATHS)
    assert (
        replace_upsampling(Named(), JointBilateral(), example=EXAMPLE, **PATHS)(torch.randn(1, 3, 30, 41)).shape[1] == 3
    )


class Refining(Named):
    def __init__(self):
        super().__init__()
        self.refine = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.refine(super().forward(x))


class Squashing(Named):
    def forward(self, x):
        return self.rest["up"](self.classify(self.body(x)).softmax(1))


class Mixing(Named):
    def forward(self, x):
        return self.rest["up"](self.classify(self.body(x)).flip(1))


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            Named,
            {},
            r"model: Named is of no library.*Conv2d are body\.0, classify, the last nn\.Upsample rest\.up",
        ),
        (Named, {**PATHS, "classifier": "rest.down"}, r"classifier: expected the path of a module.*'rest\.down'"),
        (Named, {**PATHS, "classifier": "body"}, "classifier: expected a Conv2d at 'body', got Sequential"),
        (Named, {**PATHS, "upsampling": "body"}, "upsampling: expected an nn.Upsample at 'body', got Sequential"),
        (
            lambda: Named(None, "nearest"),
            PATHS,
            "upsampling: expected bilinear .* got Upsample",
        ),
        (lambda: Named(factor=1), PATHS, "nothing is left to replace"),
        (Refining, PATHS, "model: Refining is not understood: with classifier classify it .*channels"),
        (Mixing, PATHS, "it differs by .* when rest.up: Upsample.* is redone"),
        (Squashing, PATHS, "model: Squashing is not understood"),
        (
            lambda: smp.Unet("tu-test_resnet", encoder_weights=None),
            {},
            "Unet reaches the resolution of the image",
        ),
        (lambda: smp.Linknet("tu-test_resnet", encoder_weights=None), {}, "Linknet reaches the resolution"),
        (lambda: build("smp FPN"), {"classifier": "decoder"}, r"classifier: expected 'segmentation_head\.0'"),
        (
            lambda: build("smp PAN"),
            {},
            "example: expected images that .* PAN takes, got .*RuntimeError: Given",
        ),
        (lambda: build("torchvision FCN"), {"upsampling": "backbone"}, "upsampling: FCN interpolates in forward"),
        (lambda: build("torchvision LRASPP"), {"classifier": "backbone"}, "classifier: LRASPP has two"),
        (
            lambda: SegformerForImageClassification(SegformerConfig(depths=[1] * 4)),
            {},
            "semantic segmentation .*got Seg",
        ),
        (Named, {**PATHS, "upsampler": "sharp"}, "upsampler: expected one of bilinear, .*got 'sharp'"),
        (Named, {**PATHS, "sclae": 2}, "upsampler_options: 'lau' knows .*got sclae"),
        (Named, {**PATHS, "example": (3, 64, 64)}, r"example: expected images.*got \(3, 64, 64\)"),
    ],
)
def test_what_is_not_understood_is_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        plan_upsampling(model(), **{"example": EXAMPLE, **options})


def test_a_replaced_model_is_not_replaced_again():
    with pytest.raises(ValueError, match="its interpolation is replaced already"):
        plan_upsampling(replace_upsampling(Named(), example=EXAMPLE, **PATHS))


def test_models_of_masks_are_refused():
    assert MaskFormerForInstanceSegmentation.__module__.startswith("transformers")
    model = object.__new__(MaskFormerForInstanceSegmentation)
    nn.Module.__init__(model)
    with pytest.raises(ValueError, match=r"semantic segmentation .*got MaskFormerForInstanceSegmentation"):
        plan_upsampling(model)


@pytest.mark.parametrize("name", ["segformer", "beit", "mobilevit", "upernet", "dpt"])
def test_transformers_lose_what_their_originals_lose(name):
    original = build(f"transformers {name}")
    images, labels = torch.randn(2, 3, 64, 64), torch.randint(0, 5, (2, 64, 64))
    labels[:, :9] = 255
    replaced = replace_upsampling(original, example=images)
    expected, actual = original(images, labels=labels), replaced(pixel_values=images, labels=labels)
    torch.testing.assert_close(actual.loss, expected.loss, rtol=1e-5, atol=1e-6)
    actual.loss.backward()
    assert replaced.upsampler.vertical[2].weight.grad.abs().max() > 0
    pair = replaced(images, labels=labels, return_dict=False)
    assert isinstance(pair, tuple)
    assert len(pair) == len(original(images, labels=labels, return_dict=False))
    assert len(replaced(images, output_hidden_states=True).hidden_states) == len(
        original(images, output_hidden_states=True).hidden_states
    )
    assert not replaced(images, labels=torch.full_like(labels, 255)).loss.any()


def test_coarse_logits_stay_coarse_unless_they_are_asked_for():
    replaced = replace_upsampling(build("transformers segformer"), example=(1, 3, 64, 64))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for parameter in replaced.upsampler.parameters():
            parameter.normal_(std=0.2)
        coarse = replaced(images).logits
        replaced.output = "image"
        fine = replaced(images).logits
    assert coarse.shape == (1, 5, 16, 16)
    assert torch.equal(fine, replaced.field(images).dense())
    assert not torch.allclose(fine, F.interpolate(coarse, (64, 64), mode="bilinear"), atol=1e-2)
    assert replaced.config.num_labels == 5
    with pytest.raises(ValueError, match=r"output: expected one of .*got 'fine'"):
        replaced.output = "fine"


def test_one_line_in_place_of_interpolate_and_cross_entropy():
    logits, labels = torch.randn(2, 5, 7, 9, requires_grad=True), torch.randint(0, 5, (2, 30, 41))
    labels[0, :5] = 255
    weight = torch.rand(5)
    for origin, aligned in (("center", False), ("aligned", True)):
        dense = F.interpolate(logits, (30, 41), mode="bilinear", align_corners=aligned)
        for reduction in ("mean", "sum", "none"):
            options = {"weight": weight, "label_smoothing": 0.1, "ignore_index": 255, "reduction": reduction}
            expected = F.cross_entropy(dense, labels, **options)
            actual = upsample_cross_entropy(logits, labels, origin=origin, **options)
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
            gradients = [torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (actual, expected)]
            torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
        agreement = upsample_argmax(logits, (30, 41), origin=origin).long() == dense.argmax(1)
        assert agreement.float().mean() > 0.999
    nothing = torch.full_like(labels, 255)
    assert F.cross_entropy(logits.mean((2, 3)), nothing[:, 0, 0], ignore_index=255).isnan()
    assert upsample_cross_entropy(logits, nothing) == 0
