"""What trained offsets do: scores of LaU models with their offsets as learned, halved, and taken away.

    python benchmarks/offset_use.py --data camvid --root CAMVID --split test CHECKPOINT … [--name camvid_lau]

Checkpoints are runs (seeds) of one method. Without its offsets a model is bilinear upsampling of its own coarse
scores: what is lost then is how much the model leans on them. It is more than what LaU gains on a model that was
trained without, whose coarse scores never had to fit offsets. Offsets also change single pixels: which they mend and
which they spoil is counted near borders (within 4 pixels of another class) and away from them, with how far they
reach there. Writes `benchmarks/results/offset_use_NAME.json`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track

from machine import write_result
from offstride.compare import WIDTHS, Entry, ImageCounts, Resampling, compare, count_pixels
from offstride.data import EvalTransform, build_dataset
from offstride.features import Guides
from offstride.field import argmax
from offstride.metrics import boundary_band
from offstride.models import Segmenter
from offstride.ops.labels import IGNORE_INDEX
from offstride.upsamplers import LaU
from offstride.upsamplers.lau import offset_field
from sampling_bound import show

FACTORS = {0.0: "offsets taken away", 1.0: "as learned", 0.5: "halved"}
NEAR = 4  # pixels
PLACES = ("near borders", "elsewhere")


@torch.inference_mode()
def used(path, dataset):
    """Counts of one model for each factor, and what offsets do in both places."""
    model = Segmenter.load(path)
    upsampler = model.upsampler
    if not isinstance(upsampler, LaU):
        raise SystemExit(f"{path}: expected a model with LaU, got {type(upsampler).__name__}")
    rows, changed = {factor: [] for factor in FACTORS}, np.zeros((len(PLACES), 3), np.int64)
    reach = [[] for _ in PLACES]
    for index in track(range(len(dataset)), description=path.parent.name, transient=True):
        image, label = EvalTransform(model.mean, model.std)(dataset[index])
        features = model.backbone(image[None])
        decoded = model.head(features)
        scores, offsets = model.classifier(decoded), upsampler.offsets(decoded, Guides(image[None], features))
        maps = {}
        for factor, found in rows.items():
            field = offset_field(scores, factor * offsets, label.shape, upsampler.origin, upsampler.rest)
            maps[factor] = argmax(field)[0].long()
            found.append(count_pixels(maps[factor][None], label[None], len(dataset.classes), WIDTHS))
        valid = label != IGNORE_INDEX
        near = boundary_band((label * valid)[None], NEAR, valid=valid[None], frame=False)[0]
        without, right = maps[0.0] == label, maps[1.0] == label
        length = F.interpolate(offsets.unflatten(1, (-1, 2)).square().sum(2).sqrt(), label.shape, mode="bilinear")
        for row, place in enumerate((near & valid, ~near & valid)):
            for column, which in enumerate((~without & right, without & ~right, place)):
                changed[row, column] += int((which & place).sum())
            reach[row].append(length[:, :, place].flatten()[::97])
    names = tuple(str(index) for index in range(len(dataset)))
    counts = {
        factor: ImageCounts(names, WIDTHS, *(np.stack(column) for column in zip(*found, strict=True)))
        for factor, found in rows.items()
    }
    mended, spoiled, pixels = changed.T
    lengths = [torch.cat(samples).quantile(torch.tensor((0.5, 0.9))).tolist() for samples in reach]
    return counts, {
        place: {
            "mended": 100 * float(mended[row] / pixels[row]),
            "spoiled": 100 * float(spoiled[row] / pixels[row]),
            "offset_median": lengths[row][0],
            "offset_90": lengths[row][1],
        }
        for row, place in enumerate(PLACES)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--block", type=int, default=1)
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    dataset = build_dataset(arguments.data, arguments.split, root=arguments.root)
    runs = [used(path, dataset) for path in arguments.checkpoints]
    entries = [Entry(name, [counts[factor] for counts, _ in runs]) for factor, name in FACTORS.items()]
    found = compare(entries, dataset.classes, Resampling(resamples=1000, block=arguments.block))
    show(found)
    places = {place: {key: [about[place][key] for _, about in runs] for key in runs[0][1][place]} for place in PLACES}
    print("\nper cent of the pixels that offsets mend and spoil; lengths of offsets in coarse pixels; every run")
    for place, figures in places.items():
        for key, values in figures.items():
            print(f"{place:14}{key:16}" + "".join(f"{value:>10.3f}" for value in values))
    write_result(
        f"offset_use_{arguments.name}", {"data": arguments.data, "split": arguments.split, "places": places, **found}
    )


if __name__ == "__main__":
    main()
