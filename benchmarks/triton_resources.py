"""What the Triton kernels take of a GPU, without one: registers, spilled bytes, shared memory, on several generations.

The functions that launch kernels run on tensors without data; each launch is recorded, and what would be launched is
compiled, with the arguments specialised as a launch does, and assembled by the `ptxas` that triton brings. "exchanges"
are shuffles, barriers and accesses to shared memory inside loops; where a thread has a pixel or a cell to itself there
must be none.

    python benchmarks/triton_resources.py [--arch 75 80 90 100] [--size voc pctx ade] [--kind …]

Fails if anything is spilled, or exchanged where it should not be.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch

SIZES = {  # name: (B, C, h, w, factor)
    "voc": (2, 21, 64, 64, 8),
    "pctx": (2, 60, 60, 60, 4),
    "ade": (1, 150, 64, 64, 8),
}
PLAIN = {"weight": None, "label_smoothing": 0.0, "ignore_index": 255}
ALONE = ("losses", "gradient", "pixels", "best")
KINDS = ("bilinear", "bilinear, all terms", "located", "located, all terms", "fixed point", "argmax")


class Launch(NamedTuple):
    """A kernel with the arguments that it is launched with."""

    kernel: object
    arguments: dict
    options: dict

    @property
    def name(self):
        return self.kernel.__name__.removesuffix("_kernel")

    def source(self, arch):
        """What the compiler takes, as a launch of the kernel specialises it."""
        from triton.compiler import ASTSource

        signature, constants, attributes = {}, {}, {}
        for i, parameter in enumerate(self.kernel.params):
            value = self.arguments[parameter.name]
            kind = type_of(value)
            one = kind in ("i32", "i64") and value == 1 and not parameter.do_not_specialize
            if parameter.is_constexpr or kind is None or one:
                kind, constants[(i,)] = "constexpr", value
                if parameter.name == "PRECISION" and arch < 80:
                    constants[(i,)] = "ieee"  # no such tensor cores, see `precision`
            elif kind.startswith("*") or (kind[0] == "i" and value % 16 == 0 and not parameter.do_not_specialize):
                attributes[(i,)] = [["tt.divisibility", 16]]
            signature[parameter.name] = kind
        return ASTSource(fn=self.kernel, signature=signature, constexprs=constants, attrs=attributes)


def type_of(value):
    """Triton's name for the type of an argument; None for what is a constant."""
    if value is None or isinstance(value, bool | str):
        return None
    if isinstance(value, torch.Tensor):
        names = {
            "float32": "fp32",
            "bfloat16": "bf16",
            "float16": "fp16",
            "int32": "i32",
            "int64": "i64",
            "uint8": "u8",
        }
        return "*" + names[str(value.dtype).removeprefix("torch.")]
    if isinstance(value, float):
        return "fp32"
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def record(kind, size, dtype):
    """The launches of one call."""
    from offstride.ops.argmax.triton import confusion, pixels
    from offstride.ops.cross_entropy.triton import bilinear_loss, displaced_loss, pack

    launches = []

    def note(kernel, programs, *arguments, **options):
        arguments = dict(zip(kernel.arg_names, arguments, strict=False))
        arguments |= {name: options.pop(name) for name in kernel.arg_names if name in options}
        launches.append(Launch(kernel, arguments, options))

    for module in (pixels, bilinear_loss, displaced_loss, pack):
        sys.modules[module.__name__].launch = note
    displaced_loss.precision = lambda scores, window: "tf32x3" if window > 4 else "ieee"
    B, C, h, w, factor = size
    scores = torch.empty(B, C, h, w, device="meta", dtype=dtype)
    labels = torch.empty(B, h * factor, w * factor, device="meta", dtype=torch.int64)
    offsets = torch.empty(B, 2, *labels.shape[1:], device="meta", dtype=dtype)
    divisors = torch.empty(2, device="meta")
    options = dict(PLAIN)
    if "all terms" in kind or kind == "fixed point":
        options |= {"weight": torch.empty(C, device="meta"), "label_smoothing": 0.1}
    located_options = {"guided": 0.3, "regression": None, "window": 1, "ties": "penalize", "gradient": True} | options
    if "all terms" in kind:
        located_options["regression"] = 0.1
    if kind.startswith("bilinear"):
        bilinear_loss.bilinear(scores, labels, divisors[0], origin="center", gradient=True, **options)
    elif kind == "argmax":
        confusion(scores, offsets, labels, origin="center", ignore_index=255)
    else:
        torch.use_deterministic_algorithms(kind == "fixed point")
        displaced_loss.loss(scores, offsets, labels, divisors, origin="center", **located_options)
        torch.use_deterministic_algorithms(False)
    return launches


