"""The loss of a whole model: its terms against the equations, and what a configuration refuses."""

import math
from dataclasses import replace

import equations
import pytest
import torch
import torch.nn.functional as F
from cases import close, gradients, make_case

from offstride.field import BilinearField, DenseField, LocatedField, cross_entropy
from offstride.losses import LossConfig, offset_regression_loss, segmentation_losses

WEIGHTS = [0.5, 2.0, 0.25, 1.0]


def expected_main(case, config):
    """The main term as it should be on the grid that `supervise_at` names."""
    scores, offsets = case.leaves
    labels, size = case.labels, case.size
    if config.supervise_at == "upsampler" and size is not None:
        labels = F.interpolate(labels[None].float(), offsets.shape[2:], mode="nearest")[0].long()
        size = None
    common = {"weight": torch.tensor(WEIGHTS), "smoothing": config.label_smoothing}
    if config.location == "none":
        return equations.mean_loss(equations.render(scores, offsets, case.origin, size), labels, **common)
    common |= {"origin": case.origin, "size": size, "penalty": config.penalty, "normalize": config.normalize}
    if config.location == "guided":
        return equations.offset_guided(scores, offsets, labels, ties=config.ties, **common)
    return equations.offset_regression(scores, offsets, labels, strength=config.strength, **common)


@pytest.mark.parametrize("supervise_at", ["input", "upsampler"])
@pytest.mark.parametrize("name", ["center", "then bilinear", "then bilinear, corner, pairs"])
@pytest.mark.parametrize("location", ["none", "guided", "regression"])
def test_terms_are_those_of_the_equations(supervise_at, name, location):
    case = make_case(name)
    config = LossConfig(
        location=location,
        penalty=0.6,
        strength=0.8,
        supervise_at=supervise_at,
        ties="spare",
        normalize="all",
        class_weights=WEIGHTS,
        label_smoothing=0.1,
        auxiliary=0.4,
    )
    helper = torch.randn(2, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    fields = {"third": BilinearField(helper, tuple(case.labels.shape[1:]))}
    losses = segmentation_losses(case.field, fields, case.labels, config)
    assert list(losses) == ["main", "third"]
    expected = expected_main(case, config)
    close(losses["main"], expected)
    for ours, theirs in zip(gradients(losses["main"], case.leaves), gradients(expected, case.leaves), strict=True):
        close(ours, theirs)
    full = F.interpolate(helper, case.labels.shape[1:], mode="bilinear", align_corners=False)
    close(losses["third"], 0.4 * equations.mean_loss(full, case.labels, torch.tensor(WEIGHTS), 0.1))


def test_the_window_of_the_regression_is_that_of_the_configuration():
    case = make_case("center")
    losses = {}
    for window in (1, 2):
        config = LossConfig(location="regression", penalty=0.6, strength=0.8, window=window)
        losses[window] = segmentation_losses(case.field, {}, case.labels, config)["main"]
        options = {"penalty": 0.6, "strength": 0.8, "window": window}
        close(losses[window], offset_regression_loss(case.field, case.labels, **options))
    assert losses[1] != losses[2]


@pytest.mark.parametrize("probability", [None, 0.4])
def test_hard_pixels_alone_are_those_of_the_configuration(probability):
    """A fifth of the valid pixels, the hardest, or all whose true class has less than a probability."""
    torch.manual_seed(0)
    scores, labels = torch.randn(1, 3, 8, 10), torch.randint(0, 3, (1, 8, 10))
    config = LossConfig(hard_share=0.2, hard_probability=probability)
    loss = segmentation_losses(DenseField(scores), {}, labels, config)["main"]
    each = F.cross_entropy(scores, labels, reduction="none").flatten().sort(descending=True).values
    count = 16 if probability is None else int((each > -math.log(probability)).sum())
    assert count >= 16
    torch.testing.assert_close(loss, each[:count].mean())


def test_defaults_are_the_papers():
    config = LossConfig()
    assert (config.location, config.penalty, config.strength, config.auxiliary) == ("none", 0.3, 0.1, 0.2)
    assert (config.supervise_at, config.ties, config.normalize) == ("input", "penalize", "valid")


def test_bilinear_fields_are_supervised_at_the_input():
    field = BilinearField(torch.randn(1, 3, 2, 2, dtype=torch.float64), (8, 8))
    labels = torch.randint(0, 3, (1, 8, 8))
    losses = segmentation_losses(field, {}, labels, LossConfig(supervise_at="upsampler"))
    close(losses["main"], cross_entropy(field, labels))


def test_across_reaches_every_term():
    case = make_case("center")
    seen = []
    segmentation_losses(
        case.field,
        {"a": case.field, "b": case.field},
        case.labels,
        LossConfig(location="regression"),
        across=lambda count: seen.append(count.item()) or count,
    )
    assert seen == 4 * [(case.labels != 255).sum().item()]  # cross-entropy and pull, and two auxiliary terms


def test_location_losses_need_offsets():
    field = BilinearField(torch.zeros(1, 3, 2, 2), (4, 4))
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    for location in ("guided", "regression"):
        with pytest.raises(ValueError, match="field: expected location-aware"):
            segmentation_losses(field, {}, labels, LossConfig(location=location))


def test_labels_of_the_image_are_expected_also_on_the_grid_of_the_upsampler():
    inner = LocatedField(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"labels: expected shape \(1, 8, 8\)"):
        segmentation_losses(
            BilinearField(inner, (8, 8)),
            {},
            torch.zeros(1, 6, 6, dtype=torch.int64),
            LossConfig(supervise_at="upsampler"),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"location": "offset"},
        {"supervise_at": "output"},
        {"ties": "both"},
        {"normalize": "none"},
        {"penalty": -0.1},
        {"strength": -1.0},
        {"auxiliary": -0.2},
        {"label_smoothing": 1.0},
        {"penalty": float("nan")},
    ],
    ids=str,
)
def test_a_configuration_names_what_is_wrong(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name}: expected .*got {value!r}"):
        LossConfig(**change)


