"""Maps that upsamplers may look at, and which one a stride stands for."""

import pytest
import torch

from offstride.features import FeatureInfo, GuideLevels, folded, guide_levels, level_of_stride, standardised

LEVELS = [
    FeatureInfo(8, 4, "layer1"),
    FeatureInfo(16, 8, "layer2"),
    FeatureInfo(32, 8, "layer3"),
    FeatureInfo(9, 16, "x"),
]


def test_a_stride_is_its_deepest_map():
    assert [level_of_stride(LEVELS, stride) for stride in (4, 8, 16)] == [-4, -2, -1]
    for stride in (2, 0, 32):
        with pytest.raises(ValueError, match=rf"guide_stride: expected the stride of a .*\(4, 8, 16\), got {stride}"):
            level_of_stride(LEVELS, stride)
    with pytest.raises(ValueError, match=r"backbone \(none\), got 4"):
        level_of_stride([], 4)


def test_what_features_lack_is_the_image():
    """Their own maps are found at the same places with and without it."""
    levels = guide_levels(3, LEVELS)
    assert [(info.stride, info.channels) for info in levels[:2]] == [(1, 3), (2, 12)]
    assert levels[2:] == LEVELS
    assert [level_of_stride(levels, stride) for stride in (1, 2, 4, 8, 16)] == [-6, -5, -4, -2, -1]


@pytest.mark.parametrize(
    ("coarse", "strides", "nearest_to_4"),
    [(16, [1, 2, 4, 8], 4), (14, [1, 2, 7], 2), (32, [1, 2, 4, 8], 4), (1, [], 0)],
)
def test_one_stride_has_the_image_at_its_divisors(coarse, strides, nearest_to_4):
    levels = guide_levels(4, [FeatureInfo(7, coarse, "blocks.0"), FeatureInfo(7, coarse, "blocks.1")])
    assert [info.stride for info in levels] == [*strides, coarse, coarse]
    assert [info.channels for info in levels[:-2]] == [4 * s * s for s in strides]
    if nearest_to_4:
        assert levels[level_of_stride(levels, 4)].stride == nearest_to_4


def test_folded_images_have_pixels_as_channels():
    image, maps = torch.randn(1, 3, 21, 35), [torch.randn(1, 7, 3, 5), torch.randn(1, 7, 3, 5)]
    features = [FeatureInfo(7, 8, "blocks.0"), FeatureInfo(7, 8, "blocks.1")]
    levels = GuideLevels(image, maps, features)
    assert [level.shape[1] for level in levels] == [info.channels for info in guide_levels(3, features)]
    assert [tuple(level.shape[2:]) for level in levels] == [(21, 35), (11, 18), (6, 9), (3, 5), (3, 5)]
    assert torch.equal(levels[0], image)
    assert torch.equal(levels[1][0, :, 3, 4], image[0, :, 6:8, 8:10].flatten())
    last = image[0, :, 20, 8:10]  # 21 rows: the edge is repeated
    assert torch.equal(levels[1][0, :, 10, 4], torch.stack((last, last), 1).flatten())
    assert levels[-1] is maps[1]
    assert levels[-2] is maps[0]
    assert len(levels[1:3]) == 2
    assert GuideLevels(image, [level.half() for level in maps], features)[1].dtype == torch.float16
    assert torch.equal(folded(image[..., :1, :1], 2), image[..., :1, :1].expand(1, 3, 2, 2).reshape(1, 12, 1, 1))
    with pytest.raises(IndexError):
        levels[5]


def test_standardised_images_are_the_same_for_all_normalisations():
    torch.manual_seed(0)
    image = torch.rand(2, 3, 9, 14, dtype=torch.float64)
    image[1, 2] = 0.3
    result = standardised(image)
    expected = torch.stack([(image[0, c] - image[0, c].mean()) / image[0, c].std(correction=0) for c in range(3)])
    torch.testing.assert_close(result[0], expected)
    torch.testing.assert_close(result[1, 2], torch.zeros(9, 14, dtype=torch.float64))
    factors = torch.tensor([255.0, 4.3, 0.5]).double()[:, None, None]
    torch.testing.assert_close(standardised(factors * image - 2), result)
    assert standardised(image.half()).dtype == torch.float32
