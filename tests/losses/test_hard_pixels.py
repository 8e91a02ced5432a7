"""Hard pixels against sorting the losses of dense scores."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, LocatedField, NearestField
from offstride.losses import cross_entropy, hard_pixels


def fields():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 5, 4, 4, generator=generator)
    offsets = torch.randn(2, 2, 16, 12, generator=generator)
    return [BilinearField(scores, (16, 12)), LocatedField(scores, offsets), NearestField(scores, (16, 12))]


def labels():
    generator = torch.Generator().manual_seed(1)
    index = torch.randint(0, 5, (2, 16, 12), generator=generator)
    index[:, :3] = 255
    return index


@pytest.mark.parametrize("field", fields(), ids=lambda field: type(field).__name__)
@pytest.mark.parametrize("probability", [None, 0.3, 0.9])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_keeps_the_hardest(field, probability, dtype):
    index = labels()
    losses = F.cross_entropy(field.dense(), index, ignore_index=255, reduction="none")
    valid = losses[index != 255].sort(descending=True).values
    kept = round(0.25 * len(valid))
    if probability is not None:
        kept = max(kept, int((torch.exp(-valid) <= probability).sum()))
    found = hard_pixels(field, index.to(dtype), share=0.25, probability=probability)
    assert found.dtype == dtype
    hard = found != 255
    if isinstance(field, NearestField):  # many pixels tie
        assert hard.sum() >= kept
    else:
        assert hard.sum() == kept
    assert torch.equal(found[hard].long(), index[hard])
    easy = losses[(index != 255) & ~hard]
    assert not len(easy) or losses[hard].min() >= easy.max()
    expected = F.cross_entropy(field.dense(), found.long(), ignore_index=255)
    torch.testing.assert_close(cross_entropy(field, found), expected)


def test_a_share_of_all_keeps_all():
    field, index = fields()[0], labels()
    assert torch.equal(hard_pixels(field, index, share=1.0), index)


def test_nothing_valid_stays_so():
    ignored = torch.full((2, 16, 12), 255)
    assert torch.equal(hard_pixels(fields()[0], ignored, share=0.5), ignored)


def test_bytes_make_room_for_another_ignored_label():
    found = hard_pixels(fields()[0], labels().clamp(max=4).byte(), share=0.5, ignore_index=-100)
    assert found.dtype == torch.int64
    assert (found == -100).sum() == found.numel() // 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, r"share: expected a number in \(0, 1\], got 0.0"),
        ({"share": 0.5, "probability": 0.0}, r"probability: expected .*got 0.0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        hard_pixels(fields()[0], labels(), **options)
