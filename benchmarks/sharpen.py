"""The shipped universal weights on models and data that they have never seen, beside what needs no training either.

First train the models (the names of folders are free), with several seeds:

    offstride train recipes/camvid/compare.yaml --data.root CAMVID --model.pretrained MOBILENET --schedule.seed 0 \\
        --output runs/sharpen/camvid16-0

and likewise with `--model.output_stride 32`, with `--model.upsampler residual`, and `recipes/crackforest/compare.yaml`.
`python benchmarks/voc_deeplab.py` writes the DeepLab of VOC. Then

    python benchmarks/sharpen.py camvid16 --data camvid --root CAMVID --models runs/sharpen/camvid16-*/best.safetensors
    python benchmarks/sharpen.py voc_deeplab --data camvid --root CAMVID --voc \\
        --models runs/voc_deeplab/street.safetensors

The frozen network runs once for each image and seed. The entry of this name in `benchmarks/results/sharpen.json` is
replaced; the others stay. `--against` also takes `densecrf`, which needs the package pydensecrf2. `--learn` adds the
upsampler after it learned from the labels of the train split, everything else frozen; val chooses among the steps.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

import dense_crf
from machine import HERE, circumstances, write_result
from offstride import open_model, sharpen
from offstride.compare import Entry, Resampling, compare
from offstride.data import Sample, build_dataset
from offstride.experiments.sharpening.choosing import best
from offstride.experiments.sharpening.counting import count_methods
from offstride.experiments.sharpening.frozen import Frozen, upsampler_holder
from offstride.experiments.sharpening.methods import TRAINED, Method, opponents, own_method
from offstride.experiments.sharpening.training import UpsamplerTraining, cached_crops, train_upsampler
from offstride.features import NO_GUIDES, Guides
from offstride.field import CroppedField, DenseField, LogitField
from offstride.upsamplers import Upsampler
from offstride.upsamplers.base import Size
from offstride.upsamplers.universal import shipped_recipe
from voc_deeplab import STREET, padded, street_label

SCORES = ("miou", "boundary_iou")
CRF = "densecrf"


class StreetOfVoc(Dataset):
    """CamVid with the classes that VOC has."""

    classes = STREET

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        return replace(sample, label=street_label(sample.label, self.dataset.classes))


def enlarging(model) -> None:
    """Give a model images with a row and a column of mean colour more, as TensorFlow's DeepLab takes them."""
    plain = model.field
    model.field = lambda images: CroppedField(plain(padded(images, 0)), (images.shape[2], images.shape[3]))


class Every(Dataset):
    """Every so many-th sample of a data set."""

    def __init__(self, dataset, step: int) -> None:
        self.dataset, self.step, self.classes = dataset, step, dataset.classes

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.step)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[index * self.step]


