"""Upsamplers, from coarse class scores to a field over the image: one file each."""

from offstride.upsamplers.base import Upsampler
from offstride.upsamplers.bilinear import Bilinear
from offstride.upsamplers.carafe import CARAFE
from offstride.upsamplers.cascaded_lau import CascadedLaU
from offstride.upsamplers.deformable import Deformable
from offstride.upsamplers.dupsampling import DUpsampling
from offstride.upsamplers.dysample import DySample
from offstride.upsamplers.guided_filter import GuidedFilter
from offstride.upsamplers.joint_bilateral import JointBilateral
from offstride.upsamplers.label_autoencoder import LabelAutoencoder, fit_label_autoencoder
from offstride.upsamplers.label_basis import LabelBasis, fit_label_basis, fit_label_windows
from offstride.upsamplers.lau import LaU
from offstride.upsamplers.pixel_shuffle import PixelShuffle
from offstride.upsamplers.residual import Residual
from offstride.upsamplers.sapa import SAPA
from offstride.upsamplers.transposed import TransposedConvolution
from offstride.upsamplers.universal import UniversalLaU

UPSAMPLERS: dict[str, type[Upsampler]] = {
    "bilinear": Bilinear,
    "carafe": CARAFE,
    "cascaded_lau": CascadedLaU,
    "deformable": Deformable,
    "dupsampling": DUpsampling,
    "dysample": DySample,
    "guided_filter": GuidedFilter,
    "joint_bilateral": JointBilateral,
    "lau": LaU,
    "pixel_shuffle": PixelShuffle,
    "residual": Residual,
    "sapa": SAPA,
    "transposed": TransposedConvolution,
    "universal": UniversalLaU,
}
"""Upsamplers by the name that a configuration gives them: a new one is registered here, and nowhere else."""

__all__ = [
    "CARAFE",
    "SAPA",
    "UPSAMPLERS",
    "Bilinear",
    "CascadedLaU",
    "DUpsampling",
    "Deformable",
    "DySample",
    "GuidedFilter",
    "JointBilateral",
    "LaU",
    "LabelAutoencoder",
    "LabelBasis",
    "PixelShuffle",
    "Residual",
    "TransposedConvolution",
    "UniversalLaU",
    "Upsampler",
    "fit_label_autoencoder",
    "fit_label_basis",
    "fit_label_windows",
]
