import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import comparison_reports as reports
from offstride.visualize import ComparisonPicture, render_comparison_page, write_comparison_page

VOID = {"meta", "img", "br", "hr", "input", "link"}
TITLES = ["Image", "Truth", "bilinear", "good", "Changes"]


class Page(HTMLParser):
    """A page whose tags open and close in order: its tables, its sections' words, its drawings, its references."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.words, self.circles, self.references, self.images = [], [], [], [], [], []
        self.cell = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.references += [attributes[key] for key in ("src", "href") if key in attributes]
        if tag == "img":
            self.images.append(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append((attributes["class"], []))
        if tag == "tr":
            self.tables[-1][1].append([])
        if tag in ("td", "th"):
            self.cell = []

    def handle_startendtag(self, tag, attrs):
        if tag == "circle":
            self.circles.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.tables[-1][1][-1].append(" ".join("".join(self.cell).split()))
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data + " ")
        if "style" not in self.open:
            self.words.append(data)

    def rows(self, kind):
        return next(rows for name, rows in self.tables if kind in name.split())

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page(report, pictures=()):
    return Page(render_comparison_page(report, pictures))


def picture(**changes):
    pictures = {title: np.full((6, 8, 3), 10 * index, dtype=np.uint8) for index, title in enumerate(TITLES)}
    return ComparisonPicture(
        **({"entry": "good", "kind": "wins", "name": "scene7", "difference": 0.031, "pictures": pictures} | changes)
    )


def test_main_table():
    head, *rows = page(reports.report()).rows("compare")
    assert head == ["", "mIoU %", "Boundary IoU %"]
    assert [row[1:] for row in rows] == [
        ["53.00 ± 1.41", "31.00 ± 1.41"],
        ["54.25 ± 1.27 +1.25 ▲ [+0.65, +1.85]", "34.75 ± 1.27 +3.75 ▲ [+3.15, +4.35]"],
        ["51.00 ± 1.27 −2.00 ▼ [−2.60, −1.40]", "31.20 ± 1.27 +0.20 [−0.40, +0.80]"],
    ]
    assert [row[0].split()[0] for row in rows] == ["bilinear", "good", "mixed"]
    assert "Baseline" in rows[0][0]
    assert "Baseline" not in rows[1][0]


def test_all_intervals():
    rows = page(reports.report()).rows("wide")
    assert rows[1] == [
        "good", "+1.25 ▲", "0.14", "[+0.85, +1.65]", "[+0.75, +1.75]", "[+0.65, +1.85]", "+1.35 +1.15"
    ]  # fmt: skip


def test_result_and_reservations_come_first():
    said = page(reports.report(missing=["good seed 1"])).text
    result = said.index("Clearly better than bilinear is good (every metric)")
    assert result < said.index("This is provisional, one run is missing: good seed 1.") < said.index("Scores")
    assert "provisional" not in page(reports.report()).text


def test_sections_are_in_order():
    text = render_comparison_page(reports.report(), [picture()])
    assert re.findall("<h[12]>(.*?)</h[12]>", text) == [
        "Three &lt;upsamplers&gt;", "Scores", "Differences to bilinear", "Near the borders", "Accuracy against cost",
        "Costs", "Class by class", "Training", "Where each wins and loses most", "Notes",
    ]  # fmt: skip


def percent(circle, key):
    return float(circle[key].removesuffix("%"))


def test_forest_shows_differences_to_scale():
    """Places are linear in the differences; zero lies where the zero line is; the clear ones are filled."""
    text = render_comparison_page(reports.report())
    plot = re.search(r'<figure class="forest">.*?</figure>', text, re.DOTALL)[0]
    zero = float(re.search(r'class="zero" x1="([\d.]+)%', plot)[1])
    circles = Page(plot).circles
    good, mixed = (percent(it, "cx") for it in circles if it["class"].startswith("mean"))
    assert (good - zero) / (zero - mixed) == pytest.approx(1.25 / 2, rel=0.01)
    assert [it["class"] for it in circles if it["class"].startswith("mean")] == ["mean filled", "mean filled"]
    runs = [percent(it, "cx") for it in circles if it["class"] == "run"]
    assert (runs[0] - zero) / (good - zero) == pytest.approx(1.35 / 1.25, rel=0.01)
    low, wide = re.search(r'class="both" x="([\d.]+)%" width="([\d.]+)%"', plot).groups()
    assert (float(low) - zero) / (good - zero) == pytest.approx(0.65 / 1.25, rel=0.01)
    assert float(wide) / (good - zero) == pytest.approx(1.2 / 1.25, rel=0.01)
    second = re.findall(r'<figure class="forest">.*?</figure>', text, re.DOTALL)[1]
    means = [it["class"] for it in Page(second).circles if it["class"].startswith("mean")]
    assert means == ["mean filled", "mean"]


def test_trimap_numbers_and_curves():
    shown = page(reports.report())
    rows = next(rows for kind, rows in shown.tables if rows[0][1:] == ["1 px", "4 px"])
    assert rows[1:] == [
        ["bilinear", "21.00 ± 1.41", "41.00 ± 1.41"],
        ["good", "26.00 ± 1.27 +5.00 ▲ [+4.40, +5.60]", "41.30 ± 1.27 +0.30 [−0.30, +0.90]"],
        ["mixed", "17.00 ± 1.27 −4.00 ▼ [−4.60, −3.40]", "–"],
    ]
    charts = re.findall(r'<figure class="chart">.*?</figure>', render_comparison_page(reports.report()), re.DOTALL)
    assert len(charts) == 2
    dots = [(float(it["cy"]), "filled" in it["class"]) for it in Page(charts[1]).circles]
    assert [filled for _, filled in dots] == [True, False, True]
    zero = float(re.search(r'class="zero" d="M[\d.]+ ([\d.]+)H', charts[1])[1])
    assert (zero - dots[0][0]) / (zero - dots[2][0]) == pytest.approx(5 / -4, rel=0.01)


def test_costs_are_in_groups():
    groups, head, *rows = page(reports.report()).rows("costs")
    assert groups == ["", "Model", "CPU, 2 threads", "GPU, H100"]
    assert head[1:] == [
        "Parameters", "of these: upsampler", "MACs", "Training activations", "Latency, ms (quartiles)",
        "Images per second", "Latency, ms (quartiles)", "Images per second", "Peak memory",
    ]  # fmt: skip
    assert rows[1] == [
        "good", "2.94 M", "41.2 k", "1.23 G", "3.00 MiB", "61.0 (54.9–67.1)", "16.4", "2.50", "400", "1.00 GiB"
    ]  # fmt: skip
    assert rows[2] == ["mixed", "3.00 M", *8 * ["–"]]
    assert "For one image of 360 × 480 pixels" in page(reports.report()).text


def test_scatters_leave_out_what_is_unknown():
    charts = re.findall(
        r'<figure class="chart points">.*?</figure>', render_comparison_page(reports.report()), re.DOTALL
    )
    labels = [re.findall(r'class="label".*?>(.*?)</text>', chart) for chart in charts]
    timed, counted = ["bilinear", "good"], ["bilinear", "good", "mixed"]
    assert labels == 2 * [timed, timed, counted]
    first = Page(charts[0]).circles
    assert float(first[1]["cx"]) > float(first[0]["cx"])  # slower
    assert float(first[1]["cy"]) < float(first[0]["cy"])  # better


def test_classes():
    head, road, pole = page(reports.report()).rows("heat")
    assert head == ["", "bilinear IoU, %", "good", "mixed"]
    assert road == ["road", "90.00", "+0.10", "−3.00 ▼"]
    assert pole == ["pole thin", "5.00", "+6.25 ▲", "–"]
    text = render_comparison_page(reports.report())
    assert re.findall(r'class="cell (\w+) (\w+)" style="--strength: (\d+)%"', text) == [
        ("more", "unclear", "2"), ("less", "worse", "50"), ("more", "better", "100"), ("more", "none", "0")
    ]  # fmt: skip


def test_many_classes_are_folded():
    report = reports.many_classes(45)
    tables = [rows for kind, rows in page(report).tables if kind.startswith("heat")]
    shown, folded = ([row[0] for row in rows[1:]] for rows in tables)
    assert shown == [f"c{index}" for index in range(44, 14, -1)]
    assert folded == [f"c{index}" for index in range(15)]
    assert "The other 15 classes" in page(report).text
    few = [kind for kind, _ in page(reports.many_classes(30)).tables if kind.startswith("heat")]
    assert len(few) == 1


def test_learning_curves_have_means_and_single_runs():
    text = render_comparison_page(reports.report())
    section = re.search(r'<section id="training">.*?</section>', text, re.DOTALL)[0]
    assert section.count('class="line thin"') == 12  # 3 entries, 2 runs, 2 quantities
    assert section.count('class="line behind m0"') == 4
    assert re.findall(r"<em>(.*?)</em>", section) == 3 * ["62.5"] + 3 * ["1.250"]


def test_single_runs_are_not_drawn_twice():
    report = reports.report()
    for item in report["entries"]:
        item["curves"] = {"loss": [[[1, 2.0], [2, None], [3, 1.0]]], "miou": []}
    text = render_comparison_page(report)
    assert "line thin" not in text.split("</style>")[1]
    assert "Validation mIoU" not in text
    assert "<em>1.000</em>" in text


def test_pictures_are_in_the_page():
    given = [picture(), picture(kind="losses", name="scene9", difference=-0.02)]
    shown = page(reports.report(), given)
    assert [image["alt"] for image in shown.images] == [
        f"{title} of {name}" for name in ("scene7", "scene9") for title in TITLES
    ]
    assert "1 win, up to +3.10 1 loss, down to −2.00" in shown.text
    assert "scene7 +3.10 points of mIoU" in shown.text
    for image, value in zip(shown.images, 2 * [0, 10, 20, 30, 40], strict=True):
        data = base64.b64decode(image["src"].partition("base64,")[2])
        assert (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) == value).all()


def test_no_section_for_what_is_not_there():
    bare = reports.report(metrics=["miou"], setting={}, made={})
    for item in bare["entries"]:
        item |= {"trimap": [], "classes": {}, "curves": {}, "costs": {}}
    shown = page(bare)
    for head in ("Near the borders", "Accuracy against cost", "Class by class", "Training", "Costs", "Boundary IoU %"):
        assert head not in shown.text
    assert len(shown.rows("compare")) == 4
    assert "Differences to bilinear" in shown.text


def test_the_baseline_alone_has_a_page():
    shown = page(reports.pruned(reports.report(), "bilinear"))
    assert "There is nothing to compare bilinear with yet." in shown.text
    assert shown.rows("compare")[1][1:] == ["53.00 ± 1.41", "31.00 ± 1.41"]
    assert "Differences to" not in shown.text


def test_null_everywhere():
    report = reports.report()
    report["entries"][1]["scores"]["miou"] = {"mean": None, "sd": None, "values": [None], "difference": None}
    nothing = {"mean": None, "sd": None, "values": [], "images": None, "seeds": None, "both": None, "clear": False}
    report["entries"][2]["scores"]["miou"]["difference"] = nothing
    report["entries"][2]["costs"] = None
    report["entries"][2]["curves"] = None
    rows = page(report).rows("compare")
    assert rows[2][1] == "–"
    assert rows[3][1] == "51.00 ± 1.27"


def test_one_run_has_no_sd():
    report = reports.report(seeds=[0])
    for item in report["entries"]:
        item["runs"] = 1
        for score in item["scores"].values():
            score["sd"] = None
            if score["difference"]:
                score["difference"] |= {"sd": None, "seeds": None}
    rows = page(report).rows("compare")
    assert rows[1][1] == "53.00"
    assert rows[2][1] == "54.25 +1.25 ▲ [+0.65, +1.85]"
    said = page(report).text
    assert "nothing is known of other seeds" in said
    assert "One run of each" in said
    for words in ("sd between runs", "single runs", "images and seeds"):
        assert words not in said
        assert words in page(reports.report()).text


def test_the_page_needs_nothing_else():
    text = render_comparison_page(reports.report(), [picture()])
    shown = Page(text)
    assert all(it.startswith(("data:image/", "#")) for it in shown.references)
    for anchor in (it for it in shown.references if it.startswith("#")):
        assert f'id="{anchor[1:]}"' in text
    assert "<script" not in text
    assert "url(" not in text
    assert "Three &lt;upsamplers&gt;" in text


def test_writing_makes_folders(tmp_path):
    write_comparison_page(tmp_path / "new" / "index.html", reports.report())
    assert (tmp_path / "new" / "index.html").read_text(encoding="utf-8") == render_comparison_page(reports.report())


def test_bad_pictures_are_refused():
    with pytest.raises(ValueError, match=r"pictures: expected entries out of .*'mixed'\], got \['other'\]"):
        render_comparison_page(reports.report(), [picture(entry="other")])
    with pytest.raises(ValueError, match="kind: expected 'wins' or 'losses', got 'draws'"):
        picture(kind="draws")
    with pytest.raises(ValueError, match=r"picture 'Image' of 'scene7': expected uint8 \(H, W, 3\), got float64"):
        picture(pictures={"Image": np.zeros((2, 2, 3))})
