"""CARAFE against the loops of its paper: predicted kernels, and their sums over a window."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, argmax, cross_entropy
from offstride.upsamplers import CARAFE
from offstride.upsamplers.reassembly import ReassembledField


def by_the_letter(scores, kernels, scale):
    """Eqs. 3 and 4: every fine pixel sums the K×K scores around the coarse pixel that it lies in; zeros beyond."""
    B, C, h, w = scores.shape
    K = round(kernels.shape[1] ** 0.5)
    out = np.zeros((B, C, scale * h, scale * w))
    for b in range(B):
        for y in range(scale * h):
            for x in range(scale * w):
                for i in range(K):
                    for j in range(K):
                        v, u = y // scale + i - K // 2, x // scale + j - K // 2
                        if 0 <= v < h and 0 <= u < w:
                            out[b, :, y, x] += kernels[b, i * K + j, y, x] * scores[b, :, v, u]
    return out


@pytest.mark.parametrize(("scale", "window", "shape"), [(2, 5, (3, 4)), (3, 3, (5, 2)), (4, 1, (1, 1))])
def test_fields_are_the_sums_of_the_paper(scale, window, shape):
    torch.manual_seed(0)
    upsampler = CARAFE(6, scale, window).double()
    with torch.no_grad():
        upsampler.predict.weight.normal_()
    scores = torch.randn(2, 3, *shape, dtype=torch.float64)
    features = torch.randn(2, 6, *shape, dtype=torch.float64)
    kernels = upsampler.kernels(features)
    torch.testing.assert_close(kernels.sum(1), torch.ones_like(kernels[:, 0]))
    field = upsampler(scores, features, (scale * shape[0], scale * shape[1]))
    assert isinstance(field, ReassembledField)
    expected = by_the_letter(scores.numpy(), kernels.detach().numpy(), scale)
    np.testing.assert_allclose(field.dense().detach().numpy(), expected, atol=1e-12)
    last = field.shape[2]
    torch.testing.assert_close(field.rows(last - 1, last), field.dense()[:, :, -1:])


def test_kernels_come_from_the_printed_layers():
    """1×1 to C_m, K_encoder × K_encoder to s²·K², pixel shuffle, softmax over the window (§3.2)."""
    torch.manual_seed(0)
    upsampler = CARAFE(4, 2, 3, compressed=5, encoder=1).double()
    with torch.no_grad():
        upsampler.predict.weight.normal_()
    features = torch.randn(1, 4, 2, 3, dtype=torch.float64)
    wide = torch.einsum("dc,bchw->bdhw", upsampler.compress.weight[..., 0, 0], features)
    wide = torch.einsum("dc,bchw->bdhw", upsampler.predict.weight[..., 0, 0], wide)
    expected = torch.empty(1, 9, 4, 6, dtype=torch.float64)
    for k in range(9):
        for i in range(2):
            for j in range(2):
                expected[:, k, i::2, j::2] = wide[:, 4 * k + 2 * i + j]
    torch.testing.assert_close(upsampler.kernels(features), expected.softmax(1))


def test_parameters_are_as_published():
    with torch.device("meta"):
        upsampler = CARAFE(256)
    assert sum(parameter.numel() for parameter in upsampler.parameters()) == 256 * 64 + 64 + 64 * 100 * 9 + 100


def test_the_rest_is_bilinear_and_all_of_it_trains():
    upsampler = CARAFE(6, 2)
    scores, features = torch.randn(1, 3, 3, 4, requires_grad=True), torch.randn(1, 6, 3, 4)
    field = upsampler(scores, features, (17, 25))
    assert isinstance(field, BilinearField)
    torch.testing.assert_close(
        field.dense(), F.interpolate(field.source.dense(), (17, 25), mode="bilinear", align_corners=False)
    )
    loss = cross_entropy(field, torch.randint(0, 3, (1, 17, 25)))
    loss.backward()
    assert scores.grad is not None
    assert all(parameter.grad.abs().sum() > 0 for parameter in upsampler.parameters())
    assert argmax(field).shape == (1, 17, 25)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": 0}, "scale: expected"), ({"window": 4}, "window: expected"), ({"origin": "edge"}, "origin: expected")],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CARAFE(4, **options)
