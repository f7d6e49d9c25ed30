"""What a JPEG XL says of itself: the first bits of its codestream, bare or in boxes; see `containers` for the rules.

Its colours are read here if they are named by number, since libjxl's Python binding tells nothing of them.
"""

from __future__ import annotations

from dataclasses import replace

from imgsearch.picture import numbers
from imgsearch.picture.boxes import boxes
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container
from imgsearch.picture.numbers import Colours

_MOST_LOOKED_AT = 65_536  # bytes of the codestream; its header has some hundred
_DEEP_NEED = 24  # bytes per pixel of more than eight bits: as decoded, as float, and as eight
_MOST_CHANNELS = 64
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_ALPHA, _SPOT, _CFA = 0, 2, 5  # kinds of extra channel
_GREY, _XYB = 1, 2  # colour spaces
_D65, _DCI = 1, 11
_CUSTOM = 2
_LINEAR, _SRGB = 8, 13  # transfer functions


class _Bits:
    """Numbers from the lowest bit of the first byte up."""

    def __init__(self, data: bytes) -> None:
        self._all, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def u(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise refusal("truncated", "JPEG XL header")
        value = self._all & (1 << count) - 1
        self._all >>= count
        return value

    def choice(self, *kinds: tuple[int, int]) -> int:
        """Return one of four: an offset, and so many bits added to it."""
        offset, bits = kinds[self.u(2)]
        return offset + self.u(bits)

    def enum(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def jxl(data: bytes, most_frames: int) -> Container:
    """Read size, depth and colours of the codestream's header; the frames of an animation are not counted."""
    bits = _Bits(_codestream(data)[2:1_026])
    width, height = _size(bits)
    if bits.u(1):
        return Container(width, height)
    depth, (colours, linear) = _metadata(bits)
    need = 0 if depth == 8 and not linear else _DEEP_NEED * width * height
    return Container(width, height, colours=colours, depth=depth, linear=linear, need=need)


def _codestream(data: bytes) -> bytes:
    if data.startswith(b"\xff\x0a"):
        return data[:_MOST_LOOKED_AT]
    parts = b""
    for kind, _, start, end in boxes(data, 0, len(data), "JPEG XL"):
        if kind == b"jxlc":
            return data[start : min(end, start + _MOST_LOOKED_AT)]
        if kind == b"jxlp":
            parts += data[start + 4 : min(end, start + _MOST_LOOKED_AT)]
            if len(parts) >= 1_026:
                break
    if not parts.startswith(b"\xff\x0a"):
        raise refusal("corrupt", "JPEG XL without a picture")
    return parts


def _size(bits: _Bits) -> tuple[int, int]:
    def side(small: int) -> int:
        return 8 * (bits.u(5) + 1) if small else bits.choice((1, 9), (1, 13), (1, 18), (1, 30))

    small = bits.u(1)
    height = side(small)
    ratio = bits.u(3)
    if ratio == 0:
        return side(small), height
    wide, high = _RATIOS[ratio - 1]
    return height * wide // high, height


def _metadata(bits: _Bits) -> tuple[int, tuple[Colours | None, bool]]:
    """Return (bits per value, 0 if floating point; what `_colours` does)."""
    if bits.u(1):
        bits.u(3)  # the turn, which libjxl does itself
        if bits.u(1):
            _size(bits)
        if bits.u(1):
            _preview(bits)
        if bits.u(1):
            bits.choice((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choice((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choice((0, 0), (0, 3), (0, 16), (0, 32))
            bits.u(1)
    depth = _depth(bits)
    bits.u(1)
    channels = bits.choice((0, 0), (1, 0), (2, 4), (1, 12))
    if channels > _MOST_CHANNELS:
        raise refusal("format_refused", f"JPEG XL of {channels} extra channels")
    for _ in range(channels):
        _extra_channel(bits)
    bits.u(1)  # XYB or not
    return depth, _colours(bits)


def _preview(bits: _Bits) -> None:
    small = bits.u(1)
    kinds = ((16, 0), (32, 0), (1, 5), (33, 9)) if small else ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.choice(*kinds)
    if bits.u(3) == 0:
        bits.choice(*kinds)


def _depth(bits: _Bits) -> int:
    if bits.u(1):
        bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
        bits.u(4)
        return 0
    return bits.choice((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: _Bits) -> None:
    if bits.u(1):
        return
    kind = bits.enum()
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
    bits.u(8 * bits.choice((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == _ALPHA:
        bits.u(1)
    elif kind == _SPOT:
        bits.u(64)
    elif kind == _CFA:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))


def _colours(bits: _Bits) -> tuple[Colours | None, bool]:
    """Return colours that are named by number, and whether the values are linear.

    A profile that is written out cannot be had: of pixels kept in XYB libjxl makes sRGB then, others stay as they are.
    """
    if bits.u(1) or bits.u(1):
        return None, False
    space = bits.enum()
    if space == _XYB:
        return None, False
    white, primaries = bits.enum(), 1
    if white == _CUSTOM:
        _point(bits)
    if space != _GREY:
        primaries = bits.enum()
        for _ in range(3 * (primaries == _CUSTOM)):
            _point(bits)
    gamma = 1e7 / max(1, bits.u(24)) if bits.u(1) else None
    transfer = 0 if gamma else bits.enum()
    linear = transfer == _LINEAR
    if white != _D65 or primaries == _CUSTOM:
        return None, linear
    code = 12 if primaries == _DCI else primaries
    colours = numbers.coded(code, _SRGB if linear else transfer)
    return (replace(colours or Colours(), gamma=gamma) if gamma else colours), linear


def _point(bits: _Bits) -> None:
    for _ in range(2):
        bits.choice((0, 19), (524_288, 19), (1_048_576, 20), (2_097_152, 21))
