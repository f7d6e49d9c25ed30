"""A picture's file without what it says of its maker: no place, camera, name or comment; not a pixel is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imgsearch.picture.header import walk
from imgsearch.picture.limits import DEFAULT_LIMITS, Limits

# What a PNG needs to be shown as it was meant; all else (tEXt, zTXt, iTXt, eXIf, tIME and private chunks) goes.
_SHOWN_OF_PNG = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT"}
)
_SHOWN_OF_WEBP = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP"})
_NOTES_OF_WEBP = 0b1100  # the flags of EXIF and XMP in VP8X


def bare(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[str, bytes] | None:
    """Return the media type and the bytes of a still picture that every browser shows, None of any other kind.

    The turn of a JPEG stays. Raises PictureError for what no worker would take.
    """
    name, found = walk(data, limits)
    if found.frames > 1:
        return None
    if name == "JPEG" and found.cleaned is not None:
        return "image/jpeg", data[:2] + _turn(found.turn) + found.cleaned[2:]
    if found.turn != 1 or not found.whole:
        return None
    if name == "PNG":
        kept = (data[at:end] for kind, at, end in _chunks(data, 8, ">I4s") if kind in _SHOWN_OF_PNG)
        return "image/png", data[:8] + b"".join(kept)
    return ("image/webp", _webp(data)) if name == "WEBP" else None


def _turn(turn: int) -> bytes:
    """Return the segment of a JPEG that says its turn and nothing else: TIFF with one entry, tag 0x0112."""
    if turn == 1:
        return b""
    block = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, turn, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block


def _webp(data: bytes) -> bytes:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    parts = []
    for kind, at, upto in _chunks(data[:end], 12, "<4sI"):
        if kind == b"VP8X":
            parts.append(data[at : at + 8] + bytes([data[at + 8] & ~_NOTES_OF_WEBP]) + data[at + 9 : upto])
        elif kind in _SHOWN_OF_WEBP:
            parts.append(data[at:upto])
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunks(data: bytes, at: int, head: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of the chunks of a PNG (with their sums) or of a WebP (with their padding)."""
    while at + 8 <= len(data):
        one, other = struct.unpack_from(head, data, at)
        is_png = isinstance(one, int)
        kind, length = (other, one) if is_png else (one, other)
        end = at + 8 + length + (4 if is_png else length & 1)
        yield kind, at, min(end, len(data))
        if kind == b"IEND":
            return
        at = end