def test_scores_for_the_scene_are_a_term_of_their_own():
    case = make_case("center")
    scores, offsets = case.leaves
    field = LocatedField(scores, offsets, case.origin)
    B, C = scores.shape[:2]
    scene = torch.randn(B, C, requires_grad=True)
    terms = segmentation_losses(field, {}, case.labels, LossConfig(scene=0.5), scene=scene)
    present = torch.tensor([[(labels == c).any().item() for c in range(C)] for labels in case.labels]).float()
    close(terms["scene"], 0.5 * F.binary_cross_entropy_with_logits(scene, present))
    assert "scene" not in segmentation_losses(field, {}, case.labels, LossConfig())
    with pytest.raises(ValueError, match="scene: expected a number of at least 0"):
        LossConfig(scene=-1.0)


@pytest.mark.parametrize("origin", ["center", "corner"])
def test_labels_can_be_brought_to_the_grid_of_the_scores(origin):
    """DeepLabv3, Table 8: scores and labels meet at the size of the scores, in all heads."""
    scores, helper = (torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    labels = torch.randint(0, 3, (2, 30, 37))
    labels[0, :9] = 255
    fields = [BilinearField(values, (30, 37), origin) for values in (scores, helper)]
    losses = segmentation_losses(fields[0], {"third": fields[1]}, labels, LossConfig(labels="downsampled"))
    mode = "nearest-exact" if origin == "center" else "nearest"
    small = F.interpolate(labels[None].float(), (4, 5), mode=mode)[0].long()
    assert (small == 255).any()
    close(losses["main"], F.cross_entropy(scores, small, ignore_index=255))
    close(losses["third"], 0.2 * F.cross_entropy(helper, small, ignore_index=255))


def test_downsampled_labels_meet_what_is_upsampled_bilinearly():
    case = make_case("then bilinear")
    labels = LossConfig(labels="downsampled", location="guided", class_weights=WEIGHTS)
    upsampler = LossConfig(supervise_at="upsampler", location="guided", class_weights=WEIGHTS)
    field = replace(case.field, origin="corner")
    close(*(segmentation_losses(field, {}, case.labels, config)["main"] for config in (labels, upsampler)))
    with pytest.raises(ValueError, match="labels: expected 'full' for a prediction that is a LocatedField"):
        segmentation_losses(make_case("center").field, {}, make_case("center").labels, labels)
