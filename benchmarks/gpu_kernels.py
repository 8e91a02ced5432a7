"""Triton kernels on a CUDA device: errors, times and peak memory beside what is usually done.

    python benchmarks/gpu_kernels.py [--rounds 25] [--sizes voc pctx ade city] [--quick]

Errors are against the dense form in float64. Times are of loss and gradients together, all methods of a size in turn:
as called (`eager`: what a program waits for, with what Python takes) and replayed from a CUDA graph (`graph`: what the
device takes). Peaks are those of torch's allocator over the inputs. Ratios are to `interpolate` + `cross_entropy`.
Writes `benchmarks/results/gpu_kernels.json`; fails if an error is larger than it should be. `--quick` leaves out
`torch.compile`. See `gpu.sh` for the whole check.
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from fused_loss import BASE, SIZES, dense, inputs
from machine import write_result
from measure import summary, with_ratios

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "ops" / "triton"))
import written_out  # the dense form of the tests

CALLS = 10
"""Between two events: one call is too short for a clock."""

GOALS = {"bilinear": (0.25, 0.05), "LaU + guided + regression": (1.0, 0.05)}
"""Ratios of time (on the device) and of memory."""

PLAIN = {"weight": None, "label_smoothing": 0.0, "ignore_index": 255}
TERMS = {"guided": None, "regression": None, "window": 1, "ties": "penalize"}
KINDS = {  # options of the cross-entropy, and of the place
    "bilinear": ({}, None),
    "bilinear, weights, smoothing": ({"weight": 21, "label_smoothing": 0.1}, None),
    "located": ({}, {}),
    "located, fixed point": ({}, {}),
    "located, weights, smoothing": ({"weight": 21, "label_smoothing": 0.1}, {}),
    "located, guided": ({}, {"guided": 0.3}),
    "located, guided, regression": ({}, {"guided": 0.3, "regression": 0.1}),
}
BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
UNSURE = 5e-3
"""Bound where losses are compared: now and then a pixel falls on the other side."""


# ---- errors


def error(found, exact):
    """Norm of the error over the norm."""
    return ((found.double() - exact).norm() / exact.norm()).item()


def grid_sample_loss(scores, offsets, labels):
    """LaU as one writes it down: sum of losses, `origin="center"`."""
    (h, w), (H, W) = scores.shape[2:], labels.shape[1:]
    y = (torch.arange(H, device=scores.device) + 0.5) * (h / H) - 0.5
    x = (torch.arange(W, device=scores.device) + 0.5) * (w / W) - 0.5
    grid = torch.stack((2 * (x + offsets[:, 1]) + 1, 2 * (y[:, None] + offsets[:, 0]) + 1), -1)
    grid = grid / torch.tensor((w, h), device=scores.device) - 1
    rendered = F.grid_sample(scores, grid, padding_mode="border", align_corners=False)
    return F.cross_entropy(rendered, labels, ignore_index=255, reduction="sum")


def exact_loss(scores, offsets, labels, origin, options, terms, divisors):
    if terms is not None and terms["regression"] is not None:
        losses, pulls = written_out.regression(
            scores, offsets, labels, origin, terms["guided"] or 0.0, terms["window"], **options
        )
        return losses / divisors[0] + terms["regression"] * pulls / divisors[1]
    if terms is not None and terms["guided"] is not None:
        return (
            written_out.guided(scores, offsets, labels, origin, terms["guided"], terms["ties"], **options) / divisors[0]
        )
    rendered = written_out.render(scores, None if terms is None else offsets, labels.shape[1:], origin)
    return written_out.pixel_losses(rendered, labels, **options).sum() / divisors[0]


def errors_of(kind, origin, dtype):
    """Relative errors of the loss and of each gradient; in single precision also those of the dense form."""
    from offstride.ops.cross_entropy import triton as kernels

    torch.manual_seed(0)
    options, terms = KINDS[kind]
    options = PLAIN | options
    if options["weight"]:
        options["weight"] = torch.rand(21, device="cuda") + 0.1
    terms = None if terms is None else TERMS | terms
    scores = (3 * torch.randn(2, 21, 33, 47, device="cuda")).to(dtype)
    offsets = (0.7 * torch.randn(2, 2, 257, 379, device="cuda")).to(dtype)
    labels = torch.randint(0, 21, (2, 257, 379), device="cuda")
    labels[torch.rand(labels.shape, device="cuda") < 0.05] = 255
    divisors = torch.tensor([1000.0, 500.0], device="cuda")
    leaves = [each.double().requires_grad_() for each in ((scores,) if terms is None else (scores, offsets))]
    exact = exact_loss(leaves[0], leaves[-1], labels, origin, options, terms, divisors)
    exact = [exact.detach(), *torch.autograd.grad(exact, leaves)]
    torch.use_deterministic_algorithms("fixed point" in kind)
    if terms is None:
        found = kernels.loss(scores, None, labels, divisors, origin=origin, gradient=True, **TERMS, **options)[:2]
    else:
        found = kernels.loss(scores, offsets, labels, divisors, origin=origin, gradient=True, **terms, **options)
    torch.use_deterministic_algorithms(False)
    result = {"ours": [error(ours, right) for ours, right in zip(found, exact, strict=True)]}
    if dtype == torch.float32 and origin == "center" and kind in ("bilinear", "located", "located, fixed point"):
        single = [each.detach().float().requires_grad_() for each in leaves]
        loss = dense_sum(single[0], labels) if terms is None else grid_sample_loss(*single, labels)
        theirs = [loss.detach() / 1000, *(each / 1000 for each in torch.autograd.grad(loss, single))]
        result["dense"] = [error(each, right) for each, right in zip(theirs, exact, strict=True)]
    return result


def dense_sum(scores, labels):
    rendered = F.interpolate(scores, labels.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(rendered, labels, ignore_index=255, reduction="sum")


def within(kind, dtype, found):
    """Whether errors are as they should be; those of a loss may be a unit in the last place or two."""
    bound = max(BOUNDS[dtype], UNSURE if "guided" in kind else 0.0)
    limits = [bound] * len(found["ours"])
    if "dense" in found:
        limits = [1.5 * found["dense"][0] + 3e-7, *(1.5 * each for each in found["dense"][1:])]
    return all(ours <= limit for ours, limit in zip(found["ours"], limits, strict=True))


def all_errors():
    """Errors of everything, and the names of what is wrong."""
    results, wrong = {}, []
    for dtype in BOUNDS:
        for origin in ("center", "corner"):
            for kind in KINDS:
                name = f"{kind}, {origin}, {str(dtype).removeprefix('torch.')}"
                found = errors_of(kind, origin, dtype)
                results[name] = found
                good = within(kind, dtype, found)
                wrong += [] if good else [name]
                shown = "  ".join(f"{whose} " + " ".join(f"{e:.1e}" for e in each) for whose, each in found.items())
                print(f"{name:50} {shown}{'' if good else '   TOO LARGE'}", flush=True)
    return results, wrong


# ---- times and memory


def methods(size, quick):
    """Loss and gradients in each way, by name."""
    from offstride.ops.cross_entropy import triton as kernels

    scores, offsets, labels = (each.detach().cuda() for each in inputs(size))
    leaves = [each.clone().requires_grad_() for each in (scores, offsets)]
    compiled = torch.compile(dense)

    def divisors():
        return (labels != 255).sum().float().repeat(2)

    def backward(loss, *leaves):
        return loss, *torch.autograd.grad(loss, leaves)

    def located(**terms):
        return kernels.loss(
            scores, offsets, labels, divisors(), origin="center", gradient=True, **(TERMS | terms), **PLAIN
        )

    def in_fixed_point(**terms):
        torch.use_deterministic_algorithms(True)
        try:
            return located(**terms)
        finally:
            torch.use_deterministic_algorithms(False)

    found = {
        BASE: lambda: backward(dense(leaves[0], leaves[1], labels), leaves[0]),
        f"{BASE}, compiled": lambda: backward(compiled(leaves[0], leaves[1], labels), leaves[0]),
        "LaU by grid_sample": lambda: backward(grid_sample_loss(*leaves, labels) / divisors()[0], *leaves),
        "bilinear": lambda: kernels.loss(
            scores, None, labels, divisors(), origin="center", gradient=True, **TERMS, **PLAIN
        ),
        "LaU": located,
        "LaU + guided": lambda: located(guided=0.3),
        "LaU + guided + regression": lambda: located(guided=0.3, regression=0.1),
        "LaU + guided + regression, fixed point": lambda: in_fixed_point(guided=0.3, regression=0.1),
    }
    if quick:
        del found[f"{BASE}, compiled"]
    return found


def label_map_methods(size):
    """Label maps and confusion matrices in each way, by name."""
    from offstride.ops.argmax import triton as kernels

    scores, offsets, labels = (each.detach().cuda() for each in inputs(size))
    C, fine = scores.shape[1], tuple(labels.shape[1:])

    def rendered():
        return F.interpolate(scores, fine, mode="bilinear", align_corners=False)

    def counted():
        kept = labels != 255
        pairs = torch.where(kept, labels * C + rendered().argmax(1), C * C)
        return torch.bincount(pairs.flatten(), minlength=C * C + 1)[:-1].view(C, C)

    return {
        "interpolate + argmax": lambda: rendered().argmax(1),
        "interpolate + argmax + bincount": counted,
        "labels": lambda: kernels.labels(scores, None, fine, origin="center"),
        "labels, LaU": lambda: kernels.labels(scores, offsets, fine, origin="center"),
        "confidence": lambda: kernels.confidence(scores, None, fine, origin="center"),
        "confusion": lambda: kernels.confusion(scores, None, labels, origin="center", ignore_index=255),
    }


def captured(function):
    """A function that replays what this one launches; None if that cannot be captured."""
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function()
    except RuntimeError as problem:
        print(f"    no graph: {str(problem).splitlines()[0]}")
        torch.cuda.synchronize()
        return None
    return graph.replay


def milliseconds(function):
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(CALLS):
        function()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / CALLS


def interleaved(functions, rounds):
    """Milliseconds of a call of each function, in turn, every other round backwards."""
    spent = {name: [] for name in functions}
    for function in functions.values():
        milliseconds(function)
    for turn in range(rounds):
        for name in functions if turn % 2 else reversed(functions):
            spent[name].append(milliseconds(functions[name]))
    return {name: summary(times) for name, times in spent.items()}


def peak(function):
    """Bytes that a call takes at most, its results included."""
    kept = function()
    del kept
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    kept = function()
    torch.cuda.synchronize()
    del kept
    return torch.cuda.max_memory_allocated() - before


def measure(functions, base, rounds):
    """Times, peaks, and their ratios to one of the functions."""
    peaks = {name: peak(function) for name, function in functions.items()}
    graphs = {name: replay for name, function in functions.items() if (replay := captured(function)) is not None}
    eager = with_ratios(interleaved(functions, rounds), base)
    graph = interleaved(graphs, rounds)
    graph = with_ratios(graph, base) if base in graph else graph
    return {
        name: {
            "eager_ms": eager[name],
            "graph_ms": graph.get(name),
            "peak_mib": round(peaks[name] / 2**20, 2),
            "memory_ratio": round(peaks[name] / peaks[base], 4),
        }
        for name in functions
    }


def show(size, found):
    print(f"\n{size:41} {'device ms':>10} {'quartiles':>17} {'ratio':>6}", end="")
    print(f" {'called ms':>10} {'ratio':>6} {'MiB':>8} {'ratio':>6}")
    for name, each in found.items():
        graph, eager = each["graph_ms"], each["eager_ms"]
        device = f"{'':>35}"
        if graph is not None:
            quartiles = "–".join(f"{quartile:.4f}" for quartile in graph["quartiles"])
            device = f"{graph['median']:10.4f} {quartiles:>17} {graph.get('ratio', float('nan')):6.3f}"
        memory = f"{each['peak_mib']:8.1f} {each['memory_ratio']:6.3f}"
        print(f"  {name:39} {device} {eager['median']:10.4f} {eager['ratio']:6.3f} {memory}", flush=True)


def goals(sizes):
    """For each size and method with a goal: whether time and memory are as low as that."""
    reached = {}
    for size, found in sizes.items():
        for name, (time_goal, memory_goal) in GOALS.items():
            graph = found[name]["graph_ms"]
            in_time = None if graph is None or "ratio" not in graph else graph["ratio"] <= time_goal
            reached[f"{size}, {name}"] = {"time": in_time, "memory": found[name]["memory_ratio"] <= memory_goal}
    return reached


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--quick", action="store_true", help="without torch.compile")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("gpu_kernels.py: expected a CUDA device, found none; tests/ops/triton runs the kernels without one")
    torch.backends.cuda.matmul.allow_tf32 = False
    errors, wrong = all_errors()
    figures = {"calls": CALLS, "rounds": arguments.rounds, "errors": errors, "sizes": {}, "label_maps": {}}
    for name in arguments.sizes:
        figures["sizes"][name] = measure(methods(SIZES[name], arguments.quick), BASE, arguments.rounds)
        show(f"{name} {SIZES[name]}", figures["sizes"][name])
        figures["label_maps"][name] = measure(label_map_methods(SIZES[name]), "interpolate + argmax", arguments.rounds)
        show(f"{name}, label maps", figures["label_maps"][name])
        write_result("gpu_kernels", figures | {"goals": goals(figures["sizes"])})  # what there is, if time runs out
    for name, reached in goals(figures["sizes"]).items():
        print(f"goal {name}: " + ", ".join(f"{what} {result}" for what, result in reached.items()))
    if wrong:
        sys.exit(f"errors too large: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
