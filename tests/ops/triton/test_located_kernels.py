"""Location-aware losses by Triton kernels, values and gradients, against the dense form and LaU's Eqs. 3 and 4."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
import written_out

from offstride.ops.cross_entropy import triton as kernels

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, where the interpreter meets NaN

DIVISORS = (7.0, 5.0)


@contextmanager
def deterministic():
    """For kernels only: the dense form cannot be so on a GPU."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@dataclass
class Case:
    """Random scores, offsets and labels; a fifth of the labels are ignored."""

    scores: tuple = (1, 5, 3, 4)
    size: tuple = (9, 13)
    origin: str = "center"
    guided: float | None = None
    regression: float | None = None
    window: int = 1
    ties: str = "penalize"
    spread: float = 1.0
    weighted: bool = False
    smoothing: float = 0.0
    dtype: torch.dtype = torch.float32
    offset_dtype: torch.dtype = torch.float32
    labels: torch.dtype = torch.int64
    scale: float = 1.0
    layout: str = "contiguous"

    def build(self, device):
        B, C, h, w = self.scores
        scores = (2 * self.scale * torch.randn(B, C, h, w)).to(device, self.dtype)
        offsets = (self.spread * torch.randn(B, 2, *self.size)).to(device, self.offset_dtype)
        labels = torch.randint(0, C, (B, *self.size), device=device).to(self.labels)
        labels[torch.rand(labels.shape, device=device) < 0.2] = 255
        if self.layout == "channels last":
            scores, offsets = (each.contiguous(memory_format=torch.channels_last) for each in (scores, offsets))
            labels = labels.mT.contiguous().mT
        return scores, offsets, labels

    def options(self, device):
        C = self.scores[1]
        weight = torch.arange(1.0, C + 1, device=device) / C if self.weighted else None
        return {"weight": weight, "label_smoothing": self.smoothing, "ignore_index": 255}

    def terms(self):
        return {"guided": self.guided, "regression": self.regression, "window": self.window, "ties": self.ties}

    def expected(self, scores, offsets, labels, options):
        """The loss, from leaves in float64."""
        if self.regression is not None:
            losses, pulls = written_out.regression(
                scores, offsets, labels, self.origin, self.guided or 0.0, self.window, **options
            )
            return losses / DIVISORS[0] + self.regression * pulls / DIVISORS[1]
        if self.guided is not None:
            return (
                written_out.guided(scores, offsets, labels, self.origin, self.guided, self.ties, **options)
                / DIVISORS[0]
            )
        return self.expected_pixels(scores, offsets, labels, options).sum() / DIVISORS[0]

    def expected_pixels(self, scores, offsets, labels, options):
        rendered = written_out.render(scores, offsets, labels.shape[1:], self.origin)
        return written_out.pixel_losses(rendered, labels, **options)

    def run(self, scores, offsets, labels, options, *, gradient=True):
        divisors = torch.tensor(DIVISORS, device=scores.device)
        terms = self.terms() | options
        return kernels.loss(scores, offsets, labels, divisors, origin=self.origin, gradient=gradient, **terms)


TILED = {"scores": (1, 4, 3, 4), "size": (18, 24)}  # six pixels to a cell: small windows
CASES = {
    "center": Case(scores=(2, 5, 3, 4)),
    "corner": Case(origin="corner", **TILED),
    "aligned": Case(origin="aligned", guided=0.3, **TILED),
    "aligned, regression": Case(scores=(1, 3, 4, 1), size=(9, 5), regression=0.2, guided=0.3, origin="aligned"),
    "all terms but location": Case(weighted=True, smoothing=0.2, labels=torch.uint8),
    "far": Case(spread=5.0, scores=(1, 4, 9, 8), size=(10, 9)),
    "far, corner": Case(spread=5.0, origin="corner", **TILED),
    "guided": Case(guided=0.3),
    "guided, spared, corner": Case(guided=0.5, ties="spare", origin="corner", weighted=True),
    "regression": Case(regression=0.1, **TILED),
    "regression, corner, smoothing": Case(regression=0.2, guided=0.3, origin="corner", smoothing=0.2, weighted=True),
    "regression, window": Case(regression=0.1, guided=0.3, window=2, scores=(1, 4, 5, 4), size=(7, 9)),
    "bfloat16": Case(dtype=torch.bfloat16, labels=torch.uint8, guided=0.3, regression=0.1),
    "half precision, channels last": Case(dtype=torch.float16, offset_dtype=torch.float16, layout="channels last"),
    "offsets in bfloat16": Case(offset_dtype=torch.bfloat16, regression=0.1),
    "fewer pixels than scores": Case(scores=(1, 3, 4, 9), size=(3, 4), regression=0.1, guided=0.3),
    "one coarse pixel": Case(scores=(1, 3, 1, 1), size=(3, 5), regression=0.1, guided=0.3),
    "one row": Case(scores=(1, 3, 1, 5), size=(1, 11), origin="corner", guided=0.3),
    "several blocks of classes": Case(scores=(1, 40, 2, 3), size=(5, 6), regression=0.1, guided=0.3, smoothing=0.1),
    "large scores": Case(scale=60.0, regression=0.1, guided=0.3),
    "large scores, guided": Case(scale=60.0, guided=0.3, weighted=True, smoothing=0.1),
}
TOLERANCE = {torch.float32: 5e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients(name, device):
    case = CASES[name]
    (*tensors, labels), options = case.build(device), case.options(device)
    assert kernels.unusable(*tensors) is None
    loss, *found = case.run(*tensors, labels, options)
    leaves = [each.double().requires_grad_() for each in tensors]
    expected = case.expected(*leaves, labels, options)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected.detach(), rtol=2e-6, atol=1e-7)
    for gradient, wanted, tensor in zip(found, written_out.gradients(expected, *leaves), tensors, strict=True):
        assert gradient.dtype == tensor.dtype
        assert gradient.shape == tensor.shape
        assert written_out.relative(gradient, wanted) < TOLERANCE[tensor.dtype]


