import re

import numpy as np
import pytest
from PIL import Image

from offstride.visualize import (
    DecodedScene,
    DecoderPage,
    DecoderPanel,
    Shot,
    render_decoder_page,
    save_picture,
    write_decoder_page,
)

ROW = [Shot("layer1", "a b/gate#1.png", "mean 0.5"), Shot("layer2", "x.png")]
LAYERS = [Shot("Image", "image.png"), Shot("Prediction", "prediction.png")]
PANEL = DecoderPanel(
    "Gates",
    "See.",
    [ROW],
    LAYERS,
    {"Turns wrong": (1, 2, 3)},
    ["Gate", "Mean", "Loses"],
    [["layer1", "0.5", "car & bus"]],
    wheel=1.25,
    scale="Gate",
)
PAGE = DecoderPage(
    title="Some <page>",
    intro="Intro.",
    facts={"Head": "psp + gff"},
    scenes=[
        DecodedScene("one", LAYERS, {"Size": "2 × 3"}, {"road": (9, 8, 7)}, {"Wrong": (4, 5, 6)}, [PANEL]),
        DecodedScene("two", LAYERS, panels=[PANEL]),
    ],
    notes=["A note."],
    versions={"offstride": "9.9"},
)


def test_page_says_everything():
    text = render_decoder_page(PAGE)
    plain = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL).split())
    for words in (
        "Some &lt;page&gt;", "Intro.", "Head psp + gff", "one two", "Size 2 × 3", "road Wrong", "Gates See.",
        "the rim is 1.2 coarse pixels away", "0 1 Gate", "layer1 mean 0.5", "Turns wrong", "Gate Mean Loses",
        "layer1 0.5 car &amp; bus", "A note.", "offstride 9.9",
    ):  # fmt: skip
        assert words in plain
    assert "background: rgb(9, 8, 7)" in text


def test_files_are_referred_to_as_a_browser_reads_them():
    assert 'src="a%20b/gate%231.png"' in render_decoder_page(PAGE)


def test_every_switch_works_on_its_own():
    """Radio buttons of one group share a name; every one has a label; the chosen ones are the last layer of a scene and
    the first of a panel.
    """
    text = render_decoder_page(PAGE)
    inputs = re.findall(r'<input type="radio" name="(\w+)" id="(\w+)" aria-label="(\w+)"( checked)?>', text)
    groups = {}
    for name, identifier, title, checked in inputs:
        groups.setdefault(name, []).append((title, bool(checked)))
        assert f'<label for="{identifier}">{title}</label>' in text
    assert len({identifier for _, identifier, *_ in inputs}) == len(inputs) == 8
    assert list(groups.values()) == 2 * [
        [("Image", False), ("Prediction", True)],
        [("Image", True), ("Prediction", False)],
    ]


def test_least_page():
    text = render_decoder_page(DecoderPage(title="Little", scenes=[DecodedScene("only", LAYERS)]))
    assert "<nav" not in text
    assert text.count("<img") == 2


def test_writing_makes_folders(tmp_path):
    write_decoder_page(tmp_path / "new" / "index.html", PAGE)
    assert (tmp_path / "new" / "index.html").read_text(encoding="utf-8") == render_decoder_page(PAGE)


def test_pictures_are_written_below_the_folder(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    assert save_picture(tmp_path, "deep/er.png", picture) == "deep/er.png"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "deep" / "er.png")), picture)
    with pytest.raises(ValueError, match=r"picture: expected uint8 \(H, W, 3\), got float64"):
        save_picture(tmp_path, "x.png", picture / 2)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"path: expected a file that can be written, got .*file/x\.png"):
        save_picture(tmp_path, "file/x.png", picture)
