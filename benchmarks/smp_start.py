"""A model of segmentation_models_pytorch with our ImageNet weights of MobileNetV2, as `offstride train` starts from it.

    python benchmarks/smp_start.py FPN --weights mobilenetv2_100_tf_in1k.safetensors --classes 11 --output runs/smp/FPN

It is then trained with the crops, the optimiser and the order of our own models:

    offstride train recipes/camvid/smp.yaml --data.root CAMVID --output runs/smp/fpn-0 \\
        --model.reference smp:runs/smp/FPN
"""

import argparse
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file

ENCODER = "tu-mobilenetv2_100"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of a model: FPN, DeepLabV3Plus, Unet …")
    parser.add_argument("--weights", type=Path, required=True, help="mobilenetv2_100_tf_in1k.safetensors")
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the decoder's first weights")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    options = {"encoder_weights": None, "classes": arguments.classes}
    model = getattr(smp, arguments.name)(ENCODER, **options, pad_type="same", bn_eps=1e-3)
    weights = {name: tensor.float() for name, tensor in load_file(arguments.weights).items()}
    found = model.encoder.model.load_state_dict(weights, strict=False)
    absent = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    extra = [name for name in found.unexpected_keys if not name.startswith(("classifier", "conv_head", "bn2"))]
    if absent or extra:
        raise SystemExit(f"{arguments.weights}: {len(absent)} weights are missing, {len(extra)} have no place")
    model.save_pretrained(str(arguments.output))


if __name__ == "__main__":
    main()
