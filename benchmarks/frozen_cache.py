"""A step that trains an upsampler on a frozen MobileNetV2, with and without `data.cache`: batch 8 of 240×320, on a CPU.

    python benchmarks/frozen_cache.py [--threads 2] [--rounds 7] [--strides 16 8]

Drawn street scenes lie decoded in memory. Without: they are augmented, the network runs without gradients, the
upsampler and the loss with them, AdamW updates the upsampler. With: crops of the kept maps are read from a folder; the
rest is the same. A process beside loads the data, as in a run by default. Times in turn in one process; both see the
same crops in the same order. Writes `benchmarks/results/frozen_cache.json`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from machine import write_result
from measure import interleave, with_ratios
from offstride import create_model
from offstride.data import SampleStream, Streets, TrainingSet, TrainTransform
from offstride.field import cross_entropy
from offstride.replace.choice import start_options
from offstride.train.frozen import FrozenOutputs
from offstride.train.frozen_set import frozen_crops

SIZE, BATCH, SCENES = (240, 320), 8, 16
UPSAMPLERS = ("lau", "dysample", "residual", "universal")


class Decoded(list):
    """Scenes in memory, as a data set."""

    classes = Streets(1).classes


def steps(model, dataset):
    """A function that takes a training step and returns its loss, over the batches of a data set."""
    batches = iter(DataLoader(dataset, BATCH, sampler=SampleStream(SCENES, 0), num_workers=1))
    optimizer = torch.optim.AdamW(model.upsampler.parameters(), 1e-3)

    def run():
        images, labels, *coarse = next(batches)
        images = images.to(memory_format=torch.channels_last)
        field = model.field_of(coarse[0], images) if coarse else model.decode(images).main
        loss = cross_entropy(field, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def measured(name, stride, scenes, rounds):
    """Times of a step of one upsampler, the first losses, and what filling the cache takes."""
    torch.manual_seed(0)
    model = create_model(
        backbone="mobilenetv2_100",
        output_stride=stride,
        classes=scenes.classes,
        upsampler=name,
        upsampler_options=start_options(name, {}, "center", len(scenes.classes), stride),
    )
    model = model.to(memory_format=torch.channels_last)
    model.freeze_except(["upsampler"])
    model.train_only(["upsampler"])
    start = {key: value.clone() for key, value in model.upsampler.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        outputs = FrozenOutputs(model, scenes[0].image, Path(folder), layout=torch.channels_last)
        crops = frozen_crops(outputs, scenes, SIZE)
        filling = (time.perf_counter() - began) / outputs.computed
        kept = sum(file.stat().st_size for file in Path(folder).iterdir()) / outputs.computed
        transform = TrainTransform(SIZE, (1, 1), mean=model.mean, std=model.std)
        runs = {"without": steps(model, TrainingSet(scenes, transform, 0)), "with": steps(model, crops)}
        losses = {}
        for which, run in runs.items():
            model.upsampler.load_state_dict(start)
            losses[which] = run()
        times = with_ratios(interleave(runs, rounds), "with")
    return {
        "times": times,
        "times_as_fast": times["without"]["median"] / times["with"]["median"],
        "first_losses": losses,
        "seconds_to_fill_an_image": filling,
        "bytes_an_image": kept,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strides", type=int, nargs="+", default=[16, 8])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scenes = Decoded(Streets(SCENES, SIZE)[index] for index in range(SCENES))
    results = {}
    print(f"{'':20}{'s without':>11}{'s with':>9}{'times as fast':>15}{'first losses':>20}{'kB an image':>13}")
    for stride in arguments.strides:
        for name in UPSAMPLERS:
            found = measured(name, stride, scenes, arguments.rounds)
            results[f"{name}, stride {stride}"] = found
            without, kept = (found["times"][which]["median"] for which in ("without", "with"))
            one, two = found["first_losses"].values()
            print(
                f"{name + ', stride ' + str(stride):20}{without:11.3f}{kept:9.3f}{found['times_as_fast']:15.1f}"
                f"{one:10.5f}{two:10.5f}{found['bytes_an_image'] / 1000:13.0f}"
            )
    write_result("frozen_cache", {"size": SIZE, "batch": BATCH, "classes": len(scenes.classes), "results": results})


if __name__ == "__main__":
    main()
