"""Which way up was the camera? The one EXIF tag that matters, read without Pillow.

Pillow's reader copies the data of every tag; a tag may claim the whole block, so 64 KB can become hundreds of MB.
"""

from __future__ import annotations

import struct

PREFIX = b"Exif\0\0"
LONGEST = 65_536  # bytes looked at; the first directory stands at the front
_ORIENTATION = 0x0112
_MOST_TAGS = 512


def turn(block: bytes) -> int:
    """Return the orientation 1-8 of an EXIF block, with or without its `Exif` prefix; 1 where it cannot be read."""
    return stated(block) or 1


def stated(block: bytes) -> int:
    """Return the orientation as `turn` does, but 0 where the block says none."""
    if block.startswith(PREFIX):
        block = block[len(PREFIX) :]
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    try:
        (at,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, _MOST_TAGS), 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 0
