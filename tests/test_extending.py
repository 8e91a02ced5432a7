"""A new upsampler is one file and one line, and so is a new head: toys go wherever the registered ones go."""

from dataclasses import dataclass, replace

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offstride import replace_upsampling
from offstride.compare import Entry, compare, count_images
from offstride.evaluate import evaluate
from offstride.export import export_onnx
from offstride.features import NO_GUIDES
from offstride.field import BilinearField, LogitField, argmax, cross_entropy
from offstride.heads import HEADS, Head
from offstride.losses import LossConfig
from offstride.models import Segmenter, complexity, create_model
from offstride.ops.interpolate import whole_bilinear
from offstride.replace.choice import start_options
from offstride.train import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe, build_split, fit
from offstride.train.optimizer import parameter_groups
from offstride.upsamplers import UPSAMPLERS, Upsampler
from offstride.upsamplers.render import render

pytestmark = pytest.mark.slow

# From here to the next line of this kind: what the file of a new upsampler holds.


@dataclass(frozen=True, eq=False)
class SharpenedField(LogitField):
    """Bilinear scores times 1 plus a bilinear gain."""

    scores: Tensor
    gain: Tensor
    size: tuple[int, int]
    origin: str

    @property
    def shape(self):
        return torch.Size((*self.scores.shape[:2], *self.size))

    @property
    def values(self):
        return self.scores

    def rows(self, start, stop):
        scores, gain = (BilinearField(x, self.size, self.origin).rows(start, stop) for x in (self.scores, self.gain))
        return scores * (1 + gain)


@render.register
def _sharpened(field: SharpenedField) -> Tensor:
    scores, gain = (whole_bilinear(x, field.size, field.origin) for x in (field.scores, field.gain))
    return scores * (1 + gain)


class Sharpened(Upsampler):
    """The gain is predicted from the features. (It is no offset, but stands for one with the optimizer.)"""

    def __init__(self, in_channels, scale=3, origin="center", init="normal"):
        super().__init__()
        self.scale, self.origin = scale, origin
        self.gain = nn.Conv2d(in_channels, 1, 1)
        if init == "zero":
            nn.init.zeros_(self.gain.weight)
            nn.init.zeros_(self.gain.bias)

    def forward(self, scores, features, size, guides=NO_GUIDES):
        return SharpenedField(scores, self.gain(features), size, self.origin)

    def offset_layers(self):
        return [self.gain]

    @classmethod
    def model_options(cls, options, stride):
        return {"scale": stride, **options}

    @classmethod
    def start_options(cls, factor):
        return {"scale": factor, "init": "zero"}


class Plain(Head):
    """The file of a new head: one convolution on the last feature."""

    def __init__(self, features, channels=8):
        super().__init__()
        self.convolution = nn.Conv2d(features[-1].channels, channels, 3, padding=1)
        self.out_channels, self.out_stride = channels, features[-1].stride

    def forward(self, features):
        return self.convolution(features[-1]).relu()


# Until here; and the lines that register them:


@pytest.fixture(autouse=True, scope="module")
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UPSAMPLERS, "sharpened", Sharpened)
        patch.setitem(HEADS, "plain", Plain)
        yield


RECIPE = Recipe(
    data=DataRecipe(name="streets", count=4, val_count=2, size=(40, 56), crop=(32, 48), workers=0),
    model=ModelRecipe(backbone="test_resnet", upsampler="sharpened", head_options={"channels": 8}),
    loss=LossConfig(),
    optimizer=OptimizerRecipe(learning_rate=0.01, offset_multiplier=0.5, decay_offsets=True),
    schedule=ScheduleRecipe(steps=2, batch_size=2, validate_every=2, log_every=1, accelerator="cpu"),
)


@pytest.fixture(scope="module")
def trained(registered, tmp_path_factory):
    """Models after the same training that differ only in the upsampler."""
    runs = {}
    for name in ("bilinear", "sharpened"):
        recipe = replace(RECIPE, model=replace(RECIPE.model, upsampler=name))
        runs[name] = Segmenter.load(fit(recipe, tmp_path_factory.mktemp(name)))
    return runs


