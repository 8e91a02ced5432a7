"""Every kind of field: bands against the dense map, forward and backward."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from offstride.field import (
    BilinearField,
    CroppedField,
    DenseField,
    LocatedField,
    NearestField,
    SubpixelField,
    argmax,
    confidence,
    cross_entropy,
    pixel_losses,
)
from offstride.ops import native
from offstride.ops.grid import base_coordinates

B, C, SIZE = 2, 4, (11, 13)


def leaf(*shape, spread=2.0):
    generator = torch.Generator().manual_seed(sum(shape))
    return (spread * torch.randn(*shape, generator=generator, dtype=torch.float64)).requires_grad_()


def located(M, origin, size=SIZE):
    scores, offsets = leaf(B, C, 4, 5), leaf(B, 2 * M, *size, spread=1.0)
    return LocatedField(scores, offsets, origin), (scores, offsets)


def then_bilinear(M, origin):
    field, leaves = located(M, origin, (8, 10))
    return BilinearField(field, SIZE, origin), leaves


def plain(kind, *options, coarse=(4, 5)):
    scores = leaf(B, C, *coarse)
    return kind(scores, *options), (scores,)


def cropped(field, leaves):
    return CroppedField(field, SIZE), leaves


def subpixel():
    leaves = (
        leaf(B, 3, 3, 4),
        leaf(4, 4, C, 3),
        leaf(4, 4, C),
        torch.tensor(1.5, dtype=torch.float64, requires_grad=True),
    )
    codes, weight, bias, temperature = leaves
    return SubpixelField(codes, weight, bias, SIZE, temperature), leaves


KINDS = {
    "dense": lambda: plain(DenseField, coarse=SIZE),
    "bilinear": lambda: plain(BilinearField, SIZE),
    "bilinear, corner": lambda: plain(BilinearField, SIZE, "corner"),
    "bilinear, smaller": lambda: plain(BilinearField, SIZE, coarse=(15, 20)),
    "bilinear, one pixel": lambda: plain(BilinearField, SIZE, coarse=(1, 1)),
    "nearest": lambda: plain(NearestField, SIZE),
    "nearest, corner": lambda: plain(NearestField, SIZE, "corner"),
    "subpixel": subpixel,
    "located": lambda: located(1, "center"),
    "located, corner, by pairs": lambda: located(2, "corner"),
    "located, each class": lambda: located(C, "center"),
    "located, then bilinear": lambda: then_bilinear(1, "center"),
    "located, then bilinear, corner, each class": lambda: then_bilinear(C, "corner"),
}
KINDS |= {
    "cropped": lambda: cropped(*plain(BilinearField, (12, 20))),
    "cropped, located": lambda: cropped(*located(1, "aligned", (12, 20))),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
OPTIONS = [
    {},
    {"weight": torch.tensor([0.5, 2.0, 0.25, 1.0])},
    {"label_smoothing": 0.1},
    {"weight": torch.tensor([0.5, 0.0, 0.25, 1.0]), "label_smoothing": 0.3},
]


def random_labels(shape=(B, *SIZE), classes=C, dtype=torch.int64):
    generator = torch.Generator().manual_seed(7)
    labels = torch.randint(0, classes, shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < 0.2] = 255
    return labels.to(dtype)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@every_kind
@settings(max_examples=8, deadline=None)
@given(cuts=st.sets(st.integers(1, SIZE[0] - 1)))
def test_any_bands_make_up_the_dense_map(kind, cuts):
    field, _ = KINDS[kind]()
    edges = [0, *sorted(cuts), SIZE[0]]
    dense = field.dense()
    assert dense.shape == field.shape == (B, C, *SIZE)
    close(torch.cat([field.rows(*band) for band in pairwise(edges)], 2), dense)


@pytest.mark.parametrize(("origin", "mode"), [("center", "nearest-exact"), ("corner", "nearest")])
def test_nearest_is_torchs(origin, mode):
    field, (scores,) = plain(NearestField, SIZE, origin)
    assert torch.equal(field.dense(), F.interpolate(scores, SIZE, mode=mode))


def test_bilinear_is_interpolate_also_after_location():
    field, (scores,) = KINDS["bilinear"]()
    close(field.dense(), F.interpolate(scores, SIZE, mode="bilinear", align_corners=False))
    field, _ = KINDS["located, then bilinear"]()
    close(field.dense(), F.interpolate(field.source.dense(), SIZE, mode="bilinear", align_corners=False))


def test_located_is_grid_sample():
    field, (scores, offsets) = KINDS["located"]()
    y = base_coordinates(SIZE[0], 4, "center", dtype=torch.float64)[:, None] + offsets[:, 0]
    x = base_coordinates(SIZE[1], 5, "center", dtype=torch.float64) + offsets[:, 1]
    grid = torch.stack((2 * x / 4 - 1, 2 * y / 3 - 1), -1)
    close(field.dense(), F.grid_sample(scores, grid, padding_mode="border", align_corners=True))


@every_kind
@pytest.mark.parametrize("band_bytes", [1, 4 * B * C * SIZE[1] * 4, 8 << 20], ids=["row", "four rows", "all"])
@pytest.mark.parametrize("options", OPTIONS, ids=["", "weight", "smoothing", "both"])
def test_cross_entropy_is_that_of_the_dense_map(kind, band_bytes, options, monkeypatch):
    monkeypatch.setattr("offstride.field.BAND_BYTES", band_bytes)
    field, leaves = KINDS[kind]()
    labels = random_labels()
    found = cross_entropy(field, labels, **options)
    double = {name: value.double() if name == "weight" else value for name, value in options.items()}
    expected = F.cross_entropy(field.dense(), labels, ignore_index=255, **double)
    close(found, expected)
    for ours, theirs in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        close(ours, theirs)
    each = pixel_losses(field, labels.byte(), **options)
    close(each, F.cross_entropy(field.dense(), labels, ignore_index=255, reduction="none", **double))
    assert torch.equal(cross_entropy(field, labels.byte(), **options), found)


@every_kind
@pytest.mark.parametrize("options", OPTIONS, ids=["", "weight", "smoothing", "both"])
def test_nothing_but_ignored_pixels_costs_nothing(kind, options):
    field, leaves = KINDS[kind]()
    loss = cross_entropy(field, torch.full((B, *SIZE), 255, dtype=torch.uint8), **options)
    loss.backward()
    assert loss.item() == 0
    assert all(torch.equal(tensor.grad, torch.zeros_like(tensor)) for tensor in leaves)


@pytest.mark.parametrize("label_dtype", [torch.uint8, torch.int64])
def test_ignore_index_is_a_number_not_a_byte(label_dtype):
    field = BilinearField(leaf(1, 200, 2, 2), (4, 4))
    labels = torch.full((1, 4, 4), 156).to(label_dtype)  # -100 as a byte
    expected = F.cross_entropy(field.dense(), labels.long(), ignore_index=-100)
    close(cross_entropy(field, labels, ignore_index=-100), expected)


def test_one_class_costs_nothing():
    field = BilinearField(leaf(1, 1, 3, 3), (7, 5))
    assert cross_entropy(field, random_labels((1, 7, 5), 1)).item() == 0
    assert argmax(field).unique().tolist() == [0]
    assert torch.equal(confidence(field), torch.ones(1, 7, 5, dtype=torch.float64))


def test_one_pixel():
    scores, offsets = leaf(1, 3, 1, 1), leaf(1, 2, 1, 1)
    labels = torch.tensor([[[2]]])
    expected = F.cross_entropy(scores, labels)
    fields = (
        DenseField(scores),
        BilinearField(scores, (1, 1)),
        NearestField(scores, (1, 1)),
        LocatedField(scores, offsets),
        BilinearField(LocatedField(scores, offsets), (1, 1), "corner"),
    )
    for field in fields:
        close(cross_entropy(field, labels), expected)
        (gradient,) = torch.autograd.grad(cross_entropy(field, labels), scores)
        close(gradient, torch.autograd.grad(F.cross_entropy(scores, labels), scores)[0])
        assert argmax(field).item() == scores.argmax().item()


@every_kind
@pytest.mark.parametrize("band_bytes", [1, 8 << 20])
def test_prediction_is_that_of_the_dense_map(kind, band_bytes, monkeypatch):
    monkeypatch.setattr("offstride.field.BAND_BYTES", band_bytes)
    field, _ = KINDS[kind]()
    found, sure = argmax(field), confidence(field)
    assert found.dtype == torch.uint8
    assert not sure.requires_grad
    assert torch.equal(found.long(), field.dense().argmax(1))
    close(sure, field.dense().softmax(1).amax(1).detach())


@pytest.mark.parametrize(("classes", "dtype"), [(256, torch.uint8), (257, torch.int64)])
def test_labels_are_bytes_while_they_fit(classes, dtype):
    scores = torch.zeros(1, classes, 2, 2)
    scores[:, -1, 0] = 1
    found = argmax(NearestField(scores, (4, 4)))
    assert found.dtype == dtype
    assert found[0].unique(dim=0).tolist() == [[0] * 4, [classes - 1] * 4]


@settings(max_examples=50, deadline=None)
@given(*[st.integers(1, 40)] * 4, st.integers(1, 20_000))
def test_bands_cover_the_map_within_their_memory(batch, classes, height, width, band_bytes):
    field = BilinearField(torch.empty(batch, classes, 1, 1), (height, width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offstride.field.BAND_BYTES", band_bytes)
        bands = list(field.bands())
    rows = [row for start, stop in bands for row in range(start, stop)]
    assert rows == list(range(height))
    for start, stop in bands:
        assert stop - start == 1 or 4 * batch * classes * width * (stop - start) <= band_bytes


class LargestTensor(TorchDispatchMode):
    """The size of the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


