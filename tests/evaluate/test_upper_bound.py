"""Labels through a coarse grid and back, against one-hot maps, torch's pooling and interpolation, dense matrices."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from offstride.data import ClassSet, Sample, Streets
from offstride.evaluate import label_decoder, reconstruction_bound, reconstruction_bounds
from offstride.field import argmax
from offstride.upsamplers import LabelBasis, fit_label_basis

CLASSES, R = 3, 4


class Given:
    """A data set of given label maps."""

    classes = ClassSet(("wall", "pole", "ghost"))

    def __init__(self, maps):
        self.maps = maps

    def __len__(self):
        return len(self.maps)

    def __getitem__(self, index):
        label = self.maps[index]
        return Sample(torch.zeros(3, *label.shape, dtype=torch.uint8), label, str(index))


def blobs(size, seed, ignored=0.1):
    """Labels with areas and borders, some of them ignored."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, CLASSES, 5, 6, generator=generator)
    labels = F.interpolate(noise, size, mode="bilinear").argmax(1)[0].to(torch.uint8)
    labels[torch.rand(size, generator=generator) < ignored] = 255
    return labels


@pytest.fixture
def dataset():
    return Given([blobs((16, 24), 0), blobs((13, 22), 1), blobs((16, 24), 2)])


def one_hot(labels):
    """`(1, n, r·h, r·w)` with zeros where there is no class."""
    H, W = labels.shape
    whole = F.pad(labels.long(), (0, -W % R, 0, -H % R), value=255)
    return torch.stack([(whole == c).float() for c in range(CLASSES)])[None]


def rendered(labels, decoder, coarse):
    """Scores as torch makes them."""
    maps = one_hot(labels)
    if coarse == "average":
        shares = F.avg_pool2d(maps, R)
        shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-9)  # of the pixels that have a class
    else:
        shares = F.interpolate(maps, scale_factor=1 / R, mode="nearest-exact")
    mode = {"bilinear": {"mode": "bilinear", "align_corners": False}, "nearest": {"mode": "nearest"}}[decoder]
    return F.interpolate(shares, scale_factor=R, **mode)


def score(pairs):
    """mIoU of (prediction, label) pairs, classes of neither left out."""
    ious = []
    for c in range(CLASSES):
        both = sum(int(((p == c) & (t == c)).sum()) for p, t in pairs)
        either = sum(int((((p == c) | (t == c)) & (t != 255)).sum()) for p, t in pairs)
        ious += [both / either] if either else []
    return sum(ious) / len(ious)


@pytest.mark.parametrize("coarse", ["average", "point"])
@pytest.mark.parametrize("decoder", ["bilinear", "nearest"])
def test_interpolation_is_that_of_torch(dataset, decoder, coarse):
    decode = label_decoder(decoder, R, CLASSES, coarse=coarse)
    for labels in dataset.maps:
        torch.testing.assert_close(decode(labels[None]).dense(), rendered(labels, decoder, coarse))
    cut = [
        (rendered(labels, decoder, coarse).argmax(1)[0, : labels.shape[0], : labels.shape[1]], labels)
        for labels in dataset.maps
    ]
    scores = reconstruction_bound(dataset, decoder, R, coarse=coarse)
    assert scores.miou == pytest.approx(score(cut))
    assert 0.3 < scores.miou < 1


@pytest.mark.parametrize("channels", [1, 5, 20])
def test_projection_is_that_of_dense_matrices(dataset, channels):
    basis = fit_label_basis(dataset.maps, scale=R, classes=CLASSES, channels=20)
    W, mean = basis.weight[..., :channels].reshape(-1, channels).double().numpy(), basis.mean.double().numpy().ravel()
    pairs = []
    for labels in dataset.maps:
        maps = one_hot(labels)[0].double().numpy()
        prediction = np.empty(maps.shape[1:], dtype=np.int64)
        for i in range(0, maps.shape[1], R):
            for j in range(0, maps.shape[2], R):
                v = maps[:, i : i + R, j : j + R].transpose(1, 2, 0).ravel()
                window = W @ (W.T @ (v - mean)) + mean
                prediction[i : i + R, j : j + R] = window.reshape(R, R, CLASSES).argmax(2)
        pairs.append((torch.from_numpy(prediction)[: labels.shape[0], : labels.shape[1]], labels))
    scores = reconstruction_bound(dataset, basis, R, channels=channels)
    assert scores.miou == pytest.approx(score(pairs), abs=2e-3)  # pixels with two equal scores may fall either way


def test_a_basis_of_full_rank_loses_nothing(dataset):
    full = R * R * CLASSES
    identity = torch.eye(full).reshape(R, R, CLASSES, full)
    basis = LabelBasis(identity, torch.rand(R, R, CLASSES), torch.ones(full), 1.0, 1.0, 1)
    assert reconstruction_bound(dataset, basis, R).miou == 1


def test_more_channels_lose_less():
    streets = Streets(6, (48, 64))
    n = len(streets.classes)
    basis = fit_label_basis((streets[i].label for i in range(6)), scale=8, classes=n, channels=64)
    decoders = {count: label_decoder(basis, 8, n, channels=count) for count in (1, 4, 16, 64)}
    seen = []
    scores = reconstruction_bounds(streets, decoders, progress=lambda done, total: seen.append((done, total)))
    accuracy = [scores[count].pixel_accuracy for count in decoders]
    miou = [scores[count].miou for count in decoders]
    assert accuracy == sorted(accuracy)
    assert miou == sorted(miou)
    assert len(set(miou)) == 4
    assert miou[-1] > reconstruction_bound(streets, "bilinear", 8).miou
    assert seen[-1] == (6, 6)


def test_windows_of_one_pixel_lose_nothing(dataset):
    for decoder in ("bilinear", "nearest"):
        assert reconstruction_bound(dataset, decoder, 1).miou == 1


def test_a_window_without_a_class_takes_none(dataset):
    labels = torch.full((1, 2 * R, R), 255, dtype=torch.uint8)
    labels[0, :R] = 1
    field = label_decoder("nearest", R, CLASSES)(labels)
    assert (argmax(field)[0, :R] == 1).all()
    assert not field.dense()[0, :, R:].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cubic", R, CLASSES), "decoder: expected one of bilinear, nearest, got 'cubic'"),
        (("bilinear", 0, CLASSES), "scale: expected a positive whole number, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        label_decoder(*arguments)


def test_a_basis_must_fit(dataset):
    basis = fit_label_basis(dataset.maps, scale=R, classes=CLASSES, channels=4)
    with pytest.raises(ValueError, match="coarse: expected one of average, point, got 'mode'"):
        label_decoder("nearest", R, CLASSES, coarse="mode")
    with pytest.raises(ValueError, match="decoder: expected windows of 8 and 3 classes, got 4 and 3"):
        label_decoder(basis, 8, CLASSES)
    with pytest.raises(ValueError, match="channels: expected"):
        label_decoder(basis, R, CLASSES, channels=5)
