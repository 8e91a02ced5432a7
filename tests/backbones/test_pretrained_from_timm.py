"""`pretrained=True`: the weights that timm gets from the Hub, here from its cache on disk."""

import json

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from offstride.backbones import Backbone
from offstride.models import create_model

REPOSITORY = "timm/test_resnet.r160_in1k"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The full model whose weights the cache holds."""
    torch.manual_seed(3)
    full = timm.create_model("test_resnet", num_classes=1000).eval()
    repository, commit = tmp_path / f"models--{REPOSITORY.replace('/', '--')}", "1" * 40
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    save_file(full.state_dict(), snapshot / "model.safetensors", metadata={"format": "pt"})
    (snapshot / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return full


def test_published_weights_are_loaded(published):
    backbone = Backbone("test_resnet", pretrained=True).eval()
    images = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)[-1], published.forward_features(images))
    assert (backbone.mean, backbone.std) == (published.pretrained_cfg["mean"], published.pretrained_cfg["std"])


def test_they_serve_other_strides_and_whole_models(published):
    model = create_model(backbone="test_resnet.r160_in1k", classes=3, output_stride=8, pretrained=True)
    weights = published.state_dict()
    own = {name: tensor for name, tensor in model.backbone.network.state_dict().items() if name in weights}
    assert len(own) > 50
    torch.testing.assert_close(own, {name: weights[name] for name in own}, rtol=0, atol=0)


def test_weights_that_are_not_there_are_named(published):
    with pytest.raises(ValueError, match="pretrained: timm could not provide weights of 'test_vit'"):
        Backbone("test_vit", output_stride=16, pretrained=True)
