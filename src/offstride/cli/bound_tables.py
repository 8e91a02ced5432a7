"""Upper bounds as tables and as a chart."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from offstride.cli.console import columns, simple_table
from offstride.experiments.bounds import Bound, Learned
from offstride.visualize import ChartLine, save_chart

_NAMES = {"dupsampling": "DUpsampling", "bilinear": "bilinear", "nearest": "nearest"}
_READ = {"average": "window, averaged", "point": "its central pixel", "": "window"}


def direct_table(rows: Sequence[Bound], title: str) -> Table:
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


def learned_table(rows: Sequence[Learned], title: str) -> Table:
    """A row for each network: mean and standard deviation over the seeds."""
    table = simple_table(title, "decoder", *columns("grid", "channels", "steps", "seeds", "mIoU*", justify="right"))
    for row in sorted(rows, key=lambda row: (row.scale, row.decoder)):
        score = f"{100 * row.mean:.2f} ± {100 * row.sd:.2f}" if len(row.miou) > 1 else f"{100 * row.mean:.2f}"
        counts = (f"1/{row.scale}", str(row.channels), f"{row.steps:,}", str(len(row.miou)))
        table.add_row(_NAMES[row.decoder], *counts, score)
    return table


def save_bounds(path: Path, rows: Sequence[Bound], title: str) -> None:
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
