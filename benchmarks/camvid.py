"""CamVid, one upsampling against others: trains and scores what is missing, then sums up over the seeds.

    python benchmarks/camvid.py --root CAMVID --weights mobilenetv2_100_tf_in1k.safetensors [--seeds 0 1 2]
    python benchmarks/camvid.py --study dupsampling --basis basis.safetensors --runs runs/dupsampling …

Runs that are there are not repeated and interrupted ones are resumed, so this can be stopped at any time. Writes
`benchmarks/results/camvid.json`, `camvid_STUDY.json`, or `camvid_NAME.json` with `--over NAME.yaml` (give these runs
another `--runs`).
"""

import argparse
import csv
import json
import statistics
from pathlib import Path

from machine import write_result
from offstride.cli.main import main as offstride
from offstride.train.recipe_file import load_recipe_file
from offstride.visualize import ChartLine, save_chart

RECIPES = Path(__file__).resolve().parent.parent / "recipes" / "camvid"
STUDIES = {  # study: model: recipe; the others are compared with the first
    "lau": {"bilinear": "bilinear.yaml", "lau": "lau.yaml"},
    "dupsampling": {
        "bilinear": "decoder.yaml",
        "dupsampling": "dupsampling.yaml",
        "low_level": "dupsampling_low_level.yaml",
        "plain_softmax": "dupsampling_plain_softmax.yaml",
    },
}
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
            recipes = [str(RECIPES / STUDIES[arguments.study][model]), *map(str, arguments.over)]
            where = ["--output", str(directory), "--resume", f"--data.root={arguments.root}"]
            chosen = [f"--model.pretrained={arguments.weights}", f"--schedule.seed={seed}"]
            if load_recipe_file(recipes[0]).recipe["model"]["upsampler"] == "dupsampling":
                chosen.append(f"--model.basis={arguments.basis}")
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
    """Each score of each model over the seeds, and the paired differences to the first model."""
    base, *others = found
    table = {name: {key: interval([each[key] for each in runs]) for key in SCORES} for name, runs in found.items()}
    for name, runs in found.items():
        table[name]["classes"] = {
            c: statistics.mean(each["classes"][c]["iou"] for each in runs) for c in runs[0]["classes"]
        }
    for name in others:
        pairs = list(zip(found[name], found[base], strict=True))
        differences = {key: interval([other[key] - first[key] for other, first in pairs]) for key in SCORES}
        table[f"{name} - {base}"] = differences
    return table


def show(table: dict) -> None:
    print(f"\n{'':26}" + "".join(f"{key:>24}" for key in SCORES))
    for name, scores in table.items():
        cells = [scores[key] for key in SCORES]
        texts = [f"{100 * c['mean']:.2f} sd {100 * c['sd']:.2f} (±{100 * c['half_width_95']:.2f})" for c in cells]
        print(f"{name:26}" + "".join(f"{text:>24}" for text in texts))
    models = {name: scores["classes"] for name, scores in table.items() if "classes" in scores}
    print(f"\n{'class IoU':14}" + "".join(f"{name:>15}" for name in models))
    for name in next(iter(models.values())):
        print(f"{name:14}" + "".join(f"{100 * classes[name]:>15.1f}" for classes in models.values()))


def curve(path: Path, key: str, width: int) -> list[tuple[float, float]]:
    """(step, value) of a column of a record, averaged over `width` rows each."""
    with path.open(newline="") as file:
        rows = [(float(row["step"]), float(row[key])) for row in csv.DictReader(file)]
    parts = [rows[start : start + width] for start in range(0, len(rows), width)]
    return [(part[-1][0], statistics.mean(value for _, value in part)) for part in parts]


def draw(arguments: argparse.Namespace) -> None:
    """Cross-entropy in training, of each model and seed."""
    lines = []
    for colour, model in enumerate(arguments.models):
        for i, seed in enumerate(arguments.seeds):
            points = curve(arguments.runs / f"{model}-{seed}" / "train.csv", "loss_main", width=10)
            lines.append(ChartLine(model if i == 0 else "", points, colour))
    save_chart(arguments.plot, lines, x="step", y="cross-entropy, mean of ten steps", title="CamVid, training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/camvid"))
    parser.add_argument("--study", choices=STUDIES, default="lau")
    parser.add_argument("--models", nargs="+", help="of the study; all by default")
    parser.add_argument("--basis", type=Path, help="of the labels of the train split, see docs/dupsampling.md")
    parser.add_argument("--over", type=Path, nargs="*", default=[], help="recipes laid over those of both models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plot", type=Path, help="also draw the training loss of all runs")
    arguments = parser.parse_args()
    arguments.models = models = arguments.models or list(STUDIES[arguments.study])
    if unknown := set(models) - STUDIES[arguments.study].keys():
        parser.error(f"--models: expected some of {', '.join(STUDIES[arguments.study])}, got {', '.join(unknown)}")
    if arguments.study == "dupsampling" and arguments.basis is None:
        parser.error("--basis: expected the file that offstride fit-upsampling wrote")
    runs = {(name, seed): scores_of(name, seed, arguments) for seed in arguments.seeds for name in models}
    table = summary({name: [runs[name, seed] for seed in arguments.seeds] for name in models})
    show(table)
    if arguments.plot:
        draw(arguments)
    study = [arguments.study] if arguments.study != "lau" else []
    name = "_".join(["camvid", *study, *(path.stem for path in arguments.over)])
    write_result(name, {"seeds": arguments.seeds, "split": "test", "scores": table})


if __name__ == "__main__":
    main()
