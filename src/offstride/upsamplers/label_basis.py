"""The basis of the label space that DUpsampling decodes with: "Decoders Matter for Semantic Segmentation:
Data-Dependent Decoding Enables Flexible Feature Aggregation", Tian et al., CVPR 2019, §3.1.

Shapes: B maps of H×W pixels, r window, n classes, C̃ channels, h×w windows.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from offstride.field import SubpixelField
from offstride.files import write_bytes
from offstride.ops import IGNORE_INDEX
from offstride.ops.label_basis import (
    LabelCovariance,
    LabelWindows,
    Report,
    WindowParts,
    check_labels,
    descend,
    label_windows,
    leading_eigenpairs,
    merge_windows,
    project_windows,
    split_windows,
)
from offstride.upsamplers.base import check_choice

Method = Literal["pca", "sgd"]
_KEY = "offstride_basis"
_RUNS_UNMERGED = 2**21  # windows are merged whenever there are so many unmerged runs


@dataclass(frozen=True, eq=False)
class LabelBasis:
    """Compresses windows of labels, x = P(v − μ), and reconstructs them, ṽ = Wx + μ (Eq. 2) with P = Wᵀ.

    v is the one-hot window flattened from (r, r, n): row of the window, column, class. Pixels without a class, ignored
    or beyond the image, are zeros in it.

    Attributes:
        weight: `(r, r, n, C̃)` float32: W, with orthonormal columns.
        mean: `(r, r, n)` float32: mean window μ.
        eigenvalues: `(C̃,)` float32: variance of each channel of x over the windows, largest first.
        total_variance: Mean of ‖v − μ‖² over the windows.
        explained: Share of it that the channels keep; the mean of ‖v − ṽ‖² is the rest.
        windows: Number of windows.
        method: `"pca"` or `"sgd"`.
    """

    weight: Tensor
    mean: Tensor
    eigenvalues: Tensor
    total_variance: float
    explained: float
    windows: int
    method: Method = "pca"

    @property
    def scale(self) -> int:
        """Window r."""
        return len(self.weight)

    @property
    def classes(self) -> int:
        """Number of classes n."""
        return self.weight.shape[2]

    @property
    def channels(self) -> int:
        """Channels C̃."""
        return self.weight.shape[3]

    def first(self, channels: int) -> "LabelBasis":
        """The basis of fewer channels: of a PCA, the one that a fit of so many channels gives.

        Raises:
            ValueError: If the basis has fewer.
        """
        if not 1 <= channels <= self.channels:
            raise ValueError(f"channels: expected 1 … {self.channels}, got {channels}")
        kept = self.eigenvalues[:channels].contiguous()
        lost = float(self.eigenvalues[channels:].double().sum())
        explained = self.explained - (lost / self.total_variance if self.total_variance else 0.0)
        weight = self.weight[..., :channels].contiguous()
        return LabelBasis(weight, self.mean, kept, self.total_variance, explained, self.windows, self.method)

    def encode(self, labels: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
        """Compress label maps: x = P(v − μ) of every window.

        Args:
            labels: `(B, H, W)` integer classes.
            ignore_index: Label of pixels without a class.

        Returns:
            `(B, C̃, h, w)` with h = ⌈H/r⌉ and w = ⌈W/r⌉, in the type and on the device of the basis.

        Raises:
            ValueError: If labels are no integer maps or hold other values.
        """
        pixels = window_pixels(labels, self.scale, self.classes, ignore_index)
        codes = project_windows(pixels.flatten(0, 2), self.weight) - self.mean.flatten() @ self.weight.flatten(0, 2)
        return codes.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2).contiguous()

    def decode(self, codes: Tensor, size: tuple[int, int]) -> SubpixelField:
        """Decompress codes to scores: ṽ = Wx + μ of every window, cut to the image.

        Args:
            codes: `(B, C̃, h, w)`.
            size: `(H, W)` of the image, at most `(r·h, r·w)`.

        Returns:
            Field of `(B, n, H, W)` scores; its `argmax` is the reconstructed label map.

        Raises:
            ValueError: If codes have other channels or the windows do not cover the size.
        """
        check_codes(codes, self.channels)
        return SubpixelField(codes, self.weight, self.mean, size)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file: tensors `weight`, `mean`, `eigenvalues`; the rest as JSON in its metadata.

        Raises:
            ValueError: Naming the path, if it cannot be written.
        """
        names = ("weight", "mean", "eigenvalues")
        write_tensors(path, {name: getattr(self, name) for name in names}, _KEY, self.describe())

    def describe(self) -> dict[str, Any]:
        """Everything but the tensors, as the metadata of a file hold it."""
        names = ("scale", "classes", "channels", "method", "explained", "windows", "total_variance")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def load(cls, path: str | Path) -> "LabelBasis":
        """Read what `save` wrote.

        Raises:
            ValueError: Naming the path, if it is no such file or its shapes are inconsistent.
        """
        tensors, header = read_tensors(path, _KEY, "label basis")
        try:
            figures = (header[name] for name in ("total_variance", "explained", "windows", "method"))
            result = cls(tensors["weight"], tensors["mean"], tensors["eigenvalues"], *figures)
            expected = tuple(header[name] for name in ("scale", "scale", "classes", "channels"))
        except (KeyError, TypeError) as error:
            raise ValueError(f"label basis {path}: lacks {error}") from error
        shapes = (tuple(result.weight.shape), tuple(result.mean.shape), tuple(result.eigenvalues.shape))
        if shapes != (expected, expected[:3], expected[3:]):
            raise ValueError(f"label basis {path}: expected tensors of {expected}, got {', '.join(map(str, shapes))}")
        return result


