"""Pictures that hurt whoever works on them, for tests of what happens then: one solid colour per kind of harm.

Nothing looks for these colours unless a test asks for it (`IMGSEARCH_MODEL=imgsearch.dev.testing:PoisonEncoder`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Harm = Literal["raises", "nan", "zero", "memory", "sticky", "kills", "hangs", "crashes_decoder"]

COLOURS: Mapping[Harm, tuple[int, int, int]] = MappingProxyType(
    {
        "raises": (250, 0, 250),  # the model raises whenever this picture is in the batch
        "nan": (0, 250, 250),  # the model answers NaN for it
        "zero": (0, 120, 250),  # the model answers zeros for it
        "memory": (250, 120, 0),  # the device runs out of memory for every batch of more than four with it
        "sticky": (120, 0, 250),  # the device is lost to the process
        "kills": (250, 0, 120),  # the process is killed at once, as the kernel does when memory runs out
        "hangs": (120, 250, 0),  # the forward pass never returns
        "crashes_decoder": (0, 250, 120),  # not the model's business: see the decoder of the tests
    }
)
_FITS_IN_MEMORY = 4
_TOLERANCE = 6  # levels: JPEG moves a solid colour by a few


def harms(pixels: NDArray[np.uint8]) -> list[Harm | None]:
    """Return, for each picture of (B, S, S, 3) uint8, which harm its colour stands for, or None."""
    return [_harm(picture) for picture in pixels]


def _harm(picture: NDArray[np.uint8]) -> Harm | None:
    low, high = picture.min(axis=(0, 1)).tolist(), picture.max(axis=(0, 1)).tolist()
    for name, colour in COLOURS.items():
        if all(c - _TOLERANCE <= a and b <= c + _TOLERANCE for c, a, b in zip(colour, low, high, strict=True)):
            return name
    return None


def suffer(found: list[Harm | None]) -> None:
    """Do to this process what the pictures of one batch stand for; NaN and zero are left to the caller."""
    if "kills" in found:
        os.kill(os.getpid(), signal.SIGKILL)
    if "sticky" in found:
        raise RuntimeError("CUDA error: device-side assert triggered")
    while "hangs" in found:
        time.sleep(3600)
    if "memory" in found and len(found) > _FITS_IN_MEMORY:
        raise MemoryError("the stand-in encoder is out of memory")
    if "raises" in found:
        raise ValueError("the stand-in encoder cannot embed this picture")
