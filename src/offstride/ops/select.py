"""Exact selection: the k-th largest of many values, without sorting them."""

import torch
from torch import Tensor


def kth_largest(values: Tensor, k: int) -> Tensor:
    """The `k`-th largest of non-negative values, exactly: radix selection on the bits of single precision.

    Non-negative floats order as the integers that their bits spell: counting the upper halves of these finds the upper
    half of the value sought, counting the lower halves of those that share it finds the rest. Two passes, where
    `kthvalue` sorts.

    Args:
        values: Any shape, float32; at least `k` of them, none negative or NaN.
        k: 1 for the largest.

    Returns:
        0-dim float32.

    Raises:
        ValueError: If there are not `k` values, or they are not float32.
    """
    if values.dtype != torch.float32:
        raise ValueError(f"values: expected float32, got {values.dtype}")
    if not 1 <= k <= values.numel():
        raise ValueError(f"k: expected 1 … {values.numel()}, the number of values, got {k}")
    bits = values.detach().contiguous().view(torch.int32).flatten()
    upper = bits >> 16
    high, larger = _digit(upper, k)
    low, _ = _digit(bits[upper == high] & 0xFFFF, k - larger)
    return ((high << 16) | low).to(torch.int32).view(torch.float32)


def _digit(digits: Tensor, k: int | Tensor) -> tuple[Tensor, Tensor]:
    """The `k`-th largest of integers below 2**16, and how many are larger."""
    at_least = torch.bincount(digits, minlength=1 << 16).flip(0).cumsum(0)
    below = (at_least < k).sum()
    larger = torch.where(below > 0, at_least[below - 1], 0)
    return (1 << 16) - 1 - below, larger
