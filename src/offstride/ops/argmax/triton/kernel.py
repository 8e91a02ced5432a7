"""The kernel of `pixels`: a thread has a pixel, and four classes at a time.

Arguments that are None leave out what they are for. Strides are in elements; `S4` is a quarter of the classes of a
packed location.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

import triton
import triton.language as tl

from offstride.ops.cross_entropy.triton.pixel import GENERAL, read_label
from offstride.ops.cross_entropy.triton.place import cell_of, moved_cell, undisplaced


@triton.jit(do_not_specialize=GENERAL)
def best_kernel(
    packed, offsets, offset_b, offset_c, offset_y, offset_x, target, target_b, target_y, target_x,
    labels, confidences, counts, H, W, h, w, C, S4, blocks, copies, ignore_index,
    ORIGIN: tl.constexpr, WIDE: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """One program: `BP` consecutive pixels of one image.

    Writes what is asked for: the first of the most likely classes; its softmax probability; and, one of `copies` for
    each program in turn, how often it met each class of `target`.
    """
    pid = tl.program_id(0)
    b = (pid // blocks).to(tl.int64)
    n = pid % blocks
    if WIDE:
        n = n.to(tl.int64)
    n = n * BP + tl.arange(0, BP)
    y, x = n // W, n % W
    ok = y < H
    if offsets is None:
        y0, fy = cell_of(y, H, h, ORIGIN)
        x0, fx = cell_of(x, W, w, ORIGIN)
        y1, x1 = tl.minimum(y0 + 1, h - 1), tl.minimum(x0 + 1, w - 1)
    else:
        at = offsets + b * offset_b + y.to(tl.int64) * offset_y + x.to(tl.int64) * offset_x
        whole_y, fraction_y = undisplaced(y, H, h, ORIGIN)
        whole_x, fraction_x = undisplaced(x, W, w, ORIGIN)
        y0, y1, fy, _ = moved_cell(whole_y, fraction_y, tl.load(at, mask=ok, other=0.0).to(tl.float32), h)
        move_x = tl.load(at + offset_c, mask=ok, other=0.0).to(tl.float32)
        x0, x1, fx, _ = moved_cell(whole_x, fraction_x, move_x, w)
    S = S4 * 4
    image = packed + b * (h * w * S)
    p00, p01 = (image + (y0 * w + x0) * S)[None, :], (image + (y0 * w + x1) * S)[None, :]
    p10, p11 = (image + (y1 * w + x0) * S)[None, :], (image + (y1 * w + x1) * S)[None, :]
    m = tl.full([BP], -3e38, tl.float32)
    s = tl.full([BP], 0.0, tl.float32)
    best = tl.full([BP], 0, tl.int32)
    for first in range(0, S, 4):
        c = first + tl.arange(0, 4)
        u00 = tl.load(p00 + c[:, None], mask=ok[None, :], other=0.0)
        u01 = tl.load(p01 + c[:, None], mask=ok[None, :], other=0.0)
        u10 = tl.load(p10 + c[:, None], mask=ok[None, :], other=0.0)
        u11 = tl.load(p11 + c[:, None], mask=ok[None, :], other=0.0)
        upper = tl.fma(fx[None, :], u01 - u00, u00)
        v = tl.fma(fy[None, :], tl.fma(fx[None, :], u11 - u10, u10) - upper, upper)
        top = tl.max(v, 0)
        if confidences is not None:
            peak = tl.maximum(m, top)
            s = tl.fma(s, tl.exp(m - peak), tl.sum(tl.exp(v - peak[None, :]), 0))
        foremost = tl.min(tl.where(v == top[None, :], c[:, None], S), 0)
        best = tl.where(top > m, foremost, best)
        m = tl.maximum(m, top)
    pixel = b * H * W + n
    if labels is not None:
        tl.store(labels + pixel, best.to(labels.dtype.element_ty), mask=ok)
    if confidences is not None:
        tl.store(confidences + pixel, 1.0 / s, mask=ok)
    if counts is not None:
        source = target + b * target_b + y.to(tl.int64) * target_y + x.to(tl.int64) * target_x
        truth, _, known = read_label(source, ok, C, ignore_index)
        met = counts + ((pid % copies).to(tl.int64) * C + truth) * C + best
        tl.atomic_add(met, tl.full([BP], 1, counts.dtype.element_ty), mask=known, sem="relaxed")
