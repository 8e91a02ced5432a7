"""Datasets in folders, shards or drawn, their classes, transforms, checks and streams of training samples."""

from offstride.data.audit import audit_dataset, audit_folder
from offstride.data.build import build_dataset
from offstride.data.camvid import CamVid
from offstride.data.catalog import CAMVID, SEGMENTS, STREETS, ClassSet, voc_colors
from offstride.data.decode import read_image, read_mask
from offstride.data.drawn import Segments, Streets
from offstride.data.files import FileDataset, FolderDataset
from offstride.data.findings import Audit, SplitAudit
from offstride.data.image_windows import ImageWindows
from offstride.data.join import Joined
from offstride.data.labels import LabelMaps
from offstride.data.official import OfficialSet
from offstride.data.prepare import ARCHIVES, Prepared, prepare_dataset
from offstride.data.registry import OFFICIAL
from offstride.data.repeat import Repeated
from offstride.data.sample import Sample, SampleSet
from offstride.data.shard_writer import write_shards
from offstride.data.shards import ShardedDataset
from offstride.data.sources import Picture, find_images, listed_images, open_pixels
from offstride.data.stream import SampleStream, TrainingSet, derive_seed
from offstride.data.transforms import EvalTransform, TrainTransform
from offstride.ops.pixels import IMAGENET_MEAN, IMAGENET_STD, normalize

__all__ = [
    "ARCHIVES",
    "CAMVID",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "OFFICIAL",
    "SEGMENTS",
    "STREETS",
    "Audit",
    "CamVid",
    "ClassSet",
    "EvalTransform",
    "FileDataset",
    "FolderDataset",
    "ImageWindows",
    "Joined",
    "LabelMaps",
    "OfficialSet",
    "Picture",
    "Prepared",
    "Repeated",
    "Sample",
    "SampleSet",
    "SampleStream",
    "Segments",
    "ShardedDataset",
    "SplitAudit",
    "Streets",
    "TrainTransform",
    "TrainingSet",
    "audit_dataset",
    "audit_folder",
    "build_dataset",
    "derive_seed",
    "find_images",
    "listed_images",
    "normalize",
    "open_pixels",
    "prepare_dataset",
    "read_image",
    "read_mask",
    "voc_colors",
    "write_shards",
]
