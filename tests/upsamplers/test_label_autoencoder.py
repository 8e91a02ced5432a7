"""The non-linear auto-encoder: its equations, its training, its file."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import argmax
from offstride.ops.label_basis import label_windows
from offstride.upsamplers import LabelAutoencoder, LabelBasis, fit_label_autoencoder, fit_label_basis

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def maps():
    coarse = torch.randint(0, 3, (8, 4, 4), generator=torch.Generator().manual_seed(0))
    return coarse.repeat_interleave(6, 1).repeat_interleave(6, 2)


@pytest.fixture(scope="module")
def fitted(maps):
    windows = [label_windows(maps, scale=4, classes=3)]
    return fit_label_autoencoder(windows, channels=4, hidden=32, steps=250, batch=64, rate=5e-3)


def test_it_is_two_layers_down_and_two_up(maps):
    model = LabelAutoencoder(3, scale=4, channels=2, hidden=5)
    torch.nn.init.normal_(model.bias)
    torch.nn.init.normal_(model.down_bias)
    v = F.one_hot(maps, 3).float().view(8, 6, 4, 6, 4, 3).transpose(2, 3).flatten(3)
    down = (v @ model.down.flatten(0, 2) + model.down_bias).relu()
    codes = down @ model.code.weight.T + model.code.bias
    up = (codes @ model.up.weight.T + model.up.bias).relu()
    windows = (up @ model.weight.flatten(0, 2).T + model.bias.flatten()).view(8, 6, 6, 4, 4, 3)
    scores = windows.permute(0, 5, 1, 3, 2, 4).reshape(8, 3, 24, 24)
    assert torch.allclose(model.encode(maps), codes.permute(0, 3, 1, 2), atol=1e-5)
    assert torch.allclose(model.decode(model.encode(maps), (24, 24)).dense(), scores, atol=1e-5)


def test_training_reconstructs_labels_better_than_fewer_linear_channels(maps, fitted):
    assert fitted.explained > fit_label_basis(maps, scale=4, classes=3, channels=2).explained
    labels = argmax(fitted.decode(fitted.encode(maps), (24, 24)))
    assert float((labels == maps).float().mean()) > 0.9


def test_training_is_repeatable_and_leaves_the_generator_alone(maps):
    windows = [label_windows(maps, scale=4, classes=3)]
    before = torch.get_rng_state()
    one, two = (fit_label_autoencoder(windows, channels=2, hidden=4, steps=3, seed=5) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.weight, two.weight)
    other = fit_label_autoencoder(windows, channels=2, hidden=4, steps=3, seed=6)
    assert not torch.equal(one.weight, other.weight)


def test_its_file_is_of_its_own_kind(maps, fitted, tmp_path):
    path = tmp_path / "autoencoder.safetensors"
    fitted.save(path)
    other = LabelAutoencoder.load(path)
    assert torch.equal(other.encode(maps), fitted.encode(maps))
    assert other.explained == fitted.explained
    with pytest.raises(ValueError, match="expected metadata under 'offstride_basis'"):
        LabelBasis.load(path)
    fit_label_basis(maps, scale=4, classes=3, channels=2).save(path)
    with pytest.raises(ValueError, match="expected metadata under 'offstride_autoencoder'"):
        LabelAutoencoder.load(path)


def test_what_is_refused(maps):
    with pytest.raises(ValueError, match="hidden: expected a positive"):
        LabelAutoencoder(3, hidden=0)
    with pytest.raises(ValueError, match="steps: expected a positive"):
        fit_label_autoencoder([label_windows(maps, scale=4, classes=3)], channels=2, steps=0)
    with pytest.raises(ValueError, match="codes: expected shape"):
        LabelAutoencoder(3, scale=4, channels=2).decode(torch.zeros(1, 3, 1, 1), (4, 4))
