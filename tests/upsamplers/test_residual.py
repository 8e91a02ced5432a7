import pytest
import torch
import torch.nn.functional as F

from offstride.features import FeatureInfo, Guides
from offstride.field import BilinearField, cross_entropy
from offstride.models import create_model
from offstride.upsamplers import Bilinear, LaU, PixelShuffle, Residual

LEVELS = (FeatureInfo(6, 4, "fine"), FeatureInfo(8, 16, "coarse"))


def inputs(size=(50, 37)):
    h, w = -(-size[0] // 16), -(-size[1] // 16)
    fine = torch.randn(2, 6, -(-size[0] // 4), -(-size[1] // 4))
    return torch.randn(2, 3, h, w), torch.randn(2, 8, h, w), size, Guides(None, [fine, torch.randn(2, 8, h, w)])


@pytest.mark.parametrize("size", [(50, 37), (64, 32), (1, 1)])
def test_at_first_the_coarse_scores_go_to_the_image_in_two_steps(size):
    scores, features, size, guides = inputs(size)
    fine = guides.levels[0].shape[2:]
    rendered = Residual(3, LEVELS).eval()(scores, features, size, guides).dense()
    between = F.interpolate(scores, fine, mode="bilinear")
    torch.testing.assert_close(rendered, F.interpolate(between, size, mode="bilinear"))
    lau = LaU(8, 4)
    rendered = Residual(3, LEVELS, lau).eval()(scores, features, size, guides).dense()
    between = lau(scores, features, fine).dense()
    torch.testing.assert_close(rendered, F.interpolate(between, size, mode="bilinear"))


@pytest.mark.parametrize("origin", ["corner", "aligned"])
def test_two_steps_are_one_where_grids_lie_on_each_other(origin):
    """The kinks of bilinear interpolation are then among the points of the finer grid."""
    g, v, factor = (13, 9, 4) if origin == "aligned" else (12, 8, 4)
    scores, features, _, guides = inputs()
    size = (4 * (g - 1) + 1, 4 * (v - 1) + 1) if origin == "aligned" else (4 * g, 4 * v)
    scores = scores[..., : (g - 1) // factor + 1, : (v - 1) // factor + 1]
    fine = Guides(None, [guides.levels[0][..., :g, :v], guides.levels[1]])
    for inner in (Bilinear(origin=origin), None):
        field = Residual(3, LEVELS, inner, origin=origin).eval()(scores, features, size, fine)
        torch.testing.assert_close(field.dense(), BilinearField(scores, size, origin).dense())


def test_scores_that_are_fine_already_stay_where_they_are():
    _, features, size, guides = inputs()
    scores = torch.randn(2, 3, *guides.levels[0].shape[2:])
    field = Residual(3, LEVELS).eval()(scores, features, size, guides)
    assert torch.equal(field.dense(), BilinearField(scores, size).dense())


def test_fine_scores_are_added():
    scores, features, size, guides = inputs()
    upsampler = Residual(3, LEVELS).eval()
    torch.nn.init.normal_(upsampler.classify.weight)
    fine = upsampler.classify(upsampler.refine(guides.levels[0]))
    expected = F.interpolate(F.interpolate(scores, fine.shape[2:], mode="bilinear") + fine, size, mode="bilinear")
    torch.testing.assert_close(upsampler(scores, features, size, guides).dense(), expected)


def test_both_learn():
    scores, features, size, guides = inputs()
    scores.requires_grad_()
    upsampler = Residual(3, LEVELS, LaU(8, 4))
    torch.nn.init.normal_(upsampler.classify.weight)
    cross_entropy(upsampler(scores, features, size, guides), torch.randint(0, 3, (2, *size))).backward()
    assert scores.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in upsampler.named_parameters() if "bias" not in name)


@pytest.mark.parametrize("name", ["carafe", "joint_bilateral", "sapa", "transposed"])
def test_others_see_the_image_and_the_features_on_the_finer_grid(name):
    options = {"upsampler": name, "upsampler_options": {}}
    model = create_model(backbone="mobilenetv2_035", classes=3, upsampler="residual", upsampler_options=options)
    field = model.eval().field(torch.randn(2, 3, 50, 70))
    assert type(field) is BilinearField
    assert field.source.shape == (2, 3, 13, 18)
    assert field.dense().isfinite().all()


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
