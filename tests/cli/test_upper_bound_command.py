"""`offstride upper-bound` as a person meets it."""

import json

import pytest

from offstride.cli.main import main
from offstride.data import Streets
from offstride.evaluate import reconstruction_bound
from offstride.upsamplers import fit_label_basis

STREETS = ["--data=streets", "--count=2", "--fit-count=3", "--size=[48,64]"]


def complaint(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("offstride: ")
    return lines[0]


def test_table_chart_and_figures(tmp_path, capsys):
    files = [f"--plot={tmp_path / 'bound.png'}", f"--json={tmp_path / 'deep' / 'bound.json'}"]
    assert main(["upper-bound", *STREETS, "--scales", "4", "8", "--channels", "4", "16", *files]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("DUpsampling", "bilinear", "nearest", "1/4", "1/8"))
    assert (tmp_path / "bound.png").stat().st_size > 1000
    figures = json.loads((tmp_path / "deep" / "bound.json").read_text())
    assert figures["images"] == 2
    assert figures["learned"] == []
    rows = {(row["scale"], row["decoder"], row["channels"], row["coarse"]): row["miou"] for row in figures["direct"]}
    assert len(rows) == 2 * (2 + 4)
    assert f"{100 * rows[8, 'dupsampling', 16, None]:.2f}" in text
    scenes = Streets(3, (48, 64))  # as many as --fit-count says
    basis = fit_label_basis((scenes[index].label for index in range(3)), scale=8, classes=9, channels=16)
    bound = reconstruction_bound(Streets(2, (48, 64), split="val"), basis, 8).miou
    assert rows[8, "dupsampling", 16, None] == pytest.approx(bound)
    for scale in (4, 8):
        assert rows[scale, "dupsampling", 16, None] > rows[scale, "dupsampling", 4, None]
    assert rows[4, "bilinear", 9, "average"] > rows[8, "bilinear", 9, "average"]


def test_learned_bounds(tmp_path, capsys):
    small = ["--steps=2", "--seeds=2", "--crop=[32,32]", "--batch-size=2", "--code=6", "--device=cpu"]
    options = ["--scales", "8", "--channels", "4", f"--json={tmp_path / 'bound.json'}", "--learned", *small]
    assert main(["upper-bound", *STREETS, *options]) == 0
    text = capsys.readouterr().out
    rows = json.loads((tmp_path / "bound.json").read_text())["learned"]
    assert [(row["decoder"], row["channels"], row["steps"]) for row in rows] == [
        ("bilinear", 9, 2),
        ("dupsampling", 6, 2),
    ]
    for row in rows:
        assert len(row["miou"]) == 2
        assert row["mean"] == pytest.approx(sum(row["miou"]) / 2)
        assert row["sd"] == pytest.approx(abs(row["miou"][0] - row["miou"][1]) / 2**0.5)
        assert f"{100 * row['mean']:.2f} ± {100 * row['sd']:.2f}" in text


def test_a_basis_from_a_file_is_not_fitted_again(tmp_path, capsys):
    scenes = Streets(3, (48, 64))
    maps = (scenes[index].label for index in range(3))
    fit_label_basis(maps, scale=8, classes=9, channels=4).save(tmp_path / "basis.safetensors")
    given = ["--scales", "8", "--channels", "4", "16", "--basis", str(tmp_path / "basis.safetensors")]
    out = f"--json={tmp_path / 'bound.json'}"
    assert main(["upper-bound", *STREETS, "--fit-split=nowhere", *given, out]) == 0
    rows = json.loads((tmp_path / "bound.json").read_text())["direct"]
    assert [row["channels"] for row in rows if row["decoder"] == "dupsampling"] == [4]
    capsys.readouterr()
    assert main(["upper-bound", *STREETS, "--scales", "4", *given[2:]]) == 2
    assert "basis.safetensors: expected 9 classes and a window of [4], got 9 and 8" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data=streats"], "streats"),
        (["--data=camvid", "--root=/nonexistent"], "/nonexistent"),
        (["--scales", "0"], "scales"),
        (["--channels", "-3"], "channels"),
        (["--scales", "many"], "scales"),
        (["--seeds=0"], "seeds"),
        (["--plot=bound.doc"], "bound.doc"),
        (["--basis", "/nonexistent.safetensors"], "/nonexistent.safetensors"),
        (["--learned", "--scales", "6"], "scales: expected powers of two"),
        (["--learned", "--steps=0"], "steps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_settings_are_one_line(capsys, arguments, named):
    source = [] if arguments[0].startswith("--data") else STREETS
    assert main(["upper-bound", *source, *arguments]) == 2
    assert named in complaint(capsys)
