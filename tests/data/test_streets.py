import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.data.catalog import STREETS
from offstride.data.drawn import noise
from offstride.data.drawn.canvas import Canvas, polygon_coverage
from offstride.data.drawn.chance import pick
from offstride.data.drawn.develop import develop
from offstride.data.drawn.streets import Streets, kinds
from offstride.data.drawn.streets.scene import draw_scene, paint_scene

SIZE = (96, 128)


@pytest.fixture(scope="module")
def samples():
    dataset = Streets(24, SIZE, seed=1)
    return [dataset[index] for index in range(len(dataset))]


def same(first, second):
    return torch.equal(first.image, second.image) and torch.equal(first.label, second.label)


# --- what a sample is ------------------------------------------------------------------------------------------------


def test_samples_are_uint8_and_hold_classes_only(samples):
    for sample in samples:
        assert sample.image.shape == (3, *SIZE)
        assert sample.label.shape == SIZE
        assert sample.image.dtype == sample.label.dtype == torch.uint8
        assert sample.label.max() < len(STREETS)


def test_class_indices_follow_the_catalog():
    named = {name: STREETS.names[index] for name, index in vars(kinds).items() if isinstance(index, int)}
    assert named == {name.upper(): name for name in STREETS.names}


def test_names_are_those_of_the_samples():
    dataset = Streets(3, (32, 48), split="val")
    assert dataset.names == tuple(sample.name for sample in dataset)
    assert len(set(dataset.names)) == len(dataset) == 3


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (61, 200), (150, 31), (1, 1), (5, 3)])
def test_every_size_works(size):
    for sample in Streets(4, size, seed=3):
        assert sample.image.shape == (3, *size)
        assert sample.label.shape == size


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"count": 0}, "count"),
        ({"count": 1, "size": (0, 9)}, "size"),
        ({"count": 1, "size": (9,)}, "size"),
        ({"count": 1, "seed": -1}, "seed"),
        ({"count": 1, "split": "training"}, "split.*train, val, test.*'training'"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        Streets(**arguments)


def test_indices_end_where_the_dataset_ends():
    dataset = Streets(2, (32, 48))
    assert same(dataset[-1], dataset[1])
    with pytest.raises(IndexError):
        dataset[2]


# --- what a sample depends on ----------------------------------------------------------------------------------------


def test_samples_do_not_depend_on_order_or_on_the_count():
    forwards, backwards = Streets(4, (40, 56), seed=2), Streets(9, (40, 56), seed=2)
    first = [forwards[index] for index in range(4)]
    second = [backwards[index] for index in (3, 1, 0, 2)]
    assert all(same(first[index], sample) for index, sample in zip((3, 1, 0, 2), second, strict=True))


def test_samples_leave_the_global_random_state_alone():
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = np.random.random(), torch.rand(())  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    sample = Streets(1, (32, 48))[0]
    assert (np.random.random(), torch.rand(())) == expected  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert same(Streets(1, (32, 48))[0], sample)


def test_no_two_seeds_splits_or_indices_share_a_street():
    drawn = [
        sample.label.numpy().tobytes()
        for seed, split in itertools.product((0, 1, 2), ("train", "val", "test"))
        for sample in Streets(3, (32, 48), seed, split)
    ]
    assert len(set(drawn)) == len(drawn) == 27


def test_the_street_is_the_same_at_every_size():
    small, large = Streets(6, (96, 128), seed=4), Streets(6, (288, 384), seed=4)
    for index in range(6):
        one, other = small[index], large[index]
        middle = other.label[1::3, 1::3]
        assert (one.label == middle).float().mean() > 0.95
        means = [sample.image.float().mean(dim=(1, 2)) for sample in (one, other)]
        torch.testing.assert_close(*means, atol=8.0, rtol=0)


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_every_class_is_in_most_images_with_a_plausible_share(samples):
    counts = np.stack([np.bincount(sample.label.numpy().ravel(), minlength=len(STREETS)) for sample in samples])
    shares = dict(zip(STREETS.names, counts.mean(axis=0) / (SIZE[0] * SIZE[1]), strict=True))
    presence = dict(zip(STREETS.names, (counts > 0).mean(axis=0), strict=True))
    assert min(presence.values()) > 0.85, presence
    assert all(shares[name] > 0.03 for name in ("sky", "building", "road", "pavement", "tree", "car")), shares
    assert max(shares.values()) < 0.5, shares
    assert 0.005 < sum(shares[name] for name in STREETS.thin) < 0.04, shares


def test_poles_are_thin():
    widths = []
    for sample in Streets(12, (192, 256), seed=5):
        for row in (sample.label == kinds.POLE).numpy():
            changes = np.flatnonzero(np.diff(np.concatenate(([0], row, [0]))))
            widths += (changes[1::2] - changes[::2]).tolist()
    assert np.percentile(widths, 75) <= 4
    assert min(widths) == 1


def test_colour_alone_does_not_tell_the_class():
    """A table from colour to class, learned on some scenes, must stay far from right on others."""
    table = np.zeros((4096, len(STREETS)), np.int64)

    def pixels(split):
        for sample in Streets(16, (64, 96), seed=6, split=split):
            red, green, blue = (sample.image.numpy() >> 4).astype(np.int64)
            yield (red << 8 | green << 4 | blue).ravel(), sample.label.numpy().ravel()

    for colours, labels in pixels("train"):
        np.add.at(table, (colours, labels), 1)
    guesses = [table[colours].argmax(axis=1) == labels for colours, labels in pixels("val")]
    assert 0.3 < np.mean(guesses) < 0.75


def test_images_use_the_range_and_scenes_differ(samples):
    images = torch.stack([sample.image for sample in samples]).float()
    assert (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3)) > 150).all()
    assert ((images.mean(dim=(1, 2, 3)) > 40) & (images.mean(dim=(1, 2, 3)) < 215)).all()
    assert images.mean(dim=(2, 3)).std(dim=0).min() > 8


