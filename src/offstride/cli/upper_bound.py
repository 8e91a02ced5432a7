"""`offstride upper-bound`: upper bounds of decoders, from labels that a coarse grid represents."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from offstride.cli.console import add_data, columns, command_parser, open_data, pick_device, progress_bar, simple_table
from offstride.evaluate import LabelTraining
from offstride.experiments.bounds import Bound, Learned, direct_bounds, label_bases, learned_bounds
from offstride.files import write_text
from offstride.visualize import ChartLine, save_chart

_NAMES = {"dupsampling": "DUpsampling", "bilinear": "bilinear", "nearest": "nearest"}
_READ = {"average": "window, averaged", "point": "its central pixel", "": "window"}


def main(program: str, arguments: list[str]) -> int:
    """Measure the direct bounds, and with `--learned` the learned ones."""
    values = _parser(program).parse_args(arguments)
    _check(values)
    dataset = open_data(values, values.split, values.count)
    fit_set = cache(lambda: open_data(values, values.fit_split, values.fit_count))
    most = max([*values.channels, values.code] if values.learned else values.channels)
    bases = label_bases(values.basis, values.scales, most, len(dataset.classes), fit_set, progress_bar)
    direct = direct_bounds(dataset, bases, values.channels, progress_bar)
    title = f"{values.data} {values.split or ''}".strip()
    Console().print(_direct_table(direct, f"labels of {title}, to a coarse grid and back: mIoU in per cent"))
    learned = []
    if values.learned:
        how = _training(values), values.seeds, pick_device(values.device), progress_bar
        learned = learned_bounds(fit_set(), dataset, bases, *how)
        Console().print(_learned_table(learned, f"networks that read labels of {title}: mIoU in per cent"))
    if values.plot:
        _save_bounds(values.plot, direct, title)
    if values.json:
        source = {"data": values.data, "split": values.split, "fit_split": values.fit_split, "images": len(dataset)}
        figures = source | {"direct": [asdict(row) for row in direct], "learned": [asdict(row) for row in learned]}
        write_text(values.json, json.dumps(figures, indent=2) + "\n")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Upper bounds of decoders: compress labels to a coarse grid and reconstruct them, with DUpsampling (the best "
        "basis for each number of channels) and with interpolation.",
    )
    add_data(result, "val", "score on")
    result.add_argument("--fit-split", type=str | None, default="train", help="split that bases are fitted to")
    result.add_argument("--fit-count", type=int | None, help="number of procedural scenes to fit to")
    result.add_argument("--scales", type=int, nargs="+", default=[8, 16, 32], help="widths of the windows, in pixels")
    result.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128], help="channels of the codes")
    result.add_argument("--basis", type=Path, nargs="*", default=[], help="files of fitted bases")
    result.add_argument("--plot", type=Path | None, help="file for a chart (png, svg, pdf)")
    result.add_argument("--json", type=Path | None, help="JSON file to write all results to")
    result.add_argument("--learned", action="store_true", help="also train networks that read labels (slow)")
    result.add_argument("--seeds", type=int, default=3, help="number of networks of each kind")
    result.add_argument("--device", type=str, default="auto", help="device of the networks: cpu, cuda, cuda:1 …")
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
    if values.learned:  # before hours of work
        _training(values)
        if any(scale < 2 or scale & (scale - 1) for scale in values.scales):
            raise ValueError(f"scales: expected powers of two from 2 on with --learned, got {values.scales}")


def _training(values: Namespace) -> LabelTraining:
    options = {name: values[name] for name in ("steps", "batch_size", "crop", "workers")}
    return LabelTraining(channels=values.code, **options)


def _direct_table(rows: Sequence[Bound], title: str) -> Table:
    """A row for each decoder, a column for each scale."""
    scales = sorted({row.scale for row in rows})
    channels, *grids = columns("channels", *(f"1/{scale}" for scale in scales), justify="right")
    table = simple_table(title, "decoder", channels, "from", *grids)
    keys = {(row.decoder, row.channels, row.coarse or "") for row in rows}
    for key in sorted(keys, key=lambda key: (list(_NAMES).index(key[0]), *key[1:])):
        scores = {row.scale: row.miou for row in rows if (row.decoder, row.channels, row.coarse or "") == key}
        cells = [f"{100 * scores[scale]:.2f}" if scale in scores else "–" for scale in scales]
        table.add_row(_NAMES[key[0]], str(key[1]), _READ[key[2]], *cells)
    return table


def _learned_table(rows: Sequence[Learned], title: str) -> Table:
    """A row for each network: mean and standard deviation over the seeds."""
    table = simple_table(title, "decoder", *columns("grid", "channels", "steps", "seeds", "mIoU*", justify="right"))
    for row in sorted(rows, key=lambda row: (row.scale, row.decoder)):
        score = f"{100 * row.mean:.2f} ± {100 * row.sd:.2f}" if len(row.miou) > 1 else f"{100 * row.mean:.2f}"
        counts = (f"1/{row.scale}", str(row.channels), f"{row.steps:,}", str(len(row.miou)))
        table.add_row(_NAMES[row.decoder], *counts, score)
    return table


def _save_bounds(path: Path, rows: Sequence[Bound], title: str) -> None:
    """Chart of the direct bounds: mIoU over the channels of the code, with a level for each interpolation."""
    lines = []
    for colour, scale in enumerate(sorted({row.scale for row in rows})):
        own = [row for row in rows if row.scale == scale]
        code = sorted((float(row.channels), 100 * row.miou) for row in own if row.decoder == "dupsampling")
        lines.append(ChartLine(f"DUpsampling 1/{scale}", code, colour))
        for decoder, style in (("bilinear", "--"), ("nearest", ":")):
            level = [(0.0, 100 * row.miou) for row in own if row.decoder == decoder and row.coarse == "average"]
            lines.append(ChartLine(f"{decoder} 1/{scale}", level, colour, style))
    ticks = sorted({row.channels for row in rows if row.decoder == "dupsampling"})
    save_chart(
        path,
        lines,
        x="channels of the code",
        y="mIoU of the reconstruction, %",
        title=f"Labels of {title}, to a coarse grid and back",
        ticks=ticks,
        logarithmic=True,
    )
