"""What is promised of every model whose interpolation is replaced: it starts as the original, learns, and goes back."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from families import FAMILIES, ODD, SMP, TORCHVISION, build, size_of

from offstride import replace_upsampling, sharpen
from offstride.field import argmax, cross_entropy
from offstride.losses import LossConfig, segmentation_losses
from offstride.upsamplers import LaU

pytestmark = pytest.mark.slow

ODD_NAMES = sorted(ODD)


@pytest.fixture(scope="module", params=FAMILIES)
def case(request):
    """Name, original, replaced model and images."""
    original = build(request.param)
    images = torch.randn(2, 3, *size_of(request.param))
    replaced = replace_upsampling(original, example=images)
    return request.param, original, replaced, images


def scores_of(output):
    """What models of the three libraries return, without their wrappings."""
    if isinstance(output, dict) and "out" in output:
        return output["out"]
    if hasattr(output, "logits"):
        return output.logits
    return output[0] if isinstance(output, tuple) else output


def fine_scores(name, model, images):
    """Scores at full resolution as the owner gets them from the original, before any activation."""
    scores = scores_of(model(images))
    return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=False)


def assert_same(actual, expected, tolerance=1e-4):
    spread = (expected - expected.mean((2, 3), keepdim=True)).abs().max()
    assert spread > 0.01, "the outputs of this model say nothing"
    assert (actual - expected).abs().max() <= tolerance * spread


@torch.no_grad()
def test_starts_as_the_original(case):
    name, original, replaced, images = case
    expected, actual = original(images), replaced(images)
    assert type(actual) is type(expected)
    assert not replaced.training
    assert scores_of(actual).shape == scores_of(expected).shape
    assert_same(scores_of(actual), scores_of(expected))
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
    if name == "torchvision FCN":
        assert torch.equal(actual["aux"], expected["aux"])
    if name == "smp Segformer":
        assert torch.equal(actual[1], expected[1])
    fine = fine_scores(name, original, images)
    field = replaced.field(images).dense()
    field = field.sigmoid() if name == "smp PSPNet" else field
    difference, largest = (values.abs().max().item() for values in (field - fine, fine))
    print(f"{name}: largest difference {difference:.1e}, largest score {largest:.1f}")  # shown by pytest -rP
    assert_same(field, fine, 1e-3)
    assert (argmax(replaced.field(images)).long() == fine.argmax(1)).float().mean() > 0.999
    assert replaced.plan.exact


@torch.no_grad()
def test_every_family_is_sharpened(case):
    """It equals the original with zero weights; the shipped ones read other places, but no other scores."""
    _, original, _, images = case
    expected, same = original(images), sharpen(original, example=images, init="zero")
    assert_same(scores_of(same(images)), scores_of(expected), 1e-3)
    sharper = sharpen(original, example=images)
    output = sharper(images)
    assert type(output) is type(expected)
    assert scores_of(output).shape == scores_of(expected).shape
    before, after = (model.field(images).dense() for model in (same, sharper))
    spread = before.amax() - before.amin()
    assert (after - before).abs().amax() > 1e-3 * spread
    assert after.amin() > before.amin() - 0.3 * spread, "it reads scores between those that are there"
    assert after.amax() < before.amax() + 0.3 * spread
    assert sharper.plan.upsampler == "universal"


@torch.no_grad()
@pytest.mark.parametrize("name", ODD_NAMES)
def test_sizes_need_not_divide(name):
    original = build(name)
    replaced = replace_upsampling(original, example=(1, 3, *size_of(name)))
    images = torch.randn(1, 3, *ODD[name])
    fine = fine_scores(name, original, images)
    assert_same(replaced.field(images).dense(), fine)
    assert replaced.field(images).shape[2:] == images.shape[2:]


def test_learns_from_the_first_step(case):
    """Gradients reach the offsets, and a step along them lowers the loss; so does one of all weights."""
    _, _, replaced, images = case
    model = copy.deepcopy(replaced)
    labels = torch.randint(0, 4, images[:, 0].shape)
    assert isinstance(model.upsampler, LaU)

    def loss():
        return cross_entropy(model.field(images, images.shape[2:]), labels)

    before = loss()
    before.backward()
    for branch in (model.upsampler.vertical, model.upsampler.horizontal):
        assert branch[2].weight.grad.abs().max() > 0
    originals = [parameter for parameter in model.model.parameters() if parameter.grad is not None]
    assert originals
    assert step_along(list(model.upsampler.parameters()), loss, before)
    assert step_along(originals, loss, before)


def step_along(parameters, loss, before):
    """Whether a short step against the gradient lowers the loss; the parameters are as they were afterwards."""
    kept = [parameter.detach().clone() for parameter in parameters]
    length = sum(parameter.grad.square().sum() for parameter in parameters if parameter.grad is not None).sqrt()
    lower = []
    for distance in (1e-2, 1e-3, 1e-4):
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                if parameter.grad is not None:
                    parameter.copy_(value - distance * parameter.grad / length)
            lower.append(loss() < before)
    with torch.no_grad():
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
    return any(lower)


def test_trains_with_the_losses_of_this_library(case):
    _, _, replaced, images = case
    labels = torch.randint(0, 4, images[:, 0].shape)
    decoded = replaced.decode(images, images.shape[2:])
    assert decoded.main.shape[2:] == images.shape[2:]
    config = LossConfig(location="guided", auxiliary=0.4)
    terms = segmentation_losses(decoded.main, decoded.auxiliary, labels, config)
    assert set(terms) == {"main", *decoded.auxiliary}
    assert all(term.isfinite() for term in terms.values())


@torch.no_grad()
def test_weights_go_both_ways(case):
    name, original, replaced, images = case
    other = build(name, seed=1)
    other.load_state_dict(replaced.original_state_dict(), strict=True)
    assert torch.equal(scores_of(other(images)), scores_of(original(images)))
    assert replaced.original_state_dict().keys() == original.state_dict().keys()
    third, again = build(name, seed=2), copy.deepcopy(replaced)
    again.load_original_state_dict(third.state_dict(), strict=True)
    assert_same(scores_of(again(images)), scores_of(third(images)))
    assert torch.equal(scores_of(other(images)), scores_of(original(images)))


@torch.no_grad()
def test_is_copied_and_loaded(case):
    _, _, replaced, images = case
    expected = scores_of(replaced(images))
    other = copy.deepcopy(replaced)
    assert torch.equal(scores_of(other(images)), expected)
    state = replaced.state_dict()
    floating = {name: tensor + 0.01 for name, tensor in state.items() if tensor.is_floating_point()}
    other.load_state_dict(state | floating)
    assert not torch.equal(scores_of(other(images)), expected)
    assert torch.equal(scores_of(replaced(images)), expected)


@torch.no_grad()
def test_half_precision(case):
    _, original, full, images = case
    half = copy.deepcopy(original).bfloat16()
    replaced = replace_upsampling(half, example=images[:1])
    expected, actual = (scores_of(model(images.bfloat16())) for model in (half, replaced))
    assert actual.dtype == expected.dtype == torch.bfloat16
    scale = expected.float().abs().max()
    assert (actual.float() - expected.float()).abs().max() <= 2**-6 * scale
    with torch.autocast("cpu", torch.bfloat16):
        assert scores_of(full(images)).dtype == scores_of(original(images)).dtype


def test_training_mode_is_the_originals(case):
    name, _, _, images = case
    trained = build(name).train()
    model = replace_upsampling(trained, example=images)
    assert model.training
    assert model.upsampler.training
    assert all(module.training for module in model.model.modules())
    assert trained.training
    if name != "transformers upernet":  # its original cannot be pickled, and no other once it has run
        model = pickle.loads(pickle.dumps(model))
    torch.manual_seed(0)
    expected = scores_of(trained(images))
    torch.manual_seed(0)
    assert_same(scores_of(model(images)), expected, 1e-3)


def test_the_original_is_left_alone(case):
    name, original, replaced, _ = case
    fresh = build(name)
    assert repr(fresh) == repr(original)
    pairs = zip(fresh.state_dict().values(), original.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert not {id(each) for each in original.parameters()} & {id(each) for each in replaced.parameters()}


def test_all_of_torchvision_and_smp_return_dense_scores():
    assert {"FCN", "DeepLabV3", "LRASPP"} == set(TORCHVISION)
    assert set(SMP) == {"DeepLabV3", "DeepLabV3Plus", "DPT", "FPN", "PAN", "PSPNet", "Segformer", "UPerNet"}
