"""What a label map is worth: scores from confusion counts, and boundary IoU."""

from offstride.metrics.boundary import BoundaryIoU, BoundaryScores, boundary_band
from offstride.metrics.confusion import ConfusionMatrix, SegmentationScores, confusion_matrix

__all__ = [
    "BoundaryIoU",
    "BoundaryScores",
    "ConfusionMatrix",
    "SegmentationScores",
    "boundary_band",
    "confusion_matrix",
]
