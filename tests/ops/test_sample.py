"""Location-aware sampling against loops, `grid_sample` and `interpolate`."""

import subprocess
import sys
from math import floor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from offstride.ops import located_sample
from offstride.ops.grid import base_coordinates, clamp_to_map
from offstride.ops.sample import sample_at, sample_by_rows

ORIGINS = ("center", "corner")


def random_case(B=2, C=6, coarse=(4, 5), fine=(8, 10), M=1, spread=1.5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(B, C, *coarse, generator=generator, dtype=torch.float64)
    offsets = torch.randn(B, 2 * M, *fine, generator=generator, dtype=torch.float64) * spread
    return values.to(dtype), offsets.to(dtype)


def loop_sample(values, offsets, origin):
    """Eq. 2 of LaU, a pixel at a time."""
    (B, C, h, w), (_, channels, H, W) = values.shape, offsets.shape
    shift = 0.5 if origin == "center" else 0.0
    result = torch.empty(B, C, H, W, dtype=torch.float64)
    table, moves = values.tolist(), offsets.tolist()
    for b, c, i, j in torch.cartesian_prod(*map(torch.arange, (B, C, H, W))).tolist():
        m = c // (C // (channels // 2))
        y = min(max((i + shift) * h / H - shift + moves[b][2 * m][i][j], 0), h - 1)
        x = min(max((j + shift) * w / W - shift + moves[b][2 * m + 1][i][j], 0), w - 1)
        result[b, c, i, j] = sum(
            max(0, 1 - abs(y - u)) * max(0, 1 - abs(x - v)) * table[b][c][u][v]
            for u in {floor(y), min(floor(y) + 1, h - 1)}
            for v in {floor(x), min(floor(x) + 1, w - 1)}
        )
    return result


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(
    ("C", "M", "coarse", "fine"),
    [
        (6, 1, (4, 5), (8, 10)),
        (6, 3, (4, 5), (9, 7)),
        (6, 6, (3, 3), (3, 3)),
        (2, 1, (1, 4), (3, 8)),
        (2, 2, (5, 1), (5, 2)),
        (1, 1, (1, 1), (1, 1)),
        (1, 1, (6, 5), (3, 2)),
    ],
)
def test_equals_the_plain_loop(origin, C, M, coarse, fine):
    values, offsets = random_case(C=C, M=M, coarse=coarse, fine=fine)
    expected = loop_sample(values, offsets, origin)
    torch.testing.assert_close(located_sample(values, offsets, origin=origin), expected, rtol=0, atol=1e-13)
    band = located_sample(values, offsets, origin=origin, rows=(fine[0] // 2, fine[0]))
    torch.testing.assert_close(band, expected[:, :, fine[0] // 2 :], rtol=0, atol=1e-13)
    single = located_sample(values.float(), offsets.float(), origin=origin)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=2e-5)


def test_corner_origin_is_grid_sample_of_the_released_convention():
    values, offsets = (tensor.requires_grad_() for tensor in random_case(fine=(16, 15), coarse=(4, 5)))
    y = torch.arange(16, dtype=torch.float64)[:, None] / 4 + offsets[:, 0]
    x = torch.arange(15, dtype=torch.float64) / 3 + offsets[:, 1]
    grid = torch.stack((2 * x / (5 - 1) - 1, 2 * y / (4 - 1) - 1), -1)
    expected = F.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=True)
    found = located_sample(values, offsets, origin="corner")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    upstream = torch.randn_like(found)
    for ours, theirs in zip(
        torch.autograd.grad(found, (values, offsets), upstream),
        torch.autograd.grad(expected, (values, offsets), upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 12)] * 2), st.tuples(*[st.integers(1, 30)] * 2), st.booleans())
def test_no_displacement_is_interpolate(coarse, fine, double):
    values, offsets = random_case(B=1, C=2, coarse=coarse, fine=fine, dtype=torch.float64 if double else torch.float32)
    expected = F.interpolate(values.double(), fine, mode="bilinear", align_corners=False)
    found = located_sample(values, torch.zeros_like(offsets))
    # Single precision: a few units in the last place of the coordinate, times the spread of the values.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-13 if double else 5e-5)


def read_at(values, y, x):
    """Both samplers at given (y, x) lists: values `(N,)` and the gradients of their sum to the coordinates `(2, N)`."""
    for by_rows in (False, True):
        coordinates = torch.tensor([y, x], dtype=values.dtype)[None, :, None].requires_grad_()
        if by_rows:
            read = sample_by_rows(values, clamp_to_map(coordinates, tuple(values.shape[2:])))
        else:
            read = sample_at(values, coordinates[:, None])
        (gradient,) = torch.autograd.grad(read.sum(), coordinates)
        yield read.flatten(), gradient[0, :, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65, 129, 257, 1025])
