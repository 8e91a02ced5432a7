"""Device functions: where a fine pixel lies on the coarse map.

Coordinates are the rationals of `offstride.ops.grid`, held as whole numerators over a common denominator. An
undisplaced pixel reads the cell that holds its clamped coordinate. The last cell is closed, so that cell `q` always has
the corners `q` and `q + 1`, and a fraction lies in [0, 1]; a map of one pixel has one cell, whose corners are that
pixel.

Every kernel blends corners by the same fused multiply-adds, horizontally first, and nothing else is fused
(`enable_fp_fusion` is off at every launch): the log-sum-exp that one kernel finds holds to the last bit in the next.
"""

import triton
import triton.language as tl


@triton.jit
def axis(FINE, COARSE, ORIGIN: tl.constexpr):
    """Coordinates are `(i · step + shift) / den`: returns the three integers. `ORIGIN` is an `origin_code`."""
    if ORIGIN == 0:
        step, shift, den = 2 * COARSE, COARSE - FINE, 2 * FINE
    elif ORIGIN == 1:
        step, shift, den = COARSE, 0, FINE
    else:
        step, shift, den = COARSE - 1, 0, tl.maximum(FINE - 1, 1)
    return step, shift, den


@triton.jit
def cell_of(i, FINE, COARSE, ORIGIN: tl.constexpr):
    """Cell of the fine pixel `i`, and where in it the clamped coordinate lies; `i` as wide as for `undisplaced`."""
    step, shift, den = axis(FINE, COARSE, ORIGIN)
    position = tl.minimum(tl.maximum(i * step + shift, 0), (COARSE - 1).to(i.dtype) * den)
    cell = tl.minimum(position // den, tl.maximum(COARSE - 2, 0))
    return cell, (position - cell * den).to(tl.float32) * (1.0 / den)


@triton.jit
def first_pixel(q, FINE, COARSE, ORIGIN: tl.constexpr):
    """First fine pixel that reads cell `q` (int64) or a later one."""
    if ORIGIN == 0:
        first = (tl.maximum((2 * q + 1) * FINE - COARSE, 0) + (2 * COARSE - 1)) // (2 * COARSE)
    elif ORIGIN == 1:
        first = (q * FINE + (COARSE - 1)) // COARSE
    else:
        first = (q * tl.maximum(FINE - 1, 1) + (COARSE - 2)) // tl.maximum(COARSE - 1, 1)
    first = tl.where(q <= 0, 0, tl.minimum(first, FINE))
    return tl.where(q >= tl.maximum(COARSE - 1, 1), FINE, first)


@triton.jit
def undisplaced(i, FINE, COARSE, ORIGIN: tl.constexpr):
    """Coordinate of the fine pixel `i` before clamping: a whole number (int32) and a fraction in [0, 1).

    `i` must be wide enough for twice the product of both sizes.
    """
    step, shift, den = axis(FINE, COARSE, ORIGIN)
    position = i * step + (shift + den)  # not negative, as truncating division needs
    whole = position // den - 1
    return whole.to(tl.int32), (position - (whole + 1) * den).to(tl.float32) * (1.0 / den)


@triton.jit
def moved_cell(whole, fraction, offset, COARSE):
    """Where a pixel at an undisplaced coordinate reads the coarse map when it is moved by `offset`.

    Whole numbers and fractions are added up apart, so that the distance to a coarse pixel has the precision of the
    offset wherever on the map.

    Returns:
        The two coarse pixels it reads (int32), the weight of the second (NaN for a NaN offset), and whether the
        coordinate lay on the map.
    """
    defined = offset == offset
    moved = tl.where(defined, fraction + offset, 0.0)
    moved = tl.minimum(tl.maximum(moved, -1.0 - whole.to(tl.float32)), (COARSE - whole).to(tl.float32))
    down = tl.floor(moved)
    low = whole + down.to(tl.int32)
    weight = moved - down
    inside = (low >= 0) & ((low < COARSE - 1) | ((low == COARSE - 1) & (weight == 0.0)))
    weight = tl.where(defined, tl.where(inside, weight, 0.0), float("nan"))
    low = tl.minimum(tl.maximum(low, 0), COARSE - 1)
    return low, tl.minimum(low + 1, COARSE - 1), weight, inside | ~defined
