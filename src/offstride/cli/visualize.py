"""`offstride visualize`: pictures of how a model comes to its labels, and a page that shows them."""

from pathlib import Path

from jsonargparse import ArgumentParser

from offstride.cli.console import progress_bar
from offstride.cli.model import add_model, model_of
from offstride.data import find_images
from offstride.evaluate.decoding_page import write_decoding_page


def main(program: str, arguments: list[str]) -> int:
    """Draw; images that cannot be used are named and left out, and the exit code is then 2."""
    values = _parser(program).parse_args(arguments)
    model = model_of(values, values.model, device=values.device)
    images, page = find_images(values.images), values.output / "index.html"
    with progress_bar("drawing") as progress:
        failures = write_decoding_page(page, model, Path(values.model).name, images, values.labels, progress)
    if len(failures) < len(images):
        print(f"{len(images) - len(failures)} images drawn: {page}")
    if failures:
        raise ValueError(f"{len(failures)} of {len(images)} images could not be drawn: {'; '.join(failures[:3])}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="Write pictures and a page (index.html) of what a model predicts and how: confidence; for "
        "location-aware upsampling the offsets and the labels before and after; for gated fusion the gates and the "
        "labels with each of them set to zero.",
        exit_on_error=False,
    )
    add_model(result)
    result.add_argument(
        "images", type=str, nargs="+", help="image files, folders or quoted patterns such as 'a/**/*.jpg'"
    )
    result.add_argument(
        "--labels", type=Path | None, default=None, help="label map of the image, or folder of those of the images"
    )
    result.add_argument("--output", type=Path, default=Path("pictures"), help="folder for the results")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    return result
