"""What a picture's container says: size, frames, turn; without Pillow, without decompressing anything.

Every walker takes the file and a cap on frames, raises `PictureError`, or lets `struct.error` and `IndexError` pass
where a field lies beyond the end. The caps on blocks, chunks and tags are far above what editors write; they keep a
walk (and Pillow's own walk after it, which costs more per step) under the 200 ms a refusal may take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from struct import unpack_from
from types import MappingProxyType

from imgsearch.picture import exif
from imgsearch.picture.codes import refusal

_MOST_CHUNKS = 50_000  # PNG and WebP; a 25 MiB PNG in chunks of 8 KiB has 3,200
_MOST_PACKED = 32  # PNG chunks that hold compressed text or profiles: each may unpack to 1 MB
_MOST_BLOCKS = 400_000  # GIF sub-blocks of up to 255 bytes; 25 MiB has 103,000
_MOST_SEGMENTS = 10_000  # JPEG
_MOST_JUNK = 65_536  # bytes between JPEG segments
_MOST_SCANNED = 1_000_000_000  # pixels x scans of a progressive JPEG; each scan passes over the whole picture
_MOST_TAGS = 4_096  # TIFF
_MOST_STRIPS = 200_000  # TIFF; one per row and colour plane at most
_MOST_RLE = 4_000_000  # pixels of a run-length BMP, which Pillow unpacks in Python
_MOST_BOXES = 4_096  # AVIF
_DEEPEST_BOX = 8


@dataclass(frozen=True)
class Container:
    """Size in pixels as stored, number of frames, the EXIF turn (1-8), and the bytes to decode if not the whole."""

    width: int
    height: int
    frames: int = 1
    turn: int = 1
    cleaned: bytes | None = None


def png(data: bytes, most_frames: int) -> Container:
    """Walk the chunks: IHDR, acTL and eXIf count."""
    if data[12:16] != b"IHDR":
        raise refusal("corrupt", "PNG without IHDR")
    width, height = unpack_from(">II", data, 16)
    frames, turn, packed, at = 1, 1, 0, 8
    for _ in range(_MOST_CHUNKS):
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
        at += 12 + length
        if at > len(data):
            raise refusal("truncated", "PNG chunk")
    raise refusal("corrupt", "PNG with too many chunks")


def gif(data: bytes, most_frames: int) -> Container:
    """Walk the blocks; the canvas grows to the first frame, as Pillow lets it. Stops one past `most_frames`."""
    width, height, flags = unpack_from("<HHB", data, 6)
    at = 13 + _palette(flags)
    frames, blocks = 0, 0
    while frames <= most_frames and at < len(data):
        kind = data[at]
        if kind == 0x2C:
            left, top, wide, high, flags = unpack_from("<HHHHB", data, at + 1)
            if frames == 0:
                width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            at += 11 + _palette(flags)
        elif kind == 0x21:
            at += 2
        else:
            break  # the trailer, or rubbish behind the last frame
        while at < len(data) and (size := data[at]) and blocks <= _MOST_BLOCKS:
            at += 1 + size
            blocks += 1
        at += 1
        blocks += 1
        if blocks > _MOST_BLOCKS:
            raise refusal("corrupt", "GIF of absurdly many blocks")
    if frames == 0:
        raise refusal("truncated" if at >= len(data) else "corrupt", "GIF without a frame")
    return Container(width, height, frames)


def _palette(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def webp(data: bytes, most_frames: int) -> Container:
    """Walk the RIFF chunks: the canvas of VP8X or of the only frame, ANMF, EXIF."""
    end = 8 + unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise refusal("truncated", "WebP")
    width, height = _webp_canvas(data)
    frames, turn, at = 0, 1, 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end or frames > most_frames:
            return Container(width, height, max(frames, 1), turn)
        kind, length = unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        if kind == b"EXIF":
            turn = exif.turn(data[at + 8 : at + 8 + min(length, exif.LONGEST)])
        at += 8 + length + (length & 1)
    raise refusal("corrupt", "WebP with too many chunks")


def _webp_canvas(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        wide, wide_high, high, high_high = unpack_from("<HBHB", data, 24)
        return (wide | wide_high << 16) + 1, (high | high_high << 16) + 1
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        wide, high = unpack_from("<HH", data, 26)
        return wide & 0x3FFF, high & 0x3FFF
    raise refusal("corrupt", "WebP without a frame")


def bmp(data: bytes, most_frames: int) -> Container:
    """Read the one header."""
    if data[14] in (12, 16):
        wide, high = unpack_from("<HH" if data[14] == 12 else "<II", data, 18)
        return Container(wide, high)
    width, height, _, _, packing = unpack_from("<iiHHI", data, 18)
    if packing in (1, 2) and abs(width * height) > _MOST_RLE:
        raise refusal("format_refused", "a large run-length BMP")
    return Container(abs(width), abs(height))


def jpeg(data: bytes, most_frames: int) -> Container:
    """Walk the segments up to the first scan, and leave out EXIF, XMP, comments and further pictures (MPO).

    What is left out never reaches Pillow, whose EXIF reader can be made to copy a 64 KB segment 5,000 times.
    """
    kept, size, turn = [b"\xff\xd8"], None, 1
    for marker, start, end in _segments(data):
        if marker in _SOF:
            high, wide = unpack_from(">HH", data, start + 5)
            size = (wide, high)
        if marker == 0xDA:
            if size is None:
                raise refusal("corrupt", "JPEG scan before its size")
            scans = data.count(b"\xff\xda", start)
            if scans > 4 and size[0] * size[1] * scans > _MOST_SCANNED:
                raise refusal("corrupt", "JPEG with too many scans")
            return Container(*size, turn=turn, cleaned=b"".join((*kept, data[start:])))
        if marker == 0xE1 and data[start + 4 : start + 10] == exif.PREFIX:
            turn = exif.turn(data[start + 4 : end])
        elif not _left_out(marker, data[start + 4 : start + 16]):
            kept.append(data[start:end])
    raise refusal("truncated", "JPEG without a scan")


_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _left_out(marker: int, head: bytes) -> bool:
    """Everything said *about* the picture goes, but JFIF, Adobe's colour transform and the ICC profile."""
    if marker == 0xE2:
        return not head.startswith(b"ICC_PROFILE\0")
    return marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xEE))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment up to and including the first SOS."""
    at, junk = 2, 0
    for _ in range(_MOST_SEGMENTS):
        start = data.find(b"\xff", at, at + _MOST_JUNK)
        while start >= 0 and data[start + 1] == 0xFF and start - at < _MOST_JUNK:  # fill bytes
            start += 1
        junk += start - at
        if start < 0 or junk > _MOST_JUNK:
            raise refusal("corrupt" if at < len(data) else "truncated", "JPEG segments")
        marker = data[start + 1]
        if marker == 0xD9:
            raise refusal("corrupt", "JPEG that ends before its scan")
        bare = marker <= 0x01 or 0xD0 <= marker <= 0xD8
        end = start + 2 if bare else start + 2 + unpack_from(">H", data, start + 2)[0]
        if end > len(data):
            raise refusal("truncated", "JPEG segment")
        yield marker, start, end
        at = end
    raise refusal("corrupt", "JPEG with too many segments")


_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def tiff(data: bytes, most_frames: int) -> Container:
    """Read the first directory: size, strips, and that its tags do not claim the file many times over."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = unpack_from(order + "I", data, 4)
    (count,) = unpack_from(order + "H", data, at)
    if count > _MOST_TAGS:
        raise refusal("corrupt", "TIFF with too many tags")
    values: dict[int, int] = {}
    claimed = 0
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, many = unpack_from(order + "HHI", data, entry)
        (values[tag],) = unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
        claimed += _TIFF_SIZES.get(kind, 0) * many
        if tag in (273, 279, 324, 325) and many > _MOST_STRIPS:
            raise refusal("corrupt", "TIFF of too many strips")
    if claimed > 2 * len(data) + 65_536:
        raise refusal("corrupt", "TIFF tags that claim more than the file holds")
    if 256 not in values or 257 not in values:
        raise refusal("corrupt", "TIFF without a size")
    tile = Container(values.get(322, 1), values.get(323, 1))
    if tile.width * tile.height > max(4_194_304, 4 * values[256] * values[257]):
        raise refusal("corrupt", "TIFF with tiles larger than itself")
    return Container(values[256], values[257])


