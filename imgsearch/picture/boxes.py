"""What AVIF, HEIC and everything else made of ISO boxes say of themselves; see `containers` for the rules."""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

from imgsearch.picture import numbers
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_BOXES = 4_096
_DEEPEST_BOX = 8
_INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}


def avif(data: bytes, most_frames: int) -> Container:
    """Walk the boxes: the largest `ispe` or track size, the longest track; the turn stays with libavif."""
    return _pictures(data, "AVIF")


def heif(data: bytes, most_frames: int) -> Container:
    """Walk the boxes as those of an AVIF: tiles, thumbnails and depth are smaller than the picture they belong to.

    Only the primary picture is decoded, so a burst or a track counts as one frame. libheif turns the picture.
    """
    found = _pictures(data, "HEIC")
    return Container(found.width, found.height, colours=found.colours)


def _pictures(data: bytes, label: str) -> Container:
    width = height = frames = 0
    colours, numbered, profiled = None, False, False
    for kind, start, end in _tree(data, 0, len(data), [_MOST_BOXES], _DEEPEST_BOX, label):
        wide = high = 0
        if kind == b"ispe":
            wide, high = unpack_from(">II", data, start + 4)
        elif kind == b"tkhd":
            wide, high = (side >> 16 for side in unpack_from(">II", data, end - 8))
        elif kind == b"stsz":
            frames = max(frames, unpack_from(">I", data, start + 8)[0])
        elif kind == b"colr" and data[start : start + 4] == b"nclx":
            if not numbered:  # a second one is of another item, such as the HDR picture that a gain map makes
                colours, numbered = numbers.coded(*unpack_from(">HH", data, start + 4)), True
        elif kind == b"colr":
            profiled = profiled or data[start : start + 4] in (b"prof", b"rICC")
        width, height = max(width, wide), max(height, high)
    return Container(width, height, max(frames, 1), colours=None if profiled else colours)


def boxes(data: bytes, at: int, end: int, label: str) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield (kind, start, start of the content, end) of the boxes of one level."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, kind = unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = unpack_from(">Q", data, start)
            start += 8
        close = at + size if size else end
        if close > end:
            raise refusal("truncated", f"{label} box")
        if close < start:
            raise refusal("corrupt", f"{label} box")
        yield kind, at, start, close
        at = close
    raise refusal("corrupt", f"{label} with too many boxes")


def _tree(data: bytes, at: int, end: int, left: list[int], deeper: int, label: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of the content of every box, parents first; `left` counts down over all levels."""
    for kind, _, start, close in boxes(data, at, end, label):
        left[0] -= 1
        if left[0] < 0 or deeper < 0:
            raise refusal("corrupt", f"{label} with too many boxes")
        yield kind, start, close
        if kind in _INSIDE:
            yield from _tree(data, start + _INSIDE[kind], close, left, deeper - 1, label)
