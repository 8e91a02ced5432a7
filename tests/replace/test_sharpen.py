"""`sharpen`: the universal upsampler on models of ours and of others; nothing else changes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from offstride import Segmenter, create_model, sharpen
from offstride.data import ClassSet

CLASSES = ClassSet(names=("ground", "thing", "rest"))


def model(upsampler="bilinear", **options):
    torch.manual_seed(1)
    made = create_model(
        backbone="test_resnet",
        head_options={"channels": 16},
        classes=CLASSES,
        upsampler=upsampler,
        upsampler_options=options,
    )
    for parameter in made.upsampler.parameters():
        nn.init.normal_(parameter, std=0.1)
    return made.eval()


def test_all_other_parts_stay_and_the_file_gives_the_same(tmp_path):
    base = model(origin="aligned")
    state = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    sharper = sharpen(base)
    assert sharper.config.upsampler == "universal"
    assert sharper.config.upsampler_options["origin"] == sharper.upsampler.origin == "aligned"
    assert not sharper.training
    assert base.config.upsampler == "bilinear"
    for name, tensor in state.items():
        assert torch.equal(base.state_dict()[name], tensor)
        assert torch.equal(sharper.state_dict()[name], tensor)
    sharper.save(tmp_path / "s.safetensors")
    images = torch.rand(1, 3, 65, 97)
    assert torch.equal(Segmenter.load(tmp_path / "s.safetensors")(images), sharper(images))


def test_zero_weights_are_bilinear():
    base, images = model(), torch.rand(1, 3, 70, 50)
    assert torch.allclose(sharpen(base, init="zero")(images), base(images), atol=1e-5)
    assert not torch.equal(sharpen(base)(images), base(images))


def test_a_trained_upsampler_stays_and_the_universal_one_stands_behind_it(tmp_path):
    base, images = model("residual", channels=8), torch.rand(1, 3, 64, 96)
    sharper = sharpen(base, init="zero")
    options = sharper.config.upsampler_options
    assert options["upsampler"] == "residual"
    assert options["upsampler_options"] == base.config.upsampler_options
    assert torch.allclose(sharper(images), base(images), atol=1e-5)
    sharper.save(tmp_path / "s.safetensors")
    assert torch.equal(Segmenter.load(tmp_path / "s.safetensors")(images), sharper(images))


def test_what_cannot_be_sharpened_is_named():
    with pytest.raises(ValueError, match="its upsampler 'pixel_shuffle' classifies on its own"):
        sharpen(model("pixel_shuffle"))
    with pytest.raises(ValueError, match="its upsampler 'lau' reaches the resolution of the image"):
        sharpen(model("lau", scale=16), example=(1, 3, 64, 64))
    with pytest.raises(ValueError, match="the universal upsampler already"):
        sharpen(sharpen(model()))
    with pytest.raises(ValueError, match="upsampler_options: 'universal' knows"):
        sharpen(model(), nothing=3)


class Foreign(nn.Module):
    """A model of others."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, stride=8, padding=1)
        self.classifier = nn.Conv2d(8, 3, 1)
        self.up = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False)

    def forward(self, images):
        return self.up(self.classifier(F.relu(self.features(images))))


def test_models_of_others():
    base, images = Foreign().eval(), torch.rand(1, 3, 64, 96)
    paths = {"classifier": "classifier", "upsampling": "up"}
    sharper = sharpen(base, example=(1, 3, 64, 96), **paths)
    assert sharper.plan.upsampler == "universal"
    assert sharper(images).shape == (1, 3, 64, 96)
    same = sharpen(base, example=(1, 3, 64, 96), init="zero", **paths)
    assert torch.allclose(same(images), base(images), atol=1e-5)
