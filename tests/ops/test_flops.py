import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from offstride.ops import located_cross_entropy, upsample_argmax, upsample_confusion, upsample_cross_entropy
from offstride.ops.cross_entropy import fused_pixel_losses

B, C, H, W = 2, 3, 10, 12
ONCE = 2 * 4 * B * C * H * W


def inputs():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(B, C, 4, 5, generator=generator, requires_grad=True)
    offsets = torch.zeros(B, 2, H, W, requires_grad=True)
    return scores, offsets, torch.randint(0, C, (B, H, W), generator=generator)


def bilinear(scores, offsets, labels):
    upsample_cross_entropy(scores, labels).backward()


def located(scores, offsets, labels):
    located_cross_entropy(scores, offsets, labels, regression=0.1).backward()


def pixels(scores, offsets, labels):
    losses = fused_pixel_losses(
        scores, None, labels, origin="center", weight=None, label_smoothing=0.0, ignore_index=255
    )
    losses.sum().backward()


def without_gradients(scores, offsets, labels):
    upsample_cross_entropy(scores.detach(), labels)


def labels_and_counts(scores, offsets, labels):
    upsample_argmax(scores.detach(), (H, W), offsets=offsets.detach())
    upsample_confusion(scores.detach(), labels)


@pytest.mark.parametrize(
    ("function", "times"), [(bilinear, 2), (located, 3), (pixels, 3), (without_gradients, 1), (labels_and_counts, 2)]
)
def test_operators_count_as_the_dense_form(function, times):
    given = inputs()
    with FlopCounterMode(display=False) as counter:
        function(*given)
    assert counter.get_total_flops() == times * ONCE