def test_no_tensor_larger_than_a_band_exists(monkeypatch):
    """Of a kind without a fused form; tests/ops look at those that have one."""
    field, leaves = KINDS["nearest"]()
    rows = 3
    monkeypatch.setattr("offstride.field.BAND_BYTES", 4 * B * C * SIZE[1] * rows)
    with LargestTensor() as largest:
        cross_entropy(field, random_labels()).backward()
    assert largest.numel <= max(B * C * SIZE[1] * (rows + 1), leaves[0].numel(), B * SIZE[0] * SIZE[1])
    monkeypatch.setattr("offstride.field.BAND_BYTES", 1 << 20)
    with LargestTensor() as largest:
        cross_entropy(field, random_labels()).backward()
    assert largest.numel >= field.shape.numel()  # so the look would have found it


FUSED = [kind for kind in KINDS if kind.startswith(("bilinear", "located")) and "then" not in kind]


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_of_full_resolution_is_made_or_kept(kind, dtype):
    """From scores to loss, gradients and labels, no tensor has more elements than inputs and labels."""
    field, leaves = KINDS[kind]()
    tensors = {id(tensor): tensor.detach().to(dtype).repeat(1, 1, 1, 1).requires_grad_() for tensor in leaves}
    field, labels = rebuild(field, tensors), random_labels()
    kept = []
    with (
        LargestTensor() as largest,
        torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t),
    ):
        cross_entropy(field, labels).backward()
        argmax(field)
        confidence(field)
    inputs = [tensor.numel() for tensor in tensors.values()]
    if native.library() is not None and field.__class__ is not LocatedField:
        assert largest.numel <= max(*inputs, labels.numel())
    assert sum(kept) <= 2 * sum(inputs) + labels.numel() + 2  # inputs, gradients, labels, divisors


