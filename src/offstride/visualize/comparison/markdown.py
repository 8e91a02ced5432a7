"""A comparison as Markdown with GitHub's tables: the numbers of the page, to keep beside code."""

from collections.abc import Mapping, Sequence
from typing import Any

from offstride.visualize.comparison import numbers
from offstride.visualize.comparison.classes import class_order
from offstride.visualize.comparison.text import facts, made, notes, reservations, result

Table = Sequence[Sequence[str]]


def comparison_markdown(report: Mapping[str, Any]) -> str:
    """Title, result and tables.

    Args:
        report: What `offstride compare` writes as report.json; the baseline is the first of its entries.
    """
    parts = [
        f"# {_plain(report['title'])}",
        _plain(result(report)),
        *(f"> {_plain(text)}" for text in reservations(report)),
        "\n".join(f"- {name}: {_plain(value)}" for name, value in facts(report).items()),
        *_section("Scores", _scores(report)),
        *_differences(report),
        *_section("mIoU near borders", _trimap(report)),
        *_classes(report),
        *_costs(report),
        "## Notes",
        "\n".join(f"- {_plain(text)}" for text in notes(report)),
        "\n".join(f"- {name}: {_plain(value)}" for name, value in made(report).items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, text: str) -> list[str]:
    return [f"## {title}", text] if text else []


def _scores(report: Mapping[str, Any]) -> str:
    """Mean ± sd, and the difference."""
    metrics = report["metrics"]
    table = [["", *(f"{numbers.metric_name(metric)}, %" for metric in metrics), "What it is"]]
    for entry in report["entries"]:
        what = ", ".join(filter(None, (entry.get("description"), entry.get("paper"))))
        table.append([entry["name"], *(_score(entry["scores"].get(metric)) for metric in metrics), what])
    lead = "Mean ± sd between runs" if max(entry["runs"] for entry in report["entries"]) > 1 else "One run of each"
    after = (
        f"{lead}, in brackets the difference to {_plain(report['baseline'])} in points. **▲** clearly "
        "better, **▼** clearly worse; unmarked differences are not clear."
    )
    return f"{_table(table, left=(0, len(metrics) + 1))}\n\n{after}"


def _score(score: Mapping[str, Any] | None) -> str:
    difference = numbers.signed(score)
    return numbers.mean_and_sd(score) + (f" ({difference})" if difference else "")


def _differences(report: Mapping[str, Any]) -> list[str]:
    """A table of all intervals for every metric."""
    parts = []
    for metric in report["metrics"]:
        table = [["", "Difference", "sd", "over images", "over seeds", "over both", "Runs"]]
        for entry in report["entries"][1:]:
            score = entry["scores"].get(metric)
            if change := numbers.change(score):
                ends = [numbers.interval(change.get(kind)) for kind in ("images", "seeds", "both")]
                runs = ", ".join(numbers.points(value, sign=True) for value in change.get("values") or ())
                table.append([entry["name"], numbers.signed(score), numbers.points(change.get("sd")), *ends, runs])
        if len(table) > 1:
            parts += [f"### {numbers.metric_name(metric)}", _table(table)]
    return [f"## Differences to {_plain(report['baseline'])}, in points", *parts] if parts else []


def _trimap(report: Mapping[str, Any]) -> str:
    """mIoU of every half-width."""
    if not any(entry.get("trimap") for entry in report["entries"]):
        return ""
    widths = report["widths"]
    rows = [[entry["name"], *(_score(numbers.trimap(entry, width)) for width in widths)] for entry in report["entries"]]
    return _table([["Half-width, pixels", *(f"{width:g}" for width in widths)], *rows])


def _classes(report: Mapping[str, Any]) -> list[str]:
    """IoU of the baseline and differences; many classes are folded."""
    shown, folded = class_order(report)
    if not any(entry.get("classes") for entry in report["entries"]):
        return []
    parts = [f"## IoU of each class: {_plain(report['baseline'])}, and differences to it", _class_table(report, shown)]
    if folded:
        summary = f"<summary>The other {len(folded)} classes</summary>"
        parts += [f"<details>\n{summary}", _class_table(report, folded), "</details>"]
    return parts


def _class_table(report: Mapping[str, Any], names: Sequence[str]) -> str:
    baseline, *others = report["entries"]
    table = [["", f"{baseline['name']}, %", *(entry["name"] for entry in others)]]
    for name in names:
        thin = " (thin)" if name in (report["data"].get("thin") or ()) else ""
        cells = [numbers.signed(numbers.class_score(entry, name)) or numbers.NOTHING for entry in others]
        table.append([name + thin, numbers.points(numbers.class_score(baseline, name).get("mean")), *cells])
    return _table(table)


def _costs(report: Mapping[str, Any]) -> list[str]:
    """All costs; the heads of a device's columns begin with its name."""
    entries = report["entries"]
    columns = [["", *(entry["name"] for entry in entries)]]
    for group, costs in numbers.cost_columns(entries).items():
        prefix = "" if group == numbers.MODEL else f"{group}: "
        columns += [[prefix + name, *cells] for name, cells in costs]
    if len(columns) == 1:
        return []
    size = numbers.image_size(entries)
    text = f"For one image of {size} pixels; latency is a median." if size else ""
    return ["## Costs", text, _table(list(zip(*columns, strict=True)))]


def _table(rows: Table, left: Sequence[int] = (0,)) -> str:
    """A table whose first row is its head; the columns `left` are left-aligned, the others right-aligned."""
    rule = [":--" if column in left else "--:" for column in range(len(rows[0]))]
    lines = [[_cell(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _cell(text: str) -> str:
    """The text of a cell; clear differences are bold."""
    clear = any(mark and mark in text for mark in numbers.MARKS.values())
    return f"**{_plain(text)}**" if clear else _plain(text)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names of models hold underscores and bars."""
    for mark in ("\\", "|", "_", "*", "<", "`"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
