"""Heads: from backbone features to the one feature map that the 1×1 classifier reads."""

from offstride.heads.aspp import ASPPHead
from offstride.heads.base import Head, HeadOutput
from offstride.heads.deeplabv3plus import DeepLabv3PlusHead
from offstride.heads.denseaspp import DenseASPPHead
from offstride.heads.dupsampling_decoder import DUpsamplingDecoder
from offstride.heads.encnet import EncNetHead
from offstride.heads.encoding import Encoding
from offstride.heads.fcn import FCNHead
from offstride.heads.linear import LinearHead
from offstride.heads.psp import PSPHead

HEADS: dict[str, type[Head]] = {
    "aspp": ASPPHead,
    "deeplabv3plus": DeepLabv3PlusHead,
    "denseaspp": DenseASPPHead,
    "dupsampling_decoder": DUpsamplingDecoder,
    "encnet": EncNetHead,
    "fcn": FCNHead,
    "linear": LinearHead,
    "psp": PSPHead,
}
"""Heads by the name that a configuration gives them: a new one is registered here, and nowhere else."""

__all__ = [
    "HEADS",
    "ASPPHead",
    "DUpsamplingDecoder",
    "DeepLabv3PlusHead",
    "DenseASPPHead",
    "EncNetHead",
    "Encoding",
    "FCNHead",
    "Head",
    "HeadOutput",
    "LinearHead",
    "PSPHead",
]
