"""Class sets of COCO-Stuff, and which categories of COCO are classes of PASCAL VOC."""

from offstride.data.catalog import ClassSet, voc_colors

_THINGS = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, street sign, "
    "stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, hat, "
    "backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, "
    "baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, plate, wine glass, cup, fork, "
    "knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, "
    "couch, potted plant, bed, mirror, dining table, window, desk, toilet, door, tv, laptop, mouse, remote, "
    "keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, blender, book, clock, vase, scissors, "
    "teddy bear, hair drier, toothbrush, hair brush"
)

_STUFF = (
    "banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, "
    "ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, "
    "floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, "
    "grass, gravel, ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, "
    "net, paper, pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, "
    "roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, "
    "structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, "
    "wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood"
)

_NEVER_ANNOTATED = (
    "street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender", "hair brush",
)  # fmt: skip

_LABELS = (*_THINGS.split(", "), *_STUFF.split(", "))  # in the order of labels.txt

_NUMBERED = {number: name for number, name in enumerate(_LABELS, 1) if name not in _NEVER_ANNOTATED}

_COLORS = tuple(voc_colors(183)[number] for number in _NUMBERED)

COCO_STUFF_10K = ClassSet(tuple(_NUMBERED.values()), _COLORS, values=tuple(_NUMBERED), ignore_values=(0,))
"""COCO-Stuff in 171 classes, with the numbers of `labels.txt` (1 … 182); 0 (unlabelled) is ignored.

The authors publish no colours for masks: these are those of PASCAL VOC for the numbers.
"""

COCO_STUFF_164K = ClassSet(
    tuple(_NUMBERED.values()), _COLORS, values=tuple(number - 1 for number in _NUMBERED), ignore_values=(255,)
)
"""COCO-Stuff in 171 classes, with the values of its pixel maps (0 … 181); 255 (unlabelled) is ignored."""

COCO_IN_VOC = {
    5: 1, 2: 2, 16: 3, 9: 4, 44: 5, 6: 6, 3: 7, 17: 8, 62: 9, 21: 10, 67: 11, 18: 12, 19: 13, 4: 14, 1: 15, 64: 16,
    20: 17, 63: 18, 7: 19, 72: 20,
}  # fmt: skip
"""Category id of COCO to class index of PASCAL VOC, for its 20 objects."""
