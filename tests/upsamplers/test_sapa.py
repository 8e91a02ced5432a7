"""SAPA against the loops of its paper."""

import numpy as np
import pytest
import torch

from offstride.features import FeatureInfo, Guides
from offstride.field import BilinearField, cross_entropy
from offstride.upsamplers import SAPA

LEVELS = [FeatureInfo(5, 4, "low"), FeatureInfo(6, 16, "high")]


def by_the_letter(upsampler, scores, features, guide):
    """For every fine pixel: softmax over the window of inner products of embedded features, then the weighted sum."""

    def embedded(x, norm, layer):
        normed = (x - x.mean()) / np.sqrt(x.var() + norm.eps)
        scaled = normed * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        return layer.weight.detach().numpy() @ scaled + layer.bias.detach().numpy()

    scores, features, guide = (t.detach().numpy() for t in (scores, features, guide))
    (C, h, w), (H, W), K = scores.shape[1:], guide.shape[2:], upsampler.window
    out = np.zeros((C, H, W))
    for y in range(H):
        for x in range(W):
            query = embedded(guide[0, :, y, x], upsampler.guide_norm, upsampler.query)
            likeness, values = [], []
            for i in range(K):
                for j in range(K):
                    v, u = int((y + 0.5) * h / H) + i - K // 2, int((x + 0.5) * w / W) + j - K // 2
                    inside = 0 <= v < h and 0 <= u < w
                    key = embedded(features[0, :, v, u], upsampler.norm, upsampler.key) if inside else 0 * query
                    likeness.append(query @ key)
                    values.append(scores[0, :, v, u] if inside else np.zeros(C))
            weights = np.exp(likeness - np.max(likeness))
            out[:, y, x] = (weights / weights.sum()) @ np.array(values)
    return out


@pytest.mark.parametrize("grid", [(8, 12), (9, 11)])  # four times the coarse grid, and no multiple of it
def test_fields_are_the_sums_of_the_paper(grid):
    torch.manual_seed(0)
    upsampler = SAPA(6, LEVELS, window=3, embedding=7).double()
    with torch.no_grad():
        for parameter in upsampler.parameters():
            parameter.normal_()
    scores, features = (torch.randn(1, n, 2, 3, dtype=torch.float64) for n in (4, 6))
    guide = torch.randn(1, 5, *grid, dtype=torch.float64)
    field = upsampler(scores, features, grid, Guides(None, [guide, features]))
    expected = by_the_letter(upsampler, scores, features, guide)
    np.testing.assert_allclose(field.dense()[0].detach().numpy(), expected, atol=1e-12)


def test_uniform_scores_stay_uniform_inside():
    upsampler = SAPA(6, LEVELS, window=3)
    scores, features, guide = torch.ones(1, 2, 4, 5), torch.randn(1, 6, 4, 5), torch.randn(1, 5, 16, 20)
    rendered = upsampler(scores, features, (16, 20), Guides(None, [guide, features])).dense()
    torch.testing.assert_close(rendered[..., 4:12, 4:16], torch.ones(1, 2, 8, 12))


def test_all_of_it_trains_and_the_rest_is_bilinear():
    torch.manual_seed(0)
    upsampler = SAPA(6, LEVELS)
    scores, features, guide = torch.randn(1, 3, 2, 3), torch.randn(1, 6, 2, 3), torch.randn(1, 5, 8, 12)
    field = upsampler(scores, features, (32, 48), Guides(None, [guide, features]))
    assert isinstance(field, BilinearField)
    cross_entropy(field, torch.randint(0, 3, (1, 32, 48))).backward()
    assert all(parameter.grad is not None for parameter in upsampler.parameters())
    assert upsampler.query.weight.grad.abs().sum() > 0


def test_what_it_needs_is_asked_for():
    upsampler = SAPA(6, LEVELS)
    scores, features = torch.randn(1, 3, 2, 3), torch.randn(1, 6, 2, 3)
    with pytest.raises(ValueError, match="guides: expected the features of the backbone"):
        upsampler(scores, features, (32, 48))
    with pytest.raises(ValueError, match=r"guide_stride: expected the stride of a feature of the backbone \(4, 16\)"):
        SAPA(6, LEVELS, guide_stride=8)
    with pytest.raises(ValueError, match="window: expected a positive odd"):
        SAPA(6, LEVELS, window=2)
