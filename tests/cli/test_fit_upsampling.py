"""`offstride fit-upsampling` as a person meets it."""

import pytest
import torch

from offstride.cli.main import main
from offstride.data import STREETS
from offstride.upsamplers import LabelAutoencoder, LabelBasis

STREET = ["fit-upsampling", "--data=streets", "--count=3", "--size=[40,56]", "--scale=8", "--channels=5", "--workers=0"]


def test_a_basis_is_written_and_described(tmp_path, capsys):
    path = tmp_path / "basis.safetensors"
    assert main([*STREET, f"--output={path}"]) == 0
    text = capsys.readouterr().out
    basis = LabelBasis.load(path)
    assert (basis.scale, basis.classes, basis.channels, basis.windows) == (8, len(STREETS), 5, 3 * 5 * 7)
    for words in ("distinct windows", "105", "runs of one label", f"{100 * basis.explained:.2f} %", "peak memory"):
        assert words in text
    assert text.strip().endswith(str(path))
    assert main([*STREET, f"--output={path}"]) == 0
    assert "1 of 1 files reused" in capsys.readouterr().out


def test_the_other_methods(tmp_path):
    folder = tmp_path / "windows"
    options = [f"--windows={folder}", "--steps=20", "--hidden=8"]
    assert main([*STREET, *options, f"--output={tmp_path / 'a.safetensors'}", "--method=autoencoder"]) == 0
    assert LabelAutoencoder.load(tmp_path / "a.safetensors").hidden == 8
    assert main([*STREET, *options, f"--output={tmp_path / 'b.safetensors'}", "--method=sgd"]) == 0
    assert LabelBasis.load(tmp_path / "b.safetensors").method == "sgd"
    assert len(list(folder.iterdir())) == 1


def test_what_is_random_follows_from_the_seed(tmp_path):
    def fitted(name, seed):
        path, windows = tmp_path / f"{name}.safetensors", tmp_path / "windows"
        options = ["--method=sgd", "--steps=5", f"--windows={windows}", f"--seed={seed}", f"--output={path}"]
        assert main([*STREET, *options]) == 0
        return LabelBasis.load(path).weight

    one, other = fitted("one", 1), fitted("other", 2)
    assert torch.equal(fitted("again", 1), one)
    assert not torch.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--data=nothing", "name: expected one of"),
        ("--scale=0", "scale: expected a whole number from 1 on, got 0"),
        ("--channels=100000", "channels: expected 1 …"),
        ("--method=ica", "ica"),
        ("--tolerance=0", "tolerance: expected"),
    ],
)
def test_bad_input_gives_one_line(change, message, tmp_path, capsys):
    assert main([*STREET, f"--output={tmp_path / 'x.safetensors'}", change]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "x.safetensors").exists()


def test_an_output_is_needed(capsys):
    assert main(STREET) == 2
    assert "output" in capsys.readouterr().err
