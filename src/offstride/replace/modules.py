"""Models whose classifier and interpolation are modules that are named."""

from torch import Tensor, nn

from offstride.models import Decoded
from offstride.replace.anatomy import Anatomy, upsample_of
from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import check_classifier, joint, named, passing


class ReplacedModules(ReplacedModel):
    """A model from images to a tensor of scores; nothing but the interpolation follows its classifier."""

    def decode(self, images: Tensor, size: tuple[int, int] | None = None) -> Decoded:
        return Decoded(self._field(self.model(images), images, size))

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` scores."""
        return self.field(images).dense()


def find(model: nn.Module, classifier: str | None, upsampling: str | None) -> Anatomy:
    """The two modules that are named.

    Raises:
        ValueError: If one is not, or is no such module; the message lists what there is.
    """
    if classifier is None or upsampling is None:
        convolutions, interpolations = _paths(model, nn.Conv2d), _paths(model, nn.Upsample)
        raise ValueError(
            f"model: {type(model).__name__} is of no library that is known here; name its classifier and its "
            f"upsampling by their paths. The last Conv2d are {convolutions}, the last nn.Upsample {interpolations}"
        )
    conv = check_classifier(named(model, "classifier", classifier), classifier)
    origin, factor = upsample_of(named(model, "upsampling", upsampling), upsampling)
    return Anatomy(
        model=type(model).__name__,
        classifier=classifier,
        classes=conv.out_channels,
        features=conv.in_channels,
        interpolation=f"{upsampling}: {model.get_submodule(upsampling)}",
        origin=origin,
        factor=factor,
        changes={classifier: joint, upsampling: passing},
        kind=ReplacedModules,
    )


def _paths(model: nn.Module, kind: type[nn.Module]) -> str:
    return ", ".join([path for path, module in model.named_modules() if isinstance(module, kind)][-3:]) or "none"
