"""The encoding layer of "Context Encoding for Semantic Segmentation", Zhang et al., CVPR 2018, §3.1.

Shapes: B batch, D channels, h×w grid, K codewords, N = h·w pixels.
"""

import torch
from torch import Tensor, nn

from offstride.ops.precision import without_autocast


class Encoding(nn.Module):
    """A feature map as one vector: the residuals of its pixels from learned codewords, softly assigned, summed over the
    pixels, normalised and averaged over the codewords.

    With squared distances d_ik = |x_i - c_k|², e_k = Σ_i softmax_k(-s_k · d_ik) · (x_i - c_k) (Eq. 1), and the result
    is the mean over k of relu(norm(e_k)). The paper prints a sum over k where the released code takes the mean.

    Neither residuals of shape `(B, N, K, D)` nor any other tensor larger than `(B, D, N)` and `(B, K, N)` is made:
    |x - c|² = |x|² - 2 x·c + |c|², and Σ_i a_ik (x_i - c_k) = (Σ_i a_ik x_i) - (Σ_i a_ik) c_k.

    Args:
        channels: Channels D.
        codewords: Number of codewords K.

    Attributes:
        codewords: `(K, D)`, uniform in ±1/√(KD) at first, as released.
        smoothing: `(K,)` factors s, uniform in 0 … 1 at first, as released.
    """

    def __init__(self, channels: int, codewords: int) -> None:
        super().__init__()
        bound = (codewords * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, channels).uniform_(-bound, bound))
        self.smoothing = nn.Parameter(torch.empty(codewords).uniform_(0, 1))
        self.norm = nn.BatchNorm1d(codewords)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, D)` from `(B, D, h, w)`, in the type of the parameters."""
        return self.norm(self.residuals(x).to(self.norm.weight.dtype)).relu().mean(1)

    def residuals(self, x: Tensor) -> Tensor:
        """`(B, K, D)` aggregated residuals e_k of Eq. 1, float32 or better: distances are small differences of large
        numbers, and their errors go through an exponential.
        """
        with without_autocast(x.device.type):
            pixels = x.flatten(2).to(torch.promote_types(x.dtype, torch.float32))
            codewords, smoothing = self.codewords.to(pixels), self.smoothing.to(pixels)
            squares = pixels.square().sum(1, keepdim=True) + codewords.square().sum(1, keepdim=True)
            distances = torch.baddbmm(squares, codewords.expand(x.shape[0], -1, -1), pixels, alpha=-2).clamp(min=0)
            assigned = (-smoothing[:, None] * distances).softmax(1)
            return assigned @ pixels.transpose(1, 2) - assigned.sum(2, keepdim=True) * codewords
