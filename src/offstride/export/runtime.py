"""Exported files as models that prediction can use like a `Segmenter`.

Shapes: B batch, C classes, H×W image.
"""

import logging
import warnings
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from offstride.data.catalog import ClassSet
from offstride.export.foreign_onnx import foreign_info
from offstride.export.info import KEY, ExportInfo
from offstride.export.onnx_file import optional
from offstride.export.program import ENTRY
from offstride.field import BilinearField, DenseField, LogitField
from offstride.models import Decoded, ForeignConfig, ModelConfig
from offstride.models.checkpoint import check_classes
from offstride.ops.grid import same_grid

Run = Callable[[Tensor], Tensor]
"""From the input of a file to its output, both on the CPU."""

SUFFIXES = (".onnx", ".pt2")


@dataclass(frozen=True, eq=False)
class LabelField(LogitField):
    """Labels without scores, from a file that contains the argmax.

    Args:
        labels: `(B, H, W)` classes.
        classes: Number of classes C.
    """

    labels: Tensor
    classes: int

    @property
    def shape(self) -> torch.Size:
        B, H, W = self.labels.shape
        return torch.Size((B, self.classes, H, W))

    @property
    def values(self) -> Tensor:
        raise ValueError(
            "model: this file gives labels, and scores are needed for confidences and to average over scales, windows "
            "or mirror images; export it with --scores"
        )

    def rows(self, start: int, stop: int) -> Tensor:
        return self.values

    def label_map(self) -> Tensor:
        return self.labels


class ExportedModel:
    """A file that `export_onnx` or `export_torch` wrote, or an ONNX file of others, ready to run on the CPU; ONNX also
    on a GPU.

    Args:
        info: Its description, also an attribute.
        run: Runs it.

    Attributes:
        device: Device of the images.
    """

    device = torch.device("cpu")

    def __init__(self, info: ExportInfo, run: Run) -> None:
        self.info, self._run = info, run

    @property
    def config(self) -> ModelConfig | ForeignConfig:
        """The model that was exported."""
        return self.info.config

    @property
    def classes(self) -> ClassSet | None:
        """Names and colours of the classes, if known."""
        return self.info.classes

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean colour, in 0 … 1, that images must be normalised by."""
        return self.info.config.mean or (0.0, 0.0, 0.0)

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of the colours, likewise."""
        return self.info.config.std or (1.0, 1.0, 1.0)

    def field(self, images: Tensor) -> LogitField:
        """Scores, or labels alone, as a field of shape `(B, C, H, W)`.

        Args:
            images: `(B, 3, H, W)`, normalised by `mean` and `std`. If the file reads pixels, they are computed from
                these and rounded to whole numbers.

        Raises:
            ValueError: If the file does not take images of this size.
        """
        self._check(images)
        entering = self._entering(images)
        # a file for one image at a time gets them one by one
        parts = [entering] if self.info.batch is None else entering.split(self.info.batch)
        output = torch.cat([self._run(part) for part in parts])
        if self.info.output != "scores":
            return LabelField(output, self.config.classes)
        size = (images.shape[2], images.shape[3])
        return DenseField(output) if same_grid(output.shape[2:], size) else BilinearField(output, size)

    def decode(self, images: Tensor, closed: Collection[int] = ()) -> Decoded:
        """The field alone: other outputs are not in the file, and neither are gates that could be closed."""
        return Decoded(self.field(images))

    def eval(self) -> Self:
        """Itself: a file is in evaluation mode."""
        return self

    def _check(self, images: Tensor) -> None:
        size, least = tuple(images.shape[2:]), self.info.least
        if self.info.size not in (None, size):
            H, W = self.info.size or (0, 0)
            raise ValueError(
                f"images: this file takes {H}×{W} pixels only, got {size[0]}×{size[1]}; "
                f"predict in windows (--sliding {H} {W}), or export it with --dynamic"
            )
        if min(size) < least:
            raise ValueError(f"images: this file takes at least {least}×{least} pixels, got {size[0]}×{size[1]}")

    def _entering(self, images: Tensor) -> Tensor:
        if self.info.input == "normalised":
            return images.float().contiguous()
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        pixels = (255 * (images * std + mean)).round().clamp(0, 255).to(torch.uint8)
        return (pixels.permute(0, 2, 3, 1) if self.info.input == "image" else pixels).contiguous()


