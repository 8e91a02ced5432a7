"""`offstride upper-bound`: what a decoder could reach at best, by how well labels survive its coarse grid."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from itertools import product
from pathlib import Path
from typing import get_args

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from torch import Tensor

from offstride.cli.bound_tables import Bound, Learned, direct_table, learned_table, save_bounds
from offstride.cli.console import Report, pick_device, progress_bar
from offstride.data import LabelMaps, SampleSet, build_dataset
from offstride.evaluate import (
    Coarse,
    Interpolation,
    LabelDecoder,
    LabelTraining,
    Trained,
    label_decoder,
    learned_bound,
    mean_and_deviation,
    reconstruction_bounds,
)
from offstride.files import write_text
from offstride.upsamplers import LabelBasis, fit_label_basis


def main(program: str, arguments: list[str]) -> int:
    """Measure the direct bounds, and the learned ones if they are asked for."""
    values = _parser(program).parse_args(arguments)
    _check(values)
    dataset = _dataset(values, values.split, values.count)
    fit_set = cache(lambda: _dataset(values, values.fit_split, values.fit_count))
    bases = _bases(values, dataset, fit_set)
    direct = _direct(dataset, bases, values.channels)
    title = f"{values.data} {values.split or ''}".strip()
    Console().print(direct_table(direct, f"labels of {title}, to a coarse grid and back: mIoU in per cent"))
    learned = _learned(values, fit_set(), dataset, bases) if values.learned else []
    if learned:
        Console().print(learned_table(learned, f"networks that read labels of {title}: mIoU in per cent"))
    if values.plot:
        save_bounds(values.plot, direct, title)
    if values.json:
        source = {"data": values.data, "split": values.split, "fit_split": values.fit_split, "images": len(dataset)}
        figures = source | {"direct": [asdict(row) for row in direct], "learned": [asdict(row) for row in learned]}
        write_text(values.json, json.dumps(figures, indent=2) + "\n")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="Upper bounds of decoders: labels are brought to a coarse grid and back, by DUpsampling with the "
        "best basis of so many channels, and by interpolation.",
        exit_on_error=False,
    )
    result.add_argument("--data", default="folder", help="name of the data set: folder, camvid, streets …")
    result.add_argument("--root", type=Path | None, default=None, help="folder of the data set")
    result.add_argument("--split", type=str | None, default="val", help="split to score on; null if there are none")
    result.add_argument("--fit-split", type=str | None, default="train", help="split that bases are fitted to")
    result.add_argument("--count", type=int | None, default=None, help="number of procedural scenes to score on")
    result.add_argument("--fit-count", type=int | None, default=None, help="number of procedural scenes to fit to")
    result.add_argument(
        "--size", type=tuple[int, int] | None, default=None, help="[height, width] of procedural scenes"
    )
    result.add_argument("--scales", type=int, nargs="+", default=[8, 16, 32], help="widths of the windows, in pixels")
    result.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128], help="channels of the codes")
    result.add_argument("--basis", type=Path, nargs="*", default=[], help="files of bases, in place of fitting them")
    result.add_argument("--plot", type=Path | None, default=None, help="file for a chart (png, svg, pdf)")
    result.add_argument("--json", type=Path | None, default=None, help="file for all figures")
    result.add_argument("--learned", action="store_true", help="train networks that read labels, too (slow)")
    result.add_argument("--seeds", type=int, default=3, help="networks of each kind")
    result.add_argument("--device", type=str, default="auto", help="of the networks: cpu, cuda, cuda:1 …")
    usual = LabelTraining()
    result.add_argument("--steps", type=int, default=usual.steps, help="iterations of each network")
    result.add_argument("--batch-size", type=int, default=usual.batch_size, help="label maps of one iteration")
    result.add_argument("--crop", type=tuple[int, int], default=usual.crop, help="[height, width] of their crops")
    result.add_argument("--code", type=int, default=usual.channels, help="channels of their code before DUpsampling")
    result.add_argument("--workers", type=int, default=0, help="processes that load their data")
    return result


def _check(values: Namespace) -> None:
    for name in ("scales", "channels"):
        if not getattr(values, name) or min(getattr(values, name)) < 1:
            raise ValueError(f"{name}: expected positive whole numbers, got {getattr(values, name)}")
    if values.seeds < 1:
        raise ValueError(f"seeds: expected 1 or more, got {values.seeds}")
    if values.plot and values.plot.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"plot: expected a file that ends in .png, .svg or .pdf, got {values.plot}")
    if values.learned:  # what would be wrong hours later
        _training(values)
        if any(scale < 2 or scale & (scale - 1) for scale in values.scales):
            raise ValueError(f"scales: expected powers of two from 2 on with --learned, got {values.scales}")


def _training(values: Namespace) -> LabelTraining:
    return LabelTraining(
        steps=values.steps,
        batch_size=values.batch_size,
        crop=values.crop,
        channels=values.code,
        workers=values.workers,
    )


def _dataset(values: Namespace, split: str | None, count: int | None) -> SampleSet:
    source = {"count": count, "size": values.size} if values.data == "streets" else {"root": values.root}
    return build_dataset(values.data, split, **source)


def _bases(values: Namespace, dataset: SampleSet, fit_set: Callable[[], SampleSet]) -> dict[int, LabelBasis]:
    """A basis for each scale, from files as far as there are some; one of most channels serves for fewer."""
    classes = len(dataset.classes)
    found: dict[int, LabelBasis] = {}
    for path in values.basis:
        basis = LabelBasis.load(path)
        if basis.classes != classes or basis.scale not in values.scales:
            raise ValueError(
                f"basis {path}: expected {classes} classes and a window of {values.scales}, "
                f"got {basis.classes} and {basis.scale}"
            )
        found[basis.scale] = basis
    for scale in values.scales:
        if scale not in found:
            found[scale] = _fit(values, scale, fit_set())
    return found


def _fit(values: Namespace, scale: int, dataset: SampleSet) -> LabelBasis:
    classes = len(dataset.classes)
    most = max([*values.channels, values.code] if values.learned else values.channels)
    channels = min(most, scale**2 * classes)
    with progress_bar(f"basis of windows of {scale}") as progress:
        maps = reported(LabelMaps(dataset), progress)
        return fit_label_basis(maps, scale=scale, classes=classes, channels=channels, progress=progress)


def reported(maps: LabelMaps, progress: Report) -> Iterator[Tensor]:
    """Label maps, with a report after each."""
    for index in range(len(maps)):
        yield maps[index]
        progress(index + 1, len(maps))


def _direct(dataset: SampleSet, bases: Mapping[int, LabelBasis], channels: Sequence[int]) -> list[Bound]:
    """Bounds of all decoders at all scales, in one pass over the data."""
    decoders: dict[tuple[int, str, int, str | None], LabelDecoder] = {}
    classes = len(dataset.classes)
    for scale, basis in bases.items():
        for count in sorted({min(count, basis.channels) for count in channels}):
            decoders[scale, "dupsampling", count, None] = label_decoder(basis, scale, classes, channels=count)
        for kind, coarse in product(get_args(Interpolation), get_args(Coarse)):
            decoders[scale, kind, classes, coarse] = label_decoder(kind, scale, classes, coarse=coarse)
    with progress_bar("compressing labels") as progress:
        scores = reconstruction_bounds(dataset, decoders, progress=progress)
    return [Bound(*key, score.miou, score.pixel_accuracy) for key, score in scores.items()]


def _learned(values: Namespace, train: SampleSet, val: SampleSet, bases: Mapping[int, LabelBasis]) -> list[Learned]:
    training = _training(values)
    device = pick_device(values.device)
    rows = []
    for scale, decoder in product(bases, get_args(Trained)):
        basis = bases[scale] if decoder == "dupsampling" else None
        found = []
        for seed in range(values.seeds):
            with progress_bar(f"training {decoder} {scale}, seed {seed}") as progress:
                options = {"seed": seed, "basis": basis, "device": device, "progress": progress}
                found.append(learned_bound(train, val, decoder, scale, training, **options).scores.miou)
        channels = training.channels if basis else len(val.classes)
        rows.append(Learned(scale, decoder, channels, training.steps, found, *mean_and_deviation(found)))
    return rows
