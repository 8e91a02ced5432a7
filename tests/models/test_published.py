"""Published figures beside ours: where print and model agree, and where they are known not to."""

import pytest

from offstride.models.published import PAPER_ROWS, PaperRow, paper_rows

pytestmark = pytest.mark.slow

DISAGREE = {  # rows whose difference the notes explain
    ("1", "Bilinear 8×", "parameters"),
    ("1", "Bilinear 8×", "macs"),
    ("1", "LaU 4×", "extra_parameters"),
    ("1", "LaU 5×", "extra_parameters"),
    ("3", "PSPNet (Baseline)", "flops"),
    *(("3", f"PSPNet + GFF{more}", quantity) for more in ("", " + DFP") for quantity in ("flops", "parameters")),
}


@pytest.fixture(scope="module")
def rows():
    seen = []
    listed = paper_rows(seen.append, lambda name: float(len(name)))
    assert seen == list(range(1, PAPER_ROWS + 1))
    assert len(listed) == PAPER_ROWS
    return listed


def digits(row):
    """Half a unit of the last digit that the papers print, and a little for batch normalisation in one figure."""
    if row.row.endswith("as ASPP") and row.quantity == "macs":
        return 0.7e9
    millions = row.quantity.endswith("parameters")
    return (5e4 if millions else 5e7) if row.paper.startswith("GFF") else (5e3 if millions else 5e6)


def test_agreement_to_the_printed_digits(rows):
    printed = [row for row in rows if row.published is not None and row.quantity != "frames_per_second"]
    assert len(printed) > 25
    for row in printed:
        close = abs(row.published - row.ours) <= digits(row)
        known = (row.table, row.row, row.quantity) in DISAGREE
        assert close != known, row
        assert row.note or not known, row


def test_speeds_are_measured_where_that_is_asked_for(rows):
    measured = [row for row in rows if row.quantity == "frames_per_second"]
    assert len(measured) == 12
    assert [row.ours for row in measured[:2]] == [len("encnet_resnet50_os8"), len("encnet_resnet50_os8_lau")]


def test_rows_are_plain_data():
    row = PaperRow("a", "1", "b", "macs", None, 2.0)
    assert row.to_dict() == {
        "paper": "a",
        "table": "1",
        "row": "b",
        "quantity": "macs",
        "published": None,
        "ours": 2.0,
        "note": "",
    }
