"""CamVid, bilinear against location-aware upsampling: trains and scores what is missing, then sums up over the seeds.

    python benchmarks/camvid.py --root CAMVID --weights mobilenetv2_100_tf_in1k.safetensors [--seeds 0 1 2]

Runs that are there are not repeated and interrupted ones are resumed, so this can be stopped at any time. Writes
`benchmarks/results/camvid.json`, or `camvid_NAME.json` with `--over NAME.yaml` (give these runs another `--runs`).
"""

import argparse
import json
import statistics
from pathlib import Path

from machine import write_result
from offstride.cli.main import main as offstride

RECIPES = Path(__file__).resolve().parent.parent / "recipes" / "camvid"
MODELS = {"bilinear": ["bilinear.yaml"], "lau": ["bilinear.yaml", "lau.yaml"]}
SCORES = ("miou", "boundary_iou", "thin_iou", "pixel_accuracy")
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""97.5 % quantile of Student's t by degrees of freedom."""


def run(command: list[str]) -> None:
    if offstride(command):
        raise SystemExit(2)


def scores_of(model: str, seed: int, arguments: argparse.Namespace) -> dict:
    """Scores on the test split of one run, which is made if it is not there."""
    directory = arguments.runs / f"{model}-{seed}"
    figures = directory / "test.json"
    if not figures.exists():
        if not (directory / "last.safetensors").exists():
            recipes = [str(RECIPES / name) for name in MODELS[model]] + [str(path) for path in arguments.over]
            where = ["--output", str(directory), "--resume", f"--data.root={arguments.root}"]
            chosen = [f"--model.pretrained={arguments.weights}", f"--schedule.seed={seed}"]
            run(["train", *recipes, *where, *chosen])
        checkpoint = str(directory / "best.safetensors")
        run(["evaluate", checkpoint, "--data=camvid", f"--root={arguments.root}", "--split=test", f"--json={figures}"])
    return json.loads(figures.read_text())


def interval(values: list[float]) -> dict[str, float]:
    """Mean, standard deviation, and the half-width of the 95 % interval of the mean."""
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    return {
        "mean": mean,
        "sd": deviation,
        "half_width_95": STUDENT[len(values) - 1] * deviation / len(values) ** 0.5,
        "values": values,  # type: ignore[dict-item]
    }


def summary(found: dict[str, list[dict]]) -> dict:
    """Each score of each model over the seeds, and the paired difference to bilinear."""
    table = {name: {key: interval([each[key] for each in runs]) for key in SCORES} for name, runs in found.items()}
    names = list(found["bilinear"][0]["classes"])
    for name, runs in found.items():
        table[name]["classes"] = {c: statistics.mean(each["classes"][c]["iou"] for each in runs) for c in names}
    pairs = list(zip(found["lau"], found["bilinear"], strict=True))
    table["difference"] = {key: interval([lau[key] - bilinear[key] for lau, bilinear in pairs]) for key in SCORES}
    return table


def show(table: dict) -> None:
    print(f"\n{'':12}" + "".join(f"{key:>24}" for key in SCORES))
    for name in (*MODELS, "difference"):
        cells = [table[name][key] for key in SCORES]
        texts = [f"{100 * c['mean']:.2f} sd {100 * c['sd']:.2f} (±{100 * c['half_width_95']:.2f})" for c in cells]
        print(f"{name:12}" + "".join(f"{text:>24}" for text in texts))
    print(f"\n{'class IoU':12}" + "".join(f"{name:>12}" for name in MODELS))
    for name in table["bilinear"]["classes"]:
        print(f"{name:12}" + "".join(f"{100 * table[model]['classes'][name]:>12.1f}" for model in MODELS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/camvid"))
    parser.add_argument("--over", type=Path, nargs="*", default=[], help="recipes laid over those of both models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    found = {name: [scores_of(name, seed, arguments) for seed in arguments.seeds] for name in MODELS}
    table = summary(found)
    show(table)
    name = "_".join(["camvid", *(path.stem for path in arguments.over)])
    write_result(name, {"seeds": arguments.seeds, "split": "test", "scores": table})


if __name__ == "__main__":
    main()
