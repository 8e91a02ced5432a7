import colorsys
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from offstride.data.sample import Sample
from offstride.data.transforms import IMAGENET_MEAN, IMAGENET_STD, EvalTransform, TrainTransform

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))


def colors(image: Tensor) -> Tensor:
    """Undo the normalisation: 0 … 255."""
    return (image * STD + MEAN) * 255


def noise(height: int, width: int) -> Sample:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    return Sample(image, torch.randint(0, 9, (height, width), generator=generator, dtype=torch.uint8), "noise")


def flat(value: int, height: int = 20, width: int = 30) -> Sample:
    return Sample(torch.full((3, height, width), value).byte(), torch.zeros(height, width).byte(), "flat")


def ramp(height: int, width: int, axis: int) -> Sample:
    """Colour is four times the coordinate along an axis; the label is the coordinate."""
    label = torch.arange(height)[:, None] if axis == 0 else torch.arange(width)
    label = label.expand(height, width).byte()
    return Sample((4 * label).expand(3, height, width), label, "ramp")


sizes = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, sizes, sizes, st.floats(0.3, 3), st.integers(0, 2**63 - 1))
def test_any_size_gives_the_crop(height, width, crop_height, crop_width, scale, seed):
    image, label = TrainTransform((crop_height, crop_width), (scale, scale))(noise(height, width), seed)
    assert (image.shape, image.dtype) == ((3, crop_height, crop_width), torch.float32)
    assert (label.shape, label.dtype) == ((crop_height, crop_width), torch.uint8)
    assert image.is_contiguous()
    inside = label != 255
    rows, columns = inside.any(1).sum(), inside.any(0).sum()
    assert inside.sum() == rows * columns  # what is visible is one rectangle …
    for size, crop, visible in ((height, crop_height, rows), (width, crop_width, columns)):
        expected = max(
            1, min(crop, size * scale)
        )  # … and as large as it can be, to the rounding of the window and the scale
        assert abs(visible - expected) <= 0.5 * max(1, scale) + 1e-6


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("scale", "crop"), [(0.4, 24), (0.7, 64), (1.0, 60), (1.5, 45), (2.0, 50), (3.0, 30)])
def test_image_and_label_follow_the_same_geometry(axis, scale, crop):
    transform = TrainTransform((crop, crop), (scale, scale))
    for seed in range(8):
        image, label = transform(ramp(60, 60, axis), seed)
        rows, columns = torch.nonzero(label != 255).unbind(1)
        core = (slice(rows.min() + 2, rows.max() - 1), slice(columns.min() + 2, columns.max() - 1))
        position = colors(image)[:, *core] / 4
        # The label is the pixel nearest to where the colour was read, to the rounding of colours to 8 bits.
        assert (position - label[core]).abs().max() <= 0.5 + 0.126


def test_colour_coded_regions_keep_their_labels():
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 9, (5, 6), generator=generator, dtype=torch.uint8)
    label = blocks.repeat_interleave(12, 0).repeat_interleave(12, 1)
    palette = torch.randint(0, 256, (9, 3), generator=generator, dtype=torch.uint8)
    sample = Sample(palette[label.long()].permute(2, 0, 1), label, "blocks")
    transform = TrainTransform((40, 44), (0.6, 2.5))
    checked = 0
    for seed in range(20):
        image, cropped = transform(sample, seed)
        windows = cropped.float().unfold(0, 7, 1).unfold(1, 7, 1).flatten(2)
        inner = (windows.amin(2) == windows.amax(2)) & (windows.amax(2) < 255)
        expected = palette[cropped[3:-3, 3:-3][inner].long()].T
        assert (colors(image)[:, 3:-3, 3:-3][:, inner] - expected).abs().max() < 1.01
        checked += int(inner.sum())
    assert checked > 1000


def test_padding_is_the_mean_pixel_and_is_ignored():
    image, label = TrainTransform((64, 80), (0.5, 1.0), jitter=0.5)(flat(255), 3)
    outside = label == 255
    assert 0 < outside.sum() < 64 * 80
    assert (image[:, outside] == 0).all()
    assert ((image * STD + MEAN)[:, outside] == MEAN[:, 0]).all()
    assert (image[:, ~outside] != 0).all()


def test_small_images_lie_at_random_places():
    transform = TrainTransform((40, 60), (1, 1))
    corners = [tuple(torch.nonzero(transform(flat(9), seed)[1] == 0)[0].tolist()) for seed in range(200)]
    ys, xs = zip(*corners, strict=True)
    assert (min(ys), max(ys)) == (0, 20)
    assert (min(xs), max(xs)) == (0, 30)


