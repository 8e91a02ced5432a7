"""Cross-entropy per pixel against `torch.nn.functional.cross_entropy` in double precision."""

import pytest
import torch
import torch.nn.functional as F

from offstride.ops.cross_entropy.operators import label_weight
from offstride.ops.cross_entropy.reference import pixel_cross_entropy

WEIGHT = torch.tensor([0.5, 2.0, 0.25, 1.0, 0.0])


def case(label_dtype=torch.int64):
    scores = 4 * torch.randn(2, 5, 6, 7, dtype=torch.float64)
    labels = torch.randint(0, 5, (2, 6, 7)).to(label_dtype)
    labels[:, ::3] = 255
    return scores, labels


@pytest.mark.parametrize("label_dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("weight", [None, WEIGHT, WEIGHT.half()])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equals_torch_for_any_integer_labels(label_dtype, weight, smoothing):
    scores, labels = case(label_dtype)
    found = pixel_cross_entropy(scores, labels, weight=weight, label_smoothing=smoothing)
    double = None if weight is None else weight.double()
    options = {"weight": double, "label_smoothing": smoothing, "ignore_index": 255}
    expected = F.cross_entropy(scores, labels.long(), reduction="none", **options)
    assert torch.equal(found, expected)
    assert (found[:, ::3] == 0).all()
    mean = found.sum() / label_weight(labels, weight, 5, 255)
    torch.testing.assert_close(mean, F.cross_entropy(scores, labels.long(), **options))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_summed_in_single(dtype):
    scores, labels = case()
    found = pixel_cross_entropy(scores.to(dtype), labels)
    expected = F.cross_entropy(scores.to(dtype).double(), labels, reduction="none", ignore_index=255)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("label_dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize("ignore_index", [255, 0, -100])
def test_label_weight_counts_valid_pixels(label_dtype, ignore_index):
    labels = torch.tensor([0, 1, 1, 156, 199, 255]).to(label_dtype)  # -100 is 156 where bytes wrap around
    valid = [label for label in labels.tolist() if label != ignore_index]
    assert label_weight(labels, None, 256, ignore_index).item() == len(valid)
    weight = torch.arange(256) / 8
    expected = sum(label / 8 for label in valid)
    assert label_weight(labels, weight, 256, ignore_index).item() == expected
    assert label_weight(labels[:0], weight, 256, 255).item() == 0
