"""Models in folders of the Hub's layout, and what is asked of the Hub; nothing is sent anywhere."""

import json

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard

from offstride.data.catalog import CAMVID
from offstride.models import Segmenter, create_model

SCORES = {
    "miou": 0.5,
    "boundary_iou": 0.25,
    "pixel_accuracy": 0.75,
    "mean_accuracy": 0.625,
    "images": 233,
    "dataset": "CamVid test",
    "classes": {
        "Sky": {"iou": 0.9, "boundary_iou": 0.5, "accuracy": 0.95, "pixels": 7},
        "Pole": {"iou": None, "boundary_iou": None, "accuracy": None, "pixels": 0},
    },
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model(backbone="test_resnet", classes=CAMVID, head="linear", upsampler="lau").eval()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that is a folder."""

    class Address(str):
        repo_id = "someone/streets"

    calls = []

    class Interface:
        def __init__(self, token=None, **about):
            calls.append(("token", token))

        def create_repo(self, repo_id, *, private, exist_ok):
            assert exist_ok
            calls.append(("create", repo_id, private))
            return Address(f"https://hub.example/{repo_id}")

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            calls.append(("upload", repo_id, commit_message))
            folder_path.rename(tmp_path / "uploaded")
            folder_path.mkdir()

    monkeypatch.setattr(huggingface_hub, "HfApi", Interface)
    return calls


def same(one, other):
    images = torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        torch.testing.assert_close(one(images), other(images), rtol=0, atol=0)


def test_a_model_comes_back_from_a_folder(model, tmp_path):
    model.save_pretrained(tmp_path / "streets")
    assert {path.name for path in (tmp_path / "streets").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    loaded = Segmenter.from_pretrained(tmp_path / "streets", classes=CAMVID)
    assert loaded.config == model.config
    same(loaded, model)
    config = json.loads((tmp_path / "streets" / "config.json").read_text())
    assert config["upsampler"] == "lau"
    assert config["class_set"] == CAMVID.to_dict()


def test_the_card_holds_the_table(model, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    model.save_pretrained(tmp_path, name="someone/streets", scores=tmp_path / "scores.json")
    card = ModelCard((tmp_path / "README.md").read_text(encoding="utf-8"))
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {"miou": 0.5, "boundary_iou": 0.25, "pixel_accuracy": 0.75}
    assert {result.dataset_name for result in card.data.eval_results} == {"CamVid test"}
    names = {result.metric_type: result.metric_name for result in card.data.eval_results}
    assert names == {"miou": "mean IoU", "boundary_iou": "mean boundary IoU", "pixel_accuracy": "pixel accuracy"}
    assert card.data.library_name == "offstride"
    for line in ("| Sky | 90.0 | 50.0 | 95.0 |", "| Pole | – | – | – |", "| **mean** | 50.0 | 25.0 | 62.5 |"):
        assert line in card.text.splitlines()
    assert "233 images of CamVid test" in card.text
    assert 'Segmenter.from_pretrained("someone/streets")' in card.text


def test_a_card_without_scores_claims_none(model, tmp_path):
    model.save_pretrained(tmp_path)
    card = ModelCard((tmp_path / "README.md").read_text(encoding="utf-8"))
    assert card.data.eval_results is None
    assert "Scores" not in card.text


def test_what_is_uploaded_can_be_loaded(model, hub, tmp_path):
    address = model.push_to_hub("someone/streets", scores=SCORES, private=True, token="secret", message="First")
    assert address == "https://hub.example/someone/streets"
    assert hub == [
        ("token", "secret"),
        ("create", "someone/streets", True),
        ("upload", "someone/streets", "First"),
    ]
    same(Segmenter.from_pretrained(tmp_path / "uploaded"), model)
    assert "| Sky |" in (tmp_path / "uploaded" / "README.md").read_text(encoding="utf-8")


def test_a_refusal_is_named(model, monkeypatch):
    class Interface:
        def __init__(self, **options): ...

        def create_repo(self, *names, **options):
            raise RuntimeError("403 Forbidden\nwith details")

    monkeypatch.setattr(huggingface_hub, "HfApi", Interface)
    with pytest.raises(ValueError, match=r"hub: a/b was not uploaded \(403 Forbidden\)$"):
        model.push_to_hub("a/b")


def cached(folder, repo_id, files):
    """A repository as the Hub's library keeps it once downloaded."""
    repository = folder / f"models--{repo_id.replace('/', '--')}"
    commit = "0" * 40
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for name, write in files.items():
        write(snapshot / name)


@pytest.fixture
def _offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("_offline")
def test_a_model_comes_from_the_cache(model, tmp_path):
    cached(tmp_path, "someone/streets", {"model.safetensors": model.save})
    same(Segmenter.from_pretrained("someone/streets", cache_dir=tmp_path), model)


@pytest.mark.usefixtures("_offline")
@pytest.mark.parametrize("name", ["someone/nothing", "no name at all/ /"])
def test_unknown_models_are_named(tmp_path, name):
    with pytest.raises(ValueError, match=rf"model {name}: neither a folder nor available from the Hub"):
        Segmenter.from_pretrained(name, cache_dir=tmp_path)


def test_folders_without_a_model_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"expected a folder with model\.safetensors"):
        Segmenter.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"miou": 0.5}'])
def test_other_scores_are_refused(model, tmp_path, content):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(ValueError, match="scores: "):
        model.save_pretrained(tmp_path / "out", scores=tmp_path / "scores.json")
