"""Models of other libraries, whose classifier and interpolation are given by their paths."""

from torch import Tensor, nn

from offstride.models import Decoded
from offstride.replace.anatomy import Anatomy, dissect, upsample_at
from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import Passing


class ReplacedModules(ReplacedModel):
    """Returns a tensor of scores; only the interpolation follows the classifier."""

    def decode(self, images: Tensor, size: tuple[int, int] | None = None) -> Decoded:
        return Decoded(self._field(self.model(images), images, size))

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` scores."""
        return self.field(images).dense()


def find(model: nn.Module, classifier: str | None, upsampling: str | None) -> Anatomy:
    """Anatomy of a model with a classifier and an interpolation at these paths.

    Raises:
        ValueError: If a path is missing, or there is no such module; the message lists the candidates.
    """
    if classifier is None or upsampling is None:
        convolutions, interpolations = _paths(model, nn.Conv2d), _paths(model, nn.Upsample)
        raise ValueError(
            f"model: {type(model).__name__} is of no library that is known here; name its classifier and its "
            f"upsampling by their paths. The last Conv2d are {convolutions}, the last nn.Upsample {interpolations}"
        )
    interpolation = upsample_at(model, upsampling)
    return dissect(model, type(model).__name__, classifier, interpolation, {upsampling: Passing}, ReplacedModules)


def _paths(model: nn.Module, kind: type[nn.Module]) -> str:
    return ", ".join([path for path, module in model.named_modules() if isinstance(module, kind)][-3:]) or "none"
