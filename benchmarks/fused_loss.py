"""Upsampling and cross-entropy, forward and backward, on a CPU: time and peak memory of the fused losses beside what is
usually done.

    python benchmarks/fused_loss.py [--threads 2] [--rounds 15] [--sizes voc ade] [--plot loss.svg]

All methods of a size are timed in turn in one process; each peak is that of a fresh process, over inputs and libraries.
Ratios are to `interpolate` + `cross_entropy`. `torch.compile` and segmentation_models_pytorch are left out where they
are not installed or `--quick` is given. Also shows how time grows with classes and with pixels.
"""

import argparse
import importlib.util
import json
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F

from machine import write_result
from measure import in_fresh_process, interleave, peak, with_ratios
from offstride.field import BilinearField
from offstride.losses import hard_pixels
from offstride.ops import located_cross_entropy, upsample_cross_entropy
from offstride.ops.grid import base_coordinates, neighbors

SIZES = {  # (B, C, h, w), factor
    "voc": ((2, 21, 64, 64), 8),
    "pctx": ((2, 60, 60, 60), 4),
    "ade": ((1, 150, 64, 64), 8),
    "city": ((1, 19, 128, 256), 8),
}
BASE = "interpolate + cross_entropy"
GOALS = {  # method: ratio of time (of time with 100 classes or more), ratio of memory
    "bilinear, C kernel": (0.06, 0.03, 0.07),
    "LaU + guided + regression, C kernel": (0.12, 0.05, 0.07),
    "bilinear, plain PyTorch": (0.4, 0.4, None),
    "LaU + regression, plain PyTorch": (1.0, 1.0, 0.2),
}


