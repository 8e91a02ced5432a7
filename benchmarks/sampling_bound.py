"""How much learned sampling could gain at best: every pixel may read any coarse location near it, chosen by its label.

    python benchmarks/sampling_bound.py --data camvid --root CAMVID --split test CHECKPOINT … [--name camvid_stride16]

A pixel that finds its true class among the best classes of the coarse locations around it is right, all others keep
what bilinear upsampling says: no way of moving locations within the window labels more pixels right, except by mixing
scores of several locations. What stays wrong is not in the coarse scores. Checkpoints are runs (seeds) of one bilinear
model. Writes `benchmarks/results/sampling_bound_NAME.json`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from machine import write_result
from offstride.compare import WIDTHS, Entry, ImageCounts, Resampling, compare, count_pixels
from offstride.data import EvalTransform, build_dataset
from offstride.field import BilinearField, argmax
from offstride.models import Segmenter


def within_reach(coarse, label, radius):
    """Pixels whose true class is the best one of a coarse location at most `radius` cells away: the 4 corners of their
    cell for 1, 16 locations for 2."""
    (h, w), (H, W) = coarse.shape, label.shape
    rows, columns = (torch.floor((torch.arange(fine) + 0.5) * n / fine - 0.5).long() for fine, n in ((H, h), (W, w)))
    found = torch.zeros_like(label, dtype=torch.bool)
    for dy in range(1 - radius, radius + 1):
        for dx in range(1 - radius, radius + 1):
            y, x = (rows + dy).clamp(0, h - 1), (columns + dx).clamp(0, w - 1)
            found |= coarse[y[:, None], x[None]] == label
    return found


@torch.inference_mode()
def counts_of(path, dataset, reaches):
    """Counts of one model: as it is, and with the best choice within each reach."""
    model = Segmenter.load(path)
    rows = {reach: [] for reach in (0, *reaches)}
    for index in track(range(len(dataset)), description=str(path.parent.name), transient=True):
        sample = dataset[index]
        image, label = EvalTransform(model.mean, model.std)(sample)
        field = model.field(image[None])
        if not isinstance(field, BilinearField):
            raise SystemExit(f"{path}: expected a model with bilinear upsampling")
        prediction, coarse = argmax(field)[0], field.values[0].argmax(0).to(label.dtype)
        for reach, found in rows.items():
            best = torch.where(within_reach(coarse, label, reach), label, prediction) if reach else prediction
            found.append(count_pixels(best[None], label[None], len(dataset.classes), WIDTHS))
    names = tuple(str(index) for index in range(len(dataset)))
    return {
        reach: ImageCounts(names, WIDTHS, *(np.stack(column) for column in zip(*found, strict=True)))
        for reach, found in rows.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, help="number of scenes, where they are procedural")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of scenes, where they are procedural")
    parser.add_argument("--reaches", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--block", type=int, default=1)
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    scenes = {name: value for name in ("count", "size") if (value := getattr(arguments, name)) is not None}
    dataset = build_dataset(arguments.data, arguments.split, root=arguments.root, **scenes)
    runs = [counts_of(path, dataset, arguments.reaches) for path in arguments.checkpoints]
    names = {0: "bilinear"} | {reach: f"best of {4 * reach**2} locations" for reach in arguments.reaches}
    entries = [Entry(name, [run[reach] for run in runs]) for reach, name in names.items()]
    found = compare(entries, dataset.classes, Resampling(resamples=1000, block=arguments.block))
    show(found)
    write_result(f"sampling_bound_{arguments.name}", {"data": arguments.data, "split": arguments.split, **found})


def show(found):
    entries = found["entries"]
    print(f"{'per cent':18}" + "".join(f"{entry['name']:>22}" for entry in entries))
    rows = {name: [entry["scores"][name] for entry in entries] for name in found["metrics"]}
    rows |= {f"trimap {w}": [e["trimap"][i]["miou"] for e in entries] for i, w in enumerate(found["widths"])}
    rows |= {name: [entry["classes"][name] for entry in entries] for name in entries[0]["classes"]}
    for name, figures in rows.items():
        print(f"{name:18}" + "".join(f"{100 * (figure['mean'] or 0):>22.1f}" for figure in figures))


if __name__ == "__main__":
    main()
