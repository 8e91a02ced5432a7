"""A training step of models of others, with their own loss and with ours: DeepLabV3+ of segmentation_models_pytorch and
SegFormer B0 of transformers, 150 classes, batch 2, random weights, on a CPU.

    python benchmarks/foreign_training_step.py [--threads 2] [--rounds 7] [--image 384]

Before: the model's scores, brought to the labels by `torch.nn.functional.interpolate`, and
`torch.nn.functional.cross_entropy`; the head of segmentation_models_pytorch interpolates itself. After:
`offstride.upsample_cross_entropy` of the coarse scores. The models are those of the libraries, with nothing replaced.
Forward, backward and an SGD update; times in turn in one process, peaks each in a fresh one.
"""

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from torch import nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from machine import version
from offstride import upsample_cross_entropy
from steps import CLASSES, IGNORED, compare_steps


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


if __name__ == "__main__":
    libraries = {package: version(package) for package in ("segmentation-models-pytorch", "transformers")}
    about = {"libraries": libraries}
    compare_steps(__file__, __doc__, "foreign_training_step", MODELS, batch=2, image=384, about=about)
