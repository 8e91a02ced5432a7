import json

import numpy as np
import pytest

from offstride.compare import Entry, ImageCounts, Resampling, compare, extremes
from offstride.compare.statistics import image_shares
from offstride.data import ClassSet

CLASSES = ClassSet(("road", "pole"), thin=("pole",))


def run(share: float, seed: int, images: int = 60, gain=None) -> ImageCounts:
    """Images of two classes with 1000 pixels each, of which about so many are found."""
    shift = np.random.default_rng(seed).integers(-20, 20)
    correct = np.random.default_rng(0).binomial(1000, 0.6, (images, 2, 2)) + shift
    correct = np.clip(correct + np.round(1000 * share).astype(int), 0, 1000)
    if gain is not None:
        correct[:, 0, 0] += gain
    thousand = np.full_like(correct, 1000)
    return ImageCounts(
        tuple(f"image{i}" for i in range(images)), (2,), correct, thousand, thousand, correct[:, 0] // 2, thousand[:, 0]
    )


def entries(*shares: float, runs: int = 3) -> list[Entry]:
    return [Entry(f"m{i}", [run(share, seed) for seed in range(runs)]) for i, share in enumerate(shares)]


def test_a_clear_gain_and_none():
    report = compare(entries(0.0, 0.05, 0.0), CLASSES)
    base, better, same = report["entries"]
    assert base["scores"]["miou"]["difference"] is None
    gain = better["scores"]["miou"]["difference"]
    assert gain["clear"]
    assert gain["mean"] == pytest.approx(better["scores"]["miou"]["mean"] - base["scores"]["miou"]["mean"])
    assert gain["images"][0] < gain["mean"] < gain["images"][1]
    assert gain["both"][0] < gain["mean"] < gain["both"][1]
    none = same["scores"]["miou"]["difference"]
    assert (none["mean"], none["clear"]) == (0, False)


def test_values_of_the_runs_are_paired():
    report = compare(entries(0.0, 0.05), CLASSES)
    base, other = (entry["scores"]["pixel_accuracy"] for entry in report["entries"])
    pairs = zip(other["values"], base["values"], strict=True)
    assert other["difference"]["values"] == pytest.approx([new - old for new, old in pairs])
    assert other["mean"] == pytest.approx(np.mean(other["values"]))
    assert other["sd"] == pytest.approx(np.std(other["values"], ddof=1))


def test_a_gain_in_one_seed_of_three_is_not_clear():
    base, other = entries(0.0, 0.0)
    lucky = Entry("lucky", [other.runs[0], other.runs[1], run(0.1, 2)])
    difference = compare([base, lucky], CLASSES)["entries"][1]["scores"]["miou"]["difference"]
    assert difference["images"][0] > 0  # on other images these three runs would gain as well
    assert difference["seeds"][0] < 0 < difference["seeds"][1]
    assert not difference["clear"]


def test_a_gain_on_one_image_is_not_clear():
    gain = np.zeros(60, int)
    gain[7] = 390
    base = entries(0.0)[0]
    other = Entry(
        "other", [run(0.0, seed, gain=np.minimum(gain, 1000 - r.found[:, 0, 0])) for seed, r in enumerate(base.runs)]
    )
    difference = compare([base, other], CLASSES)["entries"][1]["scores"]["miou"]["difference"]
    assert difference["images"][0] <= 0 < difference["mean"]
    assert not difference["clear"]


def test_one_run_has_no_interval_over_seeds():
    figure = compare(entries(0.0, 0.05, runs=1), CLASSES)["entries"][1]["scores"]["miou"]
    assert (figure["sd"], figure["difference"]["sd"], figure["difference"]["seeds"]) == (None, None, None)
    assert figure["difference"]["clear"]


def test_unpaired_runs():
    base, other = entries(0.0, 0.05)
    other = Entry(other.name, [*other.runs, run(0.05, 9)])
    with pytest.raises(ValueError, match="expected 3 runs of m1, got 4"):
        compare([base, other], CLASSES)
    report = compare([base, other], CLASSES, paired=False)
    difference = report["entries"][1]["scores"]["miou"]["difference"]
    assert (difference["values"], difference["seeds"]) == ([], None)
    assert difference["mean"] > 0


def test_all_intervals_are_of_the_level_that_is_asked_for():
    base, other = entries(0.0, 0.0)
    other = Entry("other", [run(share, seed) for seed, share in enumerate((0.0, 0.05, 0.1))])
    wide, narrow = (
        compare([base, other], CLASSES, Resampling(level=level))["entries"][1]["scores"]["miou"]["difference"]
        for level in (0.95, 0.8)
    )
    width = {name: (narrow[name][1] - narrow[name][0]) / (wide[name][1] - wide[name][0]) for name in ("images", "both")}
    assert width["images"] == pytest.approx(1.282 / 1.960, rel=0.1)  # as of a normal distribution
    assert 0.4 < width["both"] < 0.9
    half = 1.8856 * np.std(narrow["values"], ddof=1) / 3**0.5  # Student's t of 80 %, two degrees of freedom
    assert narrow["seeds"] == pytest.approx([narrow["mean"] - half, narrow["mean"] + half], rel=1e-4)


