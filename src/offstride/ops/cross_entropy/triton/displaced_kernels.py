"""The kernels of location-aware upsampling and its losses; see `displaced_loss` for how they work together.

Arguments that are None leave out what they are for. Strides are in elements; `S4` is a quarter of the classes of a
packed location.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

import triton
import triton.language as tl

from offstride.ops.cross_entropy.triton.pixel import GENERAL, class_weight, read_label, score_of, share, sum_of_weights
from offstride.ops.cross_entropy.triton.place import axis, first_pixel, moved_cell, undisplaced
from offstride.ops.cross_entropy.triton.total import write_total

PENALIZE = tl.constexpr(1)
SPARE = tl.constexpr(2)

RELATIVE = tl.constexpr(2.0**-10)
ABSOLUTE = tl.constexpr(1e-6)
"""Losses that differ by less are equal up to rounding, see `offstride.ops.location.best_displacement`."""


@triton.jit
def exceeds(loss, other):
    """Whether a loss is larger by more than rounding."""
    return loss > other * (1.0 + RELATIVE) + ABSOLUTE


@triton.jit
def candidate(low, high, i, window, COARSE):
    """The `i`-th of `2 · window` coarse rows or columns around a pixel, `low - window + 1 … high + window - 1`."""
    index = tl.where(i < window, low - window + 1 + i, high - window + i)
    return tl.minimum(tl.maximum(index, 0), COARSE - 1)


@triton.jit
def smooth_l1(x):
    """With β = 1."""
    size = tl.abs(x)
    return tl.where(size < 1.0, 0.5 * x * x, size - 0.5)


@triton.jit(do_not_specialize=GENERAL)
def pixels_kernel(
    packed, coarse_lse, coarse_mixed, plain, labels, label_b, label_y, label_x,
    offsets, offset_b, offset_c, offset_y, offset_x, grad, grad_b, grad_y, grad_x, weight, weight_sum, divisors,
    lse, heavy, losses, sums, pulls, moves,
    H, W, h, w, C, S4, blocks, smoothing, ignore_index, penalty, strength, window,
    ORIGIN: tl.constexpr, SMOOTH: tl.constexpr, GUIDED: tl.constexpr, REGRESSION: tl.constexpr, WIDE: tl.constexpr,
    BP: tl.constexpr,
):  # fmt: skip
    """One program: `BP` consecutive pixels of one image; a thread has a pixel, and four classes at a time.

    Writes what is asked for: log-sum-exps, infinite where a pixel does not count; whether a pixel is penalised; losses;
    the sums of losses and of pulls of each program; the gradient to the offsets.

    The gradient of the sampled scores to an offset is a mean over classes, weighted by their softmax, of differences of
    scores; it is summed while the log-sum-exp runs, as differences to that of the label, so that nothing cancels where
    the label is certain.
    """
    pid = tl.program_id(0)
    b = (pid // blocks).to(tl.int64)
    n = pid % blocks * BP + tl.arange(0, BP)
    y, x = n // W, n % W
    if WIDE:
        y, x = y.to(tl.int64), x.to(tl.int64)
    ok = y < H
    pixel = b * H * W + n
    source = labels + b * label_b + y.to(tl.int64) * label_y + x.to(tl.int64) * label_x
    label, valid, known = read_label(source, ok, C, ignore_index)
    at = offsets + b * offset_b + y.to(tl.int64) * offset_y + x.to(tl.int64) * offset_x
    offset_to_y = tl.load(at, mask=ok, other=0.0).to(tl.float32)
    offset_to_x = tl.load(at + offset_c, mask=ok, other=0.0).to(tl.float32)
    whole_y, fraction_y = undisplaced(y, H, h, ORIGIN)
    whole_x, fraction_x = undisplaced(x, W, w, ORIGIN)
    y0, y1, fy, inside_y = moved_cell(whole_y, fraction_y, offset_to_y, h)
    x0, x1, fx, inside_x = moved_cell(whole_x, fraction_x, offset_to_x, w)
    S = S4 * 4
    image = packed + b * (h * w * S)
    p00, p01 = image + (y0 * w + x0) * S, image + (y0 * w + x1) * S
    p10, p11 = image + (y1 * w + x0) * S, image + (y1 * w + x1) * S

    label_v, label_to_y, label_to_x = score_of(label, known, p00, p01, p10, p11, fy, fx)
    m = tl.full([BP], -3e38, tl.float32)
    s = tl.full([BP], 0.0, tl.float32)
    to_y = tl.full([BP], 0.0, tl.float32)
    to_x = tl.full([BP], 0.0, tl.float32)
    mix = tl.full([BP], 0.0, tl.float32)
    mix_to_y = tl.full([BP], 0.0, tl.float32)
    mix_to_x = tl.full([BP], 0.0, tl.float32)
    for first in range(0, S, 4):
        c = first + tl.arange(0, 4)
        u00 = tl.load(p00[None, :] + c[:, None], mask=valid[None, :], other=0.0)
        u01 = tl.load(p01[None, :] + c[:, None], mask=valid[None, :], other=0.0)
        u10 = tl.load(p10[None, :] + c[:, None], mask=valid[None, :], other=0.0)
        u11 = tl.load(p11[None, :] + c[:, None], mask=valid[None, :], other=0.0)
        upper = tl.fma(fx[None, :], u01 - u00, u00)
        slope_y = tl.fma(fx[None, :], u11 - u10, u10) - upper
        v = tl.fma(fy[None, :], slope_y, upper)
        peak = tl.maximum(m, tl.max(v, 0))
        shrink = tl.exp(m - peak)
        e = tl.exp(v - peak[None, :])
        s = tl.fma(s, shrink, tl.sum(e, 0))
        m = peak
        if moves is not None:
            slope_y -= label_to_y[None, :]
            slope_x = tl.fma(fy[None, :], (u11 - u10) - (u01 - u00), u01 - u00) - label_to_x[None, :]
            to_y = tl.fma(to_y, shrink, tl.sum(e * slope_y, 0))
            to_x = tl.fma(to_x, shrink, tl.sum(e * slope_x, 0))
            if SMOOTH:
                portion = share(weight, c, C)[:, None]
                mix_to_y += tl.sum(portion * slope_y, 0)
                mix_to_x += tl.sum(portion * slope_x, 0)
        if SMOOTH:
            mix += tl.sum(share(weight, c, C)[:, None] * v, 0)

    weights = sum_of_weights(weight_sum, C)
    own = class_weight(weight, label, known)
    even = smoothing / C
    if SMOOTH:
        own *= 1.0 - smoothing
    logs = tl.log(s)
    loss = own * ((m - label_v) + logs)
    if SMOOTH:
        loss += even * (weights * (m + logs) - mix)
    loss = tl.where(valid, loss, 0.0)

    costly = n < 0  # nowhere
    pull_y = tl.full([BP], 0.0, tl.float32)
    pull_x = tl.full([BP], 0.0, tl.float32)
    if REGRESSION:
        low_y = tl.minimum(tl.maximum(whole_y, 0), h - 1)
        low_x = tl.minimum(tl.maximum(whole_x, 0), w - 1)
        high_y = tl.minimum(tl.maximum(whole_y + (fraction_y > 0.0), 0), h - 1)
        high_x = tl.minimum(tl.maximum(whole_x + (fraction_x > 0.0), 0), w - 1)
        best = loss
        target_y = tl.full([BP], 0.0, tl.float32)
        target_x = tl.full([BP], 0.0, tl.float32)
        for i in range(2 * window):
            column = candidate(low_x, high_x, i, window, w)
            for j in range(2 * window):
                row = candidate(low_y, high_y, j, window, h)
                place = row * w + column
                z = tl.load(coarse_lse + b * (h * w) + place, mask=known, other=0.0)
                other = own * (z - tl.load(image + place * S + label, mask=known, other=0.0))
                if SMOOTH:
                    other += even * (weights * z - tl.load(coarse_mixed + b * (h * w) + place, mask=known, other=0.0))
                less = other < best
                best = tl.where(less, other, best)
                target_y = tl.where(less, (row - whole_y).to(tl.float32) - fraction_y, target_y)
                target_x = tl.where(less, (column - whole_x).to(tl.float32) - fraction_x, target_x)
        costly = valid & exceeds(loss, best)
        pull_y = tl.where(costly, offset_to_y - target_y, 0.0)
        pull_x = tl.where(costly, offset_to_x - target_x, 0.0)
    elif GUIDED > 0:
        reference = tl.load(plain + pixel, mask=valid, other=0.0)
        costly = valid & exceeds(loss, reference) if GUIDED == SPARE else valid & ~exceeds(reference, loss)

    factor = tl.full([BP], 1.0, tl.float32)
    if GUIDED > 0:
        factor = tl.where(costly, 1.0 + penalty, 1.0)
    if lse is not None:
        tl.store(lse + pixel, tl.where(valid, m + logs, float("inf")), mask=ok)
    if heavy is not None:
        tl.store(heavy + pixel, costly.to(tl.uint8), mask=ok)
    if losses is not None:
        tl.store(losses + pixel, loss, mask=ok)
    if sums is not None:
        tl.store(sums + pid, tl.sum(factor * loss, 0))
    if pulls is not None:
        tl.store(pulls + pid, tl.sum(0.5 * (smooth_l1(pull_y) + smooth_l1(pull_x)), 0))
    if moves is not None:
        if SMOOTH:
            scale = (own + even * weights) * (1.0 / s)
            to_y = scale * to_y - even * mix_to_y
            to_x = scale * to_x - even * mix_to_x
        else:
            scale = own * (1.0 / s)
            to_y *= scale
            to_x *= scale
        if grad is not None:
            grad_at = grad + b * grad_b + y.to(tl.int64) * grad_y + x.to(tl.int64) * grad_x
            factor = tl.load(grad_at, mask=valid, other=0.0).to(tl.float32)
        else:
            factor *= 1.0 / tl.load(divisors)
        to_y = tl.where(valid & inside_y, factor * to_y, 0.0)
        to_x = tl.where(valid & inside_x, factor * to_x, 0.0)
        if REGRESSION:
            half = 0.5 * strength / tl.load(divisors + 1)
            to_y += half * tl.minimum(tl.maximum(pull_y, -1.0), 1.0)
            to_x += half * tl.minimum(tl.maximum(pull_x, -1.0), 1.0)
        at = moves + b * (2 * H * W) + n
        tl.store(at, to_y.to(moves.dtype.element_ty), mask=ok)
        tl.store(at + H * W, to_x.to(moves.dtype.element_ty), mask=ok)


@triton.jit
def deposit(target, value, mask, unit, flag):
    """Add to coarse gradients; see `displaced_loss` about fixed point."""
    if unit is None:
        tl.atomic_add(target, value, mask=mask, sem="relaxed")
    else:
        value *= tl.load(unit)
        fits = tl.abs(value) < 4e18  # not so for NaN and infinities, which spoil all
        tl.atomic_add(target, tl.where(fits, value, 0.0).to(tl.int64), mask=mask & fits, sem="relaxed")
        tl.store(flag + tl.zeros_like(value).to(tl.int32), tl.full(value.shape, 1, tl.int64), mask=mask & ~fits)


@triton.jit(do_not_specialize=GENERAL)
def scatter_kernel(
    packed, labels, label_b, label_y, label_x, offsets, offset_b, offset_c, offset_y, offset_x,
    grad, grad_b, grad_y, grad_x, weight, weight_sum, lse, heavy, unit, target, flag,
    H, W, h, w, C, S4, tiles_y, tiles_x, blocks, smoothing, penalty,
    ORIGIN: tl.constexpr, SMOOTH: tl.constexpr, TILE: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
    BP: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """One program: `BC` classes of the pixels of a tile of `TILE × TILE` cells (where they lie undisplaced).

    Pixels that read inside the window of `WINDOW × WINDOW` coarse locations that begins one before the tile are summed
    up for each location of the window, as a product of matrices; the few others add to memory on their own.
    """
    pid = tl.program_id(0)
    block, tile = pid % blocks, pid // blocks
    tile_x, tile_y = tile % tiles_x, tile // tiles_x % tiles_y
    b = (tile // tiles_x // tiles_y).to(tl.int64)
    corner_y, corner_x = tile_y * TILE, tile_x * TILE
    y_start = first_pixel(corner_y.to(tl.int64), H, h, ORIGIN)
    x_start = first_pixel(corner_x.to(tl.int64), W, w, ORIGIN)
    y_count = (first_pixel((corner_y + TILE).to(tl.int64), H, h, ORIGIN) - y_start).to(tl.int32)
    x_count = (first_pixel((corner_x + TILE).to(tl.int64), W, w, ORIGIN) - x_start).to(tl.int32)
    # Coordinates from one coarse pixel before the tile: small and not negative.
    step_y, shift_y, den_y = axis(H, h, ORIGIN)
    step_x, shift_x, den_x = axis(W, w, ORIGIN)
    y_first = (y_start * step_y + shift_y - (corner_y - 1).to(tl.int64) * den_y).to(tl.int32)
    x_first = (x_start * step_x + shift_x - (corner_x - 1).to(tl.int64) * den_x).to(tl.int32)
    image = packed + b * (h * w * S4 * 4)
    target += b * (h * w * S4 * 4)
    place = tl.arange(0, WINDOW * WINDOW)
    place_y, place_x = place // WINDOW, place % WINDOW
    S = S4 * 4
    c = block * BC + tl.arange(0, BC)
    in_c = (c < S)[None, :]
    weights = sum_of_weights(weight_sum, C)
    portion = share(weight, c, C)[None, :]
    total = tl.full([WINDOW * WINDOW, BC], 0.0, tl.float32)
    for start in range(0, y_count * x_count, BP):
        n = start + tl.arange(0, BP)
        ok = n < y_count * x_count
        j, i = n // x_count, n % x_count
        y, x = y_start + j, x_start + i
        pixel = (b * H + y) * W + x
        z = tl.load(lse + pixel, mask=ok, other=float("inf"))
        valid = z != float("inf")
        label = tl.load(labels + b * label_b + y * label_y + x * label_x, mask=valid, other=0).to(tl.int32)
        label = tl.where(valid, label, -1)
        at = offsets + b * offset_b + y * offset_y + x * offset_x
        offset_to_y = tl.load(at, mask=valid, other=0.0).to(tl.float32)
        offset_to_x = tl.load(at + offset_c, mask=valid, other=0.0).to(tl.float32)
        position_y, position_x = y_first + j * step_y, x_first + i * step_x
        whole_y, whole_x = tl.zeros_like(j), tl.zeros_like(i)
        for k in tl.static_range(1, TILE + 2):  # cheaper than to divide
            whole_y += (position_y >= k * den_y).to(tl.int32)
            whole_x += (position_x >= k * den_x).to(tl.int32)
        fraction_y = (position_y - whole_y * den_y).to(tl.float32) * (1.0 / den_y)
        fraction_x = (position_x - whole_x * den_x).to(tl.float32) * (1.0 / den_x)
        y0, y1, fy, _ = moved_cell(whole_y + (corner_y - 1), fraction_y, offset_to_y, h)
        x0, x1, fx, _ = moved_cell(whole_x + (corner_x - 1), fraction_x, offset_to_x, w)
        at00, at01, at10, at11 = (y0 * w + x0) * S, (y0 * w + x1) * S, (y1 * w + x0) * S, (y1 * w + x1) * S
        mask = valid[:, None] & in_c
        u00 = tl.load(image + (at00[:, None] + c[None, :]), mask=mask, other=0.0)
        u01 = tl.load(image + (at01[:, None] + c[None, :]), mask=mask, other=0.0)
        u10 = tl.load(image + (at10[:, None] + c[None, :]), mask=mask, other=0.0)
        u11 = tl.load(image + (at11[:, None] + c[None, :]), mask=mask, other=0.0)
        upper = tl.fma(fx[:, None], u01 - u00, u00)
        v = tl.fma(fy[:, None], tl.fma(fx[:, None], u11 - u10, u10) - upper, upper)
        own = tl.where(valid, 1.0, 0.0)
        if grad is not None:
            own = tl.load(grad + b * grad_b + y * grad_y + x * grad_x, mask=valid, other=0.0).to(tl.float32)
        if heavy is not None:
            own = tl.where(tl.load(heavy + pixel, mask=valid, other=0) > 0, 1.0 + penalty, own)
        even = own * (smoothing / C)
        if weight is not None:
            own *= tl.load(weight + label, mask=(label >= 0) & (label < C), other=0.0)
        if SMOOTH:
            own *= 1.0 - smoothing
        p = tl.exp(v - z[:, None])
        hot = c[None, :] == label[:, None]
        if SMOOTH:
            g = (own + even * weights)[:, None] * p - tl.where(hot, own[:, None], 0.0) - even[:, None] * portion
        else:
            g = own[:, None] * p - tl.where(hot, own[:, None], 0.0)

        near_y0, near_y1 = y0 - corner_y + 1, y1 - corner_y + 1
        near_x0, near_x1 = x0 - corner_x + 1, x1 - corner_x + 1
        near = (near_y0 >= 0) & (near_y1 < WINDOW) & (near_x0 >= 0) & (near_x1 < WINDOW)
        by_y = tl.where(place_y[:, None] == near_y0[None, :], 1.0 - fy[None, :], 0.0)
        by_y += tl.where(place_y[:, None] == near_y1[None, :], fy[None, :], 0.0)
        by_x = tl.where(place_x[:, None] == near_x0[None, :], 1.0 - fx[None, :], 0.0)
        by_x += tl.where(place_x[:, None] == near_x1[None, :], fx[None, :], 0.0)
        by = tl.where((near & valid)[None, :], by_y * by_x, 0.0)
        total = tl.dot(by, g, total, input_precision=PRECISION)
        far = valid & ~near
        if tl.max(far.to(tl.int32), 0) > 0:
            mask = far[:, None] & in_c
            w00, w01 = ((1.0 - fy) * (1.0 - fx))[:, None], ((1.0 - fy) * fx)[:, None]
            w10, w11 = (fy * (1.0 - fx))[:, None], (fy * fx)[:, None]
            deposit(target + (at00[:, None] + c[None, :]), w00 * g, mask, unit, flag)
            deposit(target + (at01[:, None] + c[None, :]), w01 * g, mask, unit, flag)
            deposit(target + (at10[:, None] + c[None, :]), w10 * g, mask, unit, flag)
            deposit(target + (at11[:, None] + c[None, :]), w11 * g, mask, unit, flag)
    row, column = corner_y - 1 + place_y, corner_x - 1 + place_x
    on_map = (row >= 0) & (row < h) & (column >= 0) & (column < w)
    at = target + (((row * w + column) * S)[:, None] + c[None, :])
    deposit(at, total, on_map[:, None] & in_c & (total != 0.0), unit, flag)


@triton.jit(do_not_specialize=GENERAL)
def unpack_kernel(
    target, unit, flag, gradient, stride_b, stride_c, stride_y, stride_x,
    sums, count, divisors, pulls, strength, loss, locations, h, w, C, S4, BC: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """One program converts the gradients of `BP` coarse locations, and the first one adds up the loss."""
    n = tl.program_id(0).to(tl.int64) * BP + tl.arange(0, BP)
    ok = n < locations
    b, y, x = n // (h * w), n // w % h, n % w
    scale = 1.0
    if divisors is not None:
        scale = 1.0 / tl.load(divisors)
    for start in range(0, S4 * 4, BC):
        c = start + tl.arange(0, BC)
        mask = (c < S4 * 4)[:, None] & ok[None, :]
        g = tl.load(target + (n * (S4 * 4))[None, :] + c[:, None], mask=mask, other=0)
        if unit is not None:
            g = (g.to(tl.float64) / tl.load(unit).to(tl.float64)).to(tl.float32)
            g = tl.where(tl.load(flag) != 0, float("nan"), g)
        out = gradient + (b * stride_b + y * stride_y + x * stride_x)[None, :] + c.to(tl.int64)[:, None] * stride_c
        tl.store(out, (g * scale).to(gradient.dtype.element_ty), mask=(c < C)[:, None] & ok[None, :])
    if sums is not None:  # noqa: SIM102
        if tl.program_id(0) == 0:
            write_total(sums, count, divisors, pulls, strength, loss)
