"""Images per second that one core decodes and augments: ours beside torchvision's reference pipeline for segmentation.

    python benchmarks/data_loading.py [--seconds 90]

Drawn street scenes with some grain, of the sizes and in the formats of PASCAL VOC and ADE20K (JPEG) and Cityscapes
(PNG), lie in a temporary folder, which the page cache holds: this measures processors, not discs. All pipelines do the
same to them: scale by 0.5 … 2, flip, crop 512 or 864 with padding, normalise. The reference is what
`references/segmentation/presets.py` of torchvision composes, written with its transforms v2: on PIL images, and on
tensors. Writes `benchmarks/results/data_loading.json`.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from machine import write_result
from measure import interleave, with_ratios
from offstride.data import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    STREETS,
    FolderDataset,
    ShardedDataset,
    Streets,
    TrainTransform,
    write_shards,
)

CROPS = (512, 864)
SCALES = (0.5, 2.0)
BASE = "torchvision reference, PIL"


@dataclass(frozen=True)
class Kind:
    """Images like those of one data set; grain and quality make the files about as large as theirs.

    size: (height, width) in pixels. grain: standard deviation of the noise that is added, in 0 … 255. quality: of JPEG.
    """

    size: tuple[int, int]
    suffix: str
    grain: float
    quality: int | None
    count: int


KINDS = {
    "PASCAL VOC, 500×375 JPEG": Kind((375, 500), ".jpg", 4.0, 95, 12),
    "ADE20K, 683×512 JPEG": Kind((512, 683), ".jpg", 1.0, 75, 8),
    "Cityscapes, 2048×1024 PNG": Kind((1024, 2048), ".png", 0.5, None, 3),
}


def write_images(root, kind):
    """Scenes with grain and their masks in our folder layout; mean size of an image file, in bytes."""
    for folder in ("images", "labels"):
        (root / folder / "train").mkdir(parents=True)
    (root / "classes.json").write_text(json.dumps(STREETS.to_dict()))
    sizes = []
    for index, sample in enumerate(Streets(kind.count, kind.size)):
        grain = kind.grain * np.random.default_rng(index).standard_normal((*kind.size, 1))
        pixels = np.clip(sample.image.permute(1, 2, 0).numpy() + grain, 0, 255).astype(np.uint8)
        path = root / "images" / "train" / f"{index}{kind.suffix}"
        Image.fromarray(pixels).save(path, **({"quality": kind.quality} if kind.quality else {}))
        Image.fromarray(sample.label.numpy()).save(root / "labels" / "train" / f"{index}.png")
        sizes.append(path.stat().st_size)
    return sum(sizes) / len(sizes)


def ours(dataset, crop):
    """What a worker process of our training does."""
    transform = TrainTransform(crop=(crop, crop), scale=SCALES)
    return lambda: [transform(dataset[index], index) for index in range(len(dataset))]


def reference(root, kind, crop, tensors):
    """What a worker process of torchvision's segmentation training does; its base size is the images' own here."""
    short = min(kind.size)
    steps = [
        v2.PILToTensor() if tensors else v2.Identity(),
        v2.RandomResize(int(SCALES[0] * short), int(SCALES[1] * short)),
        v2.RandomHorizontalFlip(0.5),
        v2.RandomCrop(crop, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 0}),
        v2.Identity() if tensors else v2.PILToTensor(),
        v2.ToDtype({torch.Tensor: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
        v2.Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD),
        v2.ToPureTensor(),
    ]
    transform = v2.Compose(steps)
    images = sorted((root / "images" / "train").iterdir())
    masks = sorted((root / "labels" / "train").iterdir())

    def load(image, mask):
        target = tv_tensors.Mask(v2.functional.pil_to_tensor(Image.open(mask))[0])
        return transform(Image.open(image).convert("RGB"), target)

    return lambda: [load(*pair) for pair in zip(images, masks, strict=True)]


def pipelines(root, shards, kind, crop):
    folder = FolderDataset(root, "train")
    return {
        BASE: reference(root, kind, crop, tensors=False),
        "torchvision reference, tensors": reference(root, kind, crop, tensors=True),
        "ours, folder": ours(folder, crop),
        "ours, shards": ours(ShardedDataset(shards, "train"), crop),
        "ours, decoding alone": lambda: [folder[index] for index in range(len(folder))],
    }


def rounds_for(functions, seconds):
    """Rounds of `interleave`, which calls each function twice in a round, that take about so long."""
    start = time.perf_counter()
    for function in functions.values():
        function()
    return min(51, max(3, round(seconds / (2 * (time.perf_counter() - start)))))


def measure_kind(folder, kind, seconds):
    size = write_images(folder / "set", kind)
    write_shards(FolderDataset(folder / "set", "train"), folder / "shards", "train")
    crops = {}
    for crop in CROPS:
        functions = pipelines(folder / "set", folder / "shards", kind, crop)
        rounds = rounds_for(functions, seconds)
        times = with_ratios(interleave(functions, rounds), BASE)
        rates = {name: {"images_per_second": kind.count / each["median"]} for name, each in times.items()}
        crops[str(crop)] = {"rounds": rounds} | {name: rates[name] | times[name] for name in times}
    made = {"bytes_per_image": round(size), "jpeg_quality": kind.quality, "grain": kind.grain, "images": kind.count}
    return made | {"crops": crops}


def show(name, found):
    print(f"\n{name}, {found['bytes_per_image'] / 1000:.0f} kB an image")
    for crop, rows in found["crops"].items():
        for method, each in rows.items():
            if method != "rounds":
                speed = 1 / each["ratio"]
                print(f"  crop {crop}  {method:32}{each['images_per_second']:9.1f} images/s{speed:8.2f}×")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90, help="time for measuring, all sizes and crops together")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results = {}
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure_kind(Path(folder), kind, arguments.seconds / len(KINDS) / len(CROPS))
        show(name, results[name])
    write_result("data_loading", {"scales": SCALES, "results": results})


if __name__ == "__main__":
    main()
