"""Evaluation: counts over a data set, against a plain transcription."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from offstride.data import ClassSet, Sample
from offstride.evaluate import evaluate, label_map
from offstride.field import DenseField, LogitField
from offstride.inference import InferenceProtocol
from offstride.metrics import BoundaryIoU
from offstride.models import create_model

CLASSES = ClassSet(("wall", "pole", "ghost"), thin=("pole",))


class Given:
    """A data set of given samples."""

    def __init__(self, samples, classes=CLASSES):
        self.samples, self.classes = samples, classes

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class RedIsPole(nn.Module):
    """Calls a pixel a pole when it is more red than not; never sees ghosts."""

    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    classes, config = CLASSES, SimpleNamespace(classes=3)

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def field(self, images):
        red = images[:, 0]
        return DenseField(torch.stack((0.5 - red, red - 0.5, torch.full_like(red, -9)), 1))


@pytest.fixture
def dataset():
    generator = torch.Generator().manual_seed(0)
    samples = []
    for index, size in enumerate(((7, 9), (12, 5), (6, 6))):
        image = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        label = torch.randint(0, 2, size, generator=generator, dtype=torch.uint8)
        label[torch.rand(size, generator=generator) < 0.2] = 255
        samples.append(Sample(image, label, str(index)))
    return Given(samples)


def test_scores_are_those_of_all_pixels_together(dataset):
    seen = []
    result = evaluate(RedIsPole(), dataset, progress=lambda done, total: seen.append((done, total)))  # type: ignore[arg-type]
    pairs = [
        (int(sample.image[0, y, x] / 255 > 0.5), int(sample.label[y, x]))
        for sample in dataset.samples
        for y in range(sample.label.shape[0])
        for x in range(sample.label.shape[1])
        if sample.label[y, x] != 255
    ]
    iou = [sum(p == t == c for p, t in pairs) / sum(c in (p, t) for p, t in pairs) for c in (0, 1)]
    assert result.scores.iou[:2].tolist() == pytest.approx(iou)
    assert result.scores.miou == pytest.approx(sum(iou) / 2)
    assert result.thin_iou == pytest.approx(iou[1])
    assert result.scores.pixel_accuracy == pytest.approx(sum(p == t for p, t in pairs) / len(pairs))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_figures_as_json(dataset):
    figures = evaluate(RedIsPole(), dataset).to_dict()  # type: ignore[arg-type]
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["absent"] == ["ghost"]
    assert figures["classes"]["ghost"]["iou"] is None
    assert figures["images"] == 3
    scores = evaluate(RedIsPole(), dataset).scores  # type: ignore[arg-type]
    accuracies = [figures["classes"][name]["accuracy"] for name in ("wall", "pole")]
    assert figures["mean_accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert figures["pixel_accuracy"] == scores.pixel_accuracy
    assert figures["mean_accuracy"] != pytest.approx(figures["pixel_accuracy"], abs=1e-4)


def test_thin_classes_need_not_exist(dataset):
    dataset.classes = ClassSet(CLASSES.names)
    result = evaluate(RedIsPole(), dataset)  # type: ignore[arg-type]
    assert math.isnan(result.thin_iou)
    assert result.to_dict()["thin_iou"] is None


@pytest.mark.parametrize("classes", [ClassSet(("wall", "pole")), ClassSet(("wall", "pole", "cat"))])
def test_other_classes_are_refused(dataset, classes):
    dataset.classes = classes
    with pytest.raises(ValueError, match="ghost"):
        evaluate(RedIsPole(), dataset)  # type: ignore[arg-type]


def test_label_map_is_the_argmax_of_what_the_model_returns_and_renders_nothing(monkeypatch):
    model = create_model(backbone="test_resnet", classes=5, upsampler="lau", head_options={"channels": 16}).eval()
    images = torch.randn(2, 3, 33, 47)
    with torch.inference_mode():
        expected = model(images).argmax(1)
    monkeypatch.setattr(LogitField, "dense", lambda self: pytest.fail("dense() was called"))
    labels = label_map(model, images)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), expected)


def test_images_are_predicted_by_the_protocol(dataset):
    seen = []

    class Watched(RedIsPole):
        def field(self, images):
            seen.append(tuple(images.shape[2:]))
            return super().field(images)

    whole = evaluate(RedIsPole(), dataset)  # type: ignore[arg-type]
    protocol = InferenceProtocol(flip=True, window=(6, 5), overlap=0)
    parts = evaluate(Watched(), dataset, protocol=protocol)  # type: ignore[arg-type]
    assert parts.to_dict()["classes"] == whole.to_dict()["classes"]  # a local model does not notice
    assert seen == [(6, 5)] * 2 * (2 * 2 + 2 * 1 + 1 * 2)
    evaluate(Watched(), dataset, protocol=InferenceProtocol((2.0,)))  # type: ignore[arg-type]
    assert seen[-3:] == [(14, 18), (24, 10), (12, 12)]


def test_every_figure_of_the_json_is_that_of_its_pixels():
    samples = []
    for size, moved in (((40, 60), 3), ((30, 70), 7)):  # large enough for an inside beside the borders
        image, label = torch.zeros(3, *size, dtype=torch.uint8), torch.zeros(size, dtype=torch.uint8)
        image[0, 10:25, 20 + moved : 45] = 255
        label[10:25, 20 : 45 - moved], label[-4:] = 1, 255
        samples.append(Sample(image, label, "block"))
    dataset = Given(samples)
    figures = evaluate(RedIsPole(), dataset).to_dict()  # type: ignore[arg-type]
    boundary, pairs = BoundaryIoU(3), []
    for sample in dataset.samples:
        prediction = (sample.image[0] > 127).to(torch.uint8)
        boundary.update(prediction[None], sample.label[None])
        pairs += zip(prediction.flatten().tolist(), sample.label.flatten().tolist(), strict=True)
    pairs = [(p, t) for p, t in pairs if t != 255]
    hits = {c: sum(p == t == c for p, t in pairs) for c in (0, 1)}
    true = {c: sum(t == c for _, t in pairs) for c in (0, 1)}
    for index, name in enumerate(("wall", "pole")):
        assert figures["classes"][name] == {
            "iou": pytest.approx(hits[index] / sum(index in pair for pair in pairs)),
            "boundary_iou": pytest.approx(float(boundary.compute().iou[index])),
            "accuracy": pytest.approx(hits[index] / true[index]),
            "pixels": true[index],
        }
    accuracies = [hits[index] / true[index] for index in (0, 1)]
    assert figures["mean_accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert figures["pixel_accuracy"] == pytest.approx(sum(hits.values()) / len(pairs))
    assert figures["boundary_iou"] == pytest.approx(boundary.compute().mean)
    assert figures["thin_iou"] == figures["classes"]["pole"]["iou"]
    pole = figures["classes"]["pole"]
    told_apart = [*pole.values(), figures["miou"], figures["mean_accuracy"], figures["pixel_accuracy"]]
    assert len({round(value, 3) for value in told_apart}) == 7