def window_pixels(labels: Tensor, scale: int, classes: int, ignore_index: int) -> Tensor:
    """Checked `(B, H, W)` labels as windows of pixels, see `split_windows`."""
    if labels.dim() != 3:
        raise ValueError(f"labels: expected shape (B, H, W), got {tuple(labels.shape)}")
    check_labels(labels, scale=scale, classes=classes, ignore_index=ignore_index)
    return split_windows(labels, scale=scale, classes=classes, ignore_index=ignore_index)


def check_codes(codes: Tensor, channels: int) -> None:
    """Raise a `ValueError` unless codes have the shape `(B, channels, h, w)`."""
    if codes.dim() != 4 or codes.shape[1] != channels:
        raise ValueError(f"codes: expected shape (B, {channels}, h, w), got {tuple(codes.shape)}")


def fit_label_basis(
    label_maps: Iterable[Tensor],
    *,
    scale: int,
    classes: int,
    channels: int,
    ignore_index: int = IGNORE_INDEX,
    method: Method = "pca",
    tolerance: float = 1e-7,
    steps: int = 4000,
    seed: int = 0,
    progress: Report | None = None,
) -> LabelBasis:
    """Learn the basis of label windows with the smallest reconstruction error (Eq. 3).

    Only the distinct windows are held in memory, run-length encoded with four bytes for each run.

    Args:
        label_maps: `(H, W)` or `(B, H, W)` integer maps of any sizes.
        scale: Window r.
        classes: Number of classes n.
        channels: Channels C̃ of the code.
        ignore_index: Label of pixels without a class: zeros in v.
        method: `"pca"`: the optimum in closed form; `"sgd"`: P and W by stochastic gradient descent.
        tolerance: Of the eigenvectors of the PCA, see `leading_eigenpairs`.
        steps: Steps of the gradient descent.
        seed: Random seed of either method.
        progress: Progress callback: `report(done, total)`, in eigenvectors or steps.

    Raises:
        ValueError: If there are no maps, labels are out of range, or the channels are more than entries of a window.
    """
    windows = encode_label_maps(label_maps, scale=scale, classes=classes, ignore_index=ignore_index)
    return fit_label_windows(
        [windows], channels=channels, method=method, tolerance=tolerance, steps=steps, seed=seed, progress=progress
    )


def encode_label_maps(
    label_maps: Iterable[Tensor], *, scale: int, classes: int, ignore_index: int = IGNORE_INDEX
) -> LabelWindows:
    """The distinct windows of many label maps, read in turn, see `label_windows`.

    Raises:
        ValueError: If there are no maps or labels are out of range.
    """
    parts: list[LabelWindows] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the work on one label map is too little to be divided
    try:
        for labels in label_maps:
            parts.append(label_windows(labels, scale=scale, classes=classes, ignore_index=ignore_index))
            if sum(part.runs for part in parts[1:]) > max(_RUNS_UNMERGED, parts[0].runs):
                parts = [merge_windows(parts)]
    finally:
        torch.set_num_threads(threads)
    if not parts:
        raise ValueError("label_maps: expected at least one, got none")
    return merge_windows(parts)


def fit_label_windows(
    windows: WindowParts | LabelCovariance,
    *,
    channels: int,
    method: Method = "pca",
    tolerance: float = 1e-7,
    steps: int = 4000,
    seed: int = 0,
    progress: Report | None = None,
) -> LabelBasis:
    """As `fit_label_basis`, from encoded windows (in memory or in files) or their covariance."""
    check_choice("method", method, Method)
    covariance = windows if isinstance(windows, LabelCovariance) else LabelCovariance(windows)
    if method == "pca":
        values, vectors, _ = leading_eigenpairs(covariance, channels, tolerance=tolerance, seed=seed, progress=progress)
    else:
        values, vectors = descend(covariance, channels, steps=steps, seed=seed, progress=progress)
    total = covariance.total_variance
    shape = (covariance.scale, covariance.scale, covariance.classes)
    return LabelBasis(
        weight=vectors.float().view(*shape, -1),
        mean=covariance.mean.float().view(shape),
        eigenvalues=values.float(),
        total_variance=total,
        explained=float(values.sum()) / total if total > 0 else 1.0,
        windows=covariance.windows,
        method=method,
    )


def write_tensors(path: str | Path, tensors: dict[str, Tensor], key: str, header: dict[str, Any]) -> None:
    """Write a safetensors file with JSON metadata atomically.

    Equal content gives equal bytes: there is a single metadata key, since the order of several is arbitrary.

    Raises:
        ValueError: Naming the path, if it cannot be written.
    """
    path = Path(path)
    copies = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    content = serialise(copies, metadata={key: json.dumps(header)})
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ValueError(f"file {path}: cannot be written ({error})") from error


def read_tensors(path: str | Path, key: str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON metadata of a file that `write_tensors` wrote.

    Raises:
        ValueError: Naming the path and the kind of file, if it is no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(key, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{kind} {path}: expected a safetensors file ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(f"{kind} {path}: expected metadata under {key!r}, there are none")
    return tensors, header
