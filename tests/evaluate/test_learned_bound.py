"""Networks that read labels: their layers, that they learn, and that the seed says everything."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from offstride.data import SampleStream, Streets, TrainingSet, TrainTransform
from offstride.evaluate import LabelNetwork, LabelTraining, learned_bound, mean_and_deviation
from offstride.field import BilinearField, SubpixelField
from offstride.upsamplers import fit_label_basis

SIZE = (48, 64)
TRAINING = LabelTraining(steps=40, batch_size=2, crop=(32, 32), scale=(1.0, 1.0), channels=12, widths=(8, 16))


@pytest.fixture(scope="module")
def streets():
    return Streets(4, SIZE), Streets(2, SIZE, split="val")


@pytest.fixture(scope="module")
def basis(streets):
    maps = (streets[0][index].label for index in range(4))
    return fit_label_basis(maps, scale=8, classes=len(streets[0].classes), channels=16)


@pytest.mark.parametrize(("scale", "number"), [(8, 3), (16, 4), (32, 5)])
@pytest.mark.parametrize(("decoder", "kind"), [("bilinear", BilinearField), ("dupsampling", SubpixelField)])
def test_the_network_is_that_of_the_paper(scale, number, decoder, kind):
    network = LabelNetwork(3, scale, decoder, widths=(4, 6), channels=5)
    convolutions = [each for each in network.layers.modules() if isinstance(each, nn.Conv2d)]
    assert [(each.kernel_size, each.stride) for each in convolutions] == [((3, 3), (2, 2))] * number
    assert [each.out_channels for each in convolutions] == [4] + [6] * (number - 1)
    labels = torch.randint(0, 3, (2, 40, 50))
    field = network(labels)
    assert isinstance(field, kind)
    assert field.shape == (2, 3, 40, 50)
    assert field.values.shape[2:] == (-(-40 // scale), -(-50 // scale))


def test_ignored_pixels_are_no_input():
    network = LabelNetwork(3, 8, "bilinear", widths=(4,)).eval()
    labels = torch.randint(0, 3, (1, 16, 16))
    labels[0, :4] = 255
    seen = []
    network.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(labels)
    expected = torch.stack([labels == c for c in range(3)], 1).float()
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize("decoder", ["bilinear", "dupsampling"])
def test_it_learns(streets, basis, decoder):
    seen = []
    bound = learned_bound(
        *streets, decoder, 8, TRAINING, basis=basis, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(step, 40) for step in range(1, 41)]
    assert len(bound.losses) == 40
    assert sum(bound.losses[-5:]) < 0.6 * sum(bound.losses[:5])
    assert 0.1 < bound.scores.miou < 1


def test_the_seed_says_everything(streets):
    few = LabelTraining(steps=3, batch_size=2, crop=(32, 32), channels=4, widths=(4,))
    before = torch.get_rng_state()
    runs = [learned_bound(*streets, "dupsampling", 8, few, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    assert runs[0].losses == runs[1].losses
    assert torch.equal(runs[0].scores.iou.nan_to_num(), runs[1].scores.iou.nan_to_num())
    assert runs[0].losses != runs[2].losses


def test_it_starts_from_the_basis(basis):
    network = LabelNetwork(basis.classes, 8, "dupsampling", channels=12, basis=basis)
    assert torch.equal(network.upsampler.weight, basis.weight[..., :12])
    assert torch.equal(network.upsampler.bias, basis.mean)


def test_training_is_sgd_with_decay_of_rate_and_weights(streets):
    """Against the same written out: momentum 0.9, polynomial decay of the rate, weight decay but for vectors."""
    size = {"steps": 4, "batch_size": 2, "crop": (32, 32), "widths": (4,)}
    training = LabelTraining(**size, learning_rate=0.3, weight_decay=0.2)
    torch.manual_seed(5)
    network = LabelNetwork(len(streets[0].classes), 8, "bilinear", widths=(4,)).train()
    crops = TrainingSet(streets[0], TrainTransform(crop=(32, 32), scale=training.scale), 5)
    batches = iter(DataLoader(crops, 2, sampler=SampleStream(len(streets[0]), 5)))
    moved = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}
    expected = []
    for step in range(4):
        labels = next(batches)[1]
        loss = F.cross_entropy(network(labels).dense(), labels.long(), ignore_index=255)
        expected.append(loss.item())
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                decay = 0.2 * parameter if parameter.ndim > 1 else 0
                moved[name] = 0.9 * moved[name] + parameter.grad + decay
                parameter -= 0.3 * (1 - step / 4) ** 0.9 * moved[name]
    assert learned_bound(*streets, "bilinear", 8, training, seed=5).losses == pytest.approx(expected, rel=1e-4)


def test_mean_and_deviation():
    assert mean_and_deviation([0.5]) == (0.5, 0.0)
    assert mean_and_deviation([1.0, 2.0, 6.0]) == pytest.approx((3.0, 7**0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 12, "bilinear"), "scale: expected a power of two from 2 on, got 12"),
        ((3, 1, "bilinear"), "scale: expected a power of two from 2 on, got 1"),
        ((3, 8, "nearest"), "decoder: expected one of bilinear, dupsampling, got 'nearest'"),
    ],
)
def test_a_network_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        LabelNetwork(*arguments)


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": -1.0}, {"channels": 0}], ids=str)
def test_training_out_of_range(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name}: expected a number above 0, got {value}"):
        LabelTraining(**change)
    with pytest.raises(ValueError, match="widths: expected positive"):
        LabelTraining(widths=())
