"""Builds the C kernels beside the Python code. Without a compiler the package installs all the same, without them."""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = "src/offstride/ops/native"
FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
THREADS = [] if sys.platform == "darwin" else ["-fopenmp"]  # Apple's compiler comes without OpenMP


class BuildKernels(build_ext):
    """A plain shared library: no Python symbols, loaded by `ctypes`."""

    def get_export_symbols(self, ext):
        return []


setup(
    ext_modules=[
        Extension(
            "offstride.ops.native._kernels",
            sources=[f"{FOLDER}/{name}.c" for name in ("memory", "plan", "labels", "baseline", "avx2", "avx512")],
            depends=sorted(map(str, Path(FOLDER).glob("*.h"))),
            extra_compile_args=FLAGS + THREADS,
            extra_link_args=THREADS,
            libraries=["m"],
            py_limited_api=True,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
