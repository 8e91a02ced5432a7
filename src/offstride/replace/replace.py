"""Find the interpolation at the end of a model, and replace it by a learned upsampler."""

import copy as copying
import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from offstride.replace.anatomy import Anatomy
from offstride.replace.choice import Sizes, choose, whole_ratio
from offstride.replace.compare import Outputs, compare, evaluating, outputs
from offstride.replace.plan import UpsamplingPlan
from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import rebuilt
from offstride.upsamplers import Bilinear, Upsampler

_LIBRARIES = {"torchvision": "torchvision", "segmentation_models_pytorch": "smp", "transformers": "transformers"}
"""Modules of this room by the library whose models they know; others are in `modules`."""

Example = Sequence[int] | Tensor


def replace_upsampling(
    model: nn.Module,
    upsampler: str | Upsampler = "lau",
    *,
    example: Example = (1, 3, 512, 512),
    classifier: str | None = None,
    upsampling: str | None = None,
    copy: bool = True,
    **options: Any,
) -> ReplacedModel:
    """Replace the interpolation at the end of a model of another library by a learned upsampler.

    With LaU, DySample or the deformable convolution the output equals the original's at first, because their offsets
    start at zero: training continues where it was. As a check, the model with a plain bilinear upsampler first runs on
    the example and compared with the original; a model that is not understood raises an error.

    Args:
        model: Of torchvision (FCN, DeepLabV3, LRASPP), segmentation_models_pytorch (with a decoder that ends in an
            interpolation), transformers (for semantic segmentation by dense scores), or any other from images to a
            tensor of scores whose `classifier` and `upsampling` are modules that are named. It is not changed.
        upsampler: Name of an upsampler (`offstride.upsamplers.UPSAMPLERS`), or an instance.
        example: Images, or the shape of random ones, `(B, 3, H, W)`, that the model takes.
        classifier: Path of the last convolution to classes; by default it is searched.
        upsampling: Path of the interpolation; by default it is searched.
        copy: Copy the model. Otherwise the result shares modules with it: training one trains both.
        options: Options of the upsampler. Defaults: the model's own pixel convention as `origin`, zero offsets, and the
            factor to the image as `scale` (8 at most; beyond it offsets are interpolated).

    Returns:
        A model with the arguments, outputs and mode of the original, see `ReplacedModel`. Its `plan` says what was
        replaced.

    Raises:
        ValueError: If the model is not understood, if it refuses the example, or if options do not fit.
    """
    images = _images(model, example)
    anatomy = dissected(model, classifier, upsampling)
    own = copying.deepcopy(model) if copy else model  # before it runs: transformers hangs hooks on what has run
    with evaluating(model):
        expected = _expected(model, images, anatomy)
        sizes = _understood(model, images, anatomy, expected)
        chosen, settings = choose(upsampler, options, anatomy, sizes)
        trial = assembled(model, chosen.to(images), anatomy, sizes.stride)
        with evaluating(chosen):
            difference = compare(expected, outputs(trial, images, anatomy.coarse))
    result = assembled(own, chosen, anatomy, sizes.stride)
    result.upsampler.train(model.training)
    result.plan = UpsamplingPlan(
        model=anatomy.model,
        classifier=anatomy.classifier,
        features=anatomy.features,
        classes=anatomy.classes,
        stride=sizes.stride,
        interpolation=anatomy.interpolation.text,
        origin=anatomy.interpolation.origin,
        upsampler=upsampler if isinstance(upsampler, str) else type(upsampler).__name__,
        options=settings,
        parameters=sum(parameter.numel() for parameter in chosen.parameters()),
        difference=difference.largest,
        exact=difference.rounding,
    )
    return result


def plan_upsampling(
    model: nn.Module,
    upsampler: str | Upsampler = "lau",
    *,
    example: Example = (1, 3, 512, 512),
    classifier: str | None = None,
    upsampling: str | None = None,
    **options: Any,
) -> UpsamplingPlan:
    """What `replace_upsampling` would do with the same arguments, for printing; it raises the same errors. The model is
    not changed.
    """
    paths = {"classifier": classifier, "upsampling": upsampling}
    return replace_upsampling(model, upsampler, example=example, copy=False, **paths, **options).plan


def _images(model: nn.Module, example: Example) -> Tensor:
    """Images on the device of the model, in its type."""
    parameter = next(model.parameters(), torch.empty(0))
    if isinstance(example, Tensor):
        images = example
    else:
        images = torch.randn(tuple(example), generator=torch.Generator().manual_seed(0))
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"example: expected images, or the shape of images, (B, 3, H, W), got {tuple(images.shape)}")
    return images.to(parameter)


def measured(model: nn.Module, example: Example) -> tuple[Anatomy, Sizes]:
    """Anatomy and sizes of a model that was understood: with a bilinear upsampler it gave the same on the example.

    Raises:
        ValueError: As `replace_upsampling`.
    """
    images, anatomy = _images(model, example), dissected(model)
    with evaluating(model):
        return anatomy, _understood(model, images, anatomy, _expected(model, images, anatomy))


def dissected(model: nn.Module, classifier: str | None = None, upsampling: str | None = None) -> Anatomy:
    """The last steps of a model, which is not run.

    Raises:
        ValueError: If it is not known.
    """
    if isinstance(model, ReplacedModel):
        raise ValueError("model: its interpolation is replaced already; replace that of the original")
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    home = next((home for library, home in _LIBRARIES.items() if library in packages), "modules")
    return importlib.import_module(f"offstride.replace.{home}").find(model, classifier, upsampling)


def assembled(model: nn.Module, upsampler: Upsampler, anatomy: Anatomy, stride: int) -> ReplacedModel:
    """A model with an upsampler in place of its interpolation; they share all modules."""
    result = anatomy.kind(rebuilt(model, anatomy.changes), upsampler, anatomy, stride)
    result.training = model.training
    return result


def _expected(model: nn.Module, images: Tensor, anatomy: Anatomy) -> Outputs:
    try:
        return outputs(model, images, anatomy.coarse)
    except Exception as error:
        raise ValueError(
            f"example: expected images that {anatomy.model} takes, got shape {tuple(images.shape)}, at which it says "
            f"{type(error).__name__}: {error}"
        ) from error


def _understood(model: nn.Module, images: Tensor, anatomy: Anatomy, expected: Outputs) -> Sizes:
    """Sizes measured on the example, after the model with a bilinear upsampler has matched the original."""
    probe = assembled(model, Bilinear(origin=anatomy.interpolation.origin), anatomy, 1)
    reason = f"model: {anatomy.model} is not understood: with classifier {anatomy.classifier} it"
    try:
        difference = compare(expected, outputs(probe, images, anatomy.coarse))
    except (ValueError, RuntimeError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"{reason} {error}") from error
    if not difference.rounding:
        what = f"differs by {difference.largest:.2g} when {anatomy.interpolation.text} is redone"
        raise ValueError(f"{reason} {what}")
    field = probe.field(images)
    coarse, fine = field.values.shape[2:], field.shape[2:]
    factor = whole_ratio(fine, coarse)
    if factor < 2:
        raise ValueError(f"{reason} has scores of {tuple(coarse)} for {tuple(fine)} pixels: nothing is left to replace")
    return Sizes(whole_ratio(images.shape[2:], coarse), factor, images.shape[1])