def test_neighbours_that_are_alike_are_drawn_together():
    gain = np.where(np.arange(60) < 30, 100, 0)  # in the first half of a video
    base, other = (Entry(name, [run(0.0, 0, gain=each)]) for name, each in (("base", 0 * gain), ("other", gain)))

    def width(block):
        found = compare([base, other], CLASSES, Resampling(block=block, resamples=500))
        low, high = found["entries"][1]["scores"]["miou"]["difference"]["images"]
        return high - low

    assert width(30) > 2.5 * width(1)


def test_both_is_wider_than_images_where_seeds_differ():
    base, other = entries(0.0, 0.0)
    other = Entry("other", [run(share, seed) for seed, share in enumerate((0.0, 0.05, 0.1))])
    difference = compare([base, other], CLASSES)["entries"][1]["scores"]["miou"]["difference"]
    widths = {name: difference[name][1] - difference[name][0] for name in ("images", "both", "seeds")}
    assert widths["images"] < widths["both"] < widths["seeds"]


def test_everything_is_plain_and_repeatable():
    first, second = (compare(entries(0.0, 0.02), CLASSES, Resampling(resamples=100)) for _ in range(2))
    assert json.loads(json.dumps(first)) == second
    assert first["metrics"] == ["miou", "boundary_iou", "thin_iou", "pixel_accuracy"]
    assert set(first["entries"][1]["classes"]) == {"road", "pole"}
    assert [each["width"] for each in first["entries"][1]["trimap"]] == [2]


def test_images_where_a_method_wins_and_loses_most():
    gain = np.zeros(60, int)
    gain[[3, 10]], gain[[4, 20]] = (50, 30), (-70, -10)
    base = Entry("base", [run(-0.2, 0)])
    listed = extremes(Entry("other", [run(-0.2, 0, gain=gain)]), base)
    assert [each["index"] for each in listed["wins"]] == [3, 10]
    assert [each["index"] for each in listed["losses"]] == [4, 20]
    assert all(each["difference"] > 0 for each in listed["wins"])
    assert all(each["difference"] < 0 for each in listed["losses"])
    assert listed["wins"][0]["name"] == "image3"


@pytest.mark.parametrize("seeds", [1, 3])
def test_shares_of_the_images_add_up_to_the_difference_of_miou(seeds):
    def random(seed):
        draw = np.random.default_rng(seed)
        correct = draw.integers(0, 40, (5, 2, 2))
        predicted, labelled = (correct + draw.integers(0, 50, correct.shape) for _ in range(2))
        return ImageCounts(tuple("abcde"), (2,), correct, predicted, labelled, correct[:, 0], labelled[:, 0])

    def miou(runs):
        correct, predicted, labelled = (
            sum(getattr(run, name)[:, 0].sum(0) for run in runs) for name in ("found", "predicted", "labelled")
        )
        return (correct / (predicted + labelled - correct)).mean()

    own, base = ([random(10 * way + seed) for seed in range(seeds)] for way in (1, 2))
    shares = image_shares(own, base)
    assert shares.shape == (5,)
    np.testing.assert_allclose(shares.sum(), miou(own) - miou(base), rtol=1e-12)


def test_an_image_counts_for_a_class_by_its_share_of_the_class():
    """A found pole outweighs as many pixels of lost road; a class that one of them never says is left out."""

    def counts(correct, predicted):
        labelled = [[900, 100, 0], [900, 0, 0]]  # road, pole, water
        whole = (np.array(rows)[:, None] for rows in (correct, predicted, labelled))
        return ImageCounts(("first", "second"), (), *whole, np.zeros((2, 3), int), np.zeros((2, 3), int))

    base = counts([[900, 0, 0], [900, 0, 0]], [[1000, 0, 0], [900, 0, 0]])
    other = counts([[840, 60, 0], [890, 0, 0]], [[880, 120, 0], [890, 0, 10]])
    first, second = image_shares([other], [base])
    road = (840 + 890) / 1840 - 1800 / 1900
    assert first + second == pytest.approx((road + 60 / 160) / 2)
    assert first > 0.15
    assert -0.01 < second < 0


def test_what_cannot_be_compared_is_refused():
    base = entries(0.0)[0]
    with pytest.raises(ValueError, match="names of their own"):
        compare([base, base], CLASSES)
    with pytest.raises(ValueError, match="got none"):
        compare([base, Entry("empty", [])], CLASSES)
    with pytest.raises(ValueError, match="other images"):
        compare([base, Entry("other", [run(0, s, images=59) for s in range(3)])], CLASSES)
    with pytest.raises(ValueError, match="level: expected"):
        Resampling(level=1.0)
