"""The parts of `offstride sharpen`: what is frozen, the rows, the counts, the training, the choice."""

import numpy as np
import pytest
import torch
from torch import nn

from offstride.compare import ImageCounts, count_images
from offstride.data import STREETS, ClassSet, Streets
from offstride.experiments.sharpening.choosing import best, gain_remarks, gain_warnings
from offstride.experiments.sharpening.costs import method_costs
from offstride.experiments.sharpening.counting import changed_pixels, count_methods
from offstride.experiments.sharpening.frozen import Frozen
from offstride.experiments.sharpening.methods import Method, opponents, own_method, untrained
from offstride.experiments.sharpening.pictures import chosen_images
from offstride.experiments.sharpening.training import UpsamplerTraining, cached_crops, train_upsampler
from offstride.features import Guides
from offstride.field import BilinearField
from offstride.models import complexity, create_model
from offstride.upsamplers import Bilinear, JointBilateral, LaU

CLASSES = ClassSet(names=("ground", "thing"))


def model(upsampler="bilinear", **options):
    torch.manual_seed(3)
    head = {"head_options": {"channels": 16}, "upsampler_options": options}
    return create_model(backbone="test_resnet", classes=STREETS, upsampler=upsampler, **head).eval()


@pytest.fixture(scope="module")
def scenes():
    return Streets(2, (64, 96), split="val")


@pytest.mark.parametrize("upsampler", ["bilinear", "joint_bilateral", "residual"])
def test_the_frozen_part_and_the_own_upsampler_are_the_model(upsampler):
    images = torch.rand(2, 3, 50, 71)
    expected = model(upsampler)(images)
    frozen = Frozen(model(upsampler))
    coarse = frozen.coarse(images)
    assert coarse.scores.shape == (2, len(STREETS), 4, 5)
    assert coarse.size == (50, 71)
    with torch.no_grad():
        assert torch.equal(coarse.field(frozen.own).dense(), expected)
        assert torch.equal(frozen.predict(frozen.own)(images).dense(), expected)


def test_what_a_model_does_after_its_upsampler_is_done_for_every_upsampler():
    class Larger(nn.Module):
        """Upsamples to half of the image, and goes on from there bilinearly."""

        def __init__(self):
            super().__init__()
            self.upsampler = JointBilateral()

        def field(self, images):
            half = images[:, :, ::2, ::2]
            inner = self.upsampler(half[:, :, ::4, ::4], half, (half.shape[2], half.shape[3]), Guides(half))
            return BilinearField(inner, (images.shape[2], images.shape[3]))

    images = torch.rand(1, 3, 48, 64)
    coarse = Frozen(Larger()).coarse(images)
    for upsampler in (JointBilateral(), Bilinear()):
        expected = Larger()
        expected.upsampler = upsampler
        assert torch.equal(coarse.field(upsampler).dense(), expected.field(images).dense())


@pytest.mark.parametrize("stride", [8, 16])
def test_opponents_are_set_for_the_models_stride(stride):
    torch.manual_seed(0)
    network = create_model(
        backbone="test_resnet",
        classes=STREETS,
        output_stride=stride,
        head_options={"channels": 16},
        upsampler_options={"origin": "aligned"},
    )
    (row,) = opponents(["guided_filter"], Frozen(network))
    assert (row.upsampler.radius, row.upsampler.origin) == (stride, "aligned")


def test_a_row_may_have_a_network_of_its_own():
    images = torch.rand(1, 3, 48, 64)
    shared = Frozen(model())
    torch.manual_seed(4)
    another = create_model(backbone="test_resnet", classes=STREETS, head_options={"channels": 24}).eval()
    expected = another(images)
    other = Frozen(another)
    row = Method("another", other.own, network=other)
    with torch.no_grad():
        assert torch.equal(row.field(shared, images, shared.coarse(images)).dense(), expected)
    cost = method_costs([own_method(shared), row], shared, (48, 64), rounds=0)
    parameters = [sum(it.numel() for it in network.parameters()) for network in (model(), another)]
    assert [it["parameters"] for it in cost] == parameters


