"""DySample, its four variants, against `grid_sample` as its paper describes it."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, LocatedField, cross_entropy
from offstride.upsamplers import DySample


def by_the_letter(upsampler, scores, features):
    """§3: offsets O, sampling set S = G + O in coarse pixels, X′ = grid_sample(X, S); groups move on their own."""
    s, (B, _, h, w) = upsampler.scale, scores.shape

    def linear(layer, x):
        return torch.einsum("dc,bchw->bdhw", layer.weight[..., 0, 0], x) + layer.bias[:, None, None]

    def shuffled(x):  # (B, c·s², h, w) to (B, c, s·h, s·w)
        fine = x.new_empty(B, x.shape[1] // s**2, s * h, s * w)
        for c in range(fine.shape[1]):
            for i in range(s):
                for j in range(s):
                    fine[:, c, i::s, j::s] = x[:, c * s**2 + i * s + j]
        return fine

    def scoped(x):
        offsets = linear(upsampler.move, x)
        return 0.25 * offsets if upsampler.scope is None else 0.5 * linear(upsampler.scope, x).sigmoid() * offsets

    offsets = scoped(shuffled(features)) if upsampler.style == "pl" else shuffled(scoped(features))
    y = (
        torch.arange(s * h, dtype=scores.dtype) + 0.5
    ) / s  # the original grid, in units where a coarse pixel is 1 wide
    x = (torch.arange(s * w, dtype=scores.dtype) + 0.5) / s
    groups = offsets.shape[1] // 2
    parts = []
    for g, part in enumerate(scores.chunk(groups, 1)):
        grid = torch.stack((2 * (x + offsets[:, 2 * g + 1]) / w - 1, 2 * (y[:, None] + offsets[:, 2 * g]) / h - 1), -1)
        parts.append(F.grid_sample(part, grid, padding_mode="border", align_corners=False))
    return torch.cat(parts, 1)


@pytest.mark.parametrize("style", ["lp", "pl"])
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("scale", "groups"), [(2, 1), (2, 2), (3, 4)])
def test_fields_are_those_of_the_paper(style, dynamic, scale, groups):
    torch.manual_seed(0)
    upsampler = DySample(36, scale, style, dynamic, groups).double()
    with torch.no_grad():
        for parameter in upsampler.parameters():
            parameter.normal_()
    scores, features = torch.randn(2, 4, 3, 5, dtype=torch.float64), torch.randn(2, 36, 3, 5, dtype=torch.float64)
    field = upsampler(scores, features, (3 * scale, 5 * scale))
    assert isinstance(field, LocatedField)
    torch.testing.assert_close(field.dense(), by_the_letter(upsampler, scores, features))


@pytest.mark.parametrize(("style", "dynamic", "expected"), [("lp", False, 8), ("lp", True, 16), ("pl", False, 2)])
def test_parameters_grow_as_published(style, dynamic, expected):
    """2·g·s² weights for each channel (lp), 2·g / s² of them per channel (pl); twice as many with a dynamic scope."""
    with torch.device("meta"):
        upsampler = DySample(64, 2, style, dynamic)
    weights = sum(parameter.numel() for parameter in upsampler.parameters() if parameter.ndim > 1)
    assert weights == (64 * expected if style == "lp" else 64 // 4 * expected)


@pytest.mark.parametrize("dynamic", [False, True])
def test_it_starts_close_to_bilinear_and_trains(dynamic):
    torch.manual_seed(0)
    upsampler = DySample(8, 2, dynamic=dynamic)
    scores, features = torch.randn(1, 3, 4, 5), torch.randn(1, 8, 4, 5)
    field = upsampler(scores, features, (8, 10))
    torch.testing.assert_close(
        field.dense(), F.interpolate(scores, scale_factor=2, mode="bilinear", align_corners=False), atol=0.02, rtol=0
    )
    cross_entropy(field, torch.randint(0, 3, (1, 8, 10))).backward()
    assert all(parameter.grad is not None for parameter in upsampler.parameters())
    assert upsampler.move.weight.grad.abs().sum() > 0
    assert isinstance(upsampler(scores, features, (33, 41)), BilinearField)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 3, "style": "pl"}, "scale: expected one whose square divides"),
        ({"style": "xl"}, "style: expected"),
        ({"groups": 0}, "groups: expected"),
        ({"origin": "edge"}, "origin: expected"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DySample(8, **options)
