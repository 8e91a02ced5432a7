"""Bilinear cross-entropy by Triton kernels, values and gradients, against the dense form in float64."""

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
import written_out

from offstride.ops.cross_entropy.triton import bilinear_loss as kernels
from offstride.ops.cross_entropy.triton import unusable

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, where the interpreter meets NaN


@dataclass
class Case:
    """Random scores and labels; a fifth of the labels are ignored."""

    scores: tuple = (1, 5, 3, 4)
    size: tuple = (9, 13)
    origin: str = "center"
    weighted: bool = False
    smoothing: float = 0.0
    dtype: torch.dtype = torch.float32
    labels: torch.dtype = torch.int64
    ignore_index: int = 255
    scale: float = 1.0
    layout: str = "contiguous"

    def build(self, device):
        B, C, h, w = self.scores
        scores = (2 * self.scale * torch.randn(B, C, h, w)).to(device, self.dtype)
        labels = torch.randint(0, C, (B, *self.size), device=device).to(self.labels)
        if 0 <= self.ignore_index < 256:
            labels[torch.rand(labels.shape, device=device) < 0.2] = self.ignore_index
        if self.layout == "channels last":
            scores, labels = scores.contiguous(memory_format=torch.channels_last), labels.mT.contiguous().mT
        elif self.layout == "sliced":
            scores = torch.cat((scores, scores), 1)[:, :C]
            labels = torch.stack((labels, labels), -1)[..., 0]
        return scores, labels

    def options(self, device):
        C = self.scores[1]
        weight = torch.arange(1.0, C + 1, device=device) / C if self.weighted else None
        return {"weight": weight, "label_smoothing": self.smoothing, "ignore_index": self.ignore_index}


CASES = {
    "center": Case(scores=(2, 5, 3, 4)),
    "corner": Case(origin="corner"),
    "aligned": Case(origin="aligned"),
    "aligned, one column": Case(scores=(1, 3, 4, 1), size=(11, 3), origin="aligned"),
    "aligned, one pixel": Case(scores=(1, 3, 4, 3), size=(1, 7), origin="aligned"),
    "class weights": Case(weighted=True, origin="corner"),
    "smoothing": Case(smoothing=0.1),
    "all terms, bytes": Case(weighted=True, smoothing=0.3, labels=torch.uint8, origin="corner", size=(12, 16)),
    "bfloat16": Case(dtype=torch.bfloat16, labels=torch.uint8),
    "float16, channels last": Case(dtype=torch.float16, layout="channels last"),
    "channels last": Case(layout="channels last", origin="corner"),
    "sliced": Case(layout="sliced"),
    "fewer pixels than scores": Case(scores=(1, 3, 4, 9), size=(3, 4)),
    "one coarse pixel": Case(scores=(1, 3, 1, 1), size=(3, 5)),
    "one row": Case(scores=(1, 3, 1, 5), size=(1, 11), origin="corner"),
    "several strips": Case(scores=(1, 3, 2, 12), size=(5, 70)),
    "several blocks of classes": Case(scores=(1, 70, 2, 3), size=(4, 5), smoothing=0.1),
    "large scores": Case(scale=60.0),
    "large scores, smoothing": Case(scale=60.0, smoothing=0.1, weighted=True, origin="corner"),
    "no ignored byte": Case(labels=torch.uint8, ignore_index=-100),
    "a class ignored": Case(ignore_index=0),
}
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}


def expected_losses(case, scores, labels, options):
    rendered = written_out.render(scores, None, labels.shape[1:], case.origin)
    return written_out.pixel_losses(rendered, labels, **options)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient(name, device):
    case = CASES[name]
    (scores, labels), options = case.build(device), case.options(device)
    assert unusable(scores, None) is None
    divisor = torch.tensor(7.0, device=device)
    loss, gradient = kernels.bilinear(scores, labels, divisor, origin=case.origin, gradient=True, **options)
    leaf = scores.double().requires_grad_()
    expected = expected_losses(case, leaf, labels, options).sum() / 7
    (expected_gradient,) = written_out.gradients(expected, leaf)
    assert loss.dtype == torch.float32
    assert gradient.dtype == scores.dtype
    assert gradient.shape == scores.shape
    torch.testing.assert_close(loss.double(), expected.detach(), rtol=1e-6, atol=1e-7)
    assert written_out.relative(gradient, expected_gradient) < TOLERANCE[case.dtype]