def test_every_method_is_counted_as_if_alone(scenes):
    frozen = Frozen(model())
    methods = [own_method(frozen), Method("joint", JointBilateral())]
    calls = []
    frozen.model.backbone.register_forward_hook(lambda *_: calls.append(1))
    own, joint = count_methods(methods, frozen, scenes)
    assert len(calls) == len(scenes)
    for counted, name in ((own, "bilinear"), (joint, "joint_bilateral")):
        alone = count_images(model(name), scenes)
        assert counted.counts.names == alone.names
        for part in ("found", "predicted", "labelled", "band_found", "band_union"):
            assert np.array_equal(getattr(counted.counts, part), getattr(alone, part))
    assert own.changes.tolist() == [[64 * 96, 0, 0, 0, 0]] * 2
    assert joint.changes[:, 1:].sum() > 0


def test_changes_are_counted_by_what_they_are():
    before = torch.tensor([[[0, 0, 0, 0, 1]]])
    after = torch.tensor([[[1, 1, 1, 1, 1]]])
    label = torch.tensor([[[1, 0, 2, 255, 0]]])
    assert changed_pixels(before, after, label).tolist() == [5, 1, 1, 1, 1]


def test_opponents_need_no_training():
    frozen = Frozen(model("bilinear", origin="aligned"))
    assert {"bilinear", "joint_bilateral"} <= set(untrained())
    assert not {"lau", "residual", "pixel_shuffle"} & set(untrained())
    rows = opponents(["bilinear", "joint_bilateral", "scales", "scales"], frozen)
    assert [row.name for row in rows] == ["joint_bilateral", "scales"]
    assert rows[1].scales
    with pytest.raises(ValueError, match=r"against: expected some of bilinear, .*scales, got 'lau'"):
        opponents(["lau"], frozen)


def test_the_opponent_bilinear_has_the_origin_of_the_model():
    (row,) = opponents(["bilinear"], Frozen(model("lau", origin="corner")))
    assert isinstance(row.upsampler, Bilinear)
    assert row.upsampler.origin == "corner"


def test_costs_are_those_of_network_and_upsampler():
    frozen = Frozen(model())
    lau = LaU(16, scale=4)
    methods = [own_method(frozen), Method("lau", lau), *opponents(["scales"], frozen)]
    done = []
    costs = method_costs(methods, frozen, (64, 96), rounds=2, progress=lambda *numbers: done.append(numbers))
    counted = complexity(model(), (64, 96))
    trained = sum(parameter.numel() for parameter in lau.parameters())
    assert [cost["parameters"] - counted.parameters for cost in costs] == [0, trained, 0]
    assert [cost["upsampler_parameters"] for cost in costs] == [0, trained, 0]
    assert costs[0]["macs"] == counted.macs
    assert costs[1]["macs"] == counted.macs + trained * 4 * 6
    assert costs[2]["macs"] > 8 * counted.macs
    assert all(cost["devices"]["cpu"]["latency"] > 0 for cost in costs)
    assert done == [(1, 2), (2, 2)]
    assert "devices" not in method_costs(methods[:1], frozen, (64, 96), rounds=0)[0]


def test_an_upsampler_learns_and_nothing_else_changes(scenes):
    frozen = Frozen(model())
    before = {name: tensor.clone() for name, tensor in frozen.model.state_dict().items()}
    training = UpsamplerTraining(steps=20, crops=4, crop=48, batch_size=2, learning_rate=0.02, snapshots=2)
    crops = cached_crops(frozen, scenes, training, features=True)
    assert [label.shape for _, label in crops] == [(1, 48, 48)] * 4
    start = LaU(16, scale=4, init="zero", rest="offsets")
    state = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    calls = []
    frozen.model.backbone.register_forward_hook(lambda *_: calls.append(1))
    first, last = train_upsampler(start, crops, training)
    assert not calls
    assert (first.step, last.step) == (10, 20)
    assert last.loss < first.loss
    assert not any(parameter.requires_grad for parameter in last.upsampler.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in start.state_dict().items())
    assert not all(torch.equal(tensor, state[name]) for name, tensor in last.upsampler.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.model.state_dict().items())


