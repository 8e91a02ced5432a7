import pytest
import torch

from offstride.metrics.confusion import check_num_classes, valid_pixels


@pytest.mark.parametrize("ignore_index", [255, 7, -1])
def test_pixels_count_unless_their_label_is_ignored(ignore_index):
    label = torch.tensor([[0, ignore_index], [2, 1]])
    assert valid_pixels(torch.full((2, 2), 2), label, 3, ignore_index).tolist() == [[True, False], [True, True]]


def test_empty_maps_are_fine():
    empty = torch.zeros(0, 4, 4, dtype=torch.uint8)
    assert valid_pixels(empty, empty, 3, 255).shape == (0, 4, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_only_integers_are_classes(dtype):
    with pytest.raises(ValueError, match=f"label: expected integers, got {dtype}"):
        valid_pixels(torch.zeros(2, dtype=torch.uint8), torch.zeros(2, dtype=dtype), 3, 255)


@pytest.mark.parametrize("num_classes", [2, 255])
def test_class_counts_at_the_ends_are_fine(num_classes):
    check_num_classes(num_classes)
    highest = torch.full((1, 1), num_classes - 1, dtype=torch.uint8)
    assert valid_pixels(highest, highest, num_classes, 255).all()
