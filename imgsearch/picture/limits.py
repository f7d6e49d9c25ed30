"""What may a picture cost? Every limit, once: `add()`, the workers and the documents all read it here.

Memory is reckoned from the header, before anything is decoded: a codec whose allocation fails calls the file damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imgsearch.picture.codes import refusal


@dataclass(frozen=True)
class Limits:
    """What a picture may cost.

    `max_bytes` of the file; `max_pixels` = width x height, less where the format has a limit of its own; `max_side` in
    pixels; `max_frames` of an animation (only its first frame is ever decoded); `max_memory` that decoding needs, in
    bytes, file and answer not counted.
    """

    max_bytes: int = 25 * 1024 * 1024
    max_pixels: int = 120_000_000
    max_side: int = 65_535
    max_frames: int = 1_000
    max_memory: int = 1_000_000_000


DEFAULT_LIMITS = Limits()

# A JPEG is decoded to a fraction of its size and may have all that the default allows; others are decoded whole.
MOST_PIXELS = 64_000_000
_MOST_PIXELS: Mapping[str, int] = MappingProxyType({"JPEG": DEFAULT_LIMITS.max_pixels})
STATED = (
    f"At most {DEFAULT_LIMITS.max_bytes >> 20} MiB; a JPEG of at most {DEFAULT_LIMITS.max_pixels // 1_000_000} million "
    f"pixels, others of {MOST_PIXELS // 1_000_000} million or less; sides to {DEFAULT_LIMITS.max_side:,} pixels; "
    f"animations of {DEFAULT_LIMITS.max_frames:,} frames"
)
_LONGEST_SIDE: Mapping[str, int] = MappingProxyType({"WEBP": 16_383, "AVIF": 32_768})  # what the formats or codecs hold

# Bytes per pixel at the worst moment of decoding (`python -m bench.large_pictures`). A JPEG reckons its own.
_NEED: Mapping[str, int] = MappingProxyType({"PNG": 5, "GIF": 5, "BMP": 5, "TIFF": 12, "WEBP": 13, "AVIF": 13})
_NEED_OF_OTHERS = 15


def check(name: str, width: int, height: int, limits: Limits, *, frames: int = 1, need: int = 0) -> None:
    """Refuse what is larger than `limits` or has no area; `need` in bytes, 0: by the format's usual."""
    if width < 1 or height < 1:
        raise refusal("corrupt", f"{width} x {height} pixels")
    side = min(limits.max_side, _LONGEST_SIDE.get(name, limits.max_side))
    if max(width, height) > side:
        raise refusal("too_many_pixels", f"{width} x {height} pixels where a side of {side:,} is allowed in {name}")
    if frames > limits.max_frames:
        raise refusal("too_many_pixels", f"more than {limits.max_frames:,} frames")
    most = min(limits.max_pixels, _MOST_PIXELS.get(name, MOST_PIXELS))
    if width * height > most:
        raise refusal("too_many_pixels", f"{width} x {height} where {most:,} pixels are allowed in {name}")
    need = need or width * height * _NEED.get(name, _NEED_OF_OTHERS)
    if need > limits.max_memory:
        megabytes = f"{need / 1e6:,.0f} MB to decode where {limits.max_memory / 1e6:,.0f} are allowed"
        raise refusal("too_much_memory", megabytes)
