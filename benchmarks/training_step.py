"""A whole training step with and without the fused loss: DeepLabv3-MobileNetV2, 512×512, 150 classes, batch 4, on a
CPU.

    python benchmarks/training_step.py [--threads 2] [--rounds 7] [--image 512]

Before: the model renders its scores, `torch.nn.functional.cross_entropy` follows. After: the loss of its field.
Forward, backward and an SGD update; times in turn in one process, peaks each in a fresh one.
"""

from functools import partial

import torch.nn.functional as F

from offstride import create_model
from offstride.field import cross_entropy
from steps import CLASSES, IGNORED, compare_steps


def build(which, **upsampler):
    """The model and its loss."""
    model = create_model(backbone="mobilenetv2_100", head="aspp", classes=CLASSES, output_stride=16, **upsampler)

    def before(images, labels):
        return F.cross_entropy(model(images), labels, ignore_index=IGNORED)

    def after(images, labels):
        return cross_entropy(model.field(images), labels)

    return model, {"before": before, "after": after}[which]


MODELS = {
    "bilinear": partial(build, upsampler="bilinear"),
    "LaU": partial(build, upsampler="lau", upsampler_options={"scale": 16}),
}

if __name__ == "__main__":
    compare_steps(__file__, __doc__, "training_step", MODELS, batch=4, image=512)
