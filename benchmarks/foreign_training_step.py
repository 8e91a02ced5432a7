"""A training step of models of others, with their own loss and with ours: DeepLabV3+ of segmentation_models_pytorch and
SegFormer B0 of transformers, 150 classes, batch 2, random weights, on a CPU.

    python benchmarks/foreign_training_step.py [--threads 2] [--rounds 7] [--image 384]

Before: the model's scores, brought to the labels by `torch.nn.functional.interpolate`, and
`torch.nn.functional.cross_entropy`; the head of segmentation_models_pytorch interpolates itself. After:
`offstride.upsample_cross_entropy` of the coarse scores. The models are those of the libraries, with nothing replaced.
Forward, backward and an SGD update; times in turn in one process, peaks each in a fresh one.
"""

import argparse
import json

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from machine import version, write_result
from measure import in_fresh_process, interleave, peak, with_ratios
from offstride import upsample_cross_entropy

CLASSES, BATCH, IGNORED = 150, 2, 255


def deeplab(which):
    """The model and its loss; "after" takes the interpolation out of the head."""
    model = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=CLASSES)
    if which == "after":
        model.segmentation_head[1] = nn.Identity()

    def before(images, labels):
        return F.cross_entropy(model(images), labels, ignore_index=IGNORED)

    def after(images, labels):
        return upsample_cross_entropy(model(images), labels, origin="aligned")

    return model, {"before": before, "after": after}[which]


def segformer(which):
    """The model and its loss; "before" is that of the library, which interpolates the logits to the labels."""
    model = SegformerForSemanticSegmentation(SegformerConfig(num_labels=CLASSES, semantic_loss_ignore_index=IGNORED))

    def before(images, labels):
        return model(pixel_values=images, labels=labels).loss

    def after(images, labels):
        return upsample_cross_entropy(model(pixel_values=images).logits, labels)

    return model, {"before": before, "after": after}[which]


MODELS = {"smp DeepLabV3+": deeplab, "SegFormer B0": segformer}


def step(model_name, which, image):
    """A function that takes one training step and returns its loss."""
    torch.manual_seed(0)
    model, loss_of = MODELS[model_name](which)
    torch.manual_seed(1)
    images = torch.randn(BATCH, 3, image, image)
    labels = torch.randint(0, CLASSES, (BATCH, image // 32, image // 32))
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--image", type=int, default=384, help="height and width in pixels, a multiple of 32")
    parser.add_argument("--worker", nargs=2, metavar=("MODEL", "WHICH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        print(json.dumps(peak(step(*arguments.worker, arguments.image))))
        return
    results = {}
    print(f"{'':16}{'':8}{'s a step':>10}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}{'first loss':>12}")
    for name in MODELS:
        runs = {which: step(name, which, arguments.image) for which in ("before", "after")}
        losses = {}
        for which, run in runs.items():
            torch.manual_seed(0)  # dropout
            losses[which] = run()
        found = with_ratios(interleave(runs, arguments.rounds), "before")
        for which in runs:
            shared = ("--threads", arguments.threads, "--image", arguments.image)
            bytes_ = in_fresh_process(__file__, *shared, "--worker", name, which)
            found[which] |= {"peak_bytes": bytes_, "loss": losses[which]}
        for which, each in found.items():
            each["memory_ratio"] = each["peak_bytes"] / found["before"]["peak_bytes"]
            print(
                f"{name:16}{which:8}{each['median']:10.2f}{each['ratio']:8.2f}{each['peak_bytes'] / 2**20:10.0f}"
                f"{each['memory_ratio']:8.2f}{each['loss']:12.5f}"
            )
        results[name] = found
    libraries = {package: version(package) for package in ("segmentation-models-pytorch", "transformers")}
    setting = {"classes": CLASSES, "image": arguments.image, "batch": BATCH, "libraries": libraries}
    write_result("foreign_training_step", setting | {"results": results})


if __name__ == "__main__":
    main()