def load_exported(
    path: str | Path,
    *,
    device: torch.device | str = "cpu",
    threads: int | None = None,
    classes: ClassSet | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ExportedModel:
    """Open an exported file, or an ONNX file of others that gives class scores.

    ONNX files run no code of their own. Those of `torch.export` are read with pickle: open only files that you trust.

    Args:
        path: `.onnx` or `.pt2` file.
        device: Where an ONNX file runs; images are on the CPU in any case.
        threads: For ONNX Runtime; by default those of torch.
        classes: Classes that the model must have, by name and in this order; its names if it has none.
        mean: Mean colour in 0 … 1 of images for an ONNX file of others; with `std`.
        std: Standard deviation, likewise.

    Raises:
        ValueError: If it is no such file, normalisation is missing or given beside what the file holds, or the package
            that runs it is not installed.
    """
    path, device = Path(path), torch.device(device)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"model: expected a file named {' or '.join(SUFFIXES)}, got {path}")
    try:
        onnx = path.suffix == ".onnx"
        if onnx:
            session = _session(path, device, threads or torch.get_num_threads())
            described = session.get_modelmeta().custom_metadata_map.get(KEY)
            info = _described(described) if described else foreign_info(session, path, mean, std)
            model = ExportedModel(info, _run_of(session, path))
        else:
            described, model = True, _open_program(path, device)
        if described and mean is not None:
            raise ValueError("mean, std: expected none, since the file holds its own")
        check_classes(model.classes, model.config.classes, classes)
        model.info = replace(model.info, classes=model.classes or classes)
        return model
    except (ValueError, OSError) as error:
        raise ValueError(f"model {path}: {error}") from error


def _session(path: Path, device: torch.device, threads: int) -> Any:
    runtime = optional("onnxruntime")
    content = path.read_bytes()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors are raised
    try:
        return runtime.InferenceSession(content, options, providers=_providers(runtime, device))
    except Exception as error:  # its errors have no common class
        raise ValueError(f"expected an ONNX file ({' '.join(str(error).split())[:200]})") from error


def _run_of(session: Any, path: Path) -> Run:
    entry, result = session.get_inputs()[0].name, session.get_outputs()[0].name

    def run(images: Tensor) -> Tensor:
        try:
            return torch.from_numpy(session.run([result], {entry: images.numpy()})[0])
        except Exception as error:
            raise ValueError(f"model {path}: ONNX Runtime failed ({' '.join(str(error).split())[:200]})") from error

    return run


def _providers(runtime: object, device: torch.device) -> list[str]:
    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    there = runtime.get_available_providers()  # type: ignore[attr-defined]
    if device.type != "cuda" or "CUDAExecutionProvider" not in there:
        raise ValueError(f"device: this ONNX Runtime does not know {device}, but {', '.join(there)}")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _open_program(path: Path, device: torch.device) -> ExportedModel:
    if device.type != "cpu":
        raise ValueError(f"device: expected cpu for a file of torch.export, got {device}")
    if not path.is_file():
        raise ValueError("there is no such file")
    if not zipfile.is_zipfile(path):
        raise ValueError("expected a file of torch.export")
    texts = {ENTRY: ""}
    logging.getLogger("torch.export").setLevel(logging.ERROR)  # repeats at length the error below
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = torch.export.load(path, extra_files=texts).module()
        except Exception as error:
            raise ValueError(f"expected a file of torch.export ({' '.join(str(error).split())[:200]})") from error
    info = _described(texts[ENTRY])

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        return module(images)

    return ExportedModel(info, run)


def _described(text: str | bytes | None) -> ExportInfo:
    if not text:
        raise ValueError("holds no model of Offstride")
    return ExportInfo.from_json(text.decode() if isinstance(text, bytes) else text)
