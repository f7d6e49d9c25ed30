"""What plain raster files say of themselves: PPM and its kin, TGA, QOI, Windows icons; see `containers` for the rules.

Pillow decodes text PPM, PPM of odd shades and QOI in Python, a microsecond or two per value: those are held small.
"""

from __future__ import annotations

import re
from struct import pack, unpack_from

from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container
from imgsearch.picture.png import png

_MOST_IN_PYTHON = 1_000_000  # values that Pillow decodes in Python: about a second
_MOST_COMMENTS = 1_000  # of a text PPM; each makes Pillow copy a megabyte
_MOST_PREAMBLE = 65_536  # bytes of a PPM before its pixels
_MOST_ICONS = 256
_MOST_ICON = 4_194_304  # pixels of an icon that is no PNG

# A field is a word; comments run to the end of their line.
_GAP = rb"(?:[ \t-\r]|#[^\r\n]*[\r\n])+"
_PNM = re.compile(
    rb"P([1-6f])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?:" + _GAP + rb"(-?[0-9.eE+-]{1,10}))?[ \t-\r]"
)
_PBM = re.compile(rb"P([14])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})[ \t-\r]")


def pnm(data: bytes, most_frames: int) -> Container:
    """Read the words before the pixels; shades that Pillow would scale in Python are scaled here, as bytes."""
    found = (_PBM if data[1:2] in b"14" else _PNM).match(data[:_MOST_PREAMBLE])
    if found is None:
        raise refusal("truncated" if len(data) < 16 else "corrupt", "Netpbm header")
    kind, width, height = found[1], int(found[2]), int(found[3])
    values = width * height * (3 if kind in b"36" else 1)
    if kind in b"123":
        if values > _MOST_IN_PYTHON:
            raise refusal("format_refused", "a large picture written as text")
        if data.count(b"#") > _MOST_COMMENTS:
            raise refusal("corrupt", "Netpbm of comments")
        return Container(width, height)
    if kind in b"56":
        return Container(width, height, cleaned=_scaled(data, found.end(), kind, values, found))
    return Container(width, height)


def _scaled(data: bytes, start: int, kind: bytes, values: int, found: re.Match[bytes]) -> bytes | None:
    """Return the file with 255 shades where it has others that Pillow scales in Python."""
    if not (found[4] or b"").isdigit() or not 0 < int(found[4]) < 65_536:
        raise refusal("corrupt", "Netpbm without its number of shades")
    most = int(found[4])
    if most == 255 or (most == 65_535 and kind == b"5"):
        return None
    if most == 65_535:
        pixels = data[start : start + 2 * values : 2]  # the high bytes: at most one shade off
    elif most < 255:
        pixels = data[start : start + values].translate(bytes(min(255, round(v / most * 255)) for v in range(256)))
    elif values > _MOST_IN_PYTHON:
        raise refusal("format_refused", f"a large picture of {most + 1} shades")
    else:
        return None
    return b"P%b\n%b %b\n255\n" % (kind, found[2], found[3]) + pixels


def qoi(data: bytes, most_frames: int) -> Container:
    """Read the one header."""
    width, height = unpack_from(">II", data, 4)
    if width * height > _MOST_IN_PYTHON:
        raise refusal("too_many_pixels", f"QOI of {width} x {height}, where {_MOST_IN_PYTHON:,} pixels are allowed")
    if data[12] not in (3, 4):
        raise refusal("corrupt", "QOI of other than 3 or 4 channels")
    return Container(width, height)


_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
# (kind of picture without its run-length bit, bits per pixel) → bits of the descriptor's alpha field that fit.
_TGA_DEPTHS = {(1, 8): (0, 8), (2, 16): (0, 1), (2, 24): (0,), (2, 32): (0, 8), (3, 8): (0,), (3, 16): (0, 8)}


def is_tga(data: bytes) -> bool:
    """Whether this is a TGA, which has no magic: it ends in the footer, or every field makes sense and the file is
    as long as its pixels need. Of other files and of random bytes one in 2**45 does."""
    if len(data) < 19 or data[1] not in (0, 1) or data[2] not in (1, 2, 3, 9, 10, 11):
        return False
    start, length, depth = unpack_from("<HHB", data, 3)
    width, height, bits, flags = unpack_from("<HHBB", data, 12)
    if not width or not height or flags & 0xC0 or flags & 15 not in _TGA_DEPTHS.get((data[2] & 7, bits), ()):
        return False
    mapped = data[1] == 1
    if mapped != (data[2] & 7 == 1) or ((start, length, depth) != (0, 0, 0) and not mapped):
        return False
    if mapped and (depth not in (16, 24, 32) or not 0 < start + length <= 256):
        return False
    if data.endswith(_TGA_FOOTER):
        return True
    needed, each = width * height, bits // 8
    packed = data[2] & 8 != 0
    least = -(-needed // 128) * (1 + each) if packed else needed * each
    return len(data) >= 18 + int(data[0]) + int(length * depth) // 8 + int(least)


def is_tga_cut(data: bytes) -> bool:
    """Whether this begins like a colour TGA and is too short for one."""
    return is_tga(data[:18] + bytes(1) + _TGA_FOOTER)


def tga(data: bytes, most_frames: int) -> Container:
    """Read the one header, which `is_tga` has found plausible."""
    width, height = unpack_from("<HH", data, 12)
    return Container(width, height)


def ico(data: bytes, most_frames: int) -> Container:
    """Take the largest picture of an icon: a PNG as it is, a bitmap as the only one of a new icon."""
    (count,) = unpack_from("<H", data, 4)
    if not 0 < count <= _MOST_ICONS:
        raise refusal("corrupt", f"icon of {count} pictures")
    entries = [unpack_from("<BBBBHHII", data, 6 + 16 * n) for n in range(count)]
    best = max(entries, key=lambda entry: ((entry[0] or 256) * (entry[1] or 256), entry[5]))
    length, at = best[6], best[7]
    if at + length > len(data):
        raise refusal("truncated", "icon")
    inside = data[at : at + length]
    if inside.startswith(b"\x89PNG\r\n\x1a\n"):
        found = png(inside, most_frames)
        return Container(found.width, found.height, turn=found.turn, cleaned=found.cleaned or inside, inner="PNG")
    header, width, height, _, _, packing = unpack_from("<IiiHHI", inside)
    height = abs(height) // 2  # colours, then the mask
    if header != 40 or packing not in (0, 3) or width * height > _MOST_ICON:
        raise refusal("format_refused", "icon of an unusual bitmap")
    sides = (width if width < 256 else 0, height if height < 256 else 0)
    entry = pack("<BBBBHHII", *sides, *best[2:6], length, 22)
    return Container(width, height, cleaned=b"\0\0\1\0\1\0" + entry + inside)
