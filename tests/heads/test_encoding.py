"""The encoding layer against loops over pixels and codewords."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from offstride.heads import Encoding


def make_encoding(channels, codewords):
    encoding = Encoding(channels, codewords)
    encoding.codewords.data.normal_()
    encoding.smoothing.data.uniform_(0.2, 2)
    return encoding


def residuals(encoding, x):
    """Eq. 1, one number after another."""
    codewords, smoothing = encoding.codewords.tolist(), encoding.smoothing.tolist()
    aggregated = []
    for image in x.flatten(2).transpose(1, 2).tolist():
        sums = [[0.0] * len(codewords[0]) for _ in codewords]
        for pixel in image:
            differences = [[a - b for a, b in zip(pixel, word, strict=True)] for word in codewords]
            weights = [
                math.exp(-s * sum(d * d for d in difference))
                for s, difference in zip(smoothing, differences, strict=True)
            ]
            for k, (weight, difference) in enumerate(zip(weights, differences, strict=True)):
                for channel, value in enumerate(difference):
                    sums[k][channel] += weight / sum(weights) * value
        aggregated.append(sums)
    return torch.tensor(aggregated)


def plain_residuals(encoding, pixels):
    """The same on `(B, N, D)` with all residuals in memory, for gradients."""
    differences = pixels[:, :, None] - encoding.codewords
    assigned = (-encoding.smoothing * differences.square().sum(3)).softmax(2)
    return (assigned[..., None] * differences).sum(1)


def test_residuals_are_those_of_the_loops():
    encoding, x = make_encoding(4, 3), torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(encoding.residuals(x), residuals(encoding, x))


def test_gradients_are_those_of_the_equation():
    encoding = make_encoding(6, 4).double()
    x = torch.randn(2, 6, 3, 4, dtype=torch.double, requires_grad=True)
    leaves = (x, encoding.codewords, encoding.smoothing)
    weights = torch.randn(2, 4, 6, dtype=torch.double)
    gradients = torch.autograd.grad((encoding.residuals(x) * weights).sum(), leaves)
    expected = torch.autograd.grad((plain_residuals(encoding, x.flatten(2).transpose(1, 2)) * weights).sum(), leaves)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_is_the_mean_of_normalised_codewords():
    encoding, x = make_encoding(4, 3), torch.randn(2, 4, 3, 5)
    sums = residuals(encoding, x)
    mean, variance = sums.mean((0, 2)), sums.var((0, 2), unbiased=False)
    expected = ((sums - mean[:, None]) / (variance[:, None] + 1e-5).sqrt()).clamp(min=0).sum(1) / 3
    torch.testing.assert_close(encoding(x), expected)


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def test_no_tensor_has_all_residuals():
    encoding, x = Encoding(64, 32), torch.randn(1, 64, 100, 100, requires_grad=True)
    saved = []
    with Largest() as largest, torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        encoding(x).sum().backward()
    assert largest.numel == x.numel()
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in saved}
    assert sum(storages.values()) < 4 * 3 * x.numel()


@pytest.mark.parametrize("scale", [1, 30])
def test_autocast_takes_distances_in_single_precision(scale):
    encoding = make_encoding(64, 8)
    x = (scale * torch.randn(2, 64, 8, 8)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        aggregated = encoding.residuals(x)
    assert aggregated.dtype == torch.float32
    exact = plain_residuals(encoding.double(), x.double().flatten(2).transpose(1, 2))
    torch.testing.assert_close(aggregated.double(), exact, rtol=1e-4, atol=1e-4 * exact.abs().max().item())


def test_half_precision_weights_give_half_precision():
    assert make_encoding(8, 4).bfloat16()(torch.randn(2, 8, 3, 3).bfloat16()).dtype == torch.bfloat16
