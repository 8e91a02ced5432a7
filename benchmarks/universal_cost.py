"""What universal upsampling costs: time, multiply-adds, and the memory of a 4000×3000 photograph.

    python benchmarks/universal_cost.py --model runs/voc_deeplab/street.safetensors [--threads 1]

The model is that of `benchmarks/voc_deeplab.py`, DeepLabv3 with MobileNetV2 at stride 8; it is timed at 513×513 from
the normalised image to its label map, in turn with bilinear and with universal upsampling. Multiply-adds are compared
with those of ResNet-50 DeepLabv3 at stride 8. The photograph is predicted in windows of 513×513, in a fresh process.
Writes `benchmarks/results/universal_cost.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from machine import write_result
from measure import in_fresh_process, interleave, status, with_ratios
from offstride import create_model, open_model, sharpen
from offstride.field import argmax
from offstride.inference import label_sliding, pixel_reader
from offstride.models import complexity
from offstride.upsamplers import UniversalLaU

MIB = 1 << 20
SIZE = (513, 513)
PHOTOGRAPH = (3000, 4000)


def times(file: Path, rounds: int) -> dict:
    """Seconds of an image, in turn."""
    model = open_model(file)
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        functions = {
            name: lambda network=network: argmax(network.field(image))
            for name, network in (("bilinear", model), ("universal", sharpen(model)))
        }
        return with_ratios(interleave(functions, rounds), "bilinear")


def multiply_adds() -> dict:
    """Of the upsampler at the size of an image, and of the network that it is compared with."""
    network = create_model(backbone="resnet50", head="aspp", classes=21, output_stride=8)
    without = complexity(network, SIZE).macs
    with_universal = complexity(sharpen(network), SIZE).macs
    return {"network": without, "upsampler": with_universal - without, "share": with_universal / without - 1}


def photograph(file: Path) -> dict:
    """Memory of a process that predicts the photograph, in MiB, and seconds."""
    H, W = PHOTOGRAPH
    model = sharpen(open_model(file))
    pixels = np.random.default_rng(0).integers(0, 256, (H // 16 + 1, W // 16 + 1, 3), np.uint8)
    pixels = pixels.repeat(16, 0).repeat(16, 1)[:H, :W]
    labels, row = np.empty((H, W), np.uint8), 0
    for band in label_sliding(model.field, pixel_reader(pixels), (H, W), window=SIZE):
        labels[row : row + len(band)] = band.numpy()
        row += len(band)
    return {"resident_peak_mib": round(status("VmHWM:") / MIB), "classes_found": len(np.unique(labels))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        print(json.dumps(photograph(arguments.model)))
        return
    options = [f"--model={arguments.model}", f"--threads={arguments.threads}", "--worker"]
    results = {
        "parameters": sum(parameter.numel() for parameter in UniversalLaU().parameters()),
        "multiply_adds": multiply_adds(),
        "photograph": {"size": PHOTOGRAPH, **in_fresh_process(__file__, *options)},
        "times": times(arguments.model, arguments.rounds),
    }
    print(json.dumps(results, indent=1))
    write_result("universal_cost", {"size": SIZE, **results})


if __name__ == "__main__":
    main()
