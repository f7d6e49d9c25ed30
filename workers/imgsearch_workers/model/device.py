"""Where a model computes, in which numbers, and with how many threads. Imports torch."""

from __future__ import annotations

import os
from pathlib import Path

# Read once, when torch loads its OpenMP. Threads that wait spinning take the cores from the decoders of this worker:
# beside a busy machine the ViT-B/16-256 shape took 2.3 s of CPU per picture spinning, 0.9 s asleep, at twice the rate.
# Repeat with `OMP_WAIT_POLICY=active python -m imgsearch_workers.model --model … --threads 2`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from imgsearch.errors import ModelError

_SMALL = 64 << 20  # bytes of weights; the smallest SigLIP on the hub has 400 MB, the demo model 6 MB


def chosen(name: str) -> torch.device:
    """Return the device of this name, or the best there is for `auto`. Raises ModelError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=(place := torch.device(name)))
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch built without CUDA
        raise ModelError(
            f"There is no device {name!r} here ({first_line(error)}); set IMGSEARCH_DEVICE=auto."
        ) from error
    return place


def dtype_for(name: str, device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the hardware computes in it; emulated, it is slower than float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        checks = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)  # noqa: SLF001 - no public ones
        native = device.type == "cpu" and any(check() for check in checks)
    return torch.bfloat16 if native else torch.float32


def set_threads(wanted: int, weights: int) -> None:
    """Compute with so many threads on the CPU; 0: one per core that this container may use.

    But a single one for a small model (bytes of `weights`), whose matrices are too small to share and whose pictures
    need the other cores to be decoded.
    """
    torch.set_num_threads(wanted or (1 if weights < _SMALL else _cores_allowed()))


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _cores_allowed() -> int:
    """Return how many cores torch sees, or the fewer that the container's quota allows."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(torch.get_num_threads(), max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # not Linux, or the quota is "max"
        return torch.get_num_threads()
