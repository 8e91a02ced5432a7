"""Options for how a model is asked, which `evaluate` and `predict` share."""

from jsonargparse import ArgumentParser, Namespace

from offstride.inference import InferenceProtocol


def add_protocol(parser: ArgumentParser) -> None:
    """Add the options that `protocol_of` reads, and `output_stride`."""
    parser.add_argument(
        "--output-stride", type=int | None, default=None, help="stride to run at, if not that of training"
    )
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0], help="average over scales: 0.5 0.75 1 …")
    parser.add_argument("--flip", action="store_true", help="average with the mirror image")
    parser.add_argument(
        "--sliding", type=int, nargs=2, default=None, metavar=("H", "W"), help="average over windows of this size"
    )
    parser.add_argument("--overlap", type=float, default=1 / 3, help="share of a window that the next one sees again")
    parser.add_argument(
        "--base", type=int | None, default=None, help="longer side of images at scale 1, if not their own"
    )


def protocol_of(values: Namespace) -> InferenceProtocol:
    """How the model is to be asked.

    Raises:
        ValueError: Naming the option that is out of range.
    """
    return InferenceProtocol(
        scales=tuple(values.scales),
        flip=values.flip,
        window=None if values.sliding is None else (values.sliding[0], values.sliding[1]),
        overlap=values.overlap,
        base=values.base,
    )