class Resources(NamedTuple):
    """Registers of a thread, spilled bytes (stores and loads), shared bytes of a program, exchanges in loops."""

    registers: int
    spilled: int
    shared: int
    exchanges: int


def resources(launch, arch):
    """What a launch takes on an architecture."""
    import triton
    from triton.backends.compiler import GPUTarget

    compiled = triton.compile(
        launch.source(arch), target=GPUTarget("cuda", arch, 32), options={"enable_fp_fusion": False} | launch.options
    )
    ptx = compiled.asm["ptx"]
    told = assemble(ptx, Path(triton.__file__).parent / "backends" / "nvidia" / "bin")
    spilled = sum(int(found) for found in re.findall(r"(\d+) bytes spill", told))
    registers = int(re.search(r"Used (\d+) registers", told).group(1))
    return Resources(registers, spilled, compiled.metadata.shared, exchanges(ptx))


def exchanges(ptx):
    """Instructions within loops by which threads exchange what they have: loops are jumps back to a label."""
    lines, labels, inside = ptx.splitlines(), {}, set()
    for i, line in enumerate(lines):
        if label := re.match(r"(\$L__\w+):", line):
            labels[label.group(1)] = i
        elif (jump := re.search(r"\bbra\S*\s+(\$L__\w+)", line)) and jump.group(1) in labels:
            inside.update(range(labels[jump.group(1)], i))
    return sum(bool(re.search(r"\b(shfl|bar\.sync|(ld|st)\.shared)", lines[i])) for i in inside)


def assemble(ptx, tools):
    """What `ptxas` tells; triton brings several, and not each knows each version of PTX."""
    target = re.search(r"\.target (\w+)", ptx).group(1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.ptx").write_text(ptx)
        # Newer versions of triton ask for another register allocation, which older assemblers do not know.
        for tool, level in itertools.product(sorted(tools.glob("ptxas*")), (["--regAllocOptLevel=2"], [])):
            command = [tool, "-v", "--fmad=false", *level, f"--gpu-name={target}", "kernel.ptx", "-o", "kernel.cubin"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stderr
    raise RuntimeError(done.stderr)


def blocks(launch):
    """Block sizes, by their names in the kernel."""
    sizes = {
        name: launch.arguments[name] for name in ("R", "BP", "BQ", "BC", "TILE", "WINDOW") if name in launch.arguments
    }
    return " ".join(f"{name}={size}" for name, size in sizes.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, nargs="+", default=[75, 80, 90, 100])
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=KINDS)
    arguments = parser.parse_args()
    if os.environ.get("TRITON_INTERPRET") == "1":
        sys.exit("TRITON_INTERPRET is set: nothing would be compiled")
    heading = " ".join(f"{f'sm{arch}':>17}" for arch in arguments.arch)
    print(f"{'size':5} {'kind':20} {'kernel':9} {'blocks':24} warps exchanges {heading}")
    print(" " * 77 + " ".join(f"{'reg':>4} {'spill':>5} {'shared':>6}" for _ in arguments.arch))
    wrong, seen = [], set()
    for size, kind in itertools.product(arguments.size, arguments.kind):
        dtype = torch.bfloat16 if "all terms" in kind else torch.float32
        for launch in record(kind, SIZES[size], dtype):
            source = launch.source(90)
            key = (launch.name, str(source.signature), str(source.constants), str(launch.options))
            if key in seen:
                continue
            seen.add(key)
            found = [resources(launch, arch) for arch in arguments.arch]
            most = max(each.exchanges for each in found)
            wrong += [f"{launch.name} ({size}, {kind}) spills"] if any(each.spilled for each in found) else []
            wrong += [f"{launch.name} ({size}, {kind}) exchanges"] if most and launch.name in ALONE else []
            cells = " ".join(f"{each.registers:4} {each.spilled:5} {each.shared:6}" for each in found)
            warps = launch.options.get("num_warps", 4)
            print(f"{size:5} {kind:20} {launch.name:9} {blocks(launch):24} {warps:5} {most:9} {cells}", flush=True)
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
