"""Dense feature pyramid: "Gated Fully Fusion for Semantic Segmentation", Li et al., AAAI 2020, Eq. 6.

Shapes: B batch, L levels, finest first; a level has D channels on an h_l×w_l grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.field import resized
from offstride.fusion.base import grid_of
from offstride.layers import convolution


class DenseFeaturePyramid(nn.Module):
    """y_i = H_i([y_0, X̃_1, …, X̃_{i−1}]): context first, then one fused level after the other, top-down.

    y_0 is the context map (pyramid pooling), X̃_1 the deepest of L fused levels, X̃_L the finest. What the paper leaves
    open and what is chosen here:

    - How many: y_1 … y_{L+1}, so that X̃_L, where the details are, counts too (y_L would not see it).
    - Grids: y_i lies on the grid of its last input, X̃_{i−1}, the finest of them.
    - H_i, "a single convolution layer": 1×1, with batch normalisation and ReLU as everywhere in the paper, to the 256
      channels of its levels. The size of the kernel is not published; Table 3 prints +0.8 M parameters and +25.4 G
      for the module. On PSPNet-ResNet-101 (L = 4) the 1×1 costs 1.31 M and 10.2 GMAC at 512×512, a 3×3 nine
      times that.

    Args:
        context_channels: Channels of y_0.
        channels: Channels D of each fused level.
        count: Number L of fused levels.
        width: Channels of each y_i.
        kernel: Side of the convolutions, odd.

    Attributes:
        out_channels: Channels of all results together.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, context_channels: int, channels: int, count: int, width: int = 256, kernel: int = 1) -> None:
        super().__init__()
        numbers = {"context_channels": context_channels, "channels": channels, "count": count, "width": width}
        for name, value in numbers.items():
            if value < 1:
                raise ValueError(f"{name}: expected a positive whole number, got {value}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number, got {kernel}")
        entering = (context_channels + index * channels for index in range(count + 1))
        self.layers = nn.ModuleList(convolution(number, width, kernel) for number in entering)
        self.out_channels = (count + 1) * width

    def forward(self, context: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
        """Build the pyramid.

        Args:
            context: `(B, context_channels, h, w)`, y_0.
            levels: `(B, D, h_l, w_l)`, finest first, as a fusion returns them.

        Returns:
            y_1 … y_{L+1}, in the order of the paper: the first on the grid of the context, the last on that of the
            finest level.

        Raises:
            ValueError: If there are more or fewer levels than expected.
        """
        if len(levels) != len(self.layers) - 1:
            raise ValueError(f"levels: expected {len(self.layers) - 1} feature maps, got {len(levels)}")
        inputs = [context, *reversed(levels)]
        return [layer(_joined(inputs[: index + 1])) for index, layer in enumerate(self.layers)]


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """Maps side by side on the grid of the last one."""
    return torch.cat([resized(values, grid_of(maps[-1])) for values in maps], 1)
