import numpy as np
import pytest
import torch

from offstride.compare import ImageCounts, count_images, count_pixels
from offstride.data import Streets
from offstride.evaluate import evaluate
from offstride.models import create_model


def literal(prediction, label, classes, width):
    """Counts of a trimap (of everything for None), pixel by pixel."""
    height, breadth = label.shape
    correct, predicted, labelled = (np.zeros(classes, int) for _ in range(3))
    for y in range(height):
        for x in range(breadth):
            true = label[y, x]
            if true == 255:
                continue
            if width is not None:
                around = label[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
                if not ((around != true) & (around != 255)).any():
                    continue
            labelled[true] += 1
            predicted[prediction[y, x]] += 1
            correct[true] += prediction[y, x] == true
    return correct, predicted, labelled


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 13)])
def test_counts_of_an_image_are_those_of_a_loop(size):
    random = np.random.default_rng(0)
    label = np.kron(random.integers(0, 3, (4, 4)), np.ones((4, 4), int))[: size[0], : size[1]]
    label[random.random(label.shape) < 0.2] = 255
    prediction = random.integers(0, 3, label.shape)
    maps = [torch.from_numpy(values)[None].to(torch.uint8) for values in (prediction, label)]
    correct, predicted, labelled, _, _ = count_pixels(*maps, 3, (1, 2, 5))
    for region, width in enumerate((None, 1, 2, 5)):
        expected = literal(prediction, label, 3, width)
        for ours, theirs in zip((correct, predicted, labelled), expected, strict=True):
            np.testing.assert_array_equal(ours[region], theirs)


def test_an_image_without_labels_counts_nothing():
    label = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    counts = count_pixels(torch.zeros(1, 4, 4, dtype=torch.uint8), label, 2, (1,))
    assert all((part == 0).all() for part in counts)


@pytest.fixture(scope="module")
def street():
    dataset = Streets(3, (48, 64), 0, "val")
    model = create_model(backbone="mobilenetv2_035", classes=dataset.classes).eval()
    return model, dataset, count_images(model, dataset, widths=(1, 3))


def test_sums_over_the_images_give_the_scores_of_evaluation(street):
    model, dataset, counts = street
    scores = evaluate(model, dataset)
    correct, union = counts.found[:, 0].sum(0), (counts.predicted + counts.labelled - counts.found)[:, 0].sum(0)
    there = union > 0
    np.testing.assert_allclose(correct[there] / union[there], scores.scores.iou.numpy()[there])
    band = counts.band_union.sum(0)
    there = band > 0
    ours = counts.band_found.sum(0)[there] / band[there]
    np.testing.assert_allclose(ours, scores.boundary.iou.numpy()[there])


def test_a_file_holds_everything(street, tmp_path):
    _, _, counts = street
    counts.save(tmp_path / "deep" / "counts.npz")
    again = ImageCounts.load(tmp_path / "deep" / "counts.npz")
    assert (again.names, again.widths) == (counts.names, counts.widths)
    for name in ("found", "predicted", "labelled", "band_found", "band_union"):
        np.testing.assert_array_equal(getattr(again, name), getattr(counts, name))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["counts.npz"]


def test_what_is_no_such_file_is_named(tmp_path):
    for text in (b"", b"nothing"):
        (tmp_path / "counts.npz").write_bytes(text)
        with pytest.raises(ValueError, match=r"counts .*counts\.npz: expected a file of counts"):
            ImageCounts.load(tmp_path / "counts.npz")
    np.savez(tmp_path / "other.npz", names=["a"])
    with pytest.raises(ValueError, match="expected a file of counts"):
        ImageCounts.load(tmp_path / "other.npz")


def test_wrong_widths_and_classes_are_refused(street):
    model, dataset, _ = street
    with pytest.raises(ValueError, match="widths: expected positive"):
        count_images(model, dataset, widths=(1, 0))
    with pytest.raises(ValueError, match="dataset: expected the classes of the model, 2 of them"):
        count_images(create_model(backbone="mobilenetv2_035", classes=2), dataset)
