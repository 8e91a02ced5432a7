"""The class set of Cityscapes."""

from offstride.data.catalog import ClassSet

CITYSCAPES_19 = ClassSet(
    names=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    palette=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    values=(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
    ignore_values=(0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30),
    thin=("pole", "traffic light", "traffic sign"),
)  # fmt: skip
"""The 19 classes that Cityscapes evaluates, in the order of their train ids; values are label ids.

The label ids that its benchmark leaves out are ignored: unlabeled, ego vehicle, rectification border, out of roi,
static, dynamic, ground, parking, rail track, guard rail, bridge, tunnel, polegroup, caravan, trailer.
"""
