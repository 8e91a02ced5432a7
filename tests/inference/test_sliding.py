"""Sliding windows, against plain loops."""

import numpy as np
import pytest
import torch
from protocol_loops import Crooked, sliding
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from offstride import create_model
from offstride.field import LogitField, argmax, confidence, confusion, cross_entropy
from offstride.inference import Averaged, label_sliding, pixel_reader, predict_sliding, predict_whole
from offstride.metrics import ConfusionMatrix, confusion_matrix


def reader(image):
    return lambda rows, columns: image[0, :, rows, columns]


def labels_of(predict, image, **options):
    return torch.cat(list(label_sliding(predict, reader(image), image.shape[2:], **options)))


CASES = [
    ((20, 30), (8, 12), 1 / 3),
    ((21, 13), (8, 8), 0),
    ((21, 13), (7, 5), 0.5),
    ((9, 17), (4, 6), 0.9),
    ((9, 9), (9, 9), 1 / 3),
    ((17, 10), (16, 10), 1 / 3),
    ((5, 30), (8, 12), 1 / 3),  # lower than a window
    ((5, 7), (8, 12), 1 / 3),  # smaller in both
]


@pytest.mark.parametrize(("size", "window", "overlap"), CASES)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("reduce", ["probabilities", "scores"])
def test_it_equals_plain_loops(size, window, overlap, flip, reduce):
    predict, image = Crooked(), torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = sliding(predict, image, window, overlap, flip, reduce == "probabilities")
    expected = expected if reduce == "probabilities" else expected.softmax(1)
    options = {"window": window, "overlap": overlap, "flip": flip, "reduce": reduce}
    field = predict_sliding(predict, image, **options)
    torch.testing.assert_close(field.probabilities, expected)
    torch.testing.assert_close(field.rows(1, 4), expected[:, :, 1:4].log(), atol=1e-5, rtol=1e-5)
    top_two = expected.topk(2, 1).values
    clear = (top_two[:, 0] - top_two[:, 1]) > 1e-5
    labels = labels_of(predict, image[:1], **options)
    assert (labels == expected[0].argmax(0))[clear[0]].all()
    assert clear.float().mean() > 0.99


def test_the_average_is_a_field_like_any_other():
    image, labels = torch.randn(2, 3, 20, 26), torch.randint(0, 5, (2, 20, 26))
    labels[0, :3] = 255
    field = predict_sliding(Crooked(), image, window=(8, 8))
    assert isinstance(field, LogitField)
    assert field.shape == (2, 5, 20, 26)
    best = field.probabilities.max(1)
    assert torch.equal(argmax(field).long(), best.indices)
    assert torch.equal(confidence(field), best.values)
    counts = confusion(field, labels)
    assert torch.equal(counts, confusion_matrix(argmax(field), labels, 5))
    metric = ConfusionMatrix(5)
    metric.add(counts)
    assert metric.compute().support.sum() == (labels != 255).sum()
    expected = nn.functional.nll_loss(field.probabilities.log(), labels, ignore_index=255)
    torch.testing.assert_close(cross_entropy(field, labels), expected)


def test_certain_pixels_have_finite_logarithms():
    field = Averaged(torch.eye(2).view(1, 2, 1, 2))
    assert field.dense().isfinite().all()
    assert argmax(field).tolist() == [[[0, 1]]]


@pytest.mark.parametrize(("size", "window", "overlap"), CASES)
def test_a_purely_local_model_does_not_notice_the_windows(size, window, overlap):
    local = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    image = torch.randn(1, 3, *size)
    whole = predict_whole(local, image)
    options = {"window": window, "overlap": overlap}
    torch.testing.assert_close(predict_sliding(local, image, **options).probabilities, whole.dense().softmax(1))
    assert torch.equal(labels_of(local, image, **options), argmax(whole)[0])


@pytest.mark.parametrize("flip", [False, True])
def test_a_constant_image_gives_a_constant_map(flip):
    local = nn.Conv2d(3, 4, 1)
    image = torch.ones(1, 3, 13, 19)
    actual = predict_sliding(local, image, window=(6, 5), flip=flip).probabilities
    torch.testing.assert_close(actual, actual[:, :, :1, :1].expand_as(actual))


def test_the_mirror_image_has_the_mirrored_average():
    predict, image = Crooked(), torch.randn(1, 3, 12, 20)
    options = {"window": (8, 8), "overlap": 0.5, "flip": True}  # 20 = 8 + 3 · 4: windows lie symmetrically
    actual = predict_sliding(predict, image, **options).probabilities
    mirrored = predict_sliding(predict, image.flip(3), **options).probabilities.flip(3)
    torch.testing.assert_close(actual, mirrored)


def test_a_single_window_that_holds_the_image_is_the_whole_prediction():
    predict, image = Crooked(), torch.randn(2, 3, 11, 14)
    whole = predict_whole(predict, image).dense().softmax(1)
    assert torch.equal(predict_sliding(predict, image, window=(11, 14)).probabilities, whole)


