"""Boundary IoU: "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", Cheng et al., CVPR 2021.

The IoU of a class is taken over its inner boundary bands only: the pixels of its true and of its predicted region that
lie within d of that region's contour. The official code erodes the mask of every class. Here one dilation serves all
classes: a pixel lies in the band of its own class if and only if the (2d + 1)² window around it holds another class.

Shapes: label maps (B, H, W).
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from offstride.metrics.confusion import check_num_classes, mean_present, valid_pixels
from offstride.ops.labels import IGNORE_INDEX


def boundary_band(classes: Tensor, radius: int, *, valid: Tensor | None = None, frame: bool = True) -> Tensor:
    """Pixels within `radius` (in the maximum norm) of another class: the inner boundary bands of all classes.

    Args:
        classes: `(B, H, W)` integers in 0 … 254.
        radius: Width d of the band in pixels.
        valid: Pixels that count, all by default. Others are in no band and no pixel is near them.
        frame: Count the outside of the image as another class.

    Returns:
        `(B, H, W)` mask.
    """
    up, down = classes.to(torch.uint8) + 1, 255 - classes.to(torch.uint8)
    planes = torch.stack((up, down))
    if valid is not None:
        planes.mul_(valid)
    # The greatest `up` and the greatest `down` add up to 256 where they come from one class, to more where not; 0 (not
    # valid, or outside) is never the greatest. In uint8, 256 is 0.
    highest = _window_maximum(_window_maximum(planes, radius, -1), radius, -2)
    band = (highest[0] + highest[1]) != 0
    if frame:
        for dim, size in ((-2, classes.shape[-2]), (-1, classes.shape[-1])):
            edge = min(radius, size)
            band.narrow(dim, 0, edge).fill_(True)
            band.narrow(dim, size - edge, edge).fill_(True)
    return band if valid is None else band.logical_and_(valid)


def _window_maximum(values: Tensor, radius: int, dim: int) -> Tensor:
    """Maximum over 2·radius + 1 neighbours along `dim` (-1 or -2), zeros outside.

    Two windows that overlap make a wider one, so log₂(radius) passes are enough.
    """
    values = F.pad(values, (0, 0) * (-1 - dim) + (radius, radius))
    reach, width = 1, 2 * radius + 1
    while reach < width:
        step = min(reach, width - reach)
        length = values.shape[dim] - step
        values = torch.maximum(values.narrow(dim, 0, length), values.narrow(dim, step, length))
        reach += step
    return values


class BoundaryScores(NamedTuple):
    """Boundary IoU of a dataset; shares of 1.

    Attributes:
        mean: Mean over the classes that are not absent; NaN if all are.
        iou: `(n,)` boundary IoU per class, NaN for a class without a boundary in labels and predictions.
    """

    mean: float
    iou: Tensor

    def mean_iou(self, indices: Iterable[int]) -> float:
        """Mean boundary IoU of some classes; absent ones are left out, NaN if all are absent."""
        return mean_present(self.iou, indices)


class BoundaryIoU(Metric):
    """Boundary IoU per class and its mean; intersections and unions are added up over the dataset before they are
    divided, as in `ConfusionMatrix`.

    A pixel whose label is ignored is not counted, and it is nobody's neighbour: a class that meets an ignored region
    has no boundary there, neither in truth nor in prediction.

    Args:
        num_classes: Number of classes, 2 to 255.
        dilation: Width d of the band as a share of the image's diagonal, rounded to pixels, at least one.
        ignore_index: Label of pixels that are not counted.
        frame: Count the edge of the image as boundary, as the official code does.

    Raises:
        ValueError: If an argument is out of range.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    intersection: Tensor
    union: Tensor

    def __init__(
        self, num_classes: int, dilation: float = 0.02, ignore_index: int = IGNORE_INDEX, frame: bool = True
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        if not 0 < dilation <= 1:
            raise ValueError(f"dilation: expected a share of the diagonal, above 0 up to 1, got {dilation}")
        self.num_classes = num_classes
        self.dilation = dilation
        self.ignore_index = ignore_index
        self.frame = frame
        for name in ("intersection", "union"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def radius(self, height: int, width: int) -> int:
        """Width d of the band in pixels, for images of this size."""
        return max(1, round(self.dilation * (height**2 + width**2) ** 0.5))

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Add `(B, H, W)` predicted and true classes.

        Raises:
            ValueError: If shapes differ or are not `(B, H, W)`, or a pixel that counts holds no class.
        """
        valid = valid_pixels(prediction, label, self.num_classes, self.ignore_index)
        if label.ndim != 3:
            raise ValueError(f"label: expected (B, H, W), got {(*label.shape,)}")
        classes = torch.stack((label, prediction.to(label))).mul_(valid).to(torch.uint8)
        radius = self.radius(*label.shape[1:])
        bands = boundary_band(classes, radius, valid=valid, frame=self.frame)
        common = bands.all(0).logical_and_(classes[0] == classes[1])
        intersection = self._count(classes[0], common)
        self.intersection += intersection
        self.union += self._count(classes, bands) - intersection

    def compute(self) -> BoundaryScores:
        """Score everything added so far."""
        iou = (self.intersection.double() / self.union).cpu()
        return BoundaryScores(mean_present(iou), iou)

    def _count(self, classes: Tensor, mask: Tensor) -> Tensor:
        """Pixels of each class inside the mask."""
        bins = classes.masked_fill(~mask, self.num_classes).flatten()
        return torch.bincount(bins, minlength=self.num_classes + 1)[:-1]
