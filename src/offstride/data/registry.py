"""The published data sets by name."""

from collections.abc import Mapping

from offstride.data.ade20k import ADE20K
from offstride.data.cityscapes import CITYSCAPES
from offstride.data.coco_stuff import STUFF10K, STUFF164K
from offstride.data.coco_voc import COCO_VOC
from offstride.data.official import OfficialSet
from offstride.data.pascal_context import CONTEXT59, CONTEXT60
from offstride.data.voc import VOC2012

OFFICIAL: Mapping[str, OfficialSet] = {
    official.name: official
    for official in (VOC2012, CONTEXT59, CONTEXT60, ADE20K, CITYSCAPES, STUFF10K, STUFF164K, COCO_VOC)
}
"""Every published data set by its name."""