# --- image and label agree -------------------------------------------------------------------------------------------


class FlatCanvas(Canvas):
    """A canvas on which every class has one colour, whatever it is painted with."""

    def blend(self, area, coverage, colour, index):
        assert coverage.dtype == colour.dtype == np.float32
        flat = np.array(STREETS.palette[index], np.float32).reshape(3, 1, 1)
        super().blend(area, coverage, flat, index)


@pytest.mark.parametrize("index", range(6))
def test_the_label_is_the_class_that_colours_the_pixel(index):
    canvas = FlatCanvas(*SIZE)
    paint_scene(draw_scene(np.random.default_rng(index)), canvas)
    palette = np.array(STREETS.palette, np.float32)
    nearest = ((canvas.image[None] - palette[:, :, None, None]) ** 2).sum(axis=1).argmin(axis=0)
    pure = np.stack([(canvas.image == color[:, None, None]).all(axis=0) for color in palette])
    assert pure.any(axis=0).mean() > 0.75
    assert (pure.argmax(axis=0) == canvas.label)[pure.any(axis=0)].all()
    assert (nearest == canvas.label).mean() > 0.97


def test_edges_of_the_image_lie_on_edges_of_the_label():
    """Moving the label map against the image by one pixel in any direction loses brightness edges."""
    steps = dict.fromkeys(itertools.product((-1, 0, 1), repeat=2), 0.0)
    for sample in Streets(10, (192, 256), seed=7):
        gray = sample.image.float().mean(dim=0)
        edge = (gray[2:, 1:-1] - gray[:-2, 1:-1]).abs() + (gray[1:-1, 2:] - gray[1:-1, :-2]).abs()
        for down, right in steps:
            label = sample.label.roll((down, right), (0, 1)).int()
            border = (label[2:, 1:-1] != label[:-2, 1:-1]) | (label[1:-1, 2:] != label[1:-1, :-2])
            inside = (slice(1, -1), slice(1, -1))
            steps[down, right] += float(edge[inside][border[inside]].mean())
    best = steps.pop((0, 0))
    assert all(value < 0.95 * best for value in steps.values()), (best, steps)


# --- the parts -------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    corners=st.lists(st.tuples(st.floats(1, 15), st.floats(1, 15)), min_size=3, max_size=3),
    backwards=st.booleans(),
)
def test_polygons_cover_what_lies_inside(corners, backwards):
    """Against the half-plane test at each pixel's centre; pixels that an edge passes may be anything between."""
    (ax, ay), (bx, by), (cx, cy) = corners
    if abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) < 4:
        return
    area = Canvas(16, 16).area(0, 0, 16, 16)
    assert area is not None
    coverage = polygon_coverage(corners[::-1] if backwards else corners, area)
    for row, column in np.ndindex(16, 16):
        x, y = column + 0.5, row + 0.5
        sides, distances = [], []
        for (x0, y0), (x1, y1) in itertools.pairwise([*corners, corners[0]]):
            length = np.hypot(x1 - x0, y1 - y0)
            sides.append((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
            distances.append(abs(sides[-1]) / max(length, 1e-9))
        inside = min(sides) > 0 or max(sides) < 0
        if min(distances) > 0.51:
            assert coverage[row, column] == pytest.approx(float(inside), abs=1e-4)


def test_areas_outside_the_canvas_are_none_and_others_are_clipped():
    canvas = Canvas(10, 20)
    assert canvas.area(-9, -9, -3, 5) is None
    assert canvas.area(22, 3, 30, 5) is None
    area = canvas.area(-4, 3, 40, 30)
    assert area is not None
    assert (area.rows, area.columns) == (slice(2, 10), slice(0, 20))
    assert area.x[0, 0] == 0.5
    assert area.y[0, 0] == 2.5


def test_noise_tiles_and_interpolates():
    tile = noise.tile(1.0)
    assert tile.mean() == pytest.approx(0, abs=1e-4)
    assert tile.std() == pytest.approx(1, abs=1e-3)
    x, y = np.array([[3.25, 255.5, -0.5]], np.float32), np.array([[7.5], [-1.0]], np.float32)
    expected = np.empty((2, 3))
    for i, j in np.ndindex(2, 3):
        left, top = int(np.floor(x[0, j])), int(np.floor(y[i, 0]))
        across, down = x[0, j] - left, y[i, 0] - top
        corners = [[tile[(top + r) % 256, (left + c) % 256] for c in (0, 1)] for r in (0, 1)]
        upper, lower = ((1 - across) * row[0] + across * row[1] for row in corners)
        expected[i, j] = (1 - down) * upper + down * lower
    np.testing.assert_allclose(noise.sample(1.0, x, y), expected, atol=1e-4)


def test_pick_follows_its_weights():
    rng = np.random.default_rng(0)
    drawn = [pick(rng, ("a", "b", "c"), (1, 0, 3)) for _ in range(2000)]
    assert drawn.count("b") == 0
    assert drawn.count("c") / 2000 == pytest.approx(0.75, abs=0.04)


def test_development_is_monotone_in_light():
    ramp = np.broadcast_to(np.linspace(0, 2, 64, dtype=np.float32)[:, None, None, None], (64, 3, 8, 8))
    values = [develop(np.array(light), np.random.default_rng(0)).mean() for light in ramp]
    assert np.all(np.diff(values) > -0.5)
    assert values[0] < 30
    assert values[-1] > 200
