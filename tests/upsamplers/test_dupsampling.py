"""DUpsampling against the words of the paper: a code per place, a matrix, a mean, windows of r×r×n, a temperature."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from offstride.field import SubpixelField, cross_entropy
from offstride.upsamplers import DUpsampling, LabelBasis, fit_label_basis

B, D, C, R = 2, 6, 3, 4


def window_by_window(upsampler, features, size):
    """Scores of the image, written pixel by pixel."""
    codes = F.conv2d(features, upsampler.encode.weight, upsampler.encode.bias)
    matrix = upsampler.weight.reshape(R * R * C, -1)  # window of the paper: r × r × n, flattened in this order
    mean = upsampler.bias.reshape(-1)
    rendered = torch.empty(B, C, *size, dtype=features.dtype)
    for b in range(B):
        for y in range(size[0]):
            for x in range(size[1]):
                window = (matrix @ codes[b, :, y // R, x // R] + mean).reshape(R, R, C)
                rendered[b, :, y, x] = window[y % R, x % R] / upsampler.temperature
    return rendered


@pytest.mark.parametrize("size", [(12, 16), (9, 15), (1, 1)])
def test_windows_are_linear_in_the_code(size):
    torch.manual_seed(0)
    upsampler = DUpsampling(D, C, R, channels=5).double()
    torch.nn.init.normal_(upsampler.bias)
    torch.nn.init.constant_(upsampler.log_temperature, 0.5)
    features = torch.randn(B, D, 3, 4, dtype=torch.float64)
    field = upsampler(features, features, size)
    assert field.shape == (B, C, *size)
    torch.testing.assert_close(field.dense(), window_by_window(upsampler, features, size))


def test_any_rows_are_those_of_the_whole():
    upsampler = DUpsampling(D, C, R, channels=5)
    features = torch.randn(B, D, 3, 4)
    field = upsampler(features, features, (11, 13))
    dense = field.dense()
    for start, stop in ((0, 1), (3, 5), (4, 8), (10, 11)):
        torch.testing.assert_close(field.rows(start, stop), dense[:, :, start:stop])


def test_the_loss_trains_everything():
    upsampler = DUpsampling(D, C, R)
    features = torch.randn(B, D, 3, 4, requires_grad=True)
    cross_entropy(upsampler(features, features, (10, 16)), torch.randint(0, C, (B, 10, 16))).backward()
    for tensor in (features, *upsampler.parameters()):
        assert tensor.grad.abs().max() > 0


def test_a_frozen_matrix_and_no_temperature():
    upsampler = DUpsampling(D, C, R, temperature=False, trainable=False)
    assert upsampler.temperature is None
    assert [name for name, each in upsampler.named_parameters() if each.requires_grad] == [
        "encode.weight",
        "encode.bias",
    ]
    assert {"weight", "bias"} <= upsampler.state_dict().keys()


def test_cost_is_that_of_two_1x1_convolutions():
    with torch.device("meta"):
        upsampler = DUpsampling(256, 21, 16, channels=64)
        features = torch.empty(1, 256, 33, 33)
    with FlopCounterMode(display=False) as counter:
        upsampler(features, features, (513, 513)).dense()
    assert counter.get_total_flops() == 2 * 33 * 33 * (256 * 64 + 64 * 16 * 16 * 21)


def test_low_precision_scores_are_computed_in_it_and_rendered_in_single():
    upsampler = DUpsampling(D, C, R)
    features = torch.randn(B, D, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        field = upsampler(features, features, (12, 16))
        assert field.rows(0, 4).dtype == torch.float32


def test_windows_must_cover_the_image():
    upsampler = DUpsampling(D, C, R)
    with pytest.raises(ValueError, match=r"size: expected at most \(12, 16\)"):
        upsampler(torch.randn(B, D, 3, 4), torch.randn(B, D, 3, 4), (13, 16))
    with pytest.raises(ValueError, match="scale: expected a positive"):
        DUpsampling(D, C, 0)


def test_the_field_is_a_subpixel_field():
    features = torch.randn(B, D, 3, 4)
    assert isinstance(DUpsampling(D, C, R)(features, features, (12, 16)), SubpixelField)


def label_basis(channels=5):
    labels = torch.randint(0, C, (4, 12, 16), generator=torch.Generator().manual_seed(0))
    return fit_label_basis(labels, scale=R, classes=C, channels=channels)


def test_codes_of_labels_come_back_as_labels(tmp_path):
    """With W and the mean window of a basis, the codes of a label map decode to what the basis makes of it."""
    basis = label_basis(R * R * C)
    basis.save(tmp_path / "basis.safetensors")
    upsampler = DUpsampling(D, C, R, channels=R * R * C)
    upsampler.load_basis(tmp_path / "basis.safetensors")
    labels = torch.randint(0, C, (B, 12, 16))
    field = SubpixelField(basis.encode(labels), upsampler.weight, upsampler.bias, (12, 16), upsampler.temperature)
    assert torch.equal(field.label_map().long(), labels)
    one_hot = F.one_hot(labels, C).movedim(-1, 1).float()
    torch.testing.assert_close(field.dense(), one_hot, rtol=0, atol=1e-4)


@pytest.mark.parametrize("trainable", [True, False])
def test_leading_channels_of_a_basis(tmp_path, trainable):
    basis = label_basis(8)
    basis.save(tmp_path / "basis.safetensors")
    upsampler = DUpsampling(D, C, R, channels=5, trainable=trainable)
    upsampler.load_basis(tmp_path / "basis.safetensors")
    assert torch.equal(upsampler.weight, basis.weight[..., :5])
    assert torch.equal(upsampler.bias, basis.mean)
    assert upsampler.weight.requires_grad == upsampler.bias.requires_grad == trainable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((C, R + 1, 5), "scale: expected 5 as in the model, got 4"),
        ((C + 1, R, 5), "classes: expected 4 as in the model, got 3"),
        ((C, R, 6), "channels: expected at least 6 as in the model, got 5"),
    ],
)
def test_a_basis_must_fit(tmp_path, arguments, message):
    path = tmp_path / "basis.safetensors"
    label_basis().save(path)
    upsampler = DUpsampling(D, *arguments)
    before = {name: value.clone() for name, value in upsampler.state_dict().items()}
    with pytest.raises(ValueError, match=rf"basis\.safetensors: {message}"):
        upsampler.load_basis(path)
    with pytest.raises(ValueError, match=message):
        upsampler.set_basis(LabelBasis.load(path))
    assert all(torch.equal(value, before[name]) for name, value in upsampler.state_dict().items())


def test_the_temperature_stays_positive():
    """One step that would throw the temperature itself below zero."""
    upsampler = DUpsampling(D, C, R)
    assert upsampler.temperature.item() == 1
    optimizer = torch.optim.SGD(upsampler.parameters(), lr=1.0)
    (5 * upsampler.temperature).backward()
    optimizer.step()
    assert upsampler.temperature.item() == pytest.approx(2.718281828**-5)