@every_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(kind, dtype):
    field, leaves = KINDS[kind]()
    rounded = {id(tensor): tensor.detach().to(dtype) for tensor in leaves}
    half, exact = rebuild(field, rounded), rebuild(field, {name: tensor.double() for name, tensor in rounded.items()})
    labels = random_labels()
    assert half.dense().dtype == dtype
    assert half.rows(0, 2).dtype == torch.float32
    assert confidence(half).dtype == torch.float32
    torch.testing.assert_close(half.rows(0, 7).double(), exact.rows(0, 7), rtol=0, atol=1e-4)
    torch.testing.assert_close(confidence(half).double(), confidence(exact), rtol=0, atol=1e-4)
    torch.testing.assert_close(cross_entropy(half, labels).double(), cross_entropy(exact, labels), rtol=1e-5, atol=0)


def rebuild(field, tensors):
    """The same field over other tensors."""
    if isinstance(field, BilinearField):
        source = field.source
        source = tensors[id(source)] if isinstance(source, torch.Tensor) else rebuild(source, tensors)
        return BilinearField(source, field.size, field.origin)
    if isinstance(field, CroppedField):
        return CroppedField(rebuild(field.source, tensors), field.size)
    if isinstance(field, LocatedField):
        return LocatedField(tensors[id(field.scores)], tensors[id(field.offsets)], field.origin)
    if isinstance(field, NearestField):
        return NearestField(tensors[id(field.scores)], field.size, field.origin)
    if isinstance(field, SubpixelField):
        codes, weight, bias, temperature = (
            tensors[id(each)] for each in (field.codes, field.weight, field.bias, field.temperature)
        )
        return SubpixelField(codes, weight, bias, field.size, temperature)
    return DenseField(tensors[id(field.scores)])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "subpixel"])  # its matrix belongs to no image
