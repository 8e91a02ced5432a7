"""The sentences of a comparison, the same on the page and in Markdown: result, facts, method."""

from collections.abc import Mapping, Sequence
from typing import Any

from offstride.visualize.comparison.numbers import change, metric_name, verdict

_LISTED = 6


def listing(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def result(report: Mapping[str, Any]) -> str:
    """The result in a sentence: which entries differ clearly from the baseline, in which metrics."""
    baseline, count, verdicts = report["baseline"], len(report["metrics"]), _verdicts(report)
    if not verdicts:
        return f"There is nothing to compare {baseline} with yet."
    clauses = []
    for side in ("better", "worse"):
        if groups := _groups(verdicts, side):
            than = f" than {baseline}" if not clauses else ""
            verb = "is" if sum(len(names) for _, names in groups) == 1 else "are"
            described = [
                f"{listing(names)} ({'every metric' if len(metrics) == count > 1 else listing(metrics)})"
                for metrics, names in groups
            ]
            clauses.append(f"clearly {side}{than} {verb} {listing(described)}")
    unclear = [name for name, judged in verdicts if not {"better", "worse"} & set(judged.values())]
    if not clauses:
        named = f"{unclear[0]} does not differ" if len(verdicts) == 1 else f"none of the {len(verdicts)} others differs"
        return f"Nothing is clear: {named} clearly from {baseline} in any metric."
    if unclear:
        clauses.append(f"nothing is clear for {listing(unclear)}")
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}."


def _verdicts(report: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(name, metric in words -> verdict) of the entries that have any difference to the baseline."""
    judged = [
        (entry["name"], {_spoken(metric): verdict(entry["scores"].get(metric)) for metric in report["metrics"]})
        for entry in report["entries"][1:]
    ]
    return [(name, verdicts) for name, verdicts in judged if set(verdicts.values()) - {"none"}]


def _groups(verdicts: Sequence[tuple[str, Mapping[str, str]]], side: str) -> list[tuple[tuple[str, ...], list[str]]]:
    """(metrics, names of the entries that differ clearly in just these); those with the most metrics come first."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, judged in verdicts:
        metrics = tuple(metric for metric, given in judged.items() if given == side)
        if metrics:
            groups.setdefault(metrics, []).append(name)
    return sorted(groups.items(), key=lambda group: -len(group[0]))


def _spoken(metric: str) -> str:
    """The name of a metric within a sentence."""
    name = metric_name(metric)
    return name if any(letter.isupper() for letter in name.split()[0][1:]) else name[0].lower() + name[1:]


def reservations(report: Mapping[str, Any]) -> list[str]:
    """Reservations about the result: missing runs, no interval over seeds."""
    texts = []
    missing = report.get("missing") or []
    if missing:
        shown, rest = missing[:_LISTED], missing[_LISTED:]
        names = listing([*shown, f"{len(rest)} more, listed in the notes"] if rest else shown)
        count = "one run is" if len(missing) == 1 else f"{len(missing)} runs are"
        texts.append(f"This is provisional, {count} missing: {names}.")
    seeds, runs = _seed_intervals(report), [entry["runs"] for entry in report["entries"]]
    if seeds and not any(seeds):
        why = "with one run each" if max(runs) == 1 else "as the runs are not paired by seed"
        texts.append(f"Only the choice of images is covered: {why}, nothing is known of other seeds.")
    elif seeds and not all(seeds):
        texts.append(
            "Some entries have too few paired runs for an interval over seeds; of those, only the choice of images is "
            "covered."
        )
    return texts


def facts(report: Mapping[str, Any]) -> dict[str, str]:
    """Name -> value: the data, the baseline, the runs and the setting."""
    data, runs = report["data"], [entry["runs"] for entry in report["entries"]]
    count = f"{runs[0]}" if len(set(runs)) == 1 else f"{min(runs)} to {max(runs)}"
    images = f"{data['images']:,} images" if data["images"] != 1 else "1 image"
    seeds = report.get("seeds") or []
    of_seeds = f", seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" if seeds else ""
    return {
        "Data": f"{data['name']}, {data['split']}: {images}, {len(data['classes'])} classes",
        "Baseline": report["baseline"],
        "Runs of each": count + of_seeds,
    } | {name[:1].upper() + name[1:]: str(value) for name, value in (report.get("setting") or {}).items()}


def notes(report: Mapping[str, Any]) -> list[str]:
    """How to read the intervals and the scores."""
    ends = "its interval over images and its interval over seeds both leave"
    texts = [
        *_intervals(report),
        "A difference is called clear, ▲ better or ▼ worse, if "
        f"{ends if any(_seed_intervals(report)) else 'its interval over images leaves'} out zero.",
        _comparisons(report),
        "Scores are shares in per cent, differences are percentage points; sd is the standard deviation between runs. "
        "Boundary IoU is that of Cheng et al. (CVPR 2021); the trimap curve scores only the pixels at most so many "
        "pixels away from a border between true classes.",
    ]
    missing = report.get("missing") or []
    if len(missing) > _LISTED:
        texts.append(f"Missing runs: {listing(missing)}.")
    return [text for text in texts if text]


def made(report: Mapping[str, Any]) -> dict[str, str]:
    """Name -> value: versions, hardware and commit, as far as they are known."""
    made_with = report.get("made") or {}
    values = (made_with.get("versions") or {}) | {name: made_with.get(name) for name in ("hardware", "commit")}
    return {name: str(value) for name, value in values.items() if value}


def _changes(report: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """The known differences in all metrics, for every entry but the baseline."""
    return [
        [difference for metric in report["metrics"] if (difference := change(entry["scores"].get(metric)))]
        for entry in report["entries"][1:]
    ]


def _seed_intervals(report: Mapping[str, Any]) -> list[bool]:
    """Whether there is an interval over seeds, for every entry that is compared."""
    return [any(it.get("seeds") for it in differences) for differences in _changes(report) if differences]


def _intervals(report: Mapping[str, Any]) -> list[str]:
    """One sentence for each kind of interval."""
    block = report.get("block") or 1
    drawn = f"{block} consecutive images at a time, since neighbours look alike" if block > 1 else "one by one"
    level = f"{100 * report['level']:g} %"
    images = (
        f"Interval over images ({level}): how much the difference of these very runs varies when the images are drawn "
        f"again at random, {drawn}, {report['resamples']:,} times; it says nothing of other seeds."
    )
    if not any(_seed_intervals(report)):
        return [images, "There is no interval over seeds, which takes two or more runs paired by seed."]
    seeds = (
        f"Interval over seeds ({level}): Student's t over the differences of runs of one seed; it says how "
        "another training would do on these very images, and is wide where seeds are few."
    )
    both = (
        f"Interval over both ({level}): images and seeds drawn again together; with few seeds it comes out too "
        "narrow, so it settles nothing by itself."
    )
    return [images, seeds, both]


def _comparisons(report: Mapping[str, Any]) -> str:
    """A warning of multiple comparisons; empty if there is at most one."""
    count = sum(map(len, _changes(report)))
    if count < 2:
        return ""
    return (
        f"{count} differences are judged in the first table alone, each by itself: were there none at all, an "
        f"interval of {100 * report['level']:g} % would still leave out zero in about "
        f"{count * (1 - report['level']):.2g} of them, so a single clear one is a hint, a pattern is a finding. "
        "Classes and trimaps are more comparisons still."
    )
