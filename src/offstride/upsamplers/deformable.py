"""Deformable convolution on the scores, then bilinear upsampling: "Deformable Convolutional Networks", Dai et al., ICCV
2017; as a baseline of LaU (Table 4 and appendix B.2).

Shapes: B batch, C classes, h×w coarse grid, H×W image.
"""

from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField
from offstride.ops.grid import Origin
from offstride.upsamplers.base import Size, Upsampler


class Deformable(Upsampler):
    """Deformable 3×3 convolution from scores to scores, then bilinear upsampling.

    A plain 3×3 convolution of the scores predicts the nine offsets (y, x) of every place. The paper names no more
    than this; here the offsets start at 0 and the kernel at the identity, so that training starts from bilinear
    upsampling.

    Args:
        classes: Number of classes C.
        origin: Pixel convention of the bilinear part.
    """

    def __init__(self, classes: int, *, origin: Origin = "center") -> None:
        super().__init__(origin)
        self.offsets = nn.Conv2d(classes, 18, 3, padding=1)
        self.kernel = nn.Conv2d(classes, classes, 3, padding=1)
        for parameter in (self.offsets.weight, self.offsets.bias, self.kernel.bias):
            nn.init.zeros_(parameter)  # type: ignore[arg-type]
        nn.init.dirac_(self.kernel.weight)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> BilinearField:
        """See `Upsampler`; `features` are not used."""
        offsets = self.offsets(scores).float()  # places need single precision, and the operator one type for all
        bias = None if self.kernel.bias is None else self.kernel.bias.float()
        moved = deform_conv2d(scores.float(), offsets, self.kernel.weight.float(), bias, padding=(1, 1))
        return BilinearField(moved.to(scores.dtype), size, self.origin)

    def offset_layers(self) -> list[nn.Module]:
        """The convolution that predicts offsets, not the kernel that reads there."""
        return [self.offsets]
