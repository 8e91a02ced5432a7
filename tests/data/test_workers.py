"""What training reads does not depend on how many processes read it, nor on which of them reads what."""

from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from offstride.data import FolderDataset, SampleStream, ShardedDataset, TrainingSet, TrainTransform, write_shards

TRANSFORM = TrainTransform(crop=(12, 10), scale=(0.4, 2.0), jitter=0.4)
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than processors

SEED, BATCH, BATCHES = 5, 3, 6  # four epochs and a half of the four images


def batches(dataset, workers, start=0, rank=0, world_size=1, batch=BATCH, count=BATCHES):
    """The first batches of images and labels, put together."""
    stream = SampleStream(len(dataset), SEED, start, rank, world_size)
    training = TrainingSet(dataset, TRANSFORM, SEED)
    loader = DataLoader(training, batch, sampler=stream, num_workers=workers)
    images, labels = zip(*islice(loader, count), strict=True)
    return torch.stack(images), torch.stack(labels)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def dataset(tree):
    return FolderDataset(tree(count=4), "train")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_augmentation_does_not_depend_on_the_number_of_workers(dataset, workers):
    expected = batches(dataset, 0)
    torch.manual_seed(workers)  # from which DataLoader seeds its workers: nothing may hang on it
    assert same(batches(dataset, workers), expected)


def test_workers_do_not_repeat_each_other(dataset):
    """The classic bug: all workers draw the same numbers. One image, one batch per worker: all crops differ."""
    images, _ = batches(dataset, 3, batch=4, count=3)
    seen = {image.numpy().tobytes() for image in images.flatten(0, 1)}
    assert len(seen) == 12


def test_workers_after_a_resume_continue_the_stream(dataset):
    images, labels = batches(dataset, 0)
    resumed = batches(dataset, 2, start=2 * BATCH, count=BATCHES - 2)
    assert same(resumed, (images[2:], labels[2:]))


def test_ranks_with_workers_read_what_one_process_reads(dataset):
    images, labels = batches(dataset, 0, batch=4)
    ranks = [batches(dataset, 2, rank=rank, world_size=2, batch=2) for rank in range(2)]
    for which, whole in enumerate((images, labels)):
        together = torch.stack([ranks[0][which], ranks[1][which]], 2).flatten(1, 2)  # position: batch, place, rank
        assert torch.equal(together, whole)


def test_the_process_keeps_its_random_state(dataset):
    before = torch.get_rng_state()
    TrainingSet(dataset, TRANSFORM, SEED)[0, 1]
    assert torch.equal(torch.get_rng_state(), before)


def test_shards_are_read_by_workers(dataset, tmp_path):
    write_shards(dataset, tmp_path / "shards", "train", shard_bytes=2000)
    shards = ShardedDataset(tmp_path / "shards", "train")
    shards[0]  # a file is open in this process when the others begin
    assert same(batches(shards, 2), batches(dataset, 0))
    assert same(batches(shards, 0), batches(dataset, 0))
