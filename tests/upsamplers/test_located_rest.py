"""What goes on to an image that offsets do not reach: scores on their grid, or the offsets themselves."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, LocatedField
from offstride.upsamplers import CascadedLaU, DySample, LaU

MAKERS = {
    "lau": lambda **options: LaU(6, scale=2, hidden=4, **options),
    "dysample": lambda **options: DySample(6, scale=2, **options),
    "cascaded": lambda **options: CascadedLaU(6, scales=(2,), hidden=4, **options),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(("origin", "aligned"), [("center", False), ("aligned", True)])
def test_zero_offsets_are_one_interpolation_at_any_scale(name, origin, aligned):
    upsampler = MAKERS[name](init="zero", rest="offsets", origin=origin)
    scores, features = torch.randn(2, 3, 5, 7), torch.randn(2, 6, 5, 7)
    field = upsampler(scores, features, (39, 58))
    expected = F.interpolate(scores, (39, 58), mode="bilinear", align_corners=aligned)
    assert isinstance(field, LocatedField)
    torch.testing.assert_close(field.dense(), expected, rtol=0, atol=1e-5)
    assert isinstance(MAKERS[name]()(scores, features, (39, 58)), BilinearField)
    with torch.no_grad():
        for parameter in upsampler.parameters():
            parameter.normal_()
    assert not torch.allclose(upsampler(scores, features, (39, 58)).dense(), expected, atol=0.1)


@pytest.mark.parametrize("name", MAKERS)
def test_unknown_choices_are_refused(name):
    with pytest.raises(ValueError, match=r"rest: expected one of \('scores', 'offsets'\), got 'image'"):
        MAKERS[name](rest="image")
    with pytest.raises(ValueError, match=r"init: expected .*'zero'.* got 'ones'"):
        MAKERS[name](init="ones")
