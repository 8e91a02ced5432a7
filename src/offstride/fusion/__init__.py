"""Fusion of feature levels: concatenation, addition, FPN, gated FPN, gated fully fusion; the dense feature pyramid."""

from offstride.fusion.addition import Addition
from offstride.fusion.base import Fused, Fusion
from offstride.fusion.concat import Concat
from offstride.fusion.dfp import DenseFeaturePyramid
from offstride.fusion.fpn import FPN
from offstride.fusion.gated_fpn import GatedFPN
from offstride.fusion.gates import GatedFusion
from offstride.fusion.gff import GFF

FUSIONS: dict[str, type[Fusion]] = {
    "addition": Addition,
    "concat": Concat,
    "fpn": FPN,
    "gated_fpn": GatedFPN,
    "gff": GFF,
}
"""Kinds of fusion by the name that a configuration gives them."""

__all__ = [
    "FPN",
    "FUSIONS",
    "GFF",
    "Addition",
    "Concat",
    "DenseFeaturePyramid",
    "Fused",
    "Fusion",
    "GatedFPN",
    "GatedFusion",
]
