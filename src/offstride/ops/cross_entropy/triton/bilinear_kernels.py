"""The kernels of bilinear upsampling and cross-entropy; see `bilinear_loss` for how they work together.

Arguments that are None leave out what they are for. Strides are in elements; `S4` is a quarter of the classes of a
packed location.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

import triton
import triton.language as tl

from offstride.ops.cross_entropy.triton.pixel import GENERAL, class_weight, read_label, score_of, share, sum_of_weights
from offstride.ops.cross_entropy.triton.place import axis, cell_of, first_pixel
from offstride.ops.cross_entropy.triton.total import write_total


@triton.jit(do_not_specialize=GENERAL)
def losses_kernel(
    packed, labels, label_b, label_y, label_x, weight, weight_sum, lse, losses, sums,
    H, W, h, w, C, S4, strips, chunks, smoothing, ignore_index,
    ORIGIN: tl.constexpr, SMOOTH: tl.constexpr, R: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """One program: `BP` columns of pixels, and every `chunks`-th run of `R` rows in a row of cells.

    A thread has a column: the classes of its two horizontally interpolated corners are in registers, four at a time.

    Writes what is asked for: `(B, H, W)` log-sum-exps, infinite where a pixel does not count; `(B, H, W)` losses; and
    the sum of the losses of each program.
    """
    pid = tl.program_id(0)
    row = (pid // strips // chunks).to(tl.int64)
    cells = tl.maximum(h - 1, 1)
    b, q = row // cells, row % cells
    x = (pid % strips).to(tl.int64) * BP + tl.arange(0, BP)
    ok_x = x < W
    left, fx = cell_of(x, W, w, ORIGIN)
    fx = fx[None, :]
    right, bottom = tl.minimum(left + 1, w - 1), tl.minimum(q + 1, h - 1)
    S = S4 * 4
    p00 = (packed + ((b * h + q) * w + left) * S)[None, :]
    p01 = (packed + ((b * h + q) * w + right) * S)[None, :]
    p10 = (packed + ((b * h + bottom) * w + left) * S)[None, :]
    p11 = (packed + ((b * h + bottom) * w + right) * S)[None, :]
    # Coordinates relative to the cell; only border cells have pixels beyond their corners, which are clamped.
    step, shift, den = axis(H, h, ORIGIN)
    y_start = first_pixel(q, H, h, ORIGIN)
    y_count = (first_pixel(q + 1, H, h, ORIGIN) - y_start).to(tl.int32)
    y_first = (y_start * step + shift - q * den).to(tl.int32)
    y_limit = tl.minimum(h - 1, 1) * den
    total = tl.full([R, BP], 0.0, tl.float32)
    for start in range(pid // strips % chunks * R, y_count, R * chunks):
        j = start + tl.arange(0, R)
        fy = tl.minimum(tl.maximum(y_first + j * step, 0), y_limit).to(tl.float32) * (1.0 / den)
        m = tl.full([R, BP], -3e38, tl.float32)
        s = tl.full([R, BP], 0.0, tl.float32)
        mix = tl.full([R, BP], 0.0, tl.float32)
        for first in range(0, S, 4):
            c = first + tl.arange(0, 4)
            u00 = tl.load(p00 + c[:, None], mask=ok_x[None, :], other=0.0)
            u01 = tl.load(p01 + c[:, None], mask=ok_x[None, :], other=0.0)
            u10 = tl.load(p10 + c[:, None], mask=ok_x[None, :], other=0.0)
            u11 = tl.load(p11 + c[:, None], mask=ok_x[None, :], other=0.0)
            upper = tl.fma(fx, u01 - u00, u00)
            slope = tl.fma(fx, u11 - u10, u10) - upper
            v = tl.fma(fy[None, :, None], slope[:, None, :], upper[:, None, :])
            peak = tl.maximum(m, tl.max(v, 0))
            s = s * tl.exp(m - peak) + tl.sum(tl.exp(v - peak[None, :, :]), 0)
            m = peak
            if SMOOTH:
                mix += tl.sum(share(weight, c, C)[:, None, None] * v, 0)
        ok = (j < y_count)[:, None] & ok_x[None, :]
        y = y_start + j
        source = labels + b * label_b + y[:, None] * label_y + x[None, :] * label_x
        label, valid, known = read_label(source, ok, C, ignore_index)
        label_v, _, _ = score_of(label, known, p00, p01, p10, p11, fy[:, None], fx)
        logs = tl.log(s)
        loss = class_weight(weight, label, known) * ((m - label_v) + logs)
        if SMOOTH:
            spread = sum_of_weights(weight_sum, C) * (m + logs) - mix
            loss = (1.0 - smoothing) * loss + smoothing / C * spread
        loss = tl.where(valid, loss, 0.0)
        total += loss
        pixel = (b * H + y)[:, None] * W + x[None, :]
        if lse is not None:
            tl.store(lse + pixel, tl.where(valid, m + logs, float("inf")), mask=ok)
        if losses is not None:
            tl.store(losses + pixel, loss, mask=ok)
    if sums is not None:
        tl.store(sums + pid, tl.sum(tl.sum(total, 0), 0))


@triton.jit(do_not_specialize=GENERAL)
def gradient_kernel(
    packed, labels, label_b, label_y, label_x, weight, weight_sum, lse, grad, grad_b, grad_y, grad_x, edges, half,
    H, W, h, w, C, S4, strips, blocks, smoothing,
    ORIGIN: tl.constexpr, SMOOTH: tl.constexpr, BQ: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """One program: `BC` classes of `BQ` neighbouring cells of one row of cells.

    A thread has four classes of a cell and walks over the pixels of the cell; the gradients of its corners are in
    registers. What falls on the upper coarse row, `BQ + 1` columns, goes to a place of its own in `edges`, `(2, rows of
    cells, strips, BQ + 1, S)`, what falls on the lower one `half` elements further on.
    """
    pid = tl.program_id(0)
    cells_y, cells_x = tl.maximum(h - 1, 1), tl.maximum(w - 1, 1)
    block, strip = pid % blocks, pid // blocks % strips
    row = (pid // blocks // strips).to(tl.int64)
    b, q = row // cells_y, row % cells_y
    lane = tl.arange(0, BQ)
    column = strip.to(tl.int64) * BQ + lane
    inside = column < cells_x
    right, bottom = tl.minimum(column + 1, w - 1), tl.minimum(q + 1, h - 1)
    S = S4 * 4
    c = block * BC + tl.arange(0, BC)
    mask = inside[:, None] & (c < S)[None, :]
    u00 = tl.load(packed + (((b * h + q) * w + column) * S)[:, None] + c[None, :], mask=mask, other=0.0)
    u01 = tl.load(packed + (((b * h + q) * w + right) * S)[:, None] + c[None, :], mask=mask, other=0.0)
    u10 = tl.load(packed + (((b * h + bottom) * w + column) * S)[:, None] + c[None, :], mask=mask, other=0.0)
    u11 = tl.load(packed + (((b * h + bottom) * w + right) * S)[:, None] + c[None, :], mask=mask, other=0.0)
    g00 = tl.full([BQ, BC], 0.0, tl.float32)
    g01 = tl.full([BQ, BC], 0.0, tl.float32)
    g10 = tl.full([BQ, BC], 0.0, tl.float32)
    g11 = tl.full([BQ, BC], 0.0, tl.float32)
    weights = sum_of_weights(weight_sum, C)
    portion = share(weight, c, C)
    # Coordinates relative to the cell; only border cells have pixels beyond their corners, which are clamped.
    step_x, shift_x, den_x = axis(W, w, ORIGIN)
    step_y, shift_y, den_y = axis(H, h, ORIGIN)
    x_start, y_start = first_pixel(column, W, w, ORIGIN), first_pixel(q, H, h, ORIGIN)
    x_count = tl.where(inside, first_pixel(column + 1, W, w, ORIGIN) - x_start, 0)
    y_count = (first_pixel(q + 1, H, h, ORIGIN) - y_start).to(tl.int32)
    x_first = (x_start * step_x + shift_x - column * den_x).to(tl.int32)
    y_first = (y_start * step_y + shift_y - q * den_y).to(tl.int32)
    x_limit, y_limit = tl.minimum(w - 1, 1) * den_x, tl.minimum(h - 1, 1) * den_y
    x_most = tl.max(x_count.to(tl.int32), 0)
    for i in range(x_most):
        ok = i < x_count
        fx = tl.minimum(tl.maximum(x_first + i * step_x, 0), x_limit).to(tl.float32) * (1.0 / den_x)
        upper = tl.fma(fx[:, None], u01 - u00, u00)
        slope = tl.fma(fx[:, None], u11 - u10, u10) - upper
        above = tl.full([BQ, BC], 0.0, tl.float32)
        below = tl.full([BQ, BC], 0.0, tl.float32)
        x = x_start + i
        lse_at = lse + (b * H + y_start) * W + x
        label_at = labels + b * label_b + y_start * label_y + x * label_x
        for j in range(y_count):
            fy = tl.minimum(tl.maximum(y_first + j * step_y, 0), y_limit).to(tl.float32) * (1.0 / den_y)
            z = tl.load(lse_at, mask=ok, other=float("inf"))
            valid = z != float("inf")
            label = tl.where(valid, tl.load(label_at, mask=ok, other=0).to(tl.int32), -1)
            hot = c[None, :] == label[:, None]
            p = tl.exp(tl.fma(fy, slope, upper) - z[:, None])
            if SMOOTH or weight is not None or grad is not None:
                own = tl.where(valid, 1.0, 0.0)
                if grad is not None:
                    grad_at = grad + b * grad_b + (y_start + j) * grad_y + x * grad_x
                    own = tl.load(grad_at, mask=valid, other=0.0).to(tl.float32)
                even = own * (smoothing / C)
                if weight is not None:
                    own *= tl.load(weight + label, mask=(label >= 0) & (label < C), other=0.0)
                if SMOOTH:
                    own *= 1.0 - smoothing
                    g = (own + even * weights)[:, None] * p - tl.where(hot, own[:, None], 0.0)
                    g -= even[:, None] * portion[None, :]
                else:
                    g = own[:, None] * p - tl.where(hot, own[:, None], 0.0)
            else:
                g = p - tl.where(hot, 1.0, 0.0)
            above = tl.fma(1.0 - fy, g, above)
            below = tl.fma(fy, g, below)
            lse_at += W
            label_at += label_y
        g00 = tl.fma((1.0 - fx)[:, None], above, g00)
        g01 = tl.fma(fx[:, None], above, g01)
        g10 = tl.fma((1.0 - fx)[:, None], below, g10)
        g11 = tl.fma(fx[:, None], below, g11)
    # The right corners of a cell are the left ones of the next.
    before = tl.broadcast_to(tl.maximum(lane - 1, 0)[:, None], [BQ, BC])
    first, last = (lane == 0)[:, None], (lane == BQ - 1)[:, None]
    target = edges + (((row * strips + strip) * (BQ + 1) + lane) * S)[:, None] + c[None, :]
    mask = (c < S)[None, :] & (lane >= 0)[:, None]
    tl.store(target, g00 + tl.where(first, 0.0, tl.gather(g01, before, 0)), mask=mask)
    tl.store(target + half, g10 + tl.where(first, 0.0, tl.gather(g11, before, 0)), mask=mask)
    tl.store(target + S, g01, mask=mask & last)
    tl.store(target + half + S, g11, mask=mask & last)


@triton.jit(do_not_specialize=GENERAL)
def gather_kernel(
    edges, half, gradient, stride_b, stride_c, stride_y, stride_x, sums, count, divisor, loss,
    locations, h, w, C, S4, strips, BQ: tl.constexpr, BC: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """One program adds up the gradients of `BP` coarse locations, and the first one the loss.

    A location gets at most four contributions: from the rows of cells above and below, and there, where two strips
    meet, from both.
    """
    n = tl.program_id(0).to(tl.int64) * BP + tl.arange(0, BP)
    ok = n < locations
    b, y, x = n // (h * w), n // w % h, n % w
    S = S4 * 4
    rows = tl.maximum(h - 1, 1)
    strip, lane = x // BQ, x % BQ
    at = ((b * rows + y) * strips + strip) * (BQ + 1) + lane
    has_upper, has_lower = ok & (y < rows), ok & (y > 0)
    has_own, has_previous = strip < strips, (lane == 0) & (strip > 0)
    scale = 1.0
    if divisor is not None:
        scale = 1.0 / tl.load(divisor)
    for start in range(0, S, BC):
        c = start + tl.arange(0, BC)
        known = (c < S)[:, None]
        upper = edges + (at * S)[None, :] + c[:, None]
        lower = edges + half + ((at - strips * (BQ + 1)) * S)[None, :] + c[:, None]
        g = tl.load(upper, mask=known & (has_upper & has_own)[None, :], other=0.0)
        g += tl.load(upper - S, mask=known & (has_upper & has_previous)[None, :], other=0.0)
        g += tl.load(lower, mask=known & (has_lower & has_own)[None, :], other=0.0)
        g += tl.load(lower - S, mask=known & (has_lower & has_previous)[None, :], other=0.0)
        target = gradient + (b * stride_b + y * stride_y + x * stride_x)[None, :] + c.to(tl.int64)[:, None] * stride_c
        tl.store(target, (g * scale).to(gradient.dtype.element_ty), mask=(c < C)[:, None] & ok[None, :])
    if sums is not None:  # noqa: SIM102
        if tl.program_id(0) == 0:
            write_total(sums, count, divisor, None, 0.0, loss)