def inputs(size):
    """Scores and offsets that need gradients, and labels in patches with one pixel in twenty ignored.

    Neighbouring offsets are independent, the hardest case: each pixel reads a place of its own.
    """
    (B, C, h, w), k = size
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(B, C, max(h // 4, 1), max(w // 4, 1), generator=generator)
    coarse = F.interpolate(patches, (h, w), mode="bilinear").argmax(1)
    labels = F.interpolate(coarse[:, None].float(), scale_factor=k)[:, 0].long()
    labels[torch.rand(labels.shape, generator=generator) < 0.05] = 255
    scores = torch.randn(B, C, h, w, generator=generator) + 3 * F.one_hot(coarse, C).movedim(-1, 1)
    offsets = 0.5 * torch.randn(B, 2, h * k, w * k, generator=generator)
    return scores.contiguous().requires_grad_(), offsets.requires_grad_(), labels


def dense(scores, offsets, labels):
    rendered = F.interpolate(scores, labels.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(rendered, labels, ignore_index=255)


def naive_lau(scores, offsets, labels):
    """LaU with Eq. 4 as one writes it down: its own loss and those of bilinear and four corners, each of all scores."""
    (h, w), (H, W) = scores.shape[2:], labels.shape[1:]
    y, x = base_coordinates(H, h, "center"), base_coordinates(W, w, "center")

    def loss_at(y, x):
        grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), -1)
        read = F.grid_sample(scores, grid, padding_mode="border", align_corners=False)
        return F.cross_entropy(read, labels, ignore_index=255, reduction="none")

    own = loss_at(y[:, None] + offsets[:, 0], x + offsets[:, 1])
    best, target = own.detach(), offsets.detach()
    with torch.no_grad():
        shape = (len(scores), H, W)
        loss_at(y[:, None].expand(shape), x.expand(shape))  # L' of Eq. 3
        for column in neighbors(W, w, "center"):
            for row in neighbors(H, h, "center"):
                corner = scores[:, :, row][..., column]
                losses = F.cross_entropy(corner, labels, ignore_index=255, reduction="none")
                away = torch.stack(((row - y)[:, None].expand(shape), (column - x).expand(shape)), 1)
                target = torch.where((losses < best)[:, None], away, target)
                best = torch.minimum(best, losses)
    valid = labels != 255
    weighted = own * torch.where(own.detach() > best, 1.3, 1.0)
    pull = F.smooth_l1_loss(offsets, target, reduction="none").mean(1) * valid
    return (weighted.sum() + 0.1 * pull.sum()) / valid.sum()


def smp_ce_dice(scores, offsets, labels):
    import segmentation_models_pytorch as smp

    rendered = F.interpolate(scores, labels.shape[1:], mode="bilinear", align_corners=False)
    dice = smp.losses.DiceLoss("multiclass", ignore_index=255)
    return F.cross_entropy(rendered, labels, ignore_index=255) + dice(rendered, labels)


def dense_hard(scores, offsets, labels):
    """The hardest quarter of the pixels, as one writes it down."""
    rendered = F.interpolate(scores, labels.shape[1:], mode="bilinear", align_corners=False)
    losses = F.cross_entropy(rendered, labels, ignore_index=255, reduction="none")[labels != 255]
    return losses.topk(round(0.25 * len(losses))).values.mean()


def fused_hard(scores, offsets, labels):
    field = BilinearField(scores, labels.shape[1:])
    return upsample_cross_entropy(scores, hard_pixels(field, labels, share=0.25), impl="cpu")


def bilinear(impl):
    return lambda scores, offsets, labels: upsample_cross_entropy(scores, labels, impl=impl)


def lau(impl, **terms):
    return lambda scores, offsets, labels: located_cross_entropy(scores, offsets, labels, impl=impl, **terms)


METHODS = {
    BASE: dense,
    "torch.compile of it": torch.compile(dense),
    "smp: cross_entropy + Dice": smp_ce_dice,
    "hardest pixels: cross_entropy + topk": dense_hard,
    "LaU, six full losses": naive_lau,
    "bilinear, plain PyTorch": bilinear("banded"),
    "bilinear, C kernel": bilinear("cpu"),
    "hardest pixels, C kernel": fused_hard,
    "LaU + regression, plain PyTorch": lau("banded", guided=0.3, regression=0.1),
    "LaU, C kernel": lau("cpu"),
    "LaU + guided, C kernel": lau("cpu", guided=0.3),
    "LaU + guided + regression, C kernel": lau("cpu", guided=0.3, regression=0.1),
}


def chosen(quick):
    missing = importlib.util.find_spec("segmentation_models_pytorch") is None
    left_out = {"torch.compile of it"} if quick else set()
    return [name for name in METHODS if name not in left_out and not (missing and name.startswith("smp"))]


def step(name, given):
    """One forward and backward pass; returns the loss."""
    leaves = given[:2] if name.startswith("LaU") else given[:1]

    def run():
        loss = METHODS[name](*given)
        torch.autograd.grad(loss, leaves)
        return loss

    return run


def measure(size, names, rounds, threads):
    given = inputs(SIZES[size])
    runs = {name: step(name, given) for name in names}
    losses = {name: run().item() for name, run in runs.items()}
    found = with_ratios(interleave(runs, rounds), BASE)
    for name in names:
        bytes_ = in_fresh_process(__file__, "--threads", threads, "--worker", size, name)
        found[name] |= {"loss": losses[name], "peak_bytes": bytes_}
    for each in found.values():
        each["memory_ratio"] = each["peak_bytes"] / found[BASE]["peak_bytes"]
    return found


def growth(rounds):
    """Milliseconds per megapixel as classes and pixels grow."""
    names = [BASE, "bilinear, C kernel", "LaU + guided + regression, C kernel"]
    sizes = [((1, C, 64, 64), 8) for C in (2, 8, 21, 64, 150, 300)] + [((1, 21, n, n), 8) for n in (16, 32, 128)]
    rows = []
    for size in sizes:
        given = inputs(size)
        times = interleave({name: step(name, given) for name in names}, rounds)
        megapixels = given[2].numel() / 1e6
        rows.append({"size": size, "ms_per_megapixel": {n: 1e3 * t["median"] / megapixels for n, t in times.items()}})
    return rows


def report(size, found):
    (B, C, h, w), k = SIZES[size]
    print(f"\n{size}: ({B}, {C}, {h}, {w}) × {k}")
    print(f"{'':38}{'ms':>9}{'quartiles':>19}{'time':>8}{'peak MiB':>10}{'memory':>8}")
    for name, each in found.items():
        quartiles = " … ".join(f"{1e3 * q:.2f}" for q in each["quartiles"])
        time, memory, least = GOALS.get(name, (None, None, None))
        goal = (memory if C >= 100 else time) if time else None
        missed = (goal and each["ratio"] > goal) or (least and each["memory_ratio"] > least)
        print(
            f"{name:38}{1e3 * each['median']:9.2f}{quartiles:>19}{each['ratio']:8.3f}"
            f"{each['peak_bytes'] / 2**20:10.1f}{each['memory_ratio']:8.3f}{'  misses its goal' if missed else ''}"
        )


def plot(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 5.2), sharey=True)
    names = list(next(iter(results.values())))
    for axis, key, title in zip(axes, ("ratio", "memory_ratio"), ("time", "peak memory"), strict=True):
        for i, (size, found) in enumerate(results.items()):
            values = [found[name][key] for name in names]
            axis.barh([n + 0.2 * i - 0.3 for n in range(len(names))], values, height=0.18, label=size)
        axis.axvline(1, color="0.4", linewidth=0.8)
        axis.set(xscale="log", xlabel=f"{title}, ratio to {BASE} (log)")
        axis.set_yticks(range(len(names)), names)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    axes[1].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--quick", action="store_true", help="leave torch.compile out")
    parser.add_argument("--plot", type=Path, help="also draw the ratios")
    parser.add_argument("--worker", nargs=2, metavar=("SIZE", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="torch._inductor")
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        size, name = arguments.worker
        print(json.dumps(peak(step(name, inputs(SIZES[size])))))
        return
    results = {}
    for size in arguments.sizes:
        results[size] = measure(size, chosen(arguments.quick), arguments.rounds, arguments.threads)
        report(size, results[size])
    rows = growth(arguments.rounds)
    print("\nms per megapixel, forward and backward")
    for row in rows:
        (_, C, h, w), k = row["size"]
        each = "   ".join(f"{name} {value:8.1f}" for name, value in row["ms_per_megapixel"].items())
        print(f"C = {C:3}, {h * k}×{w * k}:  {each}")
    sizes = {name: {"scores": size, "factor": k} for name, (size, k) in SIZES.items()}
    write_result("fused_loss", {"sizes": sizes, "base": BASE, "results": results, "growth": rows})
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
