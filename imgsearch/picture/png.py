"""What a PNG says of itself."""

from __future__ import annotations

import zlib
from struct import pack, unpack_from

from imgsearch.picture import exif
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_CHUNKS = 50_000  # a 25 MiB PNG in chunks of 8 KiB has 3,200
_MOST_PACKED = 32  # chunks that hold compressed text or profiles: each may unpack to 1 MB
_END = b"\0\0\0\0IEND\xaeB`\x82"


def png(data: bytes, most_frames: int) -> Container:
    """Walk the chunks: IHDR, acTL and eXIf count. One that only lacks its end is given one."""
    if data[12:16] != b"IHDR":
        raise refusal("corrupt", "PNG without IHDR")
    width, height = unpack_from(">II", data, 16)
    frames, turn, packed, at, pixels = 1, 1, 0, 8, False
    for _ in range(_MOST_CHUNKS):
        if pixels and at + 12 > len(data):
            return Container(width, height, frames, turn, data[:at] + _END, whole=False)
        length, kind = unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return Container(width, height, frames, turn)
        if kind == b"acTL":
            frames = max(1, *unpack_from(">I", data, at + 8))
        elif kind == b"eXIf":
            turn = exif.turn(data[at + 8 : at + 8 + min(length, exif.LONGEST)])
        packed += kind in (b"iCCP", b"zTXt", b"iTXt")
        if packed > _MOST_PACKED:
            raise refusal("corrupt", "PNG with too many compressed notes")
        if at + 12 + length > len(data):
            if kind != b"IDAT" or length > len(data):
                raise refusal("truncated", "PNG chunk")
            return Container(width, height, frames, turn, data[:at] + _ended(data[at + 4 :]) + _END, whole=False)
        pixels = pixels or kind == b"IDAT"
        at += 12 + length
    raise refusal("corrupt", "PNG with too many chunks")


def _ended(chunk: bytes) -> bytes:
    """Return a cut chunk of pixels (kind, content) with the length and sum that fit: all rows may be there."""
    return pack(">I", len(chunk) - 4) + chunk + pack(">I", zlib.crc32(chunk))
