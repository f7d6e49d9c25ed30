"""How large is this picture, before a single pixel is allocated?

The container is read by our own walkers (`imgsearch.picture.containers`): a few bytes each, nothing decompressed,
every loop bounded. Only what passes here is shown to Pillow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from imgsearch.picture import containers
from imgsearch.picture.codes import refusal
from imgsearch.picture.containers import Container
from imgsearch.picture.sniff import sniff


@dataclass(frozen=True)
class Limits:
    """What a picture may cost.

    `max_bytes` of the file; `max_pixels` = width x height x frames of an animation; `max_side` in pixels;
    `max_frames` of an animation (only its first frame is ever decoded).
    """

    max_bytes: int = 25 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_side: int = 32_767
    max_frames: int = 1_000


DEFAULT_LIMITS = Limits()


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
        found = containers.WALKERS[name](data, limits.max_frames)
    except (struct.error, IndexError) as error:  # a field lies beyond the end of the file
        raise refusal("truncated", f"{name} header") from error
    check(found.width, found.height, found.frames, limits)
    return name, found


def check(width: int, height: int, frames: int, limits: Limits) -> None:
    """Refuse what is larger than `limits` or has no area."""
    if width < 1 or height < 1:
        raise refusal("corrupt", f"{width} x {height} pixels")
    if max(width, height) > limits.max_side:
        raise refusal("too_many_pixels", f"{width} x {height} pixels where a side of {limits.max_side} is allowed")
    if frames > limits.max_frames:
        raise refusal("too_many_pixels", f"more than {limits.max_frames} frames")
    if width * height * frames > limits.max_pixels:
        size = f"{width} x {height}" + (f" x {frames} frames" if frames > 1 else "")
        raise refusal("too_many_pixels", f"{size} where {limits.max_pixels:,} pixels are allowed")
