"""Shards give the samples that they were made of, and say what is wrong with them."""

import json
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from offstride.data import (
    FolderDataset,
    Joined,
    LabelMaps,
    ShardedDataset,
    Streets,
    build_dataset,
    shard_writer,
    write_shards,
)

SMALL = 3000  # bytes: two or three samples


@pytest.fixture
def dataset(tree):
    return FolderDataset(tree(count=7), "train")


@pytest.fixture
def shards(dataset, tmp_path):
    write_shards(dataset, tmp_path / "shards", "train", shard_bytes=SMALL)
    return tmp_path / "shards"


def assert_same(one, other):
    assert len(one) == len(other)
    assert one.classes.names == other.classes.names
    assert one.classes.palette == other.classes.palette
    assert one.classes.thin == other.classes.thin
    for index in range(len(one)):
        a, b = one[index], other[index]
        assert a.name == b.name
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label, b.label)


def test_samples_are_those_of_the_folder(dataset, shards):
    assert len(list(shards.glob("train-*.tar"))) > 2
    assert_same(ShardedDataset(shards, "train"), dataset)
    assert_same(build_dataset("shards", "train", root=shards), dataset)
    assert ShardedDataset(shards, "train")[0].image.stride() == dataset[0].image.stride()


def test_labels_alone_and_their_fingerprint(dataset, shards):
    maps = LabelMaps(ShardedDataset(shards, "train"))
    for index in range(len(dataset)):
        assert torch.equal(maps[index], dataset.label(index))
    before = maps.fingerprint(range(7))
    assert LabelMaps(ShardedDataset(shards, "train")).fingerprint(range(7)) == before
    os.utime(shards / "train-000000.tar", (0, 0))
    assert LabelMaps(ShardedDataset(shards, "train")).fingerprint(range(7)) != before


def test_image_files_are_copied_and_any_program_can_read_the_tar(dataset, shards):
    members: dict[str, bytes] = {}
    for path in sorted(shards.glob("train-*.tar")):
        with tarfile.open(path) as shard:
            for info in shard:
                file = shard.extractfile(info)
                assert file is not None
                members[info.name] = file.read()
    assert len(members) == 14
    for index, path in enumerate(dataset.image_files):
        assert members[path.name] == path.read_bytes()
        assert f"{dataset.names[index]}.label.png" in members


def test_classes_with_other_file_values_keep_their_indices(tmp_path, tree):
    root = tree(("train",), count=1)
    (root / "classes.json").write_text(json.dumps({"classes": [{"name": "a", "id": 300}, {"name": "b", "id": 7}]}))
    mask = np.array([[300, 7, 255]] * 16, np.uint16).repeat(8, 1)
    Image.fromarray(mask).save(root / "labels" / "train" / "0.png")
    dataset = FolderDataset(root, "train")
    write_shards(dataset, tmp_path / "shards", "train")
    assert_same(ShardedDataset(tmp_path / "shards", "train"), dataset)
    assert ShardedDataset(tmp_path / "shards", "train").classes.values == (0, 1)


def test_drawn_samples_and_no_split(tmp_path):
    streets = Streets(3, (32, 48))
    assert write_shards(streets, tmp_path, None) == tmp_path / "all.json"
    assert_same(ShardedDataset(tmp_path, None), streets)


def test_threads_and_pickling(dataset, shards):
    sharded = ShardedDataset(shards, "train")
    with ThreadPoolExecutor(4) as pool:
        labels = list(pool.map(lambda index: sharded[index % 7].label, range(56)))
    assert all(torch.equal(label, dataset.label(index % 7)) for index, label in enumerate(labels))
    assert_same(pickle.loads(pickle.dumps(sharded)), dataset)


@pytest.mark.parametrize("stop", range(7))
def test_stopped_anywhere_and_resumed(dataset, tmp_path, monkeypatch, stop):
    whole = tmp_path / "whole"
    write_shards(dataset, whole, "train", shard_bytes=SMALL)
    encoded, seen = shard_writer._encoded, []

    def until(dataset, index):
        if len(seen) == stop:
            raise KeyboardInterrupt
        seen.append(index)
        return encoded(dataset, index)

    monkeypatch.setattr(shard_writer, "_encoded", until)
    with pytest.raises(KeyboardInterrupt):
        write_shards(dataset, tmp_path / "parts", "train", shard_bytes=SMALL)
    assert not list((tmp_path / "parts").glob(".*"))
    with pytest.raises(ValueError, match=r"root: expected the index .*train.json, which is missing"):
        ShardedDataset(tmp_path / "parts", "train")
    monkeypatch.setattr(shard_writer, "_encoded", encoded)
    write_shards(dataset, tmp_path / "parts", "train", shard_bytes=SMALL)
    for path in whole.iterdir():
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes()


