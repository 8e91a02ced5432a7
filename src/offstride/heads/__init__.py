"""Heads: from backbone features to the one feature map that the 1×1 classifier reads."""

from offstride.heads.aspp import ASPPHead
from offstride.heads.fcn import FCNHead

__all__ = ["ASPPHead", "FCNHead"]
