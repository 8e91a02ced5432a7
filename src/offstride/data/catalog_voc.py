"""Class sets of PASCAL VOC 2012 and PASCAL Context."""

from offstride.data.catalog import ClassSet, voc_colors

_OBJECTS = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor"
)

_SURROUNDINGS = (
    "bag bed bench book building cabinet ceiling clothes computer cup door fence floor flower food grass ground "
    "keyboard light mountain mouse curtain platform sign plate road rock shelves sidewalk sky snow bedcloth track tree "
    "truck wall water window wood"
)

VOC = ClassSet(names=("background", *_OBJECTS.split()))
"""PASCAL VOC in 20 classes and background, with the colours of its development kit; 255 is the border of objects."""

PASCAL_CONTEXT_59 = ClassSet(
    names=(*_OBJECTS.split(), *_SURROUNDINGS.split()),
    palette=voc_colors(60)[1:],
    values=tuple(range(1, 60)),
    ignore_values=(0,),
)
"""PASCAL Context in the 59 classes of `59_labels.txt`, values 1 … 59 in its order; 0 (everything else) is ignored.

The colours are those of PASCAL VOC for these values.
"""

PASCAL_CONTEXT_60 = ClassSet(names=("background", *_OBJECTS.split(), *_SURROUNDINGS.split()))
"""PASCAL Context in 59 classes and background (value 0: everything else)."""

CONTEXT_IDS = (
    2, 23, 25, 31, 34, 45, 59, 65, 72, 98, 397, 113, 207, 258, 284, 308, 347, 368, 416, 427, 9, 18, 22, 33, 44, 46, 68,
    80, 85, 104, 115, 144, 158, 159, 162, 187, 189, 220, 232, 259, 260, 105, 296, 355, 295, 324, 326, 349, 354, 360,
    366, 19, 415, 420, 424, 440, 445, 454, 458,
)  # fmt: skip
"""The numbers of the 59 classes among the 459 categories of `labels.txt`, where three of them have another name:
diningtable is table (397), clothes is cloth (80), bedcloth is bedclothes (19)."""