def test_across_joins_uneven_batches(kind):
    """Two processes with different numbers of valid pixels: the mean of their gradients is that of the joined batch."""
    field, leaves = KINDS[kind]()
    weight = torch.tensor([0.5, 2.0, 0.25, 1.0])
    labels = random_labels()
    labels[0, 3:] = 255
    joined = cross_entropy(field, labels, weight=weight)
    expected = torch.autograd.grad(joined, leaves)
    parts = [[tensor.detach()[b : b + 1].requires_grad_() for tensor in leaves] for b in (0, 1)]
    tensors = [dict(zip(map(id, leaves), part, strict=True)) for part in parts]
    halves = [(rebuild(field, tensors[b]), labels[b : b + 1]) for b in (0, 1)]
    counts = []
    for half in halves:  # a first pass to know the counts, as an all-reduce does
        cross_entropy(*half, weight=weight, across=lambda count: counts.append(count) or count)
    assert counts[0] != counts[1]
    mean = (counts[0] + counts[1]) / 2
    losses = [cross_entropy(*half, weight=weight, across=lambda _: mean) for half in halves]
    close((losses[0] + losses[1]) / 2, joined)
    for b in (0, 1):
        for found, whole in zip(torch.autograd.grad(losses[b], parts[b]), expected, strict=True):
            close(found / 2, whole[b : b + 1])


@every_kind
def test_same_bits_twice_under_deterministic_algorithms(kind):
    field, leaves = KINDS[kind]()
    single = {id(tensor): tensor.detach().float().requires_grad_() for tensor in leaves}
    field, labels = rebuild(field, single), random_labels()
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # an operation that has no deterministic form would raise
    try:
        runs = []
        for _ in range(2):
            loss = cross_entropy(field, labels)
            runs.append((loss, *torch.autograd.grad(loss, list(single.values()))))
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(torch.equal(*pair) for pair in zip(*runs, strict=True))


SCORES = torch.zeros(1, 3, 2, 2)
FIELD = BilinearField(SCORES, (4, 4))
LABELS = torch.zeros(1, 4, 4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy(FIELD, LABELS[:, :3]), r"labels: expected shape \(1, 4, 4\).*got \(1, 3, 4\)"),
        (lambda: cross_entropy(FIELD, LABELS.float()), "labels: expected an integer type, got torch.float32"),
        (lambda: cross_entropy(FIELD, LABELS.bool()), "labels: expected an integer type, got torch.bool"),
        (lambda: cross_entropy(FIELD, LABELS + 3), r"labels: expected classes 0 … 2 or 255 .*got \[3\]"),
        (lambda: cross_entropy(FIELD, LABELS - 1), r"labels: expected classes .*got \[-1\]"),
        (lambda: cross_entropy(FIELD, LABELS.byte() + 7), r"labels: expected classes .*got \[7\]"),
        (lambda: cross_entropy(FIELD, LABELS, weight=torch.ones(2)), r"weight: expected shape \(3,\).*got \(2,\)"),
        (lambda: cross_entropy(FIELD, LABELS, label_smoothing=1.0), "label_smoothing: expected .*got 1.0"),
        (lambda: cross_entropy(FIELD, LABELS, label_smoothing=-0.1), "label_smoothing: expected .*got -0.1"),
        (lambda: BilinearField(SCORES, (0, 4)), "size: expected a positive .*got"),
        (lambda: NearestField(SCORES, (4, -1)), "size: expected a positive .*got"),
        (lambda: BilinearField(SCORES, (4, 4), "middle"), "origin: expected one of"),
        (lambda: NearestField(SCORES, (4, 4), "middle"), "origin: expected one of"),
        (lambda: LocatedField(SCORES, torch.zeros(1, 2, 4, 4), "middle"), "origin: expected one of"),
        (lambda: LocatedField(SCORES, torch.zeros(1, 3, 4, 4)).dense(), "offsets: expected 2M channels"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", ["dense", "bilinear", "nearest", "located", "located, then bilinear"])
def test_rows_that_do_not_exist_are_refused(kind):
    field, _ = KINDS[kind]()
    for band in ((0, SIZE[0] + 1), (-1, 2), (5, 3), (5, 5)):
        with pytest.raises(ValueError, match="rows: expected"):
            field.rows(*band)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e3])
def test_class_weights_count_by_their_ratios_alone(factor):
    scores, labels = torch.randn(1, 3, 4, 5, dtype=torch.float64), torch.randint(0, 3, (1, 4, 5))
    weight = factor * torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    expected = F.cross_entropy(scores, labels, weight=weight)
    for field in (
        DenseField(scores),
        BilinearField(scores, (4, 5)),
        LocatedField(scores, torch.zeros(1, 2, 4, 5).double()),
    ):
        torch.testing.assert_close(cross_entropy(field, labels, weight=weight), expected)
