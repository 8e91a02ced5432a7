"""The values of a label map are looked at once a step, whatever shares it: one pass over full-resolution labels."""

import pytest
import torch

from offstride.field import (
    BilinearField,
    LocatedField,
    SubpixelField,
    check_labels,
    confusion,
    cross_entropy,
    pixel_losses,
)
from offstride.losses import (
    LossConfig,
    compressed_label_loss,
    hard_pixels,
    offset_guided_loss,
    offset_regression_loss,
    scene_loss,
    segmentation_losses,
)
from offstride.ops import located_cross_entropy, upsample_confusion, upsample_cross_entropy
from offstride.ops.cross_entropy import operators

B, C, COARSE, FINE, IMAGE = 2, 4, (3, 4), (6, 8), (12, 16)
SCORES, OFFSETS = torch.randn(B, C, *COARSE), torch.randn(B, 2, *FINE)
LOCATED = LocatedField(SCORES, OFFSETS)
THEN_BILINEAR = BilinearField(LOCATED, IMAGE)
BILINEAR = BilinearField(SCORES, IMAGE)
SUBPIXEL = SubpixelField(SCORES, torch.randn(4, 4, C, C), torch.randn(4, 4, C), IMAGE)
AUXILIARY = {"a": BILINEAR, "b": BILINEAR}
WEIGHTS = [0.5, 2.0, 0.25, 1.0]


def labels_for(field):
    labels = torch.randint(0, C, (B, *field.shape[2:]), dtype=torch.uint8)
    labels[:, ::3] = 255
    return labels


@pytest.fixture
def looks(monkeypatch):
    """Sizes of the label maps that are looked at."""
    sizes, look = [], operators.label_weight

    def counting(labels, *rest):
        sizes.append(tuple(labels.shape[1:]))
        return look(labels, *rest)

    monkeypatch.setattr(operators, "label_weight", counting)
    return sizes


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize("field", [LOCATED, THEN_BILINEAR], ids=["located", "then bilinear"])
@pytest.mark.parametrize("location", ["none", "guided", "regression"])
def test_main_auxiliary_and_scene_losses_share_one_look(looks, field, location, class_weights):
    labels = labels_for(field)
    auxiliary = {name: BilinearField(SCORES, tuple(labels.shape[1:])) for name in "ab"}
    config = LossConfig(location=location, class_weights=class_weights)
    losses = segmentation_losses(field, auxiliary, labels, config, scene=torch.zeros(B, C))
    assert len(losses) == 4
    assert looks == [tuple(labels.shape[1:])]


def test_compressed_labels_are_the_same_labels(looks):
    config = LossConfig(compressed=1.0)
    assert len(segmentation_losses(SUBPIXEL, AUXILIARY, labels_for(SUBPIXEL), config)) == 4
    assert looks == [IMAGE]


@pytest.mark.parametrize(
    ("config", "main", "expected"),
    [
        # A second map, of the size at which LaU meets its labels.
        (LossConfig(supervise_at="upsampler", location="regression"), THEN_BILINEAR, [IMAGE, FINE]),
        # One smaller map for the main and both auxiliary fields, which are of one size.
        (LossConfig(labels="downsampled"), BILINEAR, [IMAGE, COARSE]),
        # A map of the image's size in which easy pixels are ignored: its valid pixels have to be counted.
        (LossConfig(hard_share=0.5, class_weights=WEIGHTS), BILINEAR, [IMAGE, IMAGE]),
    ],
    ids=["at the upsampler", "downsampled", "hard pixels"],
)
def test_another_map_is_looked_at_once_itself(looks, config, main, expected):
    segmentation_losses(main, AUXILIARY, labels_for(main), config)
    assert looks == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda labels: upsample_cross_entropy(SCORES, labels, weight=torch.tensor(WEIGHTS)),
        lambda labels: located_cross_entropy(
            SCORES, torch.zeros(B, 2, *IMAGE), labels, regression=0.1, weight=torch.tensor(WEIGHTS)
        ),
        lambda labels: upsample_confusion(SCORES, labels),
        lambda labels: confusion(BILINEAR, labels),
        lambda labels: confusion(SUBPIXEL, labels),
        lambda labels: cross_entropy(BILINEAR, labels),
        lambda labels: pixel_losses(BILINEAR, labels),
        lambda labels: hard_pixels(BILINEAR, labels, share=0.5),
        lambda labels: offset_guided_loss(THEN_BILINEAR, labels),
        lambda labels: offset_regression_loss(THEN_BILINEAR, labels, weight=torch.tensor(WEIGHTS)),
        lambda labels: scene_loss(torch.zeros(B, C), labels),
        lambda labels: compressed_label_loss(SCORES, labels, SUBPIXEL.weight, SUBPIXEL.bias),
    ],
)
def test_public_functions_look_once_and_name_a_stranger(looks, call):
    labels = labels_for(BILINEAR)
    call(labels)
    assert looks == [IMAGE]
    labels[1, 4, 4] = C
    with pytest.raises(ValueError, match=r"labels: expected classes 0 … 3 or 255 \(ignored\), got \[4\]"):
        call(labels)


def test_a_step_names_a_stranger_too():
    labels = labels_for(BILINEAR)
    labels[0, 1, 1] = C
    for config in (LossConfig(), LossConfig(labels="downsampled"), LossConfig(hard_share=0.5)):
        with pytest.raises(ValueError, match=r"labels: expected classes 0 … 3 .*got \[4\]"):
            segmentation_losses(BILINEAR, {}, labels, config)


def test_checked_labels_stand_for_labels_and_options():
    labels, options = labels_for(BILINEAR), {"weight": torch.tensor(WEIGHTS), "label_smoothing": 0.1}
    checked = check_labels(BILINEAR, labels, **options)
    assert torch.equal(cross_entropy(BILINEAR, checked), cross_entropy(BILINEAR, labels, **options))
    assert checked.pixels == (labels != 255).sum()
    with pytest.raises(ValueError, match=r"options: expected none beside checked labels.*got \['weight'\]"):
        cross_entropy(BILINEAR, checked, weight=options["weight"])
    with pytest.raises(ValueError, match=r"labels: expected checked ones for scores of \(2, 4, 6, 8\)"):
        cross_entropy(LOCATED, checked)
    with pytest.raises(ValueError, match=r"labels: expected checked ones for scores of \(2, 3, 12, 16\)"):
        cross_entropy(BilinearField(SCORES[:, :3], IMAGE), checked)


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="smoothing"):
        cross_entropy(BILINEAR, labels_for(BILINEAR), smoothing=0.1)