@pytest.mark.parametrize("name", ["center", "all terms, bytes", "large scores, smoothing"])
def test_pixels_and_their_gradient(name, device):
    case = CASES[name]
    (scores, labels), options = case.build(device), case.options(device)
    losses = kernels.bilinear_pixels(scores, labels, origin=case.origin, **options)
    leaf = scores.double().requires_grad_()
    expected = expected_losses(case, leaf, labels, options)
    torch.testing.assert_close(losses.double(), expected.detach(), rtol=3e-6, atol=1e-5 * case.scale)
    assert (losses[labels == 255] == 0).all()
    grad = torch.randn(labels.mT.shape, device=device).mT  # of any sign and any strides
    gradient = kernels.bilinear_pixels_backward(grad, scores, labels, origin=case.origin, **options)
    (expected_gradient,) = torch.autograd.grad(expected, leaf, grad.double())
    assert written_out.relative(gradient, expected_gradient) < TOLERANCE[case.dtype]


def test_one_number_for_all_pixels_as_their_gradient(device):
    (scores, labels), options = Case().build(device), Case().options(device)
    grad = torch.tensor(0.5, device=device).expand(labels.shape)  # what a sum gives
    gradient = kernels.bilinear_pixels_backward(grad, scores, labels, origin="center", **options)
    divisor = torch.tensor(2.0, device=device)
    _, expected = kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options)
    torch.testing.assert_close(gradient, expected)


def test_the_loss_alone_is_the_same(device):
    (scores, labels), options = Case().build(device), Case().options(device)
    divisor = torch.tensor(3.0, device=device)
    both = kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options)
    alone, nothing = kernels.bilinear(scores, labels, divisor, origin="center", gradient=False, **options)
    assert nothing is None
    assert torch.equal(alone, both[0])


def test_one_class_costs_nothing(device):
    case = Case(scores=(1, 1, 2, 3), size=(4, 5))
    (scores, labels), options = case.build(device), case.options(device)
    divisor = torch.tensor(1.0, device=device)
    loss, gradient = kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options)
    assert loss == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_all_ignored(device, smoothing):
    case = Case(smoothing=smoothing, weighted=smoothing > 0)
    (scores, labels), options = case.build(device), case.options(device)
    divisor = torch.tensor(1.0, device=device)
    loss, gradient = kernels.bilinear(
        scores, torch.full_like(labels, 255), divisor, origin="center", gradient=True, **options
    )
    assert loss == 0
    assert (gradient == 0).all()


def test_a_label_that_is_no_class_makes_the_loss_nan(device):
    (scores, labels), options = Case().build(device), Case(weighted=True).options(device)
    labels[0, 0, :3] = torch.tensor([5, -1, 2**40])
    losses = kernels.bilinear_pixels(scores, labels, origin="center", **options)
    assert losses[0, 0, :3].isnan().all()
    assert losses.isnan().sum() == 3
    divisor = torch.tensor(1.0, device=device)
    loss, _ = kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options)
    assert loss.isnan()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_make_loss_and_gradient_nan(device, number):
    case = CASES["center"]
    (scores, labels), options = case.build(device), case.options(device)
    scores[1, 2, 0, 0] = number
    labels[1] = 2
    divisor = torch.tensor(1.0, device=device)
    loss, gradient = kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options)
    assert loss.isnan()
    assert gradient[1].isnan().any()
    assert gradient[0].isfinite().all()


def test_same_bits_in_every_run(device):
    case = CASES["several strips"]
    (scores, labels), options = case.build(device), case.options(device)
    divisor = torch.tensor(7.0, device=device)
    runs = [kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options) for _ in range(2)]
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_no_less_accurate_than_the_dense_form_in_single_precision(device, scale):
    case = replace(Case(scores=(1, 12, 4, 5), size=(17, 21)), scale=scale)
    (scores, labels), options = case.build(device), case.options(device)
    divisor = torch.tensor(100.0, device=device)
    found, gradient = kernels.bilinear(scores, labels, divisor, origin="center", gradient=True, **options)
    leaf, double = scores.clone().requires_grad_(), scores.double().requires_grad_()
    rendered = F.interpolate(leaf, labels.shape[1:], mode="bilinear", align_corners=False)
    dense = F.cross_entropy(rendered, labels, ignore_index=255, reduction="sum") / 100
    (dense_gradient,) = torch.autograd.grad(dense, leaf)
    exact = expected_losses(case, double, labels, options).sum() / 100
    (exact_gradient,) = written_out.gradients(exact, double)
    error, dense_error = ((each - exact_gradient).norm().item() for each in (gradient, dense_gradient))
    assert error <= 1.5 * dense_error
    limit = 1.5 * (dense - exact).abs().item() + 2 * torch.finfo(torch.float32).eps * exact.item()
    assert (found - exact).abs().item() <= limit
