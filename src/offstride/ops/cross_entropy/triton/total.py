"""The loss from the sums that programs left behind: added up in a fixed order, in double precision."""

import triton
import triton.language as tl

from offstride.ops.cross_entropy.triton.pixel import GENERAL

BLOCK = tl.constexpr(1024)


@triton.jit
def write_total(sums, count, divisor, pulls, strength, loss):
    """`loss = Σ sums / divisor[0] + strength · Σ pulls / divisor[1]`."""
    lane = tl.arange(0, BLOCK)
    total = tl.full([BLOCK], 0.0, tl.float64)
    pull = tl.full([BLOCK], 0.0, tl.float64)
    for start in range(0, count, BLOCK):
        mask = start + lane < count
        total += tl.load(sums + start + lane, mask=mask, other=0.0).to(tl.float64)
        if pulls is not None:
            pull += tl.load(pulls + start + lane, mask=mask, other=0.0).to(tl.float64)
    result = tl.sum(total, 0) / tl.load(divisor).to(tl.float64)
    if pulls is not None:
        result += strength * tl.sum(pull, 0) / tl.load(divisor + 1).to(tl.float64)
    tl.store(loss, result.to(tl.float32))


@triton.jit(do_not_specialize=GENERAL)
def total_kernel(sums, count, divisor, pulls, strength, loss):
    """The same as a launch of its own, where no gradient is asked for."""
    write_total(sums, count, divisor, pulls, strength, loss)
