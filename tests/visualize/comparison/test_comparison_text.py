import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comparison_reports as reports
from offstride.visualize.comparison import numbers
from offstride.visualize.comparison.text import facts, made, notes, reservations, result


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (0.00625, "0.62", "+0.62"),
        (-0.02, "−2.00", "−2.00"),
        (0.00001, "0.00", "+0.00"),
        (-0.00001, "−0.00", "−0.00"),
        (0.0, "0.00", "0.00"),
        (None, "–", "–"),
        (math.nan, "–", "–"),
    ],
)
def test_points(value, plain, signed):
    assert numbers.points(value) == plain
    assert numbers.points(value, sign=True) == signed


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (41_200, "41.2 k"), (999_600, "1.00 M"), (2_913_931, "2.91 M"), (1.2e11, "120 G"),
     (None, "–"), (math.nan, "–")],
)  # fmt: skip
def test_counts_have_three_digits(number, text):
    assert numbers.count(number) == text


@pytest.mark.parametrize(
    ("size", "text"), [(100, "100 B"), (1024, "1.00 KiB"), (12345678, "11.8 MiB"), (2**30, "1.00 GiB"), (None, "–")]
)
def test_memory_is_in_binary_units(size, text):
    assert numbers.memory(size) == text


@given(st.floats(1, 1e11))
def test_counts_keep_their_size(number):
    text, _, unit = numbers.count(number).partition(" ")
    assert float(text) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit] == pytest.approx(number, rel=0.0051)


@pytest.mark.parametrize(
    ("change", "clear", "verdict", "text"),
    [(0.01, True, "better", "+1.00 ▲"), (-0.01, True, "worse", "−1.00 ▼"), (0.01, False, "unclear", "+1.00")],
)
def test_verdicts(change, clear, verdict, text):
    score = reports.figure(0.5 + change, of=[0.5], images=[0, 1], clear=clear)
    assert numbers.verdict(score) == verdict
    assert numbers.signed(score) == text


@pytest.mark.parametrize("score", [None, reports.figure(0.5), {"mean": None, "difference": {"mean": None}}])
def test_no_verdict_without_a_difference(score):
    assert numbers.verdict(score) == "none"
    assert numbers.signed(score) == ""


def test_the_result_says_who_differs_in_what():
    assert (
        result(reports.report())
        == "Clearly better than bilinear is good (every metric); clearly worse is mixed (mIoU)."
    )


def test_the_result_joins_those_of_one_kind():
    report = reports.report()
    twin = report["entries"][1] | {"name": "twin"}
    still = reports.entry("still", {"miou": reports.against(reports.MIOU, 0.001)})
    report["entries"] += [twin, still]
    assert result(report) == (
        "Clearly better than bilinear are good and twin (every metric); clearly worse is mixed (mIoU); nothing is "
        "clear for still."
    )


def test_only_losers():
    assert result(reports.pruned(reports.report(), "bilinear", "mixed")) == (
        "Clearly worse than bilinear is mixed (mIoU)."
    )


def test_nothing_is_clear():
    report = reports.report(metrics=["boundary_iou"])
    one = reports.pruned(report, "bilinear", "mixed")
    assert result(one) == "Nothing is clear: mixed does not differ clearly from bilinear in any metric."
    two = one | {"entries": [*one["entries"], one["entries"][1] | {"name": "other"}]}
    assert result(two) == "Nothing is clear: none of the 2 others differs clearly from bilinear in any metric."


def test_the_baseline_alone():
    assert result(reports.pruned(reports.report(), "bilinear")) == "There is nothing to compare bilinear with yet."


def test_missing_runs_are_named():
    assert reservations(reports.report()) == []
    assert reservations(reports.report(missing=["lau seed 2"])) == [
        "This is provisional, one run is missing: lau seed 2."
    ]
    missing = [f"lau seed {seed}" for seed in range(9)]
    (text,) = reservations(reports.report(missing=missing))
    assert text.startswith("This is provisional, 9 runs are missing: lau seed 0, ")
    assert text.endswith("lau seed 5 and 3 more, listed in the notes.")
    assert any(all(name in note for name in missing) for note in notes(reports.report(missing=missing)))


def without_seeds(report, *, runs):
    for item in report["entries"]:
        item["runs"] = runs
        for score in item["scores"].values():
            if score["difference"]:
                score["difference"]["seeds"] = None
    return report


def test_one_run_says_nothing_of_seeds():
    report = without_seeds(reports.report(), runs=1)
    (text,) = reservations(report)
    assert "with one run each" in text
    said = " ".join(notes(report))
    assert "There is no interval over seeds" in said
    assert "if its interval over images leaves out zero" in said
    (text,) = reservations(without_seeds(reports.report(), runs=2))
    assert "not paired" in text


def test_notes_are_of_this_comparison():
    said = " ".join(notes(reports.report(block=4, resamples=1500, level=0.9)))
    for words in ("(90 %)", "4 consecutive images", "1,500 times", "Student's t", "4 differences", "about 0.4 of them"):
        assert words in said
    assert "consecutive" not in " ".join(notes(reports.report()))


def test_facts_and_versions():
    assert facts(reports.report()) == {
        "Data": "town, test: 1,234 images, 2 classes",
        "Baseline": "bilinear",
        "Runs of each": "2, seeds 0, 1",
        "Steps": "400",
    }
    assert facts(reports.report(seeds=[], setting={}))["Runs of each"] == "2"
    assert made(reports.report()) == {"torch": "9.9", "hardware": "a machine", "commit": "abc1234"}
    assert made(reports.report(made={"versions": {}, "hardware": None})) == {}
