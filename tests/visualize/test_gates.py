import numpy as np
import pytest

from offstride.visualize import class_changes, effect, gate_picture, heatmap
from offstride.visualize.gates import CHANGED


def test_gate_is_painted_on_its_own_grid():
    gate = np.array([[0.0, 1.0, 0.5]], dtype=np.float32)
    picture = gate_picture(gate, (4, 6))
    colors = heatmap(gate, 0, 1)[0]
    assert picture.shape == (4, 6, 3)
    assert np.array_equal(picture, colors.repeat(2, 0)[None].repeat(4, 0))
    assert picture[0, 0].sum() < picture[0, 4].sum() < picture[0, 2].sum()  # 0 is dark, 1 is bright


def test_scale_is_the_same_for_all_gates():
    """A gate that is half open all over looks half open, not like the range of its own values."""
    half = gate_picture(np.full((2, 2), 0.5), (2, 2))
    full = gate_picture(np.array([[0.5, 0.0], [1.0, 0.5]]), (2, 2))
    assert (half == full[0, 0]).all()
    assert (half != full[1, 0]).any()


def test_odd_sizes_take_the_nearest_pixel():
    gate = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    picture, colors = gate_picture(gate, (7, 9)), heatmap(gate, 0, 1)
    for y in range(7):
        for x in range(9):
            assert np.array_equal(picture[y, x], colors[int((y + 0.5) * 3 / 7), int((x + 0.5) * 4 / 9)])


def test_changes_are_marked_and_the_rest_is_grey():
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    before, after = np.array([[0, 1, 2], [0, 0, 0]]), np.array([[0, 2, 2], [1, 0, 0]])
    picture = class_changes(image, before, after)
    assert [tuple(color) for color in picture[before != after]] == [CHANGED, CHANGED]
    same = picture[before == after]
    assert (same == same[:, :1]).all()
    assert (same >= 140).all()


def test_effect_is_counted_pixel_by_pixel():
    rng = np.random.default_rng(1)
    before, after, label = (rng.integers(0, 4, (9, 7)) for _ in range(3))
    label[rng.random((9, 7)) < 0.3] = 255
    counted = changed = broken = fixed = 0
    lost = {}
    for b, a, t in zip(before.flat, after.flat, label.flat, strict=True):
        if t == 255:
            continue
        counted += 1
        changed += b != a
        fixed += b != t and a == t
        if b == t and a != t:
            broken += 1
            lost[int(t)] = lost.get(int(t), 0) + 1
    change = effect(before, after, label)
    assert (change.changed, change.broken, change.fixed) == pytest.approx(
        (changed / counted, broken / counted, fixed / counted)
    )
    assert dict(change.classes) == pytest.approx({name: lost[name] / broken for name, _ in change.classes})
    assert [lost[name] for name, _ in change.classes] == sorted(lost.values(), reverse=True)[:3]


def test_effect_without_truth_tells_what_changes():
    change = effect(np.array([[0, 1, 1, 2]]), np.array([[0, 2, 0, 0]]))
    assert (change.changed, change.broken, change.fixed) == (0.75, None, None)
    assert change.classes == [(1, pytest.approx(2 / 3)), (2, pytest.approx(1 / 3))]
    assert effect(np.zeros((2, 2), int), np.zeros((2, 2), int)).classes == []


def test_nothing_labelled_is_no_effect():
    change = effect(np.array([[0]]), np.array([[1]]), np.array([[255]]))
    assert (change.changed, change.broken, change.fixed, change.classes) == (0, 0, 0, [])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"gate: expected \(h, w\) floats in 0 … 1, got float64 \(1, 1\)"):
        gate_picture(np.array([[1.5]]), (2, 2))
    with pytest.raises(ValueError, match=r"gate: .* got float64 \(1, 2, 2\)"):
        gate_picture(np.zeros((1, 2, 2)), (2, 2))
    with pytest.raises(ValueError, match=r"label maps: expected two of one \(H, W\), got \(2, 2\) and \(2, 3\)"):
        effect(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(ValueError, match=r"image: expected \(2, 2\) pixels, got \(3, 3\)"):
        class_changes(np.zeros((3, 3, 3), np.uint8), np.zeros((2, 2), int), np.zeros((2, 2), int))
