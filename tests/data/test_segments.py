"""Drawn segments."""

import numpy as np
import pytest
import torch

from offstride.data import Segments, build_dataset
from offstride.data.drawn.canvas import Canvas
from offstride.data.drawn.segments.shapes import KINDS


@pytest.fixture(scope="module")
def scenes():
    dataset = Segments(12, (128, 160), 3)
    return [dataset[index] for index in range(len(dataset))]


def test_a_scene_depends_on_seed_split_and_index_alone(scenes):
    again = Segments(5, (128, 160), 3)[4]
    assert torch.equal(again.image, scenes[4].image)
    assert torch.equal(again.label, scenes[4].label)
    for other in (Segments(5, (128, 160), 4), Segments(5, (128, 160), 3, "val")):
        assert not torch.equal(other[4].image, scenes[4].image)


def test_labels_number_segments(scenes):
    for sample in scenes:
        assert sample.image.shape == (3, 128, 160)
        assert sample.label.shape == (128, 160)
        assert sample.label.max() < len(Segments.classes)
    assert sum(len(sample.label.unique()) > 3 for sample in scenes) > 6


def test_borders_of_segments_are_mostly_edges_of_the_image(scenes):
    """The mean step of colour across a border is well above that inside segments."""
    border, inside = [], []
    for sample in scenes:
        step = sample.image.float().diff(dim=2).abs().sum(0)
        edge = sample.label.int().diff(dim=1) != 0
        border.append(step[edge].mean())
        inside.append(step[~edge].mean())
    assert torch.stack(border).nanmean() > 1.5 * torch.stack(inside).mean()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_every_kind_of_outline_covers_something(kind):
    canvas = Canvas(96, 128)
    covered = []
    for seed in range(12):
        outline = kind(np.random.default_rng(seed), canvas)
        if outline is None:
            continue
        depth = outline.depth(outline.area)
        assert depth.shape == (outline.area.y.size, outline.area.x.size)
        covered.append(float((depth > 0).mean()))
    assert max(covered) > 0.02
    assert min(covered) < 0.95


def test_it_is_a_data_set_by_name():
    dataset = build_dataset("segments", "val", count=2, size=(64, 64), seed=1)
    assert len(dataset) == 2
    assert dataset.classes is Segments.classes