def test_slope_at_whole_coordinates_is_that_of_the_next_interval(dtype, size):
    line = torch.randn(size, dtype=dtype)
    slopes = torch.cat((line[1:] - line[:-1], line.new_zeros(1)))
    whole = list(range(size))
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    for read, gradient in read_at(line[None, None, None], [0] * size, whole):
        torch.testing.assert_close(read, line, **tolerance)
        torch.testing.assert_close(gradient, torch.stack((torch.zeros_like(slopes), slopes)), **tolerance)
    for _, gradient in read_at(line[None, None, :, None], whole, [0] * size):
        torch.testing.assert_close(gradient, torch.stack((slopes, torch.zeros_like(slopes))), **tolerance)


def test_outside_the_map_the_edge_repeats_without_a_slope():
    values = torch.randn(1, 1, 3, 4, dtype=torch.float64)
    y, x = [-0.1, 2.1, -7.0, 1.5, 1.5, 9.0], [1.5, 1.5, -3.0, -0.1, 3.1, float("inf")]
    table = values[0, 0]
    expected = torch.stack(
        (
            table[0, 1:3].mean(),
            table[2, 1:3].mean(),
            table[0, 0],
            table[1:3, 0].mean(),
            table[1:3, 3].mean(),
            table[2, 3],
        )
    )
    steps = [
        [0, 0, 0, table[2, 0] - table[1, 0], table[2, 3] - table[1, 3], 0],
        [table[0, 2] - table[0, 1], table[2, 2] - table[2, 1], 0, 0, 0, 0],
    ]
    for read, gradient in read_at(values, y, x):
        torch.testing.assert_close(read, expected)
        torch.testing.assert_close(gradient, torch.tensor(steps, dtype=torch.float64))


@pytest.mark.parametrize("M", [1, 2])
def test_gradcheck(M):
    # Coordinates a quarter to three quarters past a pixel, some of them outside: no step of gradcheck meets a kink.
    generator = torch.Generator().manual_seed(M)
    values = torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(-2, 6, (2, 2 * M, 4, 5), generator=generator) + 0.25
    target += 0.5 * torch.rand(target.shape, generator=generator, dtype=torch.float64)
    base = torch.stack(
        torch.meshgrid(
            base_coordinates(4, 3, "center", dtype=torch.float64),
            base_coordinates(5, 4, "center", dtype=torch.float64),
            indexing="ij",
        )
    )
    offsets = (target - base.repeat(M, 1, 1)).requires_grad_()
    assert torch.autograd.gradcheck(located_sample, (values, offsets))
    assert torch.autograd.gradcheck(lambda v, o: located_sample(v, o, rows=(1, 3)), (values, offsets))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_keep_coordinates_in_single_precision(dtype):
    # On a ramp the value read is the coordinate; in bfloat16 it would be wrong by up to half a pixel here.
    ramp = torch.arange(256, dtype=dtype).expand(1, 2, 2, 256)
    offsets = torch.full((1, 2, 4, 1024), 0.125, dtype=dtype)
    expected = ((torch.arange(1024) + 0.5) / 4 - 0.5).clamp(min=-0.125) + 0.125
    found = located_sample(ramp, offsets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.clamp(max=255).expand_as(found), rtol=0, atol=1e-4)


def test_single_precision_takes_the_wrong_side_of_a_kink_almost_never():
    single = random_case(coarse=(64, 96), fine=(128, 192), dtype=torch.float32)
    upstream = random_case(coarse=(128, 192), seed=1)[0]
    gradients = []
    for dtype in (torch.float32, torch.float64):
        values, offsets = (tensor.to(dtype).requires_grad_() for tensor in single)
        read = located_sample(values, offsets)
        gradients.append(torch.autograd.grad(read, (values, offsets), upstream.to(dtype)))
    for found, exact in zip(*gradients, strict=True):
        wrong = (found.double() - exact).abs() > 1e-3 * exact.abs().amax()
        assert wrong.double().mean() < 1e-4