def test_training(trained):
    model = trained["sharpened"]
    assert isinstance(model.upsampler, Sharpened)
    assert model.config.upsampler_options == {"scale": 16}  # follows from the stride, and is saved
    fresh = create_model(model.config)
    groups = parameter_groups(fresh, RECIPE.optimizer)
    own = [group for group in groups if fresh.upsampler.gain.weight in set(group["params"])]
    assert len(own) == 1
    assert set(own[0]["params"]) == set(fresh.upsampler.parameters())
    assert own[0]["lr"] == pytest.approx(0.01 * 10 * 0.5)
    assert own[0]["weight_decay"] == 1e-4


def test_prediction(trained):
    model, images = trained["sharpened"], torch.randn(2, 3, 37, 51)
    with torch.no_grad():
        field = model.field(images)
        dense = model(images)
    assert isinstance(field, SharpenedField)
    assert torch.equal(argmax(field), dense.argmax(1).to(torch.uint8))
    assert evaluate(model, build_split(RECIPE.data, "val")).to_dict()["miou"] > 0


def test_comparison(trained):
    images = build_split(RECIPE.data, "val")
    entries = [Entry(name, [count_images(model, images)]) for name, model in trained.items()]
    report = compare(entries, images.classes)
    assert [entry["name"] for entry in report["entries"]] == ["bilinear", "sharpened"]
    assert report["entries"][1]["scores"]["miou"]["difference"] is not None
    plain, own = (complexity(model, (32, 48)) for model in trained.values())
    channels = trained["sharpened"].head.out_channels
    assert own.parameters - plain.parameters == channels + 1
    assert own.macs - plain.macs == channels * 2 * 3  # a 1×1 convolution on 2×3 places; its field is not rendered


def test_onnx(trained, tmp_path):
    model = trained["sharpened"]
    export_onnx(model, tmp_path / "model.onnx", size=(64, 64), dynamic="all", output="scores")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 64, 64), (2, 3, 65, 83)):
        images = torch.randn(shape)
        (scores,) = session.run(["scores"], {"images": images.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(scores), model(images), atol=1e-5, rtol=1e-4)


class Foreign(nn.Module):
    """A model of no library."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 12, 7, 4, 3)
        self.classify = nn.Conv2d(12, 3, 1)
        self.up = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)

    def forward(self, images):
        return self.up(self.classify(self.body(images)))


def test_replacement():
    model, images = Foreign(), torch.randn(1, 3, 32, 48)
    replaced = replace_upsampling(model, "sharpened", example=images, classifier="classify", upsampling="up")
    assert replaced.plan.options == {"scale": 4, "init": "zero", "origin": "aligned"}
    assert replaced.plan.exact
    torch.testing.assert_close(replaced(images), model(images), atol=1e-5, rtol=1e-5)
    cross_entropy(replaced.field(images), torch.randint(0, 3, (1, 32, 48))).backward()
    assert replaced.upsampler.gain.weight.grad.abs().max() > 0


def test_inside_another_upsampler():
    options = start_options("residual", {"upsampler": "sharpened"}, "corner", 3, 8)
    assert options["upsampler_options"] == {"scale": 8, "init": "zero", "origin": "corner"}


def test_a_head(tmp_path):
    model = create_model(backbone="test_resnet", classes=4, head="plain", head_options={"channels": 6})
    assert model.classifier.in_channels == 6
    images, labels = torch.randn(2, 3, 40, 56), torch.randint(0, 4, (2, 40, 56))
    optimizer = torch.optim.SGD(parameter_groups(model, RECIPE.optimizer), lr=0.01)
    before = model.head.convolution.weight.clone()
    loss = cross_entropy(model.field(images), labels)
    torch.testing.assert_close(loss, F.cross_entropy(model(images), labels), rtol=1e-4, atol=1e-4)
    loss.backward()
    optimizer.step()
    assert not torch.equal(model.head.convolution.weight, before)
    model.save(tmp_path / "model.safetensors")
    assert isinstance(Segmenter.load(tmp_path / "model.safetensors").head, Plain)
