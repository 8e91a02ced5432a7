"""Whole training steps before and after a change of the loss: forward, backward and an SGD update."""

import argparse
import json

import torch

from machine import write_result
from measure import in_fresh_process, interleave, peak, with_ratios

KINDS = ("before", "after")
CLASSES, IGNORED = 150, 255


def step(build, which, batch, image):
    """A function that takes one training step and returns its loss."""
    torch.manual_seed(0)
    model, loss_of = build(which)
    torch.manual_seed(1)
    images = torch.randn(batch, 3, image, image)
    labels = torch.randint(0, CLASSES, (batch, image // 32, image // 32))
    labels = labels.repeat_interleave(32, 1).repeat_interleave(32, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model.train()

    def run():
        loss = loss_of(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def compare_steps(file, text, name, models, *, batch, image, about=None):
    """The command line of a benchmark: times in turn in one process, peaks each in a fresh one.

    `models` are functions that return a model and the loss of images and labels, for "before" and "after".
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--image", type=int, default=image, help="height and width in pixels, a multiple of 32")
    parser.add_argument("--worker", nargs=2, metavar=("MODEL", "WHICH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        model, which = arguments.worker
        print(json.dumps(peak(step(models[model], which, batch, arguments.image))))
        return
    results = {}
    print(f"{'':16}{'':8}{'s a step':>10}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}{'first loss':>12}")
    for model, build in models.items():
        runs = {which: step(build, which, batch, arguments.image) for which in KINDS}
        losses = {}
        for which, run in runs.items():
            torch.manual_seed(0)  # dropout
            losses[which] = run()
        found = with_ratios(interleave(runs, arguments.rounds), "before")
        for which in runs:
            shared = ("--threads", arguments.threads, "--image", arguments.image)
            bytes_ = in_fresh_process(file, *shared, "--worker", model, which)
            found[which] |= {"peak_bytes": bytes_, "loss": losses[which]}
        for which, each in found.items():
            each["memory_ratio"] = each["peak_bytes"] / found["before"]["peak_bytes"]
            print(
                f"{model:16}{which:8}{each['median']:10.2f}{each['ratio']:8.2f}{each['peak_bytes'] / 2**20:10.0f}"
                f"{each['memory_ratio']:8.2f}{each['loss']:12.5f}"
            )
        results[model] = found
    setting = {"classes": CLASSES, "image": arguments.image, "batch": batch}
    write_result(name, setting | (about or {}) | {"results": results})
