#!/usr/bin/env bash
# Everything that wants a CUDA device, in about ten minutes: the tests of the Triton kernels, then their errors, times and
# peak memory (benchmarks/results/gpu_kernels.json).
#
#     benchmarks/gpu.sh [options of gpu_kernels.py]
#
# Uses the Python named by PYTHON (python3) with its torch and triton, and this checkout; installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
unset TRITON_INTERPRET

"$python" - <<'CHECK'
import importlib.util, sys
missing = [name for name in ("torch", "triton", "pytest") if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"gpu.sh: {sys.executable} lacks {', '.join(missing)}; name another one: PYTHON=… benchmarks/gpu.sh")
if sys.version_info < (3, 11):
    sys.exit(f"gpu.sh: expected Python 3.11 or newer, got {sys.version.split()[0]}")
import torch, triton
if not torch.cuda.is_available():
    sys.exit(f"gpu.sh: torch {torch.__version__} finds no CUDA device")
print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}")
CHECK

# Tests report and the figures are still taken; either failing fails this script.
status=0
"$python" -m pytest -q -W default -p no:cacheprovider tests/ops/triton || status=$?
"$python" benchmarks/gpu_kernels.py "$@" || status=$?
exit "$status"
