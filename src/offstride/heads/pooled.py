"""What branches that pool the whole image into one value share."""

from torch import Tensor, nn


def check_pooled(pooled: Tensor, norm: nn.Module, head: str) -> None:
    """Raise a `ValueError` if batch normalisation is to train on `(1, D, 1, 1)`: one value per channel has no variance.

    Synchronised normalisation, which sees the images of other processes too, is not refused.
    """
    if not norm.training or not isinstance(norm, nn.BatchNorm2d):
        return
    if len(pooled) == 1 and pooled.shape[2:].numel() == 1:
        raise ValueError(
            f"images: the image pooling of {head} cannot train its batch normalisation on one image; "
            "use two or more per process, synchronised or frozen normalisation, or eval()"
        )
