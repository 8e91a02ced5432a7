"""A non-linear auto-encoder of label windows, to compare with the linear basis: Tian et al., CVPR 2019, end of §3.1.
The paper mentions it without details; its layers and its training are ours.

Shapes: B maps of H×W pixels, r window, n classes, N = r²·n, D hidden units, C̃ channels.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offstride.field import SubpixelField
from offstride.ops import IGNORE_INDEX
from offstride.ops.label_basis import LabelCovariance, Report, WindowParts, project_windows
from offstride.upsamplers.base import check_positive
from offstride.upsamplers.label_basis import check_codes, read_tensors, window_pixels, write_tensors

_KEY = "offstride_autoencoder"
_JUDGED = 4096  # windows that the explained share is measured on


class LabelAutoencoder(nn.Module):
    """Two layers down, x = A₂·relu(A₁v + a₁) + a₂, and two layers up, ṽ = W·relu(A₃x + a₃) + μ.

    v is the one-hot window flattened from (r, r, n); pixels without a class are zeros in it, as for `LabelBasis`. The
    last layer is linear: the decoded scores are a `SubpixelField` of the hidden units.

    Args:
        classes: Number of classes n.
        scale: Window r.
        channels: Channels C̃ of the code.
        hidden: Units D of either hidden layer.

    Raises:
        ValueError: If an argument is not positive.
    """

    def __init__(self, classes: int, scale: int = 16, channels: int = 64, hidden: int = 256) -> None:
        super().__init__()
        check_positive(classes=classes, scale=scale, channels=channels, hidden=hidden)
        self.classes, self.scale, self.channels, self.hidden = classes, scale, channels, hidden
        self.explained = float("nan")
        self.down = nn.Parameter(torch.randn(scale, scale, classes, hidden) / scale)  # a window has r² ones
        self.down_bias = nn.Parameter(torch.zeros(hidden))
        self.code = nn.Linear(hidden, channels)
        self.up = nn.Linear(channels, hidden)
        self.weight = nn.Parameter(torch.randn(scale, scale, classes, hidden) * 0.01)
        self.bias = nn.Parameter(torch.zeros(scale, scale, classes))

    def forward(self, pixels: Tensor) -> Tensor:
        """Reconstruct windows: `(windows, N)` from the `(windows, r²)` labels of their pixels, n for no class."""
        return self._expand(self._compress(pixels)) @ self.weight.flatten(0, 2).T + self.bias.flatten()

    def encode(self, labels: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
        """Compress `(B, H, W)` label maps to codes `(B, C̃, ⌈H/r⌉, ⌈W/r⌉)`.

        Raises:
            ValueError: If labels are no integer maps or hold other values.
        """
        pixels = window_pixels(labels, self.scale, self.classes, ignore_index)
        codes = self._compress(pixels.flatten(0, 2))
        return codes.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2).contiguous()

    def decode(self, codes: Tensor, size: tuple[int, int]) -> SubpixelField:
        """Decompress `(B, C̃, h, w)` codes to a field of `(B, n, H, W)` scores.

        Raises:
            ValueError: If codes have other channels or the windows do not cover the size.
        """
        check_codes(codes, self.channels)
        units = self._expand(codes.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return SubpixelField(units.contiguous(), self.weight, self.bias, size)

    def _compress(self, pixels: Tensor) -> Tensor:
        return self.code((project_windows(pixels, self.down) + self.down_bias).relu())

    def _expand(self, codes: Tensor) -> Tensor:
        return self.up(codes).relu()

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with the sizes as JSON in its metadata.

        Raises:
            ValueError: Naming the path, if it cannot be written.
        """
        sizes = {name: getattr(self, name) for name in ("classes", "scale", "channels", "hidden")}
        write_tensors(path, self.state_dict(), _KEY, {"sizes": sizes, "explained": self.explained})

    @classmethod
    def load(cls, path: str | Path) -> "LabelAutoencoder":
        """Read what `save` wrote.

        Raises:
            ValueError: Naming the path, if it is no such file or its shapes are inconsistent.
        """
        tensors, header = read_tensors(path, _KEY, "label auto-encoder")
        try:
            result = cls(**header["sizes"])
            result.load_state_dict(tensors)
            result.explained = float(header["explained"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"label auto-encoder {path}: does not fit together ({error})") from error
        return result


def fit_label_autoencoder(
    windows: WindowParts | LabelCovariance,
    *,
    channels: int,
    hidden: int = 256,
    steps: int = 4000,
    batch: int = 256,
    rate: float = 2e-3,
    seed: int = 0,
    progress: Report | None = None,
) -> LabelAutoencoder:
    """Train an auto-encoder on the mean of ‖v − ṽ‖² (Adam, the rate falling to zero along a cosine).

    Args:
        windows: Encoded label windows in parts, or their covariance; drawn as often as they occur.
        channels: Channels C̃.
        hidden: Units D of either hidden layer.
        steps: Number of steps.
        batch: Windows of a step.
        rate: First learning rate.
        seed: Random seed of the initial weights and of the batches.
        progress: Progress callback: `report(done, total)`, in steps.

    Returns:
        In evaluation mode; `explained` is the share of variance kept, measured on 4096 newly drawn windows.

    Raises:
        ValueError: If there are no windows or an argument is not positive.
    """
    for name, value in (("steps", steps), ("batch", batch), ("rate", rate)):
        if value <= 0:
            raise ValueError(f"{name}: expected a positive number, got {value}")
    source = windows if isinstance(windows, LabelCovariance) else LabelCovariance(windows)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = LabelAutoencoder(source.classes, source.scale, channels, hidden)
    model.bias.data.copy_(source.mean.view_as(model.bias))
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        drawn = source.sample(batch, generator)
        loss = F.mse_loss(model(drawn.pixels()), drawn.dense(), reduction="sum") / batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress(step + 1, steps)
    model.explained = _explained(model, source, generator, batch)
    return model.eval()


@torch.no_grad()
def _explained(model: LabelAutoencoder, source: LabelCovariance, generator: torch.Generator, batch: int) -> float:
    error = variance = 0.0
    mean = source.mean.float()
    for _ in range(-(-_JUDGED // batch)):
        drawn = source.sample(batch, generator)
        v = drawn.dense()
        error += float((model(drawn.pixels()) - v).square().sum())
        variance += float((v - mean).square().sum())
    return 1 - error / variance if variance > 0 else 1.0
