"""A whole training step with and without the fused loss: DeepLabv3-MobileNetV2, 512×512, 150 classes, batch 4, on a
CPU.

    python benchmarks/training_step.py [--threads 2] [--rounds 7]

Before: the model renders its scores, `torch.nn.functional.cross_entropy` follows. After: the loss of its field.
Forward, backward and an SGD update; times in turn in one process, peaks each in a fresh one. The loss alone is measured
too.
"""

import argparse
import json

import torch
import torch.nn.functional as F

from machine import write_result
from measure import in_fresh_process, interleave, peak, with_ratios
from offstride import create_model
from offstride.field import cross_entropy

CLASSES, IMAGE, BATCH = 150, 512, 4
MODELS = {
    "bilinear": {"upsampler": "bilinear"},
    "LaU": {"upsampler": "lau", "upsampler_options": {"scale": 16}},
}


def before(model, images, labels):
    return F.cross_entropy(model(images), labels, ignore_index=255)


def after(model, images, labels):
    return cross_entropy(model.field(images), labels)


LOSSES = {"before": before, "after": after}


def step(model_name, which):
    """A function that takes one training step and returns its loss."""
    torch.manual_seed(0)
    model = create_model(
        backbone="mobilenetv2_100", head="aspp", classes=CLASSES, output_stride=16, **MODELS[model_name]
    )
    images = torch.randn(BATCH, 3, IMAGE, IMAGE)
    labels = torch.randint(0, CLASSES, (BATCH, IMAGE // 32, IMAGE // 32))
    labels = labels.repeat_interleave(32, 1).repeat_interleave(32, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model.train()

    def run():
        loss = LOSSES[which](model, images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--worker", nargs=2, metavar=("MODEL", "WHICH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        print(json.dumps(peak(step(*arguments.worker))))
        return
    results = {}
    print(f"{'':10}{'':8}{'s a step':>10}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}{'first loss':>12}")
    for name in MODELS:
        runs = {which: step(name, which) for which in LOSSES}
        losses = {}
        for which, run in runs.items():
            torch.manual_seed(0)  # dropout
            losses[which] = run()
        found = with_ratios(interleave(runs, arguments.rounds), "before")
        for which in LOSSES:
            bytes_ = in_fresh_process(__file__, "--threads", arguments.threads, "--worker", name, which)
            found[which] |= {"peak_bytes": bytes_, "loss": losses[which]}
        for which, each in found.items():
            each["memory_ratio"] = each["peak_bytes"] / found["before"]["peak_bytes"]
            print(
                f"{name:10}{which:8}{each['median']:10.2f}{each['ratio']:8.2f}{each['peak_bytes'] / 2**20:10.0f}"
                f"{each['memory_ratio']:8.2f}{each['loss']:12.5f}"
            )
        results[name] = found
    write_result("training_step", {"classes": CLASSES, "image": IMAGE, "batch": BATCH, "results": results})


if __name__ == "__main__":
    main()
