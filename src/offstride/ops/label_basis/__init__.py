"""The label space of DUpsampling: windows of labels, their covariance, and its leading eigenvectors (Tian et al., CVPR
2019, §3.1, Eqs. 2 and 3).
"""

from offstride.ops.label_basis.covariance import LabelCovariance, Report, WindowParts
from offstride.ops.label_basis.descent import descend
from offstride.ops.label_basis.eigen import Eigenpairs, leading_eigenpairs
from offstride.ops.label_basis.windows import (
    LabelWindows,
    check_labels,
    label_windows,
    merge_windows,
    project_windows,
    split_windows,
)

__all__ = [
    "Eigenpairs",
    "LabelCovariance",
    "LabelWindows",
    "Report",
    "WindowParts",
    "check_labels",
    "descend",
    "label_windows",
    "leading_eigenpairs",
    "merge_windows",
    "project_windows",
    "split_windows",
]
