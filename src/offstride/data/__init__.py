"""Datasets that lie in folders or are drawn, their classes, and the way from a sample to a training stream."""

from offstride.data.audit import Audit, SplitAudit, audit_folder
from offstride.data.build import build_dataset
from offstride.data.camvid import CamVid
from offstride.data.catalog import CAMVID, STREETS, ClassSet, voc_colors
from offstride.data.decode import read_image, read_mask
from offstride.data.folder import FolderDataset
from offstride.data.labels import LabelMaps
from offstride.data.sample import Sample, SampleSet
from offstride.data.stream import SampleStream, TrainingSet, derive_seed
from offstride.data.streets import Streets
from offstride.data.transforms import IMAGENET_MEAN, IMAGENET_STD, EvalTransform, TrainTransform

__all__ = [
    "CAMVID",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "STREETS",
    "Audit",
    "CamVid",
    "ClassSet",
    "EvalTransform",
    "FolderDataset",
    "LabelMaps",
    "Sample",
    "SampleSet",
    "SampleStream",
    "SplitAudit",
    "Streets",
    "TrainTransform",
    "TrainingSet",
    "audit_folder",
    "build_dataset",
    "derive_seed",
    "read_image",
    "read_mask",
    "voc_colors",
]
