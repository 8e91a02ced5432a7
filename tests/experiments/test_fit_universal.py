"""Simulated coarse scores, batches, and the fit of universal weights."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from offstride.cli.main import main
from offstride.experiments.universal import Progress, UniversalRecipe, fit_universal
from offstride.experiments.universal.crops import CROP, Picture, draw_batch
from offstride.experiments.universal.simulate import RAREST, Chance, _leaning, coarse_size, simulated_scores
from offstride.field import BilinearField, argmax
from offstride.upsamplers import UniversalLaU

TINY = UniversalRecipe(segments=2, streets=4, steps=2, batch=1, widths=(4, 4, 4), blocks=1)


def chance(seed: int = 0) -> Chance:
    return Chance(random.Random(seed), torch.Generator().manual_seed(seed))


def halves(side: int) -> torch.Tensor:
    """Class 1 on the right."""
    return (torch.arange(side) >= side // 2).long().expand(side, side)


@pytest.mark.parametrize("sharp", [False, True])
@pytest.mark.parametrize("origin", ["center", "aligned"])
@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_simulated_scores_lie_where_the_labels_are(origin, stride, sharp):
    """Over many draws the border, displaced at random, stays on average where it is."""
    side = CROP if origin == "center" else CROP - stride + 1
    labels, source = halves(side), chance()
    shares = []
    for _ in range(40):
        scores = simulated_scores(labels, 2, stride, origin, source, sharp)
        assert scores.shape == (2, coarse_size(side, stride, origin), coarse_size(side, stride, origin))
        shares.append(argmax(BilinearField(scores[None], (side, side), origin)).float().mean())
    assert float(torch.stack(shares).mean()) == pytest.approx(float(labels.float().mean()), abs=0.02)


def test_a_batch_gives_every_segment_one_class_and_ignores_what_is_ignored():
    segments = torch.randint(0, 5, (14, 16)).repeat_interleave(16, 0).repeat_interleave(16, 1).to(torch.uint8)
    segments[:20] = 255
    picture = Picture(segments[None].expand(3, -1, -1).contiguous(), segments)
    for seed in range(4):
        batch = draw_batch([[picture]], 2, chance(seed), 8)
        side = batch.labels.shape[1]
        assert batch.images.shape == (2, 3, side, side)
        assert batch.scores.shape[2] == coarse_size(side, 8, batch.origin)
        assert batch.labels[batch.labels != 255].max() < batch.scores.shape[1]
        for image, label in zip(batch.images, batch.labels, strict=True):
            for shade in image[0][(image[0] > 0) & (image[0] < 1)].unique():  # what is cut off is lost
                assert len(label[image[0] == shade].unique()) == 1


def test_the_same_seed_gives_the_same_weights(tmp_path: Path):
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for file, seed in zip(files, (0, 0, 1), strict=True):
        described = fit_universal(UniversalRecipe(**{**vars(TINY), "seed": seed}), file)
        assert described["log"][-1]["step"] == 2
    assert _tensors(files[0]) == _tensors(files[1]) != _tensors(files[2])


def test_the_fit_reports_its_steps(tmp_path: Path):
    steps, entries, drawn = [], [], []
    progress = Progress(
        lambda done, total: drawn.append((done, total)), lambda done, total, loss: steps.append(done), entries.append
    )
    fit_universal(TINY, tmp_path / "w.safetensors", progress=progress)
    assert steps == [1, 2]
    assert drawn[5] == (6, 6)
    assert [entry["step"] for entry in entries] == [1, 2]
    assert set(entries[0]) == {"step", "loss", "stride 4", "stride 8", "stride 16", "stride 32"}


def test_the_command_fits_to_folders_too_and_its_file_can_be_used(tmp_path: Path, capsys):
    root = tmp_path / "own"
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (200, 210, 3), np.uint8)
    Image.fromarray(noise).save(root / "images/train/a.png")
    Image.fromarray(noise[..., 0] % 3).save(root / "labels/train/a.png")
    (root / "classes.yaml").write_text("classes: [a, b, c]\n")
    file = tmp_path / "w.safetensors"
    assert main(["fit-universal", f"--output={file}", "--segments=1", "--streets=1", "--steps=2", "--batch=1",
                 "--data", str(root)]) == 0  # fmt: skip
    assert capsys.readouterr().out.strip() == str(file)
    with safe_open(file, "pt") as opened:
        described = json.loads(opened.metadata()["offstride"])
    assert described["data"] == ["drawn segments", "drawn streets", "own"]
    upsampler = UniversalLaU(init="zero")
    upsampler.load_weights(file)
    scores, image = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 64, 64)
    assert upsampler.offsets(scores, image).abs().max() > 0


def test_rare_classes_are_preferred_half_of_the_time():
    """By 0 to 0.8 of the difference of the logarithms of their shares; the other preference has the mean 0."""
    labels, source = torch.zeros(40, 40, dtype=torch.long), chance()
    labels[:2] = 1
    drawn = torch.stack([_leaning(labels, 2, source).flatten() for _ in range(4000)])
    whole = math.log(0.95 + RAREST) - math.log(0.05 + RAREST)
    expected, deviation = 0.5 * 0.4 * whole, 1.0 + 0.4 * whole
    assert (drawn[:, 1] - drawn[:, 0]).mean().item() == pytest.approx(expected, abs=4 * deviation / 4000**0.5)
    assert (drawn == 0).all(1).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_bad_input_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="steps: expected a number above 0"):
        UniversalRecipe(steps=0)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "images/a.png")
    Image.new("L", (50, 50)).save(tmp_path / "labels/a.png")
    (tmp_path / "classes.yaml").write_text("classes: [a, b]\n")
    with pytest.raises(ValueError, match="at least 192×192 pixels, got none"):
        fit_universal(TINY, tmp_path / "w.safetensors", [tmp_path])
    (tmp_path / "other.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"other.safetensors: expected a file of `offstride fit-universal`"):
        UniversalLaU(init="zero").load_weights(tmp_path / "other.safetensors")


def _tensors(file: Path) -> dict[str, bytes]:
    with safe_open(file, "np") as opened:
        return {name: opened.get_tensor(name).tobytes() for name in opened.keys()}  # noqa: SIM118
