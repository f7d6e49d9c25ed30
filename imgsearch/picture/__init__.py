"""From the bytes of a picture to pixels a model can use, or to a typed refusal.

`inspect` and `digest` need the standard library alone; the rest imports Pillow and numpy when first used.
Strangers' bytes belong into `imgsearch_workers.decoding.decoder.DecodePool`: the functions here bound pixels, only a
child bounds time and memory.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from imgsearch.picture.codes import CODES, refusal
from imgsearch.picture.formats import ACCEPT, ACCEPTED, FORMATS
from imgsearch.picture.header import Header, inspect
from imgsearch.picture.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from imgsearch.picture.pixels import decode, thumbnail, upright

__all__ = [
    "ACCEPT",
    "ACCEPTED",
    "CODES",
    "DEFAULT_LIMITS",
    "FORMATS",
    "Header",
    "Limits",
    "decode",
    "digest",
    "inspect",
    "refusal",
    "thumbnail",
    "upright",
]

_NEEDS_PILLOW = frozenset({"decode", "thumbnail", "upright"})


def digest(data: bytes) -> bytes:
    """Return the SHA-256 of the file's bytes (32 bytes): the identity of a picture."""
    return hashlib.sha256(data).digest()


def __getattr__(name: str) -> Any:
    if name in _NEEDS_PILLOW:
        from imgsearch.picture import pixels

        return getattr(pixels, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
