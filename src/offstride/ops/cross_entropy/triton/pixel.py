"""Device functions: what a label makes of the scores of a pixel."""

import triton
import triton.language as tl

GENERAL = ["H", "W", "h", "w", "C", "locations", "count"]
GENERAL += [f"{name}_{axis}" for name in ("label", "grad", "offset", "target") for axis in "bcyx"]
"""Arguments of kernels whose value the compiler shall not look at. It would compile anew for some sizes and strides;
and where it saw that pixels lie side by side in memory, it would give several of them to a thread, and have threads
exchange what they found in every step over the classes (`benchmarks/triton_resources.py` watches that).
"""


@triton.jit
def read_label(labels, mask, C, ignore_index):
    """Labels as int64, 0 where they are of no use; where they count; and where they are a class.

    A label that counts and is no class reads nothing, and its pixel loses NaN.
    """
    label = tl.load(labels, mask=mask, other=0).to(tl.int64)
    valid = mask & (label != ignore_index)
    known = valid & (label >= 0) & (label < C)
    return tl.where(known, label, 0), valid, known


@triton.jit
def class_weight(weight, label, known):
    """Weight of the label, NaN where it is no class."""
    nan = float("nan")
    return tl.where(known, 1.0, nan) if weight is None else tl.load(weight + label, mask=known, other=nan)


@triton.jit
def sum_of_weights(weight_sum, C):
    """What a loss spread over all classes counts in all."""
    return C * 1.0 if weight_sum is None else tl.load(weight_sum)


@triton.jit
def share(weight, c, C):
    """Weights of some classes, 0 for those that fill up."""
    return tl.where(c < C, 1.0, 0.0) if weight is None else tl.load(weight + c, mask=c < C, other=0.0)


@triton.jit
def score_of(label, known, p00, p01, p10, p11, fy, fx):
    """Blend the scores of one class from the packed locations at the four corners; 0 where not known.

    Returns:
        The score, by the same steps as those of all classes are blended, and its derivatives along y and x.
    """
    u00 = tl.load(p00 + label, mask=known, other=0.0)
    u01 = tl.load(p01 + label, mask=known, other=0.0)
    u10 = tl.load(p10 + label, mask=known, other=0.0)
    u11 = tl.load(p11 + label, mask=known, other=0.0)
    upper = tl.fma(fx, u01 - u00, u00)
    to_y = tl.fma(fx, u11 - u10, u10) - upper
    return tl.fma(fy, to_y, upper), to_y, tl.fma(fy, (u11 - u10) - (u01 - u00), u01 - u00)
