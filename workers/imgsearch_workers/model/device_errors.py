"""What an error of the model or its device means for the batch it came from. No torch here.

Errors are known by the names of their classes: whoever runs the model has imported torch, this file need not.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgsearch.errors import ModelError

_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")
_BROKEN_SIGNS = ("cuda error", "hip error", "device-side assert", "cublas_status", "cudnn_status", "cusolver_status")


class NonsenseError(ModelError):
    """The model answered NaN, infinity or zero for some inputs; `rows` are their places in the batch."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = tuple(rows)
        super().__init__(f"The model answered nonsense (NaN or zero) for rows {list(self.rows)}; leave these out.")

    def __reduce__(self) -> tuple[type[NonsenseError], tuple[tuple[int, ...]]]:
        return type(self), (self.rows,)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a smaller batch may pass: call `encoder.free_memory`, halve the batch, try again."""
    if isinstance(error, MemoryError) or _is_a(error, "OutOfMemoryError"):
        return True
    return isinstance(error, RuntimeError) and _says(error, _MEMORY_SIGNS)


def is_sticky(error: BaseException) -> bool:
    """Return whether the device is lost to this process: it must exit and let its leases run out.

    After any CUDA error but a lack of memory every later call fails too, or answers wrongly.
    """
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return _is_a(error, "AcceleratorError") or _says(error, _BROKEN_SIGNS)


def _is_a(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name and kind.__module__.startswith("torch") for kind in type(error).__mro__)


def _says(error: BaseException, signs: tuple[str, ...]) -> bool:
    message = str(error).lower()
    return any(sign in message for sign in signs)
