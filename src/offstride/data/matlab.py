"""MATLAB files with labels."""

from pathlib import Path
from typing import Any

import numpy as np

from offstride.data.decode import decoding


def read_mat(path: Path, required: str, *optional: str) -> dict[str, Any]:
    """Variables of a MATLAB file (up to version 7) as arrays of at least two axes.

    Structures have their fields as attributes.

    Raises:
        ValueError: Naming the path, when the file is missing or damaged, or lacks `required`.
    """
    from scipy.io import loadmat  # imported here: it takes half a second

    with decoding(path):
        variables = loadmat(path, variable_names=[required, *optional], struct_as_record=False)
    if required not in variables:
        raise ValueError(f"file {path}: expected the variable {required}, which is missing")
    return variables


def label_map(path: Path, array: object) -> np.ndarray:
    """A label map of MATLAB, whose numbers are often floating-point, as integers.

    Raises:
        ValueError: Naming the path, when it is not a matrix of whole numbers.
    """
    values = np.asarray(array)
    if values.ndim != 2 or values.dtype.kind not in "uibf" or (values.dtype.kind == "f" and (values % 1).any()):
        raise ValueError(f"file {path}: expected a matrix of whole numbers, got {values.dtype} {values.shape}")
    return values.astype(np.int64) if values.dtype.kind == "f" else values
