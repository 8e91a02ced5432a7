"""What figures depend on, kept beside them."""

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

import offstride

HERE = Path(__file__).resolve().parent


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def version(package):
    """None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def gpu():
    """Name of the CUDA device, and what is used on it; nothing where there is none."""
    if not torch.cuda.is_available():
        return {}
    return {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "triton": version("triton")}


def git(*arguments):
    done = subprocess.run(("git", "-C", HERE, *arguments), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def circumstances():
    """Commit, hardware, threads and versions."""
    changed = git("status", "--porcelain", "--", "../src", "../recipes", ":!results", ".")
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed_since_commit": changed is None or bool(changed),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {
            "offstride": offstride.__version__,
            "torch": torch.__version__,
            "timm": version("timm"),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
    } | gpu()


def write_result(name, figures):
    """Write `benchmarks/results/NAME.json`."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(circumstances() | figures, indent=2) + "\n")
