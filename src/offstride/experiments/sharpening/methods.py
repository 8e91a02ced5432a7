"""The rows of the table: ways to go from coarse scores to labels."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from offstride.experiments.sharpening.frozen import Frozen, Given
from offstride.field import LogitField
from offstride.inference import GFF_SCALES, predict_averaged
from offstride.replace.choice import start_options
from offstride.replace.sharpening import UNIVERSAL
from offstride.upsamplers import UPSAMPLERS, Upsampler

SCALES = "scales"
TRAINED = f"{UNIVERSAL}+labels"
"""Name of the row of an upsampler that learned from labels."""


@dataclass(frozen=True, eq=False)
class Method:
    """A row.

    Args:
        name: Its name.
        upsampler: What it upsamples with.
        description: One line.
        paper: Its source.
        scales: Scales that probabilities are averaged over, with those of the mirror image; none for a single run.
        network: What the row runs in place of the model that the others share.
    """

    name: str
    upsampler: Upsampler
    description: str = ""
    paper: str = ""
    scales: Sequence[float] = ()
    network: Frozen | None = None

    def field(self, frozen: Frozen, images: Tensor, coarse: Given | None = None) -> LogitField:
        """Scores of images, whose coarse scores may be known."""
        if self.network is not None:
            frozen, coarse = self.network, None
        if self.scales:
            return predict_averaged(frozen.predict(self.upsampler), images, scales=self.scales, flip=True)
        return (coarse or frozen.coarse(images)).field(self.upsampler)


def own_method(frozen: Frozen) -> Method:
    """The model as it is."""
    name = upsampler_name(frozen)
    return Method(name, frozen.own, "the model as it is")


def upsampler_name(frozen: Frozen) -> str:
    """Name of the upsampler that a model came with."""
    return next((name for name, kind in UPSAMPLERS.items() if type(frozen.own) is kind), "bilinear")


def opponents(names: Sequence[str], frozen: Frozen) -> list[Method]:
    """Methods that need no training, by the names of `--against`; that of the model itself is left out.

    Raises:
        ValueError: If there is no such method, or it has to be trained.
    """
    own = upsampler_name(frozen)
    return [_opponent(name, frozen) for name in dict.fromkeys(names) if name != own]


def _opponent(name: str, frozen: Frozen) -> Method:
    if name == SCALES:
        listed = ", ".join(f"{scale:g}" for scale in GFF_SCALES)
        return Method(name, frozen.own, f"the model as it is, at scales {listed} and mirrored", scales=GFF_SCALES)
    if name not in untrained():
        raise ValueError(f"against: expected some of {', '.join([*untrained(), SCALES])}, got {name!r}")
    kind = UPSAMPLERS[name]
    upsampler = kind(**start_options(name, {}, frozen.own.origin, len(frozen.classes), frozen.factor))
    described = next(iter(kind.compared_as), None)
    return Method(name, upsampler, *(described[:2] if described else ("interpolation", "")))


def untrained() -> list[str]:
    """Names of the upsamplers that have nothing to learn."""
    return [name for name, kind in UPSAMPLERS.items() if kind.reads_scores and _parameter_free(kind)]


def _parameter_free(kind: type[Upsampler]) -> bool:
    parameters = inspect.signature(kind).parameters.values()
    if any(it.default is it.empty and it.kind is not it.VAR_KEYWORD for it in parameters):
        return False
    return not any(True for _ in kind().parameters())
