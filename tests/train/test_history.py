"""The CSV record of a run."""

import pytest

from offstride.train.history import History, read_history


def write(path, steps, **options):
    history = History(path, **options)
    for step in steps:
        history.append(step=step, loss=step / 7)
    history.flush()
    return history


def test_rows_come_back(tmp_path):
    write(tmp_path / "a.csv", range(1, 4))
    assert read_history(tmp_path / "a.csv") == [{"step": s, "loss": s / 7} for s in (1.0, 2.0, 3.0)]


def test_a_new_run_starts_afresh(tmp_path):
    write(tmp_path / "a.csv", range(1, 4))
    write(tmp_path / "a.csv", [9])
    assert [row["step"] for row in read_history(tmp_path / "a.csv")] == [9]


def test_a_resumed_run_drops_what_it_will_write_again(tmp_path):
    write(tmp_path / "a.csv", range(1, 8))
    history = write(tmp_path / "a.csv", [6, 7, 8], keep=5)
    assert [row["step"] for row in read_history(tmp_path / "a.csv")] == list(range(1, 9))
    assert history.last["step"] == 5


def test_nothing_is_on_disk_before_flush(tmp_path):
    history = History(tmp_path / "a.csv")
    history.append(step=1, loss=0.5)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path, cut):
    path = tmp_path / "a.csv"
    write(path, range(1, 4))
    path.write_bytes(path.read_bytes()[:-cut].rstrip(b"\r\n0123456789."))
    assert [row["step"] for row in read_history(path)] == [1, 2]