def test_a_second_call_writes_no_shard(dataset, shards):
    before = {path: path.stat().st_mtime_ns for path in shards.glob("*.tar")}
    write_shards(dataset, shards, "train", shard_bytes=SMALL)
    assert {path: path.stat().st_mtime_ns for path in shards.glob("*.tar")} == before


def test_other_samples_and_classes_are_not_mixed_in(dataset, shards, tmp_path):
    with pytest.raises(ValueError, match=r"classes of the data set in .*classes.json, found others"):
        write_shards(Streets(2, (32, 48)), shards, "train")
    (shards / "classes.json").unlink()
    with pytest.raises(ValueError, match=r"expected no shards of 'train' in .* found others"):
        write_shards(Streets(2, (32, 48)), shards, "train")
    with pytest.raises(ValueError, match="shard_bytes: expected at least 1, got 0"):
        write_shards(dataset, tmp_path / "other", "train", shard_bytes=0)


def test_splits_share_a_folder(dataset, shards):
    val = FolderDataset(dataset.root, "val")
    write_shards(val, shards, "val")
    assert_same(ShardedDataset(shards, "val"), val)
    assert_same(ShardedDataset(shards, "train"), dataset)


@pytest.mark.parametrize("change", [-512, 512])
def test_a_truncated_or_foreign_shard(shards, change):
    path = shards / "train-000001.tar"
    size = path.stat().st_size
    sharded = ShardedDataset(shards, "train")
    os.truncate(path, size + change)
    message = rf"shard .*train-000001.tar: expected {size} bytes, got {size + change}: truncated or another file"
    with pytest.raises(ValueError, match=message):
        ShardedDataset(shards, "train")
    with pytest.raises(ValueError, match=message):
        _ = [sharded[index] for index in range(7)]


def test_a_shard_that_is_cut_while_it_is_open(shards):
    sharded = ShardedDataset(shards, "train")
    _ = sharded[0]
    os.truncate(shards / "train-000000.tar", 600)
    with pytest.raises(ValueError, match=r"shard .*train-000000.tar: expected \d+ bytes from byte \d+ on, got"):
        _ = sharded[0]


def test_a_missing_shard_and_a_missing_index(shards):
    (shards / "train-000001.tar").unlink()
    with pytest.raises(ValueError, match=r"shard .*train-000001.tar: expected \d+ bytes, the file is missing"):
        ShardedDataset(shards, "train")
    with pytest.raises(ValueError, match=r"expected the index .*val.json, which is missing; shards of train are there"):
        ShardedDataset(shards, "val")
    (shards / "train.json").write_text('{"version": 2, "names": [], "places": []}')
    with pytest.raises(ValueError, match=r"index .*train.json: expected an index of shards, version 1, got"):
        ShardedDataset(shards, "train")


def test_damage_names_the_shard_and_the_sample(shards):
    path = shards / "train-000000.tar"
    data = bytearray(path.read_bytes())
    sharded = ShardedDataset(shards, "train")
    _, image, size, label, _ = map(int, sharded._places[0])
    data[image : image + size] = bytes(size)
    data[label : label + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"file .*train-000000.tar, image of 0: cannot be decoded"):
        _ = sharded[0]
    with pytest.raises(ValueError, match=r"file .*train-000000.tar, label of 0: cannot be decoded"):
        sharded.label(0)


def test_an_unreadable_shard_of_an_interrupted_call(dataset, tmp_path):
    (tmp_path / "train-000000.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ValueError, match=r"shard .*train-000000.tar: cannot be read .* remove it to write it again"):
        write_shards(dataset, tmp_path, "train")


def test_joined_splits_are_copied_too(tmp_path):
    roots = [tmp_path / name for name in ("a", "b")]
    generator = np.random.default_rng(0)
    for root in roots:
        for folder in ("images", "labels"):
            (root / folder).mkdir(parents=True)
        (root / "classes.yaml").write_text("classes: [sky, road]\n")
        image = generator.integers(0, 256, (12, 14, 3), np.uint8)
        Image.fromarray(image).save(root / "images" / f"{root.name}.jpg", quality=60)
        Image.fromarray(image[..., 0] % 2).save(root / "labels" / f"{root.name}.png")
    joined = Joined([FolderDataset(root, None) for root in roots])
    write_shards(joined, tmp_path / "shards", "both")
    with tarfile.open(tmp_path / "shards" / "both-000000.tar") as shard:
        copied = shard.extractfile("b.jpg").read()
    assert copied == (roots[1] / "images" / "b.jpg").read_bytes()
    assert_same(ShardedDataset(tmp_path / "shards", "both"), joined)