def test_crops_reach_every_part_of_the_image():
    transform = TrainTransform((2, 3), (1, 1), flip=0)
    sample = noise(4, 5)
    seen = {transform(sample, seed)[1].numpy().tobytes() for seed in range(100)}
    every = {sample.label[y : y + 2, x : x + 3].numpy().tobytes() for y in range(3) for x in range(3)}
    assert seen == every


def test_at_scale_one_only_normalisation_is_left():
    sample = noise(20, 30)
    image, label = TrainTransform((20, 30), (1, 1), flip=0)(sample, 0)
    expected = (sample.image / 255 - MEAN) / STD
    assert torch.allclose(image, expected, atol=1e-6)
    assert torch.equal(label, sample.label)
    for transformed, original in zip(EvalTransform()(sample), (expected, sample.label), strict=True):
        assert torch.allclose(transformed, original, atol=1e-6)


def test_shrinking_averages():
    stripes = torch.tensor([0, 255, 255, 0]).repeat(20).expand(3, 80, 80).byte()
    sample = Sample(stripes, torch.zeros(80, 80).byte(), "stripes")
    image = colors(TrainTransform((20, 20), (0.25, 0.25))(sample, 0)[0])
    # A pixel of the result is centred on a white pair; without antialiasing it would be white.
    assert (image[:, 2:-2, 2:-2] - 127.5).abs().max() <= 1


def test_a_flip_mirrors_columns():
    sample = noise(20, 30)
    straight, mirrored = (TrainTransform((20, 30), (1, 1), flip)(sample, 5) for flip in (0, 1))
    assert torch.equal(straight[0].flip(-1), mirrored[0])
    assert torch.equal(straight[1].flip(-1), mirrored[1])


def test_half_of_all_samples_are_flipped():
    sample, transform = noise(4, 6), TrainTransform((4, 6), (1, 1))
    flipped = sum(not torch.equal(transform(sample, seed)[1], sample.label) for seed in range(400))
    assert 160 < flipped < 240


def test_scales_fill_their_range():
    transform = TrainTransform((90, 90), (0.5, 2.0))
    widths = [int((transform(flat(0, 40, 40), seed)[1] == 0).any(0).sum()) for seed in range(200)]
    assert min(widths) in (20, 21)
    assert max(widths) in (79, 80)
    assert 47 < np.mean(widths) < 53


def test_jitter_changes_colour_within_its_range_and_nothing_else():
    plain, jittered = TrainTransform((20, 30)), TrainTransform((20, 30), jitter=0.3)
    for seed in range(10):
        assert torch.equal(plain(noise(25, 35), seed)[1], jittered(noise(25, 35), seed)[1])
    # Contrast and saturation leave an even grey as it is, so brightness alone is seen.
    transform = TrainTransform((20, 30), (1, 1), jitter=0.3)
    factors = [colors(transform(flat(100), seed)[0]).mean().item() / 100 for seed in range(200)]
    assert 0.69 < min(factors) < 0.74
    assert 1.26 < max(factors) < 1.31


def test_jitter_reaches_contrast_and_saturation():
    sample, transform = noise(20, 30), TrainTransform((20, 30), (1, 1), flip=0, jitter=0.4)
    results = [colors(transform(sample, seed)[0]) for seed in range(60)]
    deviation = [image.mean(0).std() / image.mean() for image in results]  # of greys: brightness leaves the quotient
    saturation = [(image.amax(0) - image.amin(0)).mean() / image.mean(0).std() for image in results]
    assert max(deviation) / min(deviation) > 1.5
    assert max(saturation) / min(saturation) > 1.5


def test_the_seed_alone_decides():
    sample, transform = noise(50, 60), TrainTransform((32, 40), jitter=0.2)
    first = transform(sample, 7)
    for one, other in zip(first, transform(sample, 7), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first[0], transform(sample, 8)[0])
    assert not torch.equal(first[1], transform(sample, 8)[1])


def test_global_random_states_stay_untouched():
    def states() -> list[object]:
        return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]  # noqa: NPY002

    sample, before = noise(50, 60), states()
    TrainTransform((32, 40), jitter=0.2)(sample, 7)
    assert states() == before


