import re

import comparison_reports as reports
from offstride.visualize import comparison_markdown


def tables(text):
    """Cells of all tables by the heading before them; every row is as long as its head."""
    sections, heading = {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            sections.setdefault(heading, []).append(cells)
    for rows in sections.values():
        assert len({len(row) for row in rows}) == 1
        assert all(re.fullmatch(":--|--:", cell) for cell in rows[1])
        del rows[1]
    return sections


def test_all_tables_in_order():
    text = comparison_markdown(reports.report())
    assert list(tables(text)) == [
        "Scores", "mIoU", "Boundary IoU", "mIoU near borders", "IoU of each class: bilinear, and differences to it",
        "Costs",
    ]  # fmt: skip
    assert text.startswith("# Three \\<upsamplers>\n\nClearly better than bilinear is good (every metric); ")
    assert text.endswith("\n- torch: 9.9\n- hardware: a machine\n- commit: abc1234\n")


def test_scores():
    head, *rows = tables(comparison_markdown(reports.report()))["Scores"]
    assert head == ["", "mIoU, %", "Boundary IoU, %", "What it is"]
    assert rows == [
        ["bilinear", "53.00 ± 1.41", "31.00 ± 1.41", "bilinear, in a line"],
        ["good", "**54.25 ± 1.27 (+1.25 ▲)**", "**34.75 ± 1.27 (+3.75 ▲)**", "good, in a line"],
        ["mixed", "**51.00 ± 1.27 (−2.00 ▼)**", "31.20 ± 1.27 (+0.20)", "mixed, in a line"],
    ]


def test_differences():
    head, good, mixed = tables(comparison_markdown(reports.report()))["mIoU"]
    assert head == ["", "Difference", "sd", "over images", "over seeds", "over both", "Runs"]
    assert good == [
        "good", "**+1.25 ▲**", "0.14", "[+0.85, +1.65]", "[+0.75, +1.75]", "[+0.65, +1.85]", "+1.35, +1.15"
    ]  # fmt: skip
    assert mixed[:2] == ["mixed", "**−2.00 ▼**"]


def test_trimap_and_classes():
    sections = tables(comparison_markdown(reports.report()))
    assert sections["mIoU near borders"] == [
        ["Half-width, pixels", "1", "4"],
        ["bilinear", "21.00 ± 1.41", "41.00 ± 1.41"],
        ["good", "**26.00 ± 1.27 (+5.00 ▲)**", "41.30 ± 1.27 (+0.30)"],
        ["mixed", "**17.00 ± 1.27 (−4.00 ▼)**", "–"],
    ]
    assert sections["IoU of each class: bilinear, and differences to it"] == [
        ["", "bilinear, %", "good", "mixed"],
        ["road", "90.00", "+0.10", "**−3.00 ▼**"],
        ["pole (thin)", "5.00", "**+6.25 ▲**", "–"],
    ]


def test_costs():
    head, _, good, mixed = tables(comparison_markdown(reports.report()))["Costs"]
    assert dict(zip(head, good, strict=True)) == {
        "": "good",
        "Parameters": "2.94 M",
        "of these: upsampler": "41.2 k",
        "MACs": "1.23 G",
        "Training activations": "3.00 MiB",
        "CPU, 2 threads: Latency, ms (quartiles)": "61.0 (54.9–67.1)",
        "CPU, 2 threads: Images per second": "16.4",
        "GPU, H100: Latency, ms (quartiles)": "2.50",
        "GPU, H100: Images per second": "400",
        "GPU, H100: Peak memory": "1.00 GiB",
    }
    assert mixed[2:] == 8 * ["–"]


def test_many_classes_are_folded():
    text = comparison_markdown(reports.many_classes(45))
    before, after = text.split("<summary>The other 15 classes</summary>\n\n")
    shown = re.findall(r"^\| (c\d+) ", before, re.MULTILINE)
    folded = re.findall(r"^\| (c\d+) ", after.split("\n\n</details>")[0], re.MULTILINE)
    assert shown == [f"c{index}" for index in range(44, 14, -1)]
    assert folded == [f"c{index}" for index in range(15)]


def test_names_do_not_break_tables():
    report = reports.report()
    report["entries"][1]["name"] = "a|b_c*d"
    rows = tables(comparison_markdown(report))["Scores"]
    assert rows[2][0] == r"a\|b\_c\*d"


def test_reservations_are_quoted():
    text = comparison_markdown(reports.report(missing=["good seed 1"]))
    assert "\n\n> This is provisional, one run is missing: good seed 1.\n\n" in text


def test_the_baseline_alone():
    text = comparison_markdown(reports.pruned(reports.report(metrics=["miou"]), "bilinear") | {"widths": []})
    assert "There is nothing to compare bilinear with yet." in text
    assert "Differences to" not in text
    assert tables(text)["Scores"][1] == ["bilinear", "53.00 ± 1.41", "bilinear, in a line"]