def test_rows_and_grid_are_one_sampler():
    values, offsets = random_case(B=3, C=4, coarse=(5, 6), fine=(9, 11))
    offsets[:, :, ::3] = offsets[:, :, ::3].round()  # whole displacements too
    coordinates = (offsets + 2).requires_grad_()
    values.requires_grad_()
    by_grid = sample_at(values, coordinates[:, None])
    by_rows = sample_by_rows(values, clamp_to_map(coordinates, (5, 6)))
    torch.testing.assert_close(by_rows, by_grid, rtol=0, atol=1e-12)
    upstream = torch.randn_like(by_grid)
    for ours, theirs in zip(
        torch.autograd.grad(by_rows, (values, coordinates), upstream),
        torch.autograd.grad(by_grid, (values, coordinates), upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function._schema.name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("deterministic", [False, True])
def test_cuda_reads_by_rows_where_determinism_is_asked_for(deterministic):
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        with FakeTensorMode(), Recorder() as recorder:  # CUDA tensors without data: no device is needed
            result = located_sample(torch.empty(2, 4, 3, 3, device="cuda"), torch.empty(2, 4, 6, 6, device="cuda"))
    finally:
        torch.use_deterministic_algorithms(before)
    assert result.shape == (2, 4, 6, 6)
    samplers = {name for name in recorder.names if "embedding_bag" in name or "grid_sampler" in name}
    assert len(samplers) == 1
    assert ("embedding_bag" in samplers.pop()) == deterministic


@pytest.mark.parametrize("B", [1, 2])
def test_threads_do_not_change_values(B):
    values, offsets = (tensor.requires_grad_() for tensor in random_case(B=B, C=6, coarse=(8, 8), fine=(32, 32)))
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            read = located_sample(values, offsets)
            results.append((read, *torch.autograd.grad(read.square().sum(), (values, offsets))))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("axis", [0, 1])
def test_undefined_offsets_read_nan_and_nothing_else(axis):
    values, offsets = random_case(B=1)
    offsets[0, axis, 2, 3] = float("nan")
    read = located_sample(values, offsets)
    assert read[0, :, 2, 3].isnan().all()
    assert read.isnan().sum() == values.shape[1]


def test_undefined_offsets_survive_the_backward_pass():
    # In a process of its own: reading and writing outside the map would take the test run down.
    script = """
import torch
from offstride.ops import located_sample

values = torch.randn(1, 6, 4, 5, requires_grad=True)
offsets = torch.zeros(1, 2, 8, 10)
offsets[0, 0, 2, 3] = float("nan")
located_sample(values, offsets.requires_grad_()).sum().backward()
other = offsets.grad.clone()
other[0, :, 2, 3] = 0
assert other.isfinite().all()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


GOOD = {"values": (2, 6, 4, 4), "offsets": (2, 2, 8, 8)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": torch.zeros(6, 4, 4)}, "values: expected .* 4 dimensions"),
        ({"values": torch.zeros(2, 6, 4, 4, dtype=torch.int64)}, "values: expected a floating-point"),
        ({"offsets": torch.zeros(2, 2, 8)}, "offsets: expected .* 4 dimensions"),
        ({"offsets": torch.zeros(2, 2, 8, 8, dtype=torch.int32)}, "offsets: expected a floating-point"),
        ({"values": torch.zeros(2, 6, 0, 4)}, "values: expected no empty dimension"),
        ({"offsets": torch.zeros(2, 2, 0, 8)}, "offsets: expected no empty dimension"),
        ({"offsets": torch.zeros(3, 2, 8, 8)}, "offsets: expected batch size 2"),
        ({"offsets": torch.zeros(2, 3, 8, 8)}, "offsets: expected 2M channels .* 6 .*got 3"),
        ({"offsets": torch.zeros(2, 8, 8, 8)}, "offsets: expected 2M channels .* 6 .*got 8"),
        ({"offsets": torch.zeros(2, 2, 8, 8, device="meta")}, "offsets: expected device cpu"),
        ({"origin": "middle"}, "origin: expected one of"),
        ({"rows": (0, 9)}, "rows: expected"),
        ({"rows": (-1, 4)}, "rows: expected"),
        ({"rows": (5, 2)}, "rows: expected"),
    ],
)
def test_errors_name_the_argument(change, message):
    arguments = {name: torch.zeros(shape) for name, shape in GOOD.items()} | change
    with pytest.raises(ValueError, match=message):
        located_sample(**arguments)