def test_the_sample_is_left_as_it_is():
    sample = noise(30, 40)
    image, label = sample.image.clone(), sample.label.clone()
    TrainTransform((30, 40), (1, 1), jitter=0.5)(sample, 0)[1].zero_()
    EvalTransform()(sample)[0].zero_()
    assert torch.equal(sample.image, image)
    assert torch.equal(sample.label, label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop": (0, 5)}, "crop: expected"),
        ({"crop": (5,)}, "crop: expected"),
        ({"crop": (5.0, 5)}, "crop: expected"),
        ({"scale": (0, 1)}, "scale: expected"),
        ({"scale": (2, 1)}, "scale: expected"),
        ({"flip": 1.5}, "flip: expected"),
        ({"jitter": -0.1}, "jitter: expected"),
        ({"hue": 0.6}, "hue: expected a number in 0 … 0.5"),
        ({"blur": 2}, "blur: expected"),
        ({"base": 0}, "base: expected"),
        ({"base": 1.5}, "base: expected"),
        ({"base_side": "left"}, "base_side: expected"),
        ({"mean": (123.7, 116.3, 103.5)}, "mean, std: expected"),
        ({"std": (0.2, 0.2, 0)}, "mean, std: expected"),
        ({"std": (0.2, 0.2)}, "mean, std: expected"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainTransform(**({"crop": (8, 8)} | arguments))


def test_bad_statistics_for_evaluation():
    with pytest.raises(ValueError, match="mean, std: expected"):
        EvalTransform(std=(58.4, 57.1, 57.4))


@pytest.mark.parametrize(("side", "length"), [("short", 30), ("long", 48)])
def test_a_base_size_is_one_more_scale(side, length):
    sample = noise(48, 30)
    for seed in range(5):
        based = TrainTransform((40, 44), (0.5, 1.5), base=60, base_side=side)(sample, seed)
        scaled = TrainTransform((40, 44), (0.5 * 60 / length, 1.5 * 60 / length))(sample, seed)
        assert torch.equal(based[1], scaled[1])
        assert torch.allclose(based[0], scaled[0])


def test_hue_turns_around_the_colour_circle_within_its_range():
    color = torch.tensor([200, 60, 90], dtype=torch.uint8)
    sample = Sample(color[:, None, None].expand(3, 8, 9).clone(), torch.zeros(8, 9).byte(), "even")
    transform = TrainTransform((8, 9), (1, 1), hue=0.1)
    hue, saturation, value = colorsys.rgb_to_hsv(*(color / 255).tolist())
    shifts = []
    for seed in range(200):
        shifted = colorsys.rgb_to_hsv(*(colors(transform(sample, seed)[0])[:, 4, 4] / 255).tolist())
        assert shifted[1:] == pytest.approx((saturation, value), abs=0.01)
        shifts.append((shifted[0] - hue + 0.5) % 1 - 0.5)
    assert -0.105 < min(shifts) < -0.09
    assert 0.09 < max(shifts) < 0.105


def test_blur_is_a_gaussian_of_random_width():
    """Of one white pixel: the response is a product of Gaussians, so its two axes tell the width."""
    image = torch.zeros(3, 31, 31, dtype=torch.uint8)
    image[:, 15, 15] = 255
    sample = Sample(image, torch.zeros(31, 31).byte(), "dot")
    transform = TrainTransform((31, 31), (1, 1), blur=1.0)
    widths = []
    for seed in range(100):
        blurred, label = transform(sample, seed)
        response = colors(blurred)[0]
        assert (label == 0).all()
        deviation = np.sqrt(-0.5 / np.log(max(float(response[15, 16] / response[15, 15]), 1e-9)))
        if deviation > 0.45:
            axis = np.exp(-0.5 * (np.arange(-3, 4) / deviation) ** 2)
            expected = 255 * np.outer(axis, axis) / axis.sum() ** 2
            assert np.abs(response[12:19, 12:19].numpy() - expected).max() < 3
        widths.append(deviation)
    assert max(widths) > 0.9
    assert 0.4 < np.mean(widths) < 0.6


def test_some_images_are_blurred():
    sample, transform = noise(16, 16), TrainTransform((16, 16), (1, 1), flip=0, blur=0.3)
    sharp = TrainTransform((16, 16), (1, 1), flip=0)(sample, 0)[0]
    blurred = sum(not torch.equal(transform(sample, seed)[0], sharp) for seed in range(400))
    assert 70 < blurred < 150  # the least widths change nothing


def test_every_size_can_be_blurred():
    for height, width in ((1, 1), (1, 9), (2, 3), (3, 1)):
        image, _ = TrainTransform((5, 5), (1, 1), blur=1.0, hue=0.2, jitter=0.2)(noise(height, width), 3)
        assert image.isfinite().all()


def test_what_is_off_draws_nothing():
    """The samples of earlier recipes stay what they were."""
    sample = noise(50, 60)
    plain = TrainTransform((32, 40), jitter=0.2)(sample, 7)
    assert float(plain[0].double().sum()) == pytest.approx(743.028388, abs=1e-3)
    assert int(plain[1].long().sum()) == 5000