def test_one_class():
    image = torch.randn(1, 3, 9, 9)
    assert not labels_of(nn.Conv2d(3, 1, 1), image, window=(4, 4)).any()
    assert (predict_sliding(nn.Conv2d(3, 1, 1), image, window=(4, 4)).probabilities == 1).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_averaged_in_float32_or_better(dtype):
    predict, image = Crooked(), torch.randn(1, 3, 20, 22)
    actual = predict_sliding(lambda images: predict(images).to(dtype), image, window=(8, 8))
    exact = predict_sliding(predict, image, window=(8, 8))
    assert actual.probabilities.dtype == torch.promote_types(dtype, torch.float32)
    rounding = 0.04 if dtype == torch.bfloat16 else 4e-3
    torch.testing.assert_close(actual.probabilities.float(), exact.probabilities, atol=rounding, rtol=0)


def test_hundreds_of_classes():
    image = torch.randn(1, 3, 6, 9)
    labels = labels_of(nn.Conv2d(3, 300, 1), image, window=(4, 4))
    assert labels.dtype == torch.int64
    assert labels.shape == (6, 9)


@pytest.mark.parametrize("upsampler", ["bilinear", "lau"])
def test_fields_of_our_models(upsampler):
    model = create_model(backbone="test_resnet", classes=5, upsampler=upsampler, head_options={"channels": 16}).eval()
    image = torch.randn(1, 3, 70, 90)
    options = {"window": (64, 48), "overlap": 0.25, "flip": True}
    rendered = predict_sliding(model, image, **options).probabilities
    torch.testing.assert_close(predict_sliding(model.field, image, **options).probabilities, rendered)
    assert torch.equal(labels_of(model.field, image, **options), rendered[0].argmax(0))


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return result


def largest_tensor(height, width):
    """Of labelling an image of which only windows exist, in windows of 32 that overlap by 8."""
    local = nn.Conv2d(3, 16, 1)

    def read(rows, columns):
        return torch.zeros(3, rows.stop - rows.start, columns.stop - columns.start)

    with Largest() as largest:
        rows = [len(band) for band in label_sliding(local, read, (height, width), window=(32, 32), overlap=0.25)]
    assert sum(rows) == height
    return largest.bytes


def test_memory_does_not_grow_with_the_height():
    small, tall = largest_tensor(100, 300), largest_tensor(300, 300)
    assert small == tall == 4 * 16 * 300 * 8
    assert small < 4 * 16 * 100 * 300 / 10


def test_bands_come_while_the_image_is_read():
    seen = []

    def read(rows, columns):
        seen.append(rows.start)
        return torch.zeros(3, rows.stop - rows.start, columns.stop - columns.start)

    bands = label_sliding(nn.Conv2d(3, 4, 1), read, (40, 20), window=(8, 8), overlap=0)
    assert seen == []
    assert next(bands).shape == (8, 20)
    assert set(seen) == {0}


def test_arrays_are_read_in_parts(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    np.save(tmp_path / "image.npy", pixels)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    expected = (torch.from_numpy(pixels / 255).permute(2, 0, 1) - torch.tensor(mean)[:, None, None]) / torch.tensor(
        std
    )[:, None, None]
    read = pixel_reader(np.load(tmp_path / "image.npy", mmap_mode="r"), mean, std)
    part = read(slice(3, 9), slice(10, 40))
    assert part.dtype == torch.float32
    torch.testing.assert_close(part, expected[:, 3:9, 10:40].float())
    predict = Crooked()
    labels = torch.cat(list(label_sliding(predict, read, (40, 50), window=(16, 16))))
    image = read(slice(0, 40), slice(0, 50))[None]
    assert torch.equal(labels, argmax(predict_sliding(predict, image, window=(16, 16)))[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": (0, 4)}, "window: expected"),
        ({"window": (4.0, 4)}, "window: expected"),
        ({"window": (4, 4, 4)}, "window: expected"),
        ({"window": (4, 4), "overlap": 1}, "overlap: expected"),
        ({"window": (4, 4), "overlap": -0.1}, "overlap: expected"),
        ({"window": (4, 4), "overlap": float("nan")}, "overlap: expected"),
        ({"window": (4, 4), "reduce": "median"}, "reduce: expected one of"),
    ],
)
def test_bad_arguments(arguments, message):
    image = torch.randn(1, 3, 8, 8)
    with pytest.raises(ValueError, match=message):
        predict_sliding(Crooked(), image, **arguments)
    with pytest.raises(ValueError, match=message):  # at once, not when the first band is asked for
        label_sliding(Crooked(), reader(image), (8, 8), **arguments)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="size: expected"):
        label_sliding(Crooked(), reader(torch.randn(1, 3, 8, 8)), (0, 8), window=(4, 4))
    with pytest.raises(ValueError, match="predict: expected"):
        predict_sliding(lambda _: None, torch.randn(1, 3, 8, 8), window=(4, 4))
    with pytest.raises(ValueError, match=r"pixels: expected \(H, W, 3\)"):
        pixel_reader(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="std: expected three numbers"):
        pixel_reader(np.zeros((4, 4, 3), np.uint8), std=(1, 1))
