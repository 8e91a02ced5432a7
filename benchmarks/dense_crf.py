"""DenseCRF as an opponent: "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", Krähenbühl and
Koltun, NeurIPS 2011, with the parameters of DeepLab ("DeepLab: Semantic Image Segmentation with Deep Convolutional
Nets, Atrous Convolution, and Fully Connected CRFs", Chen et al., IEEE PAMI 40(4), 2018, §4.1; released for its
ResNet-101 on PASCAL VOC).

    from dense_crf import refine
    labels = refine(field.dense().softmax(1)[0], image)

It needs the package pydensecrf2, which Offstride does not.
"""

from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

DEEPLAB = {"pos_w": 3, "pos_xy_std": 1, "bi_w": 4, "bi_xy_std": 67, "bi_rgb_std": 3, "iterations": 10}
LEAST = 1e-5
"""Probability that stands for 0, whose logarithm there is not."""


def library() -> ModuleType:
    """pydensecrf2; a `ValueError` of one line where it is missing."""
    try:
        return import_module("pydensecrf.densecrf")
    except ImportError as error:
        raise ValueError("DenseCRF: expected the package pydensecrf2; pip install pydensecrf2 compiles it") from error


def available() -> bool:
    """Whether `refine` can run here."""
    try:
        library()
    except ValueError:
        return False
    return True


def refine(
    probabilities: Tensor,
    image: Tensor | np.ndarray,
    *,
    pos_w: float = DEEPLAB["pos_w"],
    pos_xy_std: float = DEEPLAB["pos_xy_std"],
    bi_w: float = DEEPLAB["bi_w"],
    bi_xy_std: float = DEEPLAB["bi_xy_std"],
    bi_rgb_std: float = DEEPLAB["bi_rgb_std"],
    iterations: int = DEEPLAB["iterations"],
) -> Tensor:
    """Most likely labels after mean-field inference.

    Args:
        probabilities: `(C, H, W)` of two classes or more, which add up to 1.
        image: `(H, W, 3)` or `(3, H, W)` uint8, RGB.
        pos_w: Weight of the smoothness kernel.
        pos_xy_std: Its standard deviation, in pixels.
        bi_w: Weight of the appearance kernel.
        bi_xy_std: Its standard deviation in pixels.
        bi_rgb_std: Its standard deviation in colours of 0 … 255.
        iterations: Of mean field.

    Returns:
        `(H, W)` int64 labels.

    Raises:
        ValueError: If pydensecrf2 is missing, or shapes and types do not fit.
    """
    densecrf = library()
    C, H, W = probabilities.shape
    pixels = np.asarray(image)
    if pixels.shape == (3, H, W):
        pixels = pixels.transpose(1, 2, 0)
    if C < 2 or pixels.shape != (H, W, 3) or pixels.dtype != np.uint8:
        expected = f"uint8 image of {(H, W)} beside probabilities of two classes or more"
        raise ValueError(f"image: expected a {expected}, got {pixels.dtype} of {pixels.shape} and {C}")
    crf = densecrf.DenseCRF2D(W, H, C)
    energies = -probabilities.detach().cpu().float().clamp(min=LEAST).log()
    crf.setUnaryEnergy(np.ascontiguousarray(energies.flatten(1).numpy()))
    crf.addPairwiseGaussian(sxy=pos_xy_std, compat=pos_w)
    crf.addPairwiseBilateral(sxy=bi_xy_std, srgb=bi_rgb_std, rgbim=np.ascontiguousarray(pixels), compat=bi_w)
    beliefs = torch.from_numpy(np.array(crf.inference(iterations)))
    return beliefs.view(C, H, W).argmax(0)