def avif(data: bytes, most_frames: int) -> Container:
    """Walk the boxes: the largest `ispe` or track size, the longest track; the turn stays with libavif."""
    width = height = frames = 0
    for kind, start, end in _boxes(data, 0, len(data), [_MOST_BOXES], _DEEPEST_BOX):
        wide = high = 0
        if kind == b"ispe":
            wide, high = unpack_from(">II", data, start + 4)
        elif kind == b"tkhd":
            wide, high = (side >> 16 for side in unpack_from(">II", data, end - 8))
        elif kind == b"stsz":
            frames = max(frames, unpack_from(">I", data, start + 8)[0])
        width, height = max(width, wide), max(height, high)
    return Container(width, height, max(frames, 1))


_INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}


def _boxes(data: bytes, at: int, end: int, left: list[int], deeper: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of the content of every box, parents first; `left` counts down over all levels."""
    while at + 8 <= end:
        left[0] -= 1
        if left[0] < 0 or deeper < 0:
            raise refusal("corrupt", "AVIF with too many boxes")
        size, kind = unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = unpack_from(">Q", data, start)
            start += 8
        close = at + size if size else end
        if close > end:
            raise refusal("truncated", "AVIF box")
        if close < start:
            raise refusal("corrupt", "AVIF box")
        yield kind, start, close
        if kind in _INSIDE:
            yield from _boxes(data, start + _INSIDE[kind], close, left, deeper - 1)
        at = close


WALKERS: Mapping[str, Callable[[bytes, int], Container]] = MappingProxyType(
    {"JPEG": jpeg, "PNG": png, "WEBP": webp, "GIF": gif, "AVIF": avif, "TIFF": tiff, "BMP": bmp}
)