@pytest.mark.parametrize("name", ["center", "all terms but location", "large scores, guided"])
def test_pixels_and_their_gradients(name, device):
    case = CASES[name]
    (*tensors, labels), options = case.build(device), case.options(device)
    losses = kernels.pixels(*tensors, labels, origin=case.origin, **options)
    leaves = [each.double().requires_grad_() for each in tensors]
    expected = case.expected_pixels(*leaves, labels, options)
    torch.testing.assert_close(losses.double(), expected.detach(), rtol=3e-6, atol=1e-5 * case.scale)
    grad = torch.randn(labels.mT.shape, device=device).mT
    found = kernels.pixels_backward(grad, *tensors, labels, origin=case.origin, **options)
    for gradient, wanted in zip(found, torch.autograd.grad(expected, leaves, grad.double()), strict=True):
        assert written_out.relative(gradient, wanted) < TOLERANCE[torch.float32]


def test_no_displacement_is_bilinear(device):
    case = CASES["regression"]
    (scores, offsets, labels), options = case.build(device), case.options(device)
    still = offsets.new_zeros(()).expand(1, 2, *labels.shape[1:])
    losses = kernels.pixels(scores, still, labels, origin="center", **options)
    expected = kernels.pixels(scores, None, labels, origin="center", **options)
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


def test_the_slope_at_a_whole_coordinate_is_that_to_its_right(device):
    case = Case(scores=(1, 4, 3, 4), size=(6, 8), origin="corner")
    (scores, offsets, labels), options = case.build(device), case.options(device)
    still = torch.zeros_like(offsets)
    _, _, moves = case.run(scores, still, labels, options)
    leaf = still.double().requires_grad_()
    (expected,) = written_out.gradients(case.expected(scores.double(), leaf, labels, options), leaf)
    assert written_out.relative(moves, expected) < 1e-6
    assert (moves[:, 1, :, -2:] == 0).all()  # the last coarse pixel, and past it


def test_the_loss_alone_is_the_same(device):
    case = CASES["regression, window"]
    (*tensors, labels), options = case.build(device), case.options(device)
    alone, *nothing = case.run(*tensors, labels, options, gradient=False)
    assert nothing == [None, None]
    assert torch.equal(alone, case.run(*tensors, labels, options)[0])


@pytest.mark.parametrize("name", ["all terms but location", "guided", "regression, window"])
def test_all_ignored(name, device):
    case = CASES[name]
    (*tensors, labels), options = case.build(device), case.options(device)
    loss, *found = case.run(*tensors, torch.full_like(labels, 255), options)
    assert loss == 0
    assert all((gradient == 0).all() for gradient in found)


@pytest.mark.parametrize("regression", [None, 0.1])
def test_a_label_that_is_no_class_makes_the_loss_nan(device, regression):
    case = Case(weighted=True, regression=regression, guided=0.3)
    (*tensors, labels), options = case.build(device), case.options(device)
    labels[0, 0, :3] = torch.tensor([5, -1, 2**40])
    assert case.run(*tensors, labels, options)[0].isnan()
    losses = kernels.pixels(*tensors, labels, origin="center", **options)
    assert losses[0, 0, :3].isnan().all()
    assert losses.isnan().sum() == 3


