"""Coarse scores as the kernels read them: `(B·h·w, S)` float32, S = C rounded up to four, padded with `PAD`.

The classes of one location lie together, so that a thread reads four of them at once, whatever the layout and type of
the scores. For losses the largest score of each location is subtracted: cross-entropy does not change when all classes
at a location are shifted alike, and the numbers that matter become small, so that little of them is rounded away.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from offstride.ops.cross_entropy.triton.launch import launch, slots
from offstride.ops.cross_entropy.triton.pixel import GENERAL

PAD = tl.constexpr(-1e30)
"""Score of the classes that fill up: finite, so that blending gives no NaN; `exp` makes 0 of it."""


class Packed(NamedTuple):
    """Packed scores, and of each coarse location the log-sum-exp and the weighted sum over classes (of the shifted
    scores), or None.
    """

    scores: Tensor
    lse: Tensor | None
    mixed: Tensor | None


@triton.jit(do_not_specialize=GENERAL)
def pack_kernel(
    scores, stride_b, stride_c, stride_y, stride_x, weight, packed, lse, mixed, locations, h, w, C, S4,
    SHIFT: tl.constexpr, MAPS: tl.constexpr, BC: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """One program packs `BP` locations."""
    n = tl.program_id(0).to(tl.int64) * BP + tl.arange(0, BP)
    ok = n < locations
    b, y, x = n // (h * w), n // w % h, n % w
    source = scores + b * stride_b + y * stride_y + x * stride_x
    shift = tl.zeros([BP], tl.float32)
    if SHIFT:
        shift += float("-inf")
        for start in range(0, C, BC):
            c = start + tl.arange(0, BC)
            mask = ok[None, :] & (c < C)[:, None]
            u = tl.load(source[None, :] + c.to(tl.int64)[:, None] * stride_c, mask=mask, other=float("-inf"))
            shift = tl.maximum(shift, tl.max(u.to(tl.float32), 0))
    spread = tl.zeros([BP], tl.float32)
    mix = tl.zeros([BP], tl.float32)
    for start in range(0, S4 * 4, BC):
        c = start + tl.arange(0, BC)
        mask = ok[None, :] & (c < C)[:, None]
        u = tl.load(source[None, :] + c.to(tl.int64)[:, None] * stride_c, mask=mask, other=0.0).to(tl.float32)
        u = tl.where((c < C)[:, None], u - shift[None, :], PAD)
        if MAPS:
            spread += tl.sum(tl.exp(u), 0)
            share = tl.where(c < C, 1.0, 0.0)
            if weight is not None:
                share = tl.load(weight + c, mask=c < C, other=0.0)
            mix += tl.sum(share[:, None] * u, 0)
        target = packed + (n * (S4 * 4))[None, :] + c[:, None]
        tl.store(target, u, mask=ok[None, :] & (c < S4 * 4)[:, None])
    if MAPS:
        tl.store(lse + n, tl.log(spread), mask=ok)
        tl.store(mixed + n, mix, mask=ok)


def pack(scores: Tensor, *, shift: bool = True, maps: bool = False, weight: Tensor | None = None) -> Packed:
    """Pack `(B, C, h, w)` scores of any strides.

    Args:
        scores: Floating point.
        shift: Subtract the largest score of each location.
        maps: Whether to give the log-sum-exp and the sum over classes of each location.
        weight: `(C,)` float32 class weights in that sum.
    """
    B, C, h, w = scores.shape
    S, locations = slots(C), B * h * w
    packed = torch.empty(locations, S, dtype=torch.float32, device=scores.device)
    maps_of_locations = [
        torch.empty(locations, dtype=torch.float32, device=scores.device) if maps else None for _ in range(2)
    ]
    BC, BP = min(triton.next_power_of_2(S), 64), 16
    launch(
        pack_kernel, triton.cdiv(locations, BP),
        scores, *scores.stride(), weight, packed, *maps_of_locations, locations, h, w, C, S // 4,
        SHIFT=shift, MAPS=maps, BC=BC, BP=BP, num_warps=max(1, min(4, BC // 8)),
    )  # fmt: skip
    return Packed(packed, *maps_of_locations)
