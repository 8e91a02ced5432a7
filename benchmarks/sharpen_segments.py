"""The shipped universal weights on segments without classes, at every stride: drawn segments and streets of seeds that
no training saw, and segments that people marked in photographs (BSDS500).

    python benchmarks/sharpen_segments.py [--bsds BSDS500]

Segments get one of 2 to 6 random classes; coarse scores are simulated from them, as in training: displaced and blurred,
or sharp, as those of a fine decoder. Gains over bilinear upsampling in mIoU and boundary IoU, in points, over all
crops of 192×192 pixels of one kind; intervals come from drawing crops anew. Writes
`benchmarks/results/sharpen_segments.json`.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from machine import write_result
from offstride.compare import WIDTHS, Entry, ImageCounts, Resampling, compare, count_pixels
from offstride.data import ClassSet, Segments, Streets
from offstride.experiments.universal import crops
from offstride.experiments.universal.crops import Picture, draw_batch
from offstride.experiments.universal.simulate import Chance
from offstride.field import LocatedField, argmax
from offstride.upsamplers import UniversalLaU
from offstride.upsamplers.universal import shipped_recipe

STRIDES = (4, 8, 16, 32)
SIZE = (256, 336)
CLASSES = ClassSet(names=tuple(f"class {number}" for number in range(crops.MOST_CLASSES)))
KINDS = {"blurred": 0.0, "sharp": 1.0}
"""Share of sharp scores."""


def drawn(kind: type, count: int, seed: int) -> list[Picture]:
    dataset = kind(count, SIZE, seed, "test")
    samples = (dataset[index] for index in range(count))
    return [Picture(sample.image, sample.label) for sample in samples]


def photographs(root: Path) -> list[Picture]:
    """Photographs with the segments of their first annotator."""
    found = []
    for path in sorted((root / "images" / "val").glob("*.jpg")):
        with Image.open(path) as image, Image.open(root / "segments" / "val" / f"{path.stem}_0.png") as segments:
            pixels, numbers = np.array(image.convert("RGB")), np.array(segments)
        found.append(Picture(torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(numbers)))
    return found


@torch.no_grad()
def counted(pictures: list[Picture], stride: int, count: int, seed: int) -> tuple[ImageCounts, ImageCounts]:
    """Counts of crops with bilinear and with universal upsampling."""
    chance = Chance(random.Random(seed), torch.Generator().manual_seed(seed))
    upsamplers = {origin: UniversalLaU(origin=origin).eval() for origin in ("center", "aligned")}
    rows = ([], [])
    for _ in range(count):
        batch = draw_batch([pictures], 1, chance, stride)
        offsets = upsamplers[batch.origin].offsets(batch.scores, batch.images)
        for row, moved in zip(rows, (torch.zeros_like(offsets), offsets), strict=True):
            labels = argmax(LocatedField(batch.scores, moved, batch.origin))
            row.append(count_pixels(labels, batch.labels, len(CLASSES), WIDTHS))
    names = tuple(str(index) for index in range(count))
    before, after = (
        ImageCounts(names, WIDTHS, *(np.stack(column) for column in zip(*row, strict=True))) for row in rows
    )
    return before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bsds", type=Path, help="folder of BSDS500")
    parser.add_argument("--count", type=int, default=100, help="crops of each kind, stride and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sources = {"segments": Segments, "streets": Streets} | ({"bsds500": None} if arguments.bsds else {})
    figures = {}
    for name, kind in sources.items():
        shared = [] if kind else photographs(arguments.bsds)
        pictures = {seed: drawn(kind, arguments.count, 100 + seed) if kind else shared for seed in arguments.seeds}
        for sort, share in KINDS.items():
            crops.SHARP = share
            for stride in STRIDES:
                pairs = [counted(pictures[seed], stride, arguments.count, seed) for seed in arguments.seeds]
                before, after = (list(column) for column in zip(*pairs, strict=True))
                report = compare([Entry("bilinear", before), Entry("universal", after)], CLASSES, Resampling())
                entry = {}
                for metric in ("miou", "boundary_iou"):
                    figure = report["entries"][1]["scores"][metric]
                    low, high = figure["difference"]["images"]
                    entry[metric] = {
                        "bilinear": report["entries"][0]["scores"][metric]["mean"],
                        "gain": figure["difference"]["mean"],
                        "interval": [low, high],
                        "seeds": figure["difference"]["sd"],
                    }
                figures[f"{name}, {sort}, stride {stride}"] = entry
                shown = ", ".join(
                    f"{metric} {100 * it['bilinear']:.1f} {100 * it['gain']:+.2f} "
                    f"({100 * it['interval'][0]:+.2f} … {100 * it['interval'][1]:+.2f})"
                    for metric, it in entry.items()
                )
                print(f"{name:9} {sort:8} stride {stride:2}: {shown}", flush=True)
    setting = {"count": arguments.count, "seeds": arguments.seeds, "level": 0.95}
    write_result("sharpen_segments", setting | {"weights": shipped_recipe(), "gains": figures})


if __name__ == "__main__":
    main()
