"""What a JPEG 2000 says of itself: size, tiles, how often it can be halved while decoding, its profile.

Of the boxes only those that say how to show the picture are kept; Pillow walks all others in Python.
"""

from __future__ import annotations

from dataclasses import replace
from struct import unpack_from

from imgsearch.picture.boxes import boxes
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_TILES = 4_096  # each costs OpenJPEG tables of its own
_MOST_MARKERS = 1_000
_MOST_HEADER = 8 * 1024 * 1024  # bytes of the box that holds palette and profile
_LARGEST_GOAL = 1_000  # pixels that a square of 500 is drafted to
_PER_PIXEL = 20  # bytes
_SIZ, _COD, _COC, _SOT = 0xFF51, 0xFF52, 0xFF53, 0xFF90


def jpeg2000(data: bytes, most_frames: int) -> Container:
    """Read the codestream's main header, and of a JP2 its boxes."""
    if data.startswith(b"\xff\x4f"):
        return _codestream(data, 0)
    kept: dict[bytes, bytes] = {}
    for kind, at, start, end in boxes(data, 0, len(data), "JPEG 2000"):
        if kind in (b"jP  ", b"ftyp", b"jp2h"):
            kept.setdefault(kind, data[at:end])
        if kind == b"jp2c":
            return _boxed(data, kept, at, start)
    raise refusal("truncated", "JPEG 2000 without a picture")


def _boxed(data: bytes, kept: dict[bytes, bytes], at: int, start: int) -> Container:
    header = kept.get(b"jp2h", b"")
    if len(header) > _MOST_HEADER:
        raise refusal("corrupt", "JPEG 2000 with a huge header")
    found, profile, said = _codestream(data, start), None, (0, 0)
    for kind, _, inside, end in boxes(header, 8, len(header), "JPEG 2000"):
        if kind == b"ihdr":
            said = unpack_from(">II", header, inside)
        elif kind == b"colr" and header[inside : inside + 1] == b"\2":
            profile = header[inside + 3 : end]
    if said != (found.height, found.width):
        raise refusal("corrupt", "JPEG 2000 of two sizes")
    cleaned = b"".join((*(kept.get(kind, b"") for kind in (b"jP  ", b"ftyp", b"jp2h")), data[at:]))
    return replace(found, profile=profile, cleaned=cleaned)


def _codestream(data: bytes, start: int) -> Container:
    """Walk the markers up to the first tile."""
    at, size, halvings = start + 2, (0, 0), 32
    for _ in range(_MOST_MARKERS):
        marker, length = unpack_from(">HH", data, at)
        if marker == _SOT:
            return Container(*size, halvings=halvings, need=_need(*size, halvings))
        if marker == _SIZ:
            size = _size(data, at)
        elif marker == _COD:
            halvings = min(halvings, data[at + 9])
        elif marker == _COC:
            halvings = min(halvings, data[at + 6])
        if marker < 0xFF00 or length < 2:
            break
        at += 2 + length
    raise refusal("corrupt", "JPEG 2000 header")


def _need(width: int, height: int, halvings: int) -> int:
    """Return the bytes that decoding takes at the resolution which a worker asks for, up to squares of 500 pixels."""
    times = min(halvings, max(0, (min(width, height) // _LARGEST_GOAL).bit_length() - 2))
    return _PER_PIXEL * (width * height >> 2 * times)


def _size(data: bytes, at: int) -> tuple[int, int]:
    right, bottom, left, top, wide, high, from_left, from_top, components = unpack_from(">8IH", data, at + 6)
    if not wide or not high or right <= left or bottom <= top:
        raise refusal("corrupt", "JPEG 2000 without area")
    if -(-(right - from_left) // wide) * -(-(bottom - from_top) // high) > _MOST_TILES:
        raise refusal("corrupt", "JPEG 2000 of too many tiles")
    deepest = max((data[at + 40 + 3 * n] & 0x7F for n in range(min(components, 4))), default=0) + 1
    if components > 4 or deepest > 16:
        raise refusal("format_refused", f"JPEG 2000 of {components} components, {deepest} bits")
    return right - left, bottom - top
