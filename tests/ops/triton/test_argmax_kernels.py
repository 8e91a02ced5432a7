"""Label maps, confidences and confusion matrices by Triton kernels, against the dense form in float64."""

import pytest
import torch
import written_out

from offstride.ops.argmax import triton as kernels

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, where the interpreter meets NaN

CASES = {  # scores (B, C, h, w), size, origin, displaced, type
    "center": ((2, 5, 3, 4), (9, 13), "center", False, torch.float32),
    "corner": ((1, 5, 3, 4), (8, 16), "corner", False, torch.float32),
    "aligned": ((1, 5, 3, 4), (9, 13), "aligned", False, torch.float32),
    "displaced, aligned": ((1, 5, 4, 1), (1, 13), "aligned", True, torch.float32),
    "displaced": ((2, 5, 3, 4), (9, 13), "center", True, torch.float32),
    "displaced, corner": ((1, 6, 3, 4), (9, 13), "corner", True, torch.bfloat16),
    "float16": ((1, 21, 3, 4), (9, 13), "center", False, torch.float16),
    "many classes": ((1, 300, 2, 2), (4, 5), "center", False, torch.float32),
    "one coarse pixel": ((1, 3, 1, 1), (2, 3), "center", True, torch.float32),
    "fewer pixels than scores": ((1, 3, 4, 9), (3, 4), "corner", False, torch.float32),
}


def build(name, device):
    (B, C, h, w), size, origin, displaced, dtype = CASES[name]
    scores = (2 * torch.randn(B, C, h, w)).to(device, dtype)
    offsets = torch.randn(B, 2, *size).to(device) if displaced else None
    rendered = written_out.render(scores.double(), None if offsets is None else offsets.double(), size, origin)
    return scores, offsets, size, origin, rendered


@pytest.mark.parametrize("name", CASES)
def test_labels_and_confidence(name, device):
    scores, offsets, size, origin, rendered = build(name, device)
    found = kernels.labels(scores, offsets, size, origin=origin)
    assert found.dtype == (torch.uint8 if scores.shape[1] <= 256 else torch.int64)
    expected = rendered.softmax(1).max(1)
    assert torch.equal(found.long(), expected.indices)
    confidence = kernels.confidence(scores, offsets, size, origin=origin)
    torch.testing.assert_close(confidence.double(), expected.values, rtol=2e-6, atol=0)


def test_the_first_of_equal_classes(device):
    scores = torch.zeros(1, 9, 2, 3, device=device)
    scores[:, 6:8] = 1
    assert (kernels.labels(scores, None, (5, 7), origin="center") == 6).all()


def test_scores_of_any_layout_and_size(device):
    scores, _, size, origin, rendered = build("center", device)
    found = kernels.labels(60 * scores.contiguous(memory_format=torch.channels_last), None, size, origin=origin)
    assert torch.equal(found.long(), rendered.argmax(1))


@pytest.mark.parametrize(("name", "dtype"), [("center", torch.int64), ("displaced, corner", torch.uint8)])
def test_confusion(name, dtype, device):
    scores, offsets, size, origin, rendered = build(name, device)
    C = scores.shape[1]
    target = torch.randint(0, C, (scores.shape[0], *size), device=device).to(dtype)
    target[:, ::3] = 255
    found = kernels.confusion(scores, offsets, target.mT.contiguous().mT, origin=origin, ignore_index=255)
    expected = torch.zeros(C, C, dtype=torch.int64, device=device)
    counted = target != 255
    pairs = (target[counted].long(), rendered.argmax(1)[counted])
    expected.index_put_(pairs, torch.ones((), dtype=torch.int64, device=device), accumulate=True)
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)


def test_a_label_that_is_no_class_is_not_counted(device):
    scores, offsets, size, origin, _ = build("center", device)
    target = torch.full((2, *size), 2**40, device=device)
    target[0, 0, 0] = -1
    assert kernels.confusion(scores, offsets, target, origin=origin, ignore_index=255).sum() == 0


def test_an_offset_that_is_no_number_reads_nothing_outside(device):
    scores, offsets, size, origin, _ = build("displaced", device)
    offsets[:, :, ::2] = float("nan")
    offsets[:, :, 1::4] = float("inf")
    assert (kernels.labels(scores, offsets, size, origin=origin) < scores.shape[1]).all()
