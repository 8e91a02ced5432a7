"""`sharpen`: the universal upsampler on models of ours and of others; nothing else changes."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from offstride import Segmenter, create_model, sharpen
from offstride.data import ClassSet
from offstride.upsamplers import UniversalLaU
from offstride.upsamplers.universal import OffsetNetwork

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


def fitted(path, widths=(4, 6, 8), blocks=1):
    """A file as `offstride fit-universal` writes it, with weights that move pixels."""
    torch.manual_seed(5)
    network = OffsetNetwork(widths, blocks)
    nn.init.normal_(network.offsets.weight, std=0.1)
    recipe = json.dumps({"recipe": {"widths": widths, "blocks": blocks}})
    save_file(network.state_dict(), path, {"format": "pt", "offstride": recipe})
    return network


@pytest.mark.parametrize("upsampler", ["bilinear", "residual"])
def test_weights_of_ones_own(tmp_path, upsampler):
    network = fitted(tmp_path / "w.safetensors")
    base, images = model(upsampler), torch.rand(1, 3, 64, 96)
    sharper = sharpen(base, weights=tmp_path / "w.safetensors")
    scores = torch.randn(1, 3, 4, 6)
    expected = UniversalLaU((4, 6, 8), 1, init="zero")
    expected.network = network
    assert torch.equal(sharper.upsampler.offsets(scores, images), expected.offsets(scores, images))
    sharper.save(tmp_path / "s.safetensors")
    assert torch.equal(Segmenter.load(tmp_path / "s.safetensors")(images), sharper(images))


def test_files_without_universal_weights_are_refused(tmp_path):
    base = model()
    base.save(tmp_path / "model.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    for name in ("model", "text", "none"):
        with pytest.raises(ValueError, match=f"{name}.safetensors: expected a file of `offstride fit-universal`"):
            sharpen(base, weights=tmp_path / f"{name}.safetensors")


class Foreign(nn.Module):
    """A model of others."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, stride=8, padding=1)
        self.classifier = nn.Conv2d(8, 3, 1)
        self.up = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False)

    def forward(self, images):
        return self.up(self.classifier(F.relu(self.features(images))))


def test_models_of_others(tmp_path):
    base, images = Foreign().eval(), torch.rand(1, 3, 64, 96)
    paths = {"classifier": "classifier", "upsampling": "up"}
    sharper = sharpen(base, example=(1, 3, 64, 96), **paths)
    assert sharper.plan.upsampler == "universal"
    assert sharper(images).shape == (1, 3, 64, 96)
    fitted(tmp_path / "w.safetensors")
    own = sharpen(base, weights=tmp_path / "w.safetensors", example=(1, 3, 64, 96), **paths)
    assert not torch.allclose(own(images), base(images), atol=1e-3)
    same = sharpen(base, example=(1, 3, 64, 96), init="zero", **paths)
    assert torch.allclose(same(images), base(images), atol=1e-5)
