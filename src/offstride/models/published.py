"""What the papers print about the cost of their models, beside ours."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from offstride.models.complexity import decoder_flops
from offstride.models.costs import count_preset, ghost_preset, read_costs
from offstride.models.presets import DEEPLABV3, DUPSAMPLING, GFF, LAU, PRESETS

PAPER_ROWS = 85
"""Number of rows that `paper_rows` gives."""

_MIXED_UP = (
    "the printed base row is ASPP, not EncNet: ASPP-ResNet-50 with the unused ImageNet classifier has 41,821,411 "
    "parameters"
)
_CUT_OFF = "the printed digits are cut off, not rounded"
_OTHER_MACHINE = "published: GTX 1080Ti; ours: this machine, with --measure"
_GFF_PRINT = "the printed operations and increments contradict each other under every convention tried"
_IMAGENET_CLASSIFIER = 2048 * 1000 + 1000


@dataclass(frozen=True)
class PaperRow:
    """A figure of a paper beside ours.

    Attributes:
        quantity: `parameters`, `macs`, `flops`, or one of these with `extra_` (beyond the row that it is compared with)
            or `decoder_` before it; `frames_per_second`.
        published: The printed figure in units (not millions), or None where the paper prints none.
        ours: The same quantity, counted; None for a speed that was not measured.
        note: Where print and model disagree, why.
    """

    paper: str
    table: str
    row: str
    quantity: str
    published: float | None
    ours: float | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def paper_rows(
    progress: Callable[[int], None] = lambda done: None, speed: Callable[[str], float] | None = None
) -> list[PaperRow]:
    """All rows that we have a count for. Costs at the papers' own sizes come from the table that a test keeps right;
    others are counted from shapes alone.

    Args:
        progress: Progress callback: `report(rows done)`.
        speed: Frames per second of a published model on this machine, by name.
    """
    rows: list[PaperRow] = []
    for row in chain(_lau_table_1(), _lau_table_8(speed), _dupsampling(), _deeplabv3(), _gff()):
        rows.append(row)
        progress(len(rows))
    return rows


def _lau_table_1() -> Iterator[PaperRow]:
    size = (480, 480)
    base, aspp = count_preset("encnet_resnet50_os8", size), count_preset("aspp_resnet50", size)
    yield PaperRow(LAU, "1", "Bilinear 8×", "parameters", 41.82e6, base.parameters, _MIXED_UP)
    yield PaperRow(LAU, "1", "Bilinear 8×", "macs", 150.69e9, base.macs, _MIXED_UP)
    whole = aspp.parameters + _IMAGENET_CLASSIFIER
    yield PaperRow(LAU, "1", "Bilinear 8×, as ASPP", "parameters", 41.82e6, whole, _MIXED_UP)
    yield PaperRow(LAU, "1", "Bilinear 8×, as ASPP", "macs", 150.69e9, aspp.macs, "150.7 with batch normalisation")
    printed = {2: (0.14e6, 0.51e9), 3: (0.15e6, 0.55e9), 4: (0.16e6, 0.60e9), 5: (0.18e6, 0.68e9)}
    for scale, (parameters, macs) in printed.items():
        lau = count_preset("encnet_resnet50_os8_lau" if scale == 4 else f"encnet_resnet50_os8_lau{scale}x", size)
        extra = lau.parameters - base.parameters
        yield PaperRow(LAU, "1", f"LaU {scale}×", "extra_parameters", parameters, extra, _CUT_OFF if scale > 3 else "")
        yield PaperRow(LAU, "1", f"LaU {scale}×", "extra_macs", macs, lau.macs - base.macs)


def _lau_table_8(speed: Callable[[str], float] | None) -> Iterator[PaperRow]:
    printed = {
        "encnet_resnet50_os8": (18.60, 18.39),
        "encnet_resnet50_os32": (70.80, 69.84),
        "encnet_resnet101_os8": (11.66, 11.49),
        "encnet_resnet101_os32": (47.37, 46.46),
        "aspp_resnet50": (15.93, 15.72),
        "aspp_resnet101": (10.48, 10.32),
    }
    for base, speeds in printed.items():
        for name, published in zip((base, f"{base}_lau"), speeds, strict=True):
            row, costs = PRESETS[name].row, read_costs()[name]
            yield PaperRow(LAU, "8", row, "parameters", None, costs["parameters"])
            yield PaperRow(LAU, "8", row, "macs", None, costs["macs"])
            ours = speed(name) if speed else None
            yield PaperRow(LAU, "8", row, "frames_per_second", published, ours, _OTHER_MACHINE)


def _dupsampling() -> Iterator[PaperRow]:
    rows = (
        ("2", "none", "dupsampling_resnet50_os16", 0.80e9),
        ("2", "conv1_3", "dupsampling_resnet50_conv1_3", 1.13e9),
        ("2", "b1u2c3", "dupsampling_resnet50_b1u2c3", 1.15e9),
        ("2", "b3u6c3", "dupsampling_resnet50_b3u6c3", 1.23e9),
        ("2", "b1u2c3 + b3u6c3", "dupsampling_resnet50_b1u2c3_b3u6c3", 1.58e9),
        ("2", "conv1_3 + b3u6c3", "dupsampling_resnet50_conv1_3_b3u6c3", 1.56e9),
        ("3", "ResNet-50 vanilla, b1u2c3", "vanilla_resnet50_b1u2c3", 5.53e9),
        ("3", "Xception-65 vanilla, efb2u1c2", "vanilla_xception65_efb2u1c2", 5.53e9),
        ("3", "Xception-65 proposed, efb2u1c2", "dupsampling_xception65_efb2u1c2", 1.93e9),
        ("3", "Xception-65 vanilla, mfb1u16c3", "vanilla_xception65_mfb1u16c3", 0.41e9),
        ("3", "Xception-65 proposed, mfb1u16c3", "dupsampling_xception65_mfb1u16c3", 1.98e9),
        ("4", "vanilla", "vanilla_xception71_cityscapes", 43.65e9),
        ("4", "proposed", "dupsampling_xception71_cityscapes", 25.14e9),
    )
    for table, row, name, published in rows:
        ours = decoder_flops(ghost_preset(name), PRESETS[name].size)
        yield PaperRow(DUPSAMPLING, table, row, "decoder_flops", published, ours)


def _deeplabv3() -> Iterator[PaperRow]:
    cascades = [
        ("2", f"ResNet-{depth} block{block}", f"deeplabv3_resnet{depth}_block{block}")
        for depth in (50, 101)
        for block in (4, 5, 6, 7)
    ]
    for table, row, name in (*cascades, ("5", "ASPP ResNet-101", "deeplabv3_resnet101_aspp")):
        for quantity, ours in read_costs()[name].items():
            yield PaperRow(DEEPLABV3, table, row, quantity, None, ours, "the paper prints accuracies only")


def _gff() -> Iterator[PaperRow]:
    rows = (
        ("PSPNet (Baseline)", "pspnet_resnet101", 580.1e9, 65.6e6),
        ("PSPNet + GFF", "pspnet_resnet101_gff", 600.1e9, 69.7e6),
        ("PSPNet + GFF + DFP", "pspnet_resnet101_gff_dfp", 625.5e9, 70.5e6),
    )
    for row, name, flops, parameters in rows:
        costs = read_costs()[name]
        yield PaperRow(GFF, "3", row, "flops", flops, 2 * costs["macs"], _GFF_PRINT)
        yield PaperRow(
            GFF, "3", row, "parameters", parameters, costs["parameters"], "" if "+" not in row else _GFF_PRINT
        )
