"""Small models of three libraries as references name them: folders and files with random weights."""

import torch
from families import build, enliven
from safetensors.torch import save_file
from torchvision.models import get_model
from transformers import MobileNetV2ImageProcessor, SegformerImageProcessor

LABELS = ["sky", "road", "pole", "car", "sign"]


def smp_folder(folder, name="smp FPN"):
    model = build(name)
    model.save_pretrained(folder)
    return f"smp:{folder}", model


def transformers_folder(folder, name="transformers segformer", labels=LABELS, **processor):
    model = build(name)
    if labels:
        model.config.id2label = dict(enumerate(labels))
    model.save_pretrained(folder)
    if processor.pop("processor", True):
        kind = SegformerImageProcessor if "segformer" in name else MobileNetV2ImageProcessor
        kind(**processor).save_pretrained(folder)
    return f"transformers:{folder}", model


def torchvision_file(path, name="lraspp_mobilenet_v3_large", classes=5, **options):
    torch.manual_seed(0)
    model = enliven(get_model(name, weights=None, weights_backbone=None, num_classes=classes, **options)).eval()
    save_file(model.state_dict(), path) if path.suffix == ".safetensors" else torch.save(model.state_dict(), path)
    return f"torchvision:{name}@{path}", model


MAKERS = {
    "torchvision": lambda folder: torchvision_file(folder / "lraspp.pth"),
    "smp": lambda folder: smp_folder(folder / "fpn"),
    "transformers": lambda folder: transformers_folder(folder / "segformer"),
}
