"""From coarse scores to label maps and confusion counts on a CPU: time beside `interpolate` + `argmax`.

    python benchmarks/label_maps.py [--threads 2] [--rounds 15]

Scores are smooth, as those of a trained model, or independent from place to place, the hardest case for what is left
out. All methods of a size are timed in turn. Counting is compared with torchmetrics' Jaccard index of the argmax.
"""

import argparse

import torch
import torch.nn.functional as F
from torchmetrics.classification import MulticlassJaccardIndex

from fused_loss import SIZES
from machine import write_result
from measure import interleave, with_ratios
from offstride.ops import located_sample, upsample_argmax, upsample_confusion

GOALS = {
    "bilinear, C kernel": 0.02,
    "LaU, C kernel": 0.05,
    "bilinear, plain PyTorch": 0.35,
    "counts, C kernel": 0.02,
}
BASE, COUNT_BASE = "interpolate + argmax", "interpolate + argmax + torchmetrics"


def inputs(size, smooth):
    (B, C, h, w), k = size
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(B, C, h, w, generator=generator)
    if smooth:
        patches = torch.randn(B, C, max(2, h // 8), max(2, w // 8), generator=generator)
        scores = 6 * F.interpolate(patches, (h, w), mode="bicubic") + 0.15 * scores
    offsets = 0.5 * torch.randn(B, 2, h * k, w * k, generator=generator)
    labels = F.interpolate(scores, scale_factor=k, mode="bilinear").argmax(1).roll((5, 9), (1, 2))
    labels[:, :40] = 255
    return scores.contiguous(), offsets, labels


def methods(scores, offsets, labels):
    size = tuple(labels.shape[1:])
    jaccard = MulticlassJaccardIndex(scores.shape[1], ignore_index=255, average="none")

    def usual():
        return F.interpolate(scores, size, mode="bilinear").argmax(1)

    def usual_counts():
        jaccard.reset()
        jaccard.update(usual(), labels)

    label_maps = {
        BASE: usual,
        "bilinear, plain PyTorch": lambda: upsample_argmax(scores, size, impl="banded"),
        "bilinear, C kernel": lambda: upsample_argmax(scores, size, impl="cpu"),
        "LaU, located_sample + argmax": lambda: located_sample(scores, offsets).argmax(1),
        "LaU, C kernel": lambda: upsample_argmax(scores, size, offsets=offsets, impl="cpu"),
    }
    return label_maps, {COUNT_BASE: usual_counts, "counts, C kernel": lambda: upsample_confusion(scores, labels)}


def agreement(label_maps):
    """Share of pixels with the same label: rounding decides the others, where two classes tie."""
    pairs = {"bilinear": (BASE, "bilinear, C kernel"), "LaU": ("LaU, located_sample + argmax", "LaU, C kernel")}
    return {
        name: (label_maps[usual]() == label_maps[ours]()).double().mean().item()
        for name, (usual, ours) in pairs.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {}
    for name, size in SIZES.items():
        for kind in ("smooth", "independent"):
            label_maps, counts = methods(*inputs(size, kind == "smooth"))
            found = with_ratios(interleave(label_maps, arguments.rounds), BASE)
            found |= with_ratios(interleave(counts, arguments.rounds), COUNT_BASE)
            results[f"{name}, {kind}"] = {"times": found, "same_labels": agreement(label_maps)}
            print(f"\n{name}, {kind} scores; same labels {results[f'{name}, {kind}']['same_labels']}")
            for method, each in found.items():
                quartiles = " … ".join(f"{1e3 * q:.2f}" for q in each["quartiles"])
                missed = "  misses its goal" if each["ratio"] > GOALS.get(method, 1e9) else ""
                print(f"{method:38}{1e3 * each['median']:9.2f} ms{quartiles:>20}{each['ratio']:9.4f}{missed}")
    write_result("label_maps", {"results": results})


if __name__ == "__main__":
    main()
