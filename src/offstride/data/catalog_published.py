"""The class sets of the published data sets."""

from dataclasses import replace

from offstride.data.catalog import ClassSet, bundled_classes

VOC = bundled_classes("voc")
"""PASCAL VOC in 20 classes and background, with the colours of its development kit; 255 is the border of objects."""

PASCAL_CONTEXT_59 = bundled_classes("pascal_context59")
"""PASCAL Context in the 59 classes of `59_labels.txt`, values 1 … 59 in its order; 0 (everything else) is ignored.

The colours are those of PASCAL VOC for these values.
"""

PASCAL_CONTEXT_60 = ClassSet(names=("background", *PASCAL_CONTEXT_59.names))
"""PASCAL Context in 59 classes and background (value 0: everything else)."""

ADE20K_150 = bundled_classes("ade20k")
"""The 150 classes of ADE20K scene parsing, by the first of their names in `objectInfo150.txt`, with its colours.

Values are 1 … 150; 0 (other objects) is ignored. Two pairs of classes share a colour there, too.
"""

CITYSCAPES_19 = bundled_classes("cityscapes")
"""The 19 classes that Cityscapes evaluates, in the order of their train ids; values are label ids.

The label ids that its benchmark leaves out are ignored: unlabeled, ego vehicle, rectification border, out of roi,
static, dynamic, ground, parking, rail track, guard rail, bridge, tunnel, polegroup, caravan, trailer.
"""

COCO_STUFF_10K = bundled_classes("coco_stuff10k")
"""COCO-Stuff in the 171 of its 182 classes that are annotated, with the numbers of `labels.txt` (1 … 182); 0
(unlabelled) is ignored.

The authors publish no colours for masks: these are those of PASCAL VOC for the numbers.
"""

COCO_STUFF_164K = replace(
    COCO_STUFF_10K, values=tuple(number - 1 for number in COCO_STUFF_10K.values), ignore_values=(255,)
)
"""COCO-Stuff in 171 classes, with the values of its pixel maps (0 … 181); 255 (unlabelled) is ignored."""
