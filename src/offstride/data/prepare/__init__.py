"""Preparing the published data sets: checking their archives and unpacking them safely."""

from offstride.data.prepare.archives import ARCHIVES, Archive, archives_of
from offstride.data.prepare.prepare import Prepared, prepare_dataset

__all__ = ["ARCHIVES", "Archive", "Prepared", "archives_of", "prepare_dataset"]
