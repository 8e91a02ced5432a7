import sys

import pytest
import torch

from offstride.compare import measure_costs
from offstride.compare.costs import _peak
from offstride.models import Segmenter, create_model
from offstride.models.complexity import complexity

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("bilinear", "lau"):
        create_model(backbone="mobilenetv2_035", classes=3, upsampler=name).save(folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in ("bilinear", "lau")}


def test_peak_memory_is_that_of_a_label_map_at_least(files):
    model, image = Segmenter.load(files["lau"]), torch.rand(1, 3, 64, 96)
    peak = _peak(model, image, files["lau"], None)
    assert peak is None if not sys.platform.startswith("linux") else 64 * 96 <= peak < 1 << 30


def test_costs(files, monkeypatch):
    monkeypatch.setattr("offstride.compare.costs._peak", lambda model, image, file, *_: file.stat().st_size)
    done = []
    costs = measure_costs(
        files, (64, 96), devices=[torch.device("cpu")], rounds=2, progress=lambda *numbers: done.append(numbers)
    )
    assert list(costs) == ["bilinear", "lau"]
    assert done == [(1, 3), (2, 3), (3, 3)]
    model = create_model(backbone="mobilenetv2_035", classes=3, upsampler="lau")
    counts = complexity(model, (64, 96))
    lau = costs["lau"]
    assert (lau["parameters"], lau["macs"], lau["size"]) == (counts.parameters, counts.macs, [64, 96])
    assert lau["parameters"] - costs["bilinear"]["parameters"] == lau["upsampler_parameters"] > 0
    assert costs["bilinear"]["upsampler_parameters"] == 0
    cpu = lau["devices"]["cpu"]
    assert cpu["quartiles"][0] <= cpu["latency"] <= cpu["quartiles"][1]
    assert cpu["images_per_second"] == pytest.approx(1 / cpu["latency"])
    assert cpu["peak_bytes"] == files["lau"].stat().st_size


def test_latency_is_the_median_between_its_quartiles(files, monkeypatch):
    spent = iter([1.0, 3.0, 20.0, 2.0, 4.0])
    monkeypatch.setattr("offstride.compare.costs._timed", lambda model, image: next(spent))
    monkeypatch.setattr("offstride.compare.costs._peak", lambda *_: 7)
    one = {"bilinear": files["bilinear"]}
    cpu = measure_costs(one, (32, 32), devices=[torch.device("cpu")], rounds=5)["bilinear"]["devices"]["cpu"]
    assert (cpu["latency"], cpu["quartiles"], cpu["peak_bytes"]) == (3.0, [2.0, 4.0], 7)
    assert cpu["images_per_second"] == pytest.approx(1 / 3)


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        measure_costs({"a": tmp_path / "a.safetensors"}, (8, 8), devices=[])