def test_the_running_mean_of_the_weights_is_kept(scenes):
    frozen, rate = Frozen(model()), 0.02
    training = UpsamplerTraining(steps=1, crops=2, crop=48, batch_size=2, learning_rate=rate, snapshots=1)
    start = LaU(16, scale=4, rest="offsets")
    (kept,) = train_upsampler(start, cached_crops(frozen, scenes, training, features=True), training)
    moved = [
        (after - before).abs().max()
        for after, before in zip(kept.upsampler.parameters(), start.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 0.011 * rate, "AdamW's first step moves a weight by the learning rate"


def test_crops_of_aligned_models_have_one_more_pixel_and_drop_features(scenes):
    frozen = Frozen(model("bilinear", origin="aligned"))
    ((coarse, label),) = cached_crops(frozen, scenes, UpsamplerTraining(crops=1, crop=48), features=False)
    assert label.shape == (1, 49, 49)
    assert coarse.size == (49, 49)
    assert coarse.features.shape[1] == 1
    assert not coarse.guides.levels
    assert coarse.guides.image is not None


@pytest.mark.parametrize("name", ["steps", "crops", "crop", "batch_size", "snapshots"])
def test_numbers_of_training_are_checked(name):
    with pytest.raises(ValueError, match=f"{name}: expected a positive whole number, got 0"):
        UpsamplerTraining(**{name: 0})
    with pytest.raises(ValueError, match="learning_rate"):
        UpsamplerTraining(learning_rate=0)


def counts(right, band):
    """Of one image with 100 pixels of each of two classes."""
    found = np.array([[[right, right]]])
    all_pixels = np.array([[[100, 100]]])
    return ImageCounts(("a",), (), found, all_pixels, all_pixels, np.array([[band, band]]), np.array([[100, 100]]))


def test_the_best_has_most_miou_and_boundary_iou_together():
    assert best([counts(60, 20), counts(70, 20), counts(60, 60)], CLASSES) == 2
    assert best([counts(60, 20), counts(60, 20)], CLASSES) == 0
    assert best([counts(60, 20), counts(60, 19)], CLASSES) == 0


def test_images_are_chosen_by_their_gain():
    gained = np.array([0.1, np.nan, -0.2, 0.3, 0.0, 0.2, -0.1, 0.05, 0.4])
    chosen = list(chosen_images(gained))
    assert chosen[0] == ("typical", 0)
    assert [index for group, index in chosen if group == "gains"] == [8, 3, 5]
    assert [index for group, index in chosen if group == "losses"] == [2, 6]
    assert list(chosen_images(np.array([np.nan]))) == []


def report(miou, boundary, clear=True):
    def figure(mean):
        return {"mean": 0.5, "difference": {"mean": mean, "images": [mean - 0.01, mean + 0.01], "clear": clear}}

    after = {"name": "universal", "scores": {"miou": figure(miou), "boundary_iou": figure(boundary)}}
    return {"level": 0.95, "entries": [after], "sharpened": {"after": "universal"}}


def test_it_warns_where_a_score_does_not_gain():
    assert gain_warnings(report(0.02, 0.03), trained=False) == []
    (warning,) = gain_warnings(report(0.02, -0.03), trained=False)
    assert warning == (
        "Boundary IoU −3.0 (−4.0 … −2.0): it does not gain here; keep the model as it is, or let the upsampler learn "
        "from labels: --train."
    )
    assert "mIoU 0.0 (−1.0 … +1.0)" in gain_warnings(report(0.0, 0.1), trained=False)[0]
    assert "--train" not in gain_warnings(report(-0.1, 0.1), trained=True)[0]


def test_it_says_which_gain_is_not_clear():
    assert gain_remarks(report(0.02, 0.03)) == []
    assert len(gain_remarks(report(0.02, 0.03, clear=False))) == 2
    assert gain_remarks(report(-0.02, -0.03, clear=False)) == []