class DenseCrf(Upsampler):
    """The labels of a DenseCRF after the model's own upsampling, as scores of 0 and 1."""

    def __init__(self, own: Upsampler, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.own = own
        self.colours = tuple(torch.tensor(values).view(3, 1, 1) for values in (mean, std))

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        field = self.own(scores, features, size, guides)
        mean, std = self.colours
        found = []
        for probabilities, image in zip(field.dense().softmax(1), guides.image, strict=True):
            pixels = ((image * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
            labels = dense_crf.refine(probabilities, pixels)
            found.append(F.one_hot(labels, scores.shape[1]).permute(2, 0, 1).float())
        return DenseField(torch.stack(found))


def counted(file: str, splits: dict, against: list[str], training: UpsamplerTraining | None) -> dict:
    """Counts of all methods on one model."""
    model = open_model(file)
    sharper = upsampler_holder(sharpen(model)).upsampler.eval()
    if isinstance(splits["test"], StreetOfVoc):
        enlarging(model)
    frozen = Frozen(model)
    methods = [own_method(frozen), Method("universal", sharper)]
    if training:
        methods.append(learned(sharper, frozen, splits, training))
    methods += opponents([name for name in against if name != CRF], frozen)
    if CRF in against:
        dense_crf.library()
        methods.append(Method(CRF, DenseCrf(frozen.own, model.mean, model.std).eval()))
    return counts_by_name(methods, frozen, splits["test"], file)


def counts_by_name(methods: list[Method], frozen: Frozen, dataset: Dataset, file: str) -> dict:
    counts = count_methods(methods, frozen, dataset, progress=lambda done, total: show_progress(file, done, total))
    return {method.name: each.counts for method, each in zip(methods, counts, strict=True)}


def learned(start: Upsampler, frozen: Frozen, splits: dict, training: UpsamplerTraining) -> Method:
    """The best on val of the upsamplers along a training from the universal weights."""
    begun = time.perf_counter()
    inside = getattr(start, "upsample", None) is not None
    crops = cached_crops(frozen, splits["train"], training, features=inside)
    along = {f"{it.step} steps": it.upsampler for it in train_upsampler(start, crops, training)}
    print(f"trained for {time.perf_counter() - begun:.0f} s, coarse scores included", flush=True)
    counts = counts_by_name([Method(*pair) for pair in along.items()], frozen, splits["val"], "val")
    chosen = list(along)[best(list(counts.values()), splits["val"].classes)]
    return Method(TRAINED, along[chosen])


def show_progress(file: str, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{Path(file).parent.name}: {done} of {total}", flush=True)


def brief(value):
    """A report without what needs much space: numbers of six digits, no curves."""
    if isinstance(value, dict):
        return {key: brief(each) for key, each in value.items() if key not in ("trimap", "extremes", "curves", "costs")}
    if isinstance(value, list):
        return [brief(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def show(name: str, report: dict) -> None:
    print(name)
    for entry in report["entries"]:
        for score in SCORES:
            figure = entry["scores"][score]
            text = f"  {entry['name']:18} {score:13} {100 * figure['mean']:6.2f}"
            if figure["difference"]:
                low, high = figure["difference"]["images"]
                text += f"  {100 * figure['difference']['mean']:+.2f} ({100 * low:+.2f} … {100 * high:+.2f})"
            print(text)
        changes = {key: value["difference"] for key, value in entry["classes"].items() if value["difference"]}
        if changes:
            print("   ", ", ".join(f"{key} {100 * value['mean']:+.2f}" for key, value in changes.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the entry")
    parser.add_argument("--data", default="folder")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--models", nargs="+", required=True, help="one file for each seed")
    parser.add_argument("--voc", action="store_true", help="the classes of VOC alone")
    parser.add_argument("--against", nargs="*", default=["joint_bilateral", "guided_filter"])
    parser.add_argument("--learn", action="store_true", help="a row that learned from the labels of the train split")
    parser.add_argument("--steps", type=int, default=300, help="of that training")
    parser.add_argument("--every", type=int, default=1, help="score every so many-th image, where methods are slow")
    parser.add_argument("--block", type=int, default=1, help="neighbouring images that are drawn together")
    arguments = parser.parse_args()
    names = {"test": arguments.split} | ({"train": "train", "val": "val"} if arguments.learn else {})
    splits = {key: build_dataset(arguments.data, name, root=arguments.root) for key, name in names.items()}
    if arguments.every > 1:
        splits["test"] = Every(splits["test"], arguments.every)
    if arguments.voc:
        splits = {key: StreetOfVoc(dataset) for key, dataset in splits.items()}
    dataset, runs = splits["test"], []
    for seed, file in enumerate(arguments.models):
        training = UpsamplerTraining(steps=arguments.steps, seed=seed) if arguments.learn else None
        runs.append(counted(file, splits, arguments.against, training))
    entries = [Entry(name, [run[name] for run in runs]) for name in runs[0]]
    report = compare(entries, dataset.classes, Resampling(block=arguments.block))
    show(arguments.name, report)
    setting = {key: value for key, value in vars(arguments).items() if key not in ("root", "models")}
    setting["models"] = ["/".join(Path(file).parts[-2:]) for file in arguments.models]
    path = HERE / "results" / "sharpen.json"
    entries = json.loads(path.read_text())["entries"] if path.exists() else {}
    entries[arguments.name] = {
        "made": circumstances() | {"command": setting},
        "weights": shipped_recipe(),
        "images": len(dataset),
        "report": brief(report),
    }
    write_result("sharpen", {"entries": entries})


if __name__ == "__main__":
    main()
