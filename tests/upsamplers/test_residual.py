import pytest
import torch
import torch.nn.functional as F

from offstride.features import FeatureInfo, Guides
from offstride.field import BilinearField, SumField, cross_entropy
from offstride.models import create_model
from offstride.upsamplers import LaU, PixelShuffle, Residual

LEVELS = (FeatureInfo(6, 4, "fine"), FeatureInfo(8, 16, "coarse"))


def inputs(size=(50, 37)):
    h, w = -(-size[0] // 16), -(-size[1] // 16)
    fine = torch.randn(2, 6, -(-size[0] // 4), -(-size[1] // 4))
    return torch.randn(2, 3, h, w), torch.randn(2, 8, h, w), size, Guides(None, [fine, torch.randn(2, 8, h, w)])


@pytest.mark.parametrize("size", [(50, 37), (1, 1)])
def test_at_first_it_is_what_it_stands_beside(size):
    scores, features, size, guides = inputs(size)
    rendered = Residual(3, LEVELS).eval()(scores, features, size, guides).dense()
    torch.testing.assert_close(rendered, F.interpolate(scores, size, mode="bilinear"))
    lau = LaU(8, 8)
    rendered = Residual(3, LEVELS, lau).eval()(scores, features, size, guides).dense()
    torch.testing.assert_close(rendered, lau(scores, features, size).dense())


def test_fine_scores_are_added():
    scores, features, size, guides = inputs()
    upsampler = Residual(3, LEVELS).eval()
    torch.nn.init.normal_(upsampler.classify.weight)
    fine = upsampler.classify(upsampler.refine(guides.levels[0]))
    expected = sum(F.interpolate(each, size, mode="bilinear") for each in (scores, fine))
    torch.testing.assert_close(upsampler(scores, features, size, guides).dense(), expected)


def test_both_learn():
    scores, features, size, guides = inputs()
    scores.requires_grad_()
    upsampler = Residual(3, LEVELS, LaU(8, 4))
    torch.nn.init.normal_(upsampler.classify.weight)
    cross_entropy(upsampler(scores, features, size, guides), torch.randint(0, 3, (2, *size))).backward()
    assert scores.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in upsampler.named_parameters() if "bias" not in name)


def test_a_model_names_what_stands_beside():
    options = {"stride": 4, "upsampler": "dysample", "upsampler_options": {"scale": 4}}
    model = create_model(backbone="mobilenetv2_035", classes=3, upsampler="residual", upsampler_options=options)
    assert type(model.upsampler.upsample).__name__ == "DySample"
    assert model(torch.randn(2, 3, 40, 56)).shape == (2, 3, 40, 56)
    with pytest.raises(ValueError, match="upsampler: expected one of"):
        create_model(
            backbone="mobilenetv2_035", classes=3, upsampler="residual", upsampler_options={"upsampler": "magic"}
        )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="expected one that reads scores, got PixelShuffle"):
        Residual(3, LEVELS, PixelShuffle(8, 3))
    with pytest.raises(ValueError, match="expected the stride of a feature"):
        Residual(3, LEVELS, stride=2)
    with pytest.raises(ValueError, match="channels: expected"):
        Residual(3, LEVELS, channels=0)
    with pytest.raises(ValueError, match="guides: expected"):
        Residual(3, LEVELS)(*inputs()[:3])
    with pytest.raises(ValueError, match="parts: expected fields of one shape"):
        SumField([BilinearField(torch.zeros(1, 2, 2, 2), (4, 4)), BilinearField(torch.zeros(1, 2, 2, 2), (4, 5))])
    with pytest.raises(ValueError, match="got none"):
        SumField([])