@pytest.mark.parametrize("regression", [None, 0.1])
def test_an_offset_that_is_no_number_makes_the_loss_nan(device, regression):
    case = Case(scores=(2, 5, 3, 4), regression=regression, guided=0.3)
    (scores, offsets, labels), options = case.build(device), case.options(device)
    offsets[1, 0, 4, 4] = float("nan")
    labels[1, 4, 4] = 2
    loss, to_scores, to_offsets = case.run(scores, offsets, labels, options)
    assert loss.isnan()
    assert to_scores[1].isnan().any()
    assert to_scores[0].isfinite().all()
    assert to_offsets[1, 0, 4, 4].isnan()
    labels[1, 4, 4] = 255
    assert all(each.isfinite().all() for each in case.run(scores, offsets, labels, options))


def test_an_infinite_offset_reads_the_edge(device):
    case = Case()
    (scores, offsets, labels), options = case.build(device), case.options(device)
    offsets[:, :, ::2] = float("inf")
    offsets[:, 0, ::4] = float("-inf")
    loss, to_scores, to_offsets = case.run(scores, offsets, labels, options)
    edge = offsets.clamp(-100, 100)
    expected = case.run(scores, edge, labels, options)
    assert torch.equal(loss, expected[0])
    torch.testing.assert_close(to_scores, expected[1])
    assert torch.equal(to_offsets, expected[2])
    assert (to_offsets[:, :, ::2] == 0).all()


@pytest.mark.parametrize("name", ["far, corner", "large scores, guided"])
def test_same_bits_in_every_run_where_they_are_asked_for(name, device):
    case = CASES[name]
    (*tensors, labels), options = case.build(device), case.options(device)
    with deterministic():
        first, second = (case.run(*tensors, labels, options) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    leaves = [each.double().requires_grad_() for each in tensors]
    expected = case.expected(*leaves, labels, options)
    for gradient, wanted in zip(first[1:], written_out.gradients(expected, *leaves), strict=True):
        assert written_out.relative(gradient, wanted) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_fixed_point_takes_gradients_of_any_size(device, size):
    case = CASES["far"]
    (*tensors, labels), options = case.build(device), case.options(device)
    grad = size * torch.randn(labels.shape, device=device)
    with deterministic():
        found = kernels.pixels_backward(grad, *tensors, labels, origin="center", **options)
    leaves = [each.double().requires_grad_() for each in tensors]
    expected = case.expected_pixels(*leaves, labels, options)
    for gradient, wanted in zip(found, torch.autograd.grad(expected, leaves, grad.double()), strict=True):
        assert written_out.relative(gradient, wanted) < TOLERANCE[torch.float32]


def test_fixed_point_does_not_hide_what_is_no_number(device):
    case = CASES["center"]
    (scores, offsets, labels), options = case.build(device), case.options(device)
    offsets[1, 0, 4, 4] = float("nan")
    labels[1, 4, 4] = 2
    with deterministic():
        loss, to_scores, _ = case.run(scores, offsets, labels, options)
    assert loss.isnan()
    assert to_scores.isnan().all()


def test_groups_of_offsets_are_refused(device):
    scores, offsets = torch.ones(1, 4, 2, 2, device=device), torch.zeros(1, 4, 3, 3, device=device)
    assert kernels.unusable(scores, offsets) == "needs one offset per pixel, got 2 groups"
    assert kernels.unusable(scores.double(), None) == "computes in float32, got scores of type torch.float64"


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_no_less_accurate_than_the_dense_form_in_single_precision(device, scale):
    case = replace(Case(scores=(1, 12, 4, 5), size=(17, 21)), scale=scale)
    (*tensors, labels), options = case.build(device), case.options(device)
    found = case.run(*tensors, labels, options)
    single = [each.clone().requires_grad_() for each in tensors]
    double = [each.double().requires_grad_() for each in tensors]
    dense = dense_loss(*single, labels)
    exact = case.expected(*double, labels, options)
    for ours, theirs, right in zip(
        found, (dense, *torch.autograd.grad(dense, single)), (exact, *torch.autograd.grad(exact, double)), strict=True
    ):
        floor = 2 * torch.finfo(torch.float32).eps * right.norm().item() if right.ndim == 0 else 0
        assert (ours - right).norm().item() <= 1.5 * (theirs - right).norm().item() + floor


def dense_loss(scores, offsets, labels):
    """By `grid_sample`, as everyone does; `origin="center"`."""
    (h, w), (H, W) = scores.shape[2:], labels.shape[1:]
    y = (torch.arange(H, device=scores.device) + 0.5) * (h / H) - 0.5
    x = (torch.arange(W, device=scores.device) + 0.5) * (w / W) - 0.5
    grid = torch.stack((2 * (x + offsets[:, 1]) + 1, 2 * (y[:, None] + offsets[:, 0]) + 1), -1)
    grid = grid / torch.tensor((w, h), device=scores.device) - 1
    rendered = F.grid_sample(scores, grid, padding_mode="border", align_corners=False)
    return F.cross_entropy(rendered, labels, ignore_index=255, reduction="sum") / DIVISORS[0]
