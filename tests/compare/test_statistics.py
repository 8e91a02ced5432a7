import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offstride.compare import ImageCounts, ScoreNames, image_choices, percentiles, student_interval

SCORING = ScoreNames(("a", "b", "c"), ("c",), (1,))


def counts(images: int, seed: int = 0) -> ImageCounts:
    random = np.random.default_rng(seed)
    correct = random.integers(0, 50, (images, 2, 3))
    predicted, labelled = (correct + random.integers(0, 20, correct.shape) for _ in range(2))
    band = random.integers(1, 9, (images, 3))
    return ImageCounts(
        tuple(map(str, range(images))),
        (1,),
        correct,
        predicted,
        labelled,
        band,
        band + random.integers(0, 9, band.shape),
    )


def literal(data: ImageCounts, drawn: list[int]) -> list[float]:
    """Scores of images, which may occur more than once, written out."""

    def ious(region):
        correct = sum(data.found[i, region] for i in drawn)
        union = sum(data.predicted[i, region] + data.labelled[i, region] - data.found[i, region] for i in drawn)
        return [f / u for f, u in zip(correct, union, strict=True)]

    whole, trimap = ious(0), ious(1)
    band = [sum(data.band_found[i, c] for i in drawn) / sum(data.band_union[i, c] for i in drawn) for c in range(3)]
    right = sum(data.found[i, 0].sum() for i in drawn) / sum(data.labelled[i, 0].sum() for i in drawn)
    return [sum(whole) / 3, sum(band) / 3, whole[2], right, sum(trimap) / 3, *whole]


def test_names_stand_in_the_order_of_the_scores():
    assert SCORING.names == [
        "miou", "boundary_iou", "thin_iou", "pixel_accuracy", "trimap 1", "class a", "class b", "class c"
    ]  # fmt: skip
    without = ScoreNames(("a",), (), ())
    assert without.names == ["miou", "boundary_iou", "pixel_accuracy", "class a"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_scores_of_a_choice_are_those_of_its_images(drawn):
    data = counts(5)
    weights = np.bincount(drawn, minlength=5)[None].astype(float)
    np.testing.assert_allclose(SCORING.of(data, weights)[0], literal(data, drawn))


def test_absent_classes_are_left_out_of_means():
    data = counts(2)
    for part in (data.found, data.predicted, data.labelled):
        part[..., 2] = 0
    scores = dict(zip(SCORING.names, SCORING.of(data, np.ones((1, 2)))[0], strict=True))
    assert np.isnan(scores["class c"])
    assert np.isnan(scores["thin_iou"])
    assert scores["miou"] == pytest.approx((scores["class a"] + scores["class b"]) / 2)


@given(st.integers(1, 40), st.data())
def test_every_choice_draws_as_many_images(images, data):
    block = data.draw(st.integers(1, images))
    choices = image_choices(images, 7, block, np.random.default_rng(0))
    assert choices.shape == (7, images)
    assert (choices.sum(1) == images).all()


def test_blocks_keep_neighbours_together():
    choices = image_choices(12, 200, 4, np.random.default_rng(0))
    pairs = choices * np.roll(choices, -1, 1)
    single = image_choices(12, 200, 1, np.random.default_rng(0))
    assert ((choices > 0) & (np.roll(choices, 1, 1) == 0) & (np.roll(choices, -1, 1) == 0)).sum() == 0
    assert pairs.mean() > (single * np.roll(single, -1, 1)).mean()


def test_one_block_of_all_images_is_the_data_itself():
    assert (image_choices(9, 20, 9, np.random.default_rng(0)) == 1).all()


def test_the_bootstrap_of_a_mean_has_its_standard_error():
    """The spread of resampled pixel accuracies is that of the mean of independent images of one size."""
    random = np.random.default_rng(1)
    correct = random.binomial(100, 0.7, (400, 1, 1))
    hundred = np.full_like(correct, 100)
    data = ImageCounts(tuple(map(str, range(400))), (), correct, hundred, hundred, correct[:, 0], hundred[:, 0])
    scores = ScoreNames(("a",), (), ()).of(data, image_choices(400, 4000, 1, random))[:, 2]
    assert scores.std() == pytest.approx(np.std(correct / 100) / 20, rel=0.05)
    low, high = percentiles(scores[:, None], 0.95)[:, 0]
    assert (high - low) / scores.std() == pytest.approx(2 * 1.96, rel=0.06)


def test_percentiles_leave_out_what_could_not_be_scored():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    ends = percentiles(values, 0.5)
    np.testing.assert_allclose(ends[:, 0], [1.5, 2.5])
    assert np.isnan(ends[:, 1]).all()


def test_interval_of_three_differences():
    """4.3027 is the 97.5 % quantile of Student's t with 2 degrees of freedom in every table."""
    low, high = student_interval([0.01, 0.02, 0.03], 0.95)
    half = 4.30265 * 0.01 / 3**0.5
    assert (low, high) == pytest.approx((0.02 - half, 0.02 + half), rel=1e-5)


@pytest.mark.parametrize(("arguments", "match"), [((5, 0, 1), "resamples"), ((5, 3, 6), "block"), ((5, 3, 0), "block")])
def test_wrong_numbers_are_named(arguments, match):
    with pytest.raises(ValueError, match=f"{match}: expected"):
        image_choices(*arguments, np.random.default_rng(0))
