"""Encoding a data set to files: resumed, shared out, the same bits."""

import pytest
import torch

from offstride.data import LabelMaps, Streets
from offstride.evaluate import encode_dataset, label_shards
from offstride.ops.label_basis import label_windows, merge_windows

SIZE = (40, 56)


def content(shards):
    return [path.read_bytes() for path in shards.paths]


@pytest.fixture
def dataset():
    return Streets(5, SIZE)


def test_files_hold_the_windows_of_all_maps(dataset, tmp_path):
    seen = []
    shards = encode_dataset(
        dataset, tmp_path, scale=8, maps_per_shard=2, progress=lambda done, total: seen.append((done, total))
    )
    assert len(shards) == 3
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]
    merged = merge_windows([shards[index] for index in range(3)])
    plain = merge_windows(
        [
            label_windows(sample.label, scale=8, classes=len(dataset.classes))
            for sample in (dataset[i] for i in range(5))
        ]
    )
    for name in ("codes", "offsets", "counts", "keys"):
        assert torch.equal(getattr(merged, name), getattr(plain, name))


def test_a_resumed_run_reads_only_what_is_missing_and_gives_the_same_bits(dataset, tmp_path, monkeypatch):
    whole = encode_dataset(dataset, tmp_path / "whole", scale=8, maps_per_shard=2)
    broken = encode_dataset(dataset, tmp_path / "broken", scale=8, maps_per_shard=2)
    broken.paths[1].unlink()
    read = []
    look_up = LabelMaps.__getitem__
    monkeypatch.setattr(LabelMaps, "__getitem__", lambda maps, index: read.append(index) or look_up(maps, index))
    resumed = encode_dataset(dataset, tmp_path / "broken", scale=8, maps_per_shard=2)
    assert read == [2, 3]
    assert resumed.reused == 2
    assert content(resumed) == content(whole)


def test_an_interrupted_write_leaves_no_file(dataset, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(label_shards, "write_windows", stop)
        with pytest.raises(KeyboardInterrupt):
            encode_dataset(dataset, tmp_path, scale=8)
    assert encode_dataset(dataset, tmp_path, scale=8).reused == 0


def test_workers_write_the_same_files(dataset, tmp_path):
    one = encode_dataset(dataset, tmp_path / "one", scale=8, maps_per_shard=2)
    two = encode_dataset(dataset, tmp_path / "two", scale=8, maps_per_shard=2, workers=2)
    assert [path.name for path in one.paths] == [path.name for path in two.paths]
    assert content(one) == content(two)


def test_other_maps_and_scales_have_files_of_their_own(dataset, tmp_path):
    encode_dataset(dataset, tmp_path, scale=8)
    for other, scale in ((dataset, 4), (Streets(5, SIZE, seed=1), 8), (Streets(4, SIZE), 8)):
        assert encode_dataset(other, tmp_path, scale=scale).reused == 0
    assert encode_dataset(dataset, tmp_path, scale=8).reused == 1


@pytest.mark.parametrize("name", ["scale", "maps_per_shard"])
def test_what_is_refused(dataset, tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: expected a whole number"):
        encode_dataset(dataset, tmp_path, **{"scale": 8, name: 0})


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"label windows .*x.safetensors: expected a safetensors file"):
        label_shards.read_windows(path)
