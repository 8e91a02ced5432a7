"""`offstride fit-upsampling`: learn the basis of DUpsampling from the labels of a data set."""

import resource
import sys
import time
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from offstride.cli.console import add_data, columns, command_parser, open_data, progress_bar
from offstride.evaluate import encode_dataset
from offstride.experiments.bases import Method, fit_windows


def main(program: str, arguments: list[str]) -> int:
    """Encode the label windows of a data set, fit, and write the file."""
    values = _parser(program).parse_args(arguments)
    start = time.perf_counter()
    dataset = open_data(values, values.split, values.count)
    folder = values.windows or values.output.with_suffix(".windows")
    with progress_bar("encoding label maps") as progress:
        shards = encode_dataset(dataset, folder, scale=values.scale, workers=values.workers, progress=progress)
    encoded = time.perf_counter()
    limits = {"hidden": values.hidden, "tolerance": values.tolerance}
    options = {"channels": values.channels, "steps": values.steps, "seed": values.seed}
    with progress_bar(f"fitting ({values.method})") as progress:
        code, covariance = fit_windows(shards, values.method, **limits, **options, progress=progress)
    code.save(values.output)
    reused = f" ({shards.reused} of {len(shards)} files reused)" if shards.reused else ""
    figures = {
        "windows": f"{covariance.windows:,}",
        "distinct windows": f"{covariance.distinct:,}",
        "runs of one label": f"{covariance.runs:,}",
        "entries of a window": f"{covariance.size:,}",
        "total variance": f"{covariance.total_variance:.4g}",
        f"explained by {values.channels} channels ({values.method})": f"{100 * code.explained:.2f} %",
        "time to encode": f"{encoded - start:.1f} s{reused}",
        "time to fit": f"{time.perf_counter() - encoded:.1f} s",
        "peak memory": f"{_peak_memory() / 2**30:.2f} GiB",
    }
    title = f"windows of {values.scale}×{values.scale} pixels, {covariance.classes} classes"
    head = ("", *columns("", justify="right"))
    table = Table(*head, title=title, title_justify="left", show_header=False, min_width=len(title))
    for row in figures.items():
        table.add_row(*row)
    Console().print(table)
    print(values.output)
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program, "Learn the basis of DUpsampling from labels: the projection P, its inverse W and the mean window."
    )
    add_data(result, "train", "learn from")
    result.add_argument("--scale", type=int, default=16, help="width r of a window: the stride of the features")
    result.add_argument("--channels", type=int, default=64, help="channels of the code")
    result.add_argument(
        "--method",
        type=Method,
        default="pca",
        help="the optimum in closed form, the same by gradient descent, or a non-linear auto-encoder",
    )
    result.add_argument("--output", type=Path, required=True, help="file to write (.safetensors)")
    result.add_argument(
        "--windows",
        type=Path | None,
        help="folder of encoded windows (default: OUTPUT.windows); existing files are reused",
    )
    result.add_argument("--workers", type=int, default=1, help="processes that read and encode labels")
    result.add_argument("--tolerance", type=float, default=1e-7, help="pca: residual of the eigenvectors over λ₁")
    result.add_argument("--steps", type=int, default=4000, help="sgd, autoencoder: number of steps")
    result.add_argument("--hidden", type=int, default=256, help="autoencoder: hidden units")
    result.add_argument("--seed", type=int, default=0, help="random seed")
    return result


def _peak_memory() -> int:
    """Largest resident memory of this process and its children, in bytes."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else peak * 1024
