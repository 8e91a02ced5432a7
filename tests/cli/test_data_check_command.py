import json

import numpy as np
from PIL import Image

from official_trees import write_tree
from offstride.cli.main import main


def test_a_published_set(tmp_path, capsys):
    root = write_tree("cityscapes", tmp_path / "city")
    report = tmp_path / "report.json"
    assert main(["data", "check", "cityscapes", f"--root={root}", f"--json={report}"]) == 0
    text = capsys.readouterr().out
    assert "traffic light" in text
    assert "19998" in text
    shown = [line for line in text.splitlines() if "traffic light" in line]
    assert len(shown) == 1
    assert shown[0].count("%") == 4
    assert shown[0].count("–") == 1  # nobody knows the labels of test
    assert "! val: 3 images that can be used, 500 were published" in text
    assert "✓ every file can be read" in text
    assert json.loads(report.read_text())["splits"]["train_extra"]["pairs"] == 3


def test_shares_are_of_pixels(tmp_path, capsys):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    labels = {"one": [[0] * 6, [255, 255, 255, 1, 1, 1]], "two": [[0] * 8]}
    for name, label in labels.items():
        mask = np.array(label, np.uint8)
        Image.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "classes.json").write_text(json.dumps({"classes": ["wall", "pole"]}))
    assert main(["data", "check", str(tmp_path)]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["wall"] == ["70.00", "%", "2"]  # 14 of 20 pixels, in both images
    assert rows["pole"] == ["15.00", "%", "1"]
    assert rows["ignored"] == ["15.00", "%"]
    assert rows["sizes"] == ["1–2", "×", "6–8"]  # the wider image is the lower one


def test_one_split_and_what_is_wrong_with_it(tmp_path, capsys):
    root = write_tree("ade20k", tmp_path)
    (root / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png").write_bytes(b"")
    assert main(["data", "check", "ade20k", "--root", str(root), "--split=train"]) == 0
    assert main(["data", "check", "ade20k", "--root", str(root), "--split=trainval"]) == 1
    assert "✗ val: unreadable files (1)" in capsys.readouterr().out


def test_messages_are_one_line(tmp_path, capsys):
    for arguments, message in (
        (["voc2012"], "offstride: root: expected the folder that holds 'voc2012' (--root), got none"),
        (["voc2012", "--root", str(tmp_path)], "offstride: root: expected VOC 2012"),
        (["voc12", "--root", str(tmp_path)], "offstride: data: expected one of folder, camvid, voc2012"),
        ([str(tmp_path / "none")], "offstride: root: expected a folder"),
    ):
        assert main(["data", "check", *arguments]) == 2
        text = capsys.readouterr().err
        assert text.startswith(message)
        assert text.count("\n") == 1
