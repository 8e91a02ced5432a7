"""From an image to its label map on a CPU: PyTorch beside the exported files, for every upsampler.

    python benchmarks/export_latency.py [--size 512 512] [--threads 2] [--rounds 15] [--upsamplers lau bilinear …]

One model, one image, batch of one, a fixed size; runtimes are called in turn. PyTorch is asked as `offstride predict`
asks it (label map straight from coarse scores), and for the argmax of full-resolution scores, which is what the files
hold. Labels and scores are compared on a smooth random image.
"""

import argparse
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from machine import version, write_result
from measure import interleave, with_ratios
from offstride.export import export_program, load_exported, write_onnx, write_program
from offstride.field import argmax
from offstride.models import create_model
from offstride.models.parts import UPSAMPLERS

BASE = "PyTorch, label map"
OPTIONS = {
    "carafe": {"scale": 4},
    "dysample": {"scale": 4},
    "lau": {"scale": 8},
    "residual": {"upsampler": "lau", "upsampler_options": {"scale": 2}},
}


def model_of(upsampler):
    torch.manual_seed(0)
    options = {"head": "linear", "upsampler": upsampler, "upsampler_options": OPTIONS.get(upsampler, {})}
    return create_model(backbone="mobilenetv2_050", classes=21, output_stride=8, **options).eval()


def smooth_image(size):
    generator = torch.Generator().manual_seed(0)
    return F.interpolate(2 * torch.randn(1, 3, 9, 9, generator=generator), size, mode="bicubic").contiguous()


def openvino_of(path, threads):
    """A function from images to what an ONNX file gives, in OpenVINO; None where that is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(threads),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda images: torch.from_numpy(compiled(images.numpy())[0])


def runtimes(model, size, threads, folder):
    """Label maps by every runtime, and how they agree with PyTorch."""
    images, files = smooth_image(size), {}
    for output in ("labels", "scores"):
        graph = export_program(model, size=size, output=output)
        for suffix, write in ((".onnx", write_onnx), (".pt2", write_program)):
            write(graph, files.setdefault((output, suffix), Path(folder) / f"{output}{suffix}"))
    ways = {BASE: lambda: argmax(model.field(images)), "PyTorch, dense argmax": lambda: model(images).argmax(1)}
    scores, labels, agreement = model(images), argmax(model.field(images)), {}
    readers = {"torch.export": ".pt2", "ONNX Runtime": ".onnx", "OpenVINO": ".onnx"}
    for name, suffix in readers.items():
        runs = {}
        for output in ("labels", "scores"):
            path = files[output, suffix]
            loaded = load_exported(path, threads=threads)
            runs[output] = openvino_of(path, threads) if name == "OpenVINO" else loaded._run
        if runs["labels"] is None:
            continue
        ways[name] = lambda run=runs["labels"]: run(images)
        agreement[name] = {
            "max_difference": (runs["scores"](images) - scores).abs().max().item(),
            "same_labels": (runs["labels"](images) == labels).double().mean().item(),
        }
    return ways, {"largest_score": scores.abs().max().item(), **agreement}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--upsamplers", nargs="+", default=sorted(UPSAMPLERS), choices=sorted(UPSAMPLERS))
    parser.add_argument("--output", default="export_latency", help="name of the result")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {}
    for upsampler in arguments.upsamplers:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            ways, agreement = runtimes(model_of(upsampler), tuple(arguments.size), arguments.threads, folder)
            times = with_ratios(interleave(ways, arguments.rounds), BASE)
        results[upsampler] = {"times": times, "agreement": agreement}
        print(f"\n{upsampler}")
        for name, each in times.items():
            found = agreement.get(name)
            said = (
                f"   max difference {found['max_difference']:.1e}, same labels {found['same_labels']:.5f}"
                if found
                else ""
            )
            print(f"{name:24}{1e3 * each['median']:9.1f} ms{each['ratio']:8.2f}{said}", flush=True)
    packages = {name: version(name) for name in ("onnx", "onnxruntime", "openvino")}
    write_result(arguments.output, {"size": arguments.size, "runtimes": packages, "results": results})


if __name__ == "__main__":
    main()
