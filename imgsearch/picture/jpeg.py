"""What a JPEG says of itself, what decoding it takes, and which of its bytes are the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from struct import unpack_from

from imgsearch.picture import exif, xmp
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_SEGMENTS = 10_000
_MOST_JUNK = 65_536  # bytes between segments
_MOST_SCANNED = 1_500_000_000  # pixels x scans of a progressive JPEG; each scan passes over the whole picture
_MOST_SCANS = 100  # usual are 6 (grey) to 17 (CMYK)
_COUNTED = 2_000  # scans; what has more is refused without counting on
_DRAFTED_TO = 1_024  # pixels; a side is never decoded to less than half of this, twice what any model wants

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_NAMES = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}  # segments kept, by how they begin
_OF_SCANS = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD})  # tables, scans, lines, restarts; all else is notes
_EOI = b"\xff\xd9"
_MARK = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # in coded data: neither a stuffed byte nor a restart


def jpeg(data: bytes, most_frames: int) -> Container:
    """Walk the segments up to the first scan, and leave out EXIF, XMP, comments and further pictures (MPO).

    What is left out never reaches Pillow, whose EXIF reader can be made to copy a 64 KB segment 5,000 times.
    """
    kept, frame, turn, turn_of_xmp, block, packet = [b"\xff\xd8"], -1, 0, 0, b"", b""
    for marker, start, end in _segments(data):
        if marker in _SOF:
            frame = start
        if marker == 0xDA:
            if frame < 0:
                raise refusal("corrupt", "JPEG scan before its size")
            return replace(_container(data, frame, start, turn or turn_of_xmp or 1, kept), exif=block, xmp=packet)
        if marker == 0xE1 and data[start + 4 : start + 10] == exif.PREFIX:
            block = block or data[start + 4 : end]
            turn = exif.stated(data[start + 4 : end]) or turn
        elif marker == 0xE1 and data[start + 4 : start + 4 + len(xmp.PREFIX)] == xmp.PREFIX:
            packet = packet or data[start + 4 : end]
            turn_of_xmp = xmp.turn(data[start + 4 : end]) or turn_of_xmp
        elif not _left_out(marker, data[start + 4 : start + 16]):
            kept.append(_shortened(marker, data[start:end]))
    raise refusal("truncated", "JPEG without a scan")


def _container(data: bytes, frame: int, scan: int, turn: int, kept: list[bytes]) -> Container:
    """Return what the frame header and the scans say; a file without its last bytes is given an end."""
    high, wide = unpack_from(">HH", data, frame + 5)
    scans, end, coded = _scans(data, scan)
    if scans > _COUNTED or (scans > 4 and wide * high * scans > _MOST_SCANNED):
        raise refusal(
            "corrupt" if scans > _MOST_SCANS else "too_many_pixels", f"{wide} x {high} pixels in {scans} scans"
        )
    need = _need(data, frame, scan)
    if end:
        return Container(wide, high, turn=turn, cleaned=b"".join((*kept, *coded)), need=need)
    if not _all_begun(data, frame, scan):
        raise refusal("truncated", "JPEG without its last scans")
    ended = b"".join((*kept, b"".join(coded).removesuffix(b"\xff"), _EOI))
    return Container(wide, high, turn=turn, cleaned=ended, need=need, whole=False)


def _scans(data: bytes, at: int) -> tuple[int, int, list[bytes]]:
    """Return how many scans the picture has, where it ends (0: it lacks its end), and the parts that are the picture.

    What stands behind is another thing (a phone's film, further pictures), and its bytes count for nothing; so do notes
    between two scans.
    """
    scans, parts = 0, []
    while at + 4 <= len(data) and scans <= _COUNTED:
        marker, end = data[at + 1], at + 2 + unpack_from(">H", data, at + 2)[0]
        scans += marker == 0xDA
        mark = _MARK.search(data, end)
        upto = mark.end() - 2 if mark else len(data)
        if marker in _OF_SCANS:
            parts.append(data[at : upto if marker == 0xDA else end])
        if mark is None:
            break
        at = upto
        if data[at + 1] == 0xD9:
            return scans, at + 2, [*parts, _EOI]
    return scans, 0, parts


def _need(data: bytes, frame: int, scan: int) -> int:
    """Return the bytes that decoding takes: the drafted picture, and all coefficients where there are several scans."""
    high, wide = data[frame + 5] << 8 | data[frame + 6], data[frame + 7] << 8 | data[frame + 8]
    sampling = _sampling(data, frame)
    across, down = max(h for h, _ in sampling), max(v for _, v in sampling)
    scale = next((s for s in (8, 4, 2) if min(wide, high) >= s * _DRAFTED_TO), 1)
    if data[frame + 1] in _LOSSLESS:
        scale = 1
    need = 4 * (wide // scale + 1) * (high // scale + 1) + 64 * 4 * wide
    if data[frame + 1] in _PROGRESSIVE or data[scan + 4] < len(sampling):
        padded = (wide + 8 * across) * (high + 8 * down)
        need += 2 * sum(padded * h * v // (across * down) for h, v in sampling)
    return need


def _sampling(data: bytes, frame: int) -> list[tuple[int, int]]:
    """Return how many samples of each component stand beside and below each other, (1-4, 1-4)."""
    bands = [data[frame + 11 + 3 * n] for n in range(data[frame + 9])]
    if not bands or not all(1 <= band >> 4 <= 4 and 1 <= band & 15 <= 4 for band in bands):
        raise refusal("corrupt", "JPEG with impossible components")
    return [(band >> 4, band & 15) for band in bands]


def _all_begun(data: bytes, frame: int, scan: int) -> bool:
    """Whether the scan that a cut file ends in is its last: every coefficient's last bit has been begun with.

    Of a picture in one scan that says nothing: how much is missing shows in the pixels.
    """
    bands = len(_sampling(data, frame))
    if data[frame + 1] not in _PROGRESSIVE:
        return data[scan + 4] == bands
    exact: dict[int, set[int]] = {}
    at = scan
    while 0 <= at < len(data) - 10:
        count = data[at + 4]
        head = at + 5 + 2 * count
        if count <= 4 and head + 2 < len(data) and data[head + 2] & 15 == 0:
            for n in range(count):
                exact.setdefault(data[at + 5 + 2 * n], set()).update(range(data[head], min(data[head + 1], 63) + 1))
        at = data.find(b"\xff\xda", at + 2)
    return sum(len(exact.get(data[frame + 10 + 3 * n], ())) == 64 for n in range(bands)) == bands


def _left_out(marker: int, head: bytes) -> bool:
    """Everything said *about* the picture goes, but JFIF, Adobe's colour transform and the ICC profile."""
    if marker in _NAMES:
        return not head.startswith(_NAMES[marker])
    return not 0xC0 <= marker <= 0xDF


def _shortened(marker: int, segment: bytes) -> bytes:
    """Return a segment without what may stand behind its fields: the thumbnail in JFIF is of before a crop."""
    length = {0xE0: 14, 0xEE: 12}.get(marker, 0)
    if not length or len(segment) < 4 + length:
        return segment
    fields = segment[4 : 2 + length] + b"\0\0" if marker == 0xE0 else segment[4 : 4 + length]
    return segment[:2] + (length + 2).to_bytes(2, "big") + fields


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
