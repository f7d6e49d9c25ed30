"""How large is this picture, before a single pixel is allocated?

The container is read by our own walkers (`imgsearch.picture.containers`): a few bytes each, nothing decompressed,
every loop bounded. Only what passes here is shown to Pillow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container
from imgsearch.picture.limits import DEFAULT_LIMITS, Limits, check
from imgsearch.picture.sniff import sniff
from imgsearch.picture.walkers import WALKERS


@dataclass(frozen=True)
class Header:
    """What the file says of itself: sizes in pixels as stored, before any EXIF turn. Further pages are not frames."""

    format: str
    width: int
    height: int
    frames: int = 1


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Return the header of a picture within `limits`; raise `PictureError` with its code otherwise."""
    name, found = walk(data, limits)
    return Header(name, found.width, found.height, found.frames)


def walk(data: bytes, limits: Limits) -> tuple[str, Container]:
    """Return the format's name and what its walker found, all limits checked."""
    if not data:
        raise refusal("empty")
    if len(data) > limits.max_bytes:
        raise refusal("too_many_bytes", f"{len(data):,} bytes where {limits.max_bytes:,} are allowed")
    name = sniff(data)
    try:
        found = WALKERS[name](data, limits.max_frames)
    except (struct.error, IndexError) as error:  # a field lies beyond the end of the file
        raise refusal("truncated", f"{name} header") from error
    check(name, found.width, found.height, limits, frames=found.frames, need=found.need)
    return name, found
