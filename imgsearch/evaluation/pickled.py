"""Read a published pickle without running what is in it: lists, numbers and numpy's arrays, nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from imgsearch.errors import JudgementError

LARGEST = 512 << 20  # bytes; the ground truth of RParis has under 2 MB
_PLAIN = {("_codecs", "encode")} | {
    (f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")
}
_PLAIN |= {("numpy", "ndarray"), ("numpy", "dtype")}


class _Plain(pickle.Unpickler):
    """Knows no class but those that hold numbers."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"it would run {module}.{name}")
        return super().find_class(module, name)


def load(path: Path) -> Any:
    """Return what a pickle holds. Raises JudgementError where it is none, or holds more than data."""
    if path.stat().st_size > LARGEST:
        raise JudgementError(f"{path} is larger than {LARGEST >> 20} MB: that is no ground truth.")
    try:
        with path.open("rb") as file:
            return _Plain(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, ImportError, IndexError) as error:
        raise JudgementError(
            f"{path} is no pickle of plain data ({error}); give the file as it is handed out."
        ) from error
