"""What a picture's container says: size, frames, turn; without Pillow, without decompressing anything.

Every walker takes the file and a cap on frames, raises `PictureError`, or lets `struct.error` and `IndexError` pass
where a field lies beyond the end. The caps on blocks, chunks and tags are far above what editors write; they keep a
walk (and Pillow's own walk after it, which costs more per step) under the 200 ms a refusal may take.
"""

from __future__ import annotations

from struct import pack_into, unpack_from

from imgsearch.picture import exif, xmp
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_CHUNKS = 50_000  # WebP
_MOST_BLOCKS = 400_000  # GIF sub-blocks of up to 255 bytes; 25 MiB has 103,000
_MOST_TAGS = 4_096  # TIFF
_MOST_STRIPS = 200_000  # TIFF; one per row and colour plane at most
_MOST_RLE = 4_000_000  # pixels of a run-length BMP, which Pillow unpacks in Python


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
    frames, turn, turn_of_xmp, at, block = 0, 0, 0, 12, b""
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end or frames > most_frames:
            return Container(width, height, max(frames, 1), turn or turn_of_xmp or 1, exif=block)
        kind, length = unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        if kind == b"EXIF":
            block = data[at + 8 : at + 8 + min(length, exif.LONGEST)]
            turn = exif.stated(block)
        elif kind == b"XMP ":
            turn_of_xmp = xmp.turn(data[at + 8 : at + 8 + min(length, xmp.LONGEST)])
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


_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


_TIFF_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000, 50001}  # Pillow's
_TIFF_TURNS = {274: 275, 700: 701}  # orientation, XMP: hidden from Pillow, which would turn a second copy


def tiff(data: bytes, most_frames: int) -> Container:
    """Read the first directory: size, strips, and that its tags do not claim the file many times over."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = unpack_from(order + "I", data, 4)
    (count,) = unpack_from(order + "H", data, at)
    if count > _MOST_TAGS:
        raise refusal("corrupt", "TIFF with too many tags")
    values: dict[int, int] = {}
    claimed, turn_of_xmp, hidden = 0, 0, []
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, many = unpack_from(order + "HHI", data, entry)
        (values[tag],) = unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
        claimed += _TIFF_SIZES.get(kind, 0) * many
        if tag == 700:
            turn_of_xmp = xmp.turn(data[values[tag] : values[tag] + min(many, xmp.LONGEST)])
        if tag in _TIFF_TURNS:
            hidden.append((entry, _TIFF_TURNS[tag]))
        if tag in (273, 279, 324, 325) and many > _MOST_STRIPS:
            raise refusal("corrupt", "TIFF of too many strips")
    if claimed > 2 * len(data) + 65_536:
        raise refusal("corrupt", "TIFF tags that claim more than the file holds")
    if 256 not in values or 257 not in values:
        raise refusal("corrupt", "TIFF without a size")
    tile = Container(values.get(322, 1), values.get(323, 1))
    if tile.width * tile.height > max(4_194_304, 4 * values[256] * values[257]):
        raise refusal("corrupt", "TIFF with tiles larger than itself")
    if values.get(259, 1) not in _TIFF_COMPRESSIONS:
        raise refusal("format_refused", f"TIFF of compression {values[259]}")
    turn = values.get(274, 0)
    turn = turn if 1 <= turn <= 8 else turn_of_xmp or 1
    if turn == 1:
        return Container(values[256], values[257])
    cleaned = bytearray(data)
    for entry, tag in hidden:
        pack_into(order + "H", cleaned, entry, tag)
    return Container(values[256], values[257], turn=turn, cleaned=bytes(cleaned))
