"""When and where was a picture taken? The few Exif tags that say so, read without Pillow (see exif.py).

The first of these that is a time: DateTimeOriginal (0x9003), DateTimeDigitized (0x9004), the receiver's clock (UTC),
DateTime (0x0132), and of XMP exif:DateTimeOriginal, photoshop:DateCreated, xmp:CreateDate. Each of Exif has an offset
and a part of a second of its own; the general offset (0x9010) stands in. GPS 1 to 4: the place, 7 and 29: its clock.
    Exif 3.0 (CIPA DC-008-2023), §4.6.5 and §4.6.7; XMP (ISO 16684-1), §8.2.1.1

Nothing of it is kept unless a shop asks for it: it tells where somebody lives.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imgsearch.picture.exif import LONGEST, PREFIX
from imgsearch.picture.xmp import LONGEST as LONGEST_XMP

_EXIF, _GPS = 0x8769, 0x8825  # in the first directory: where the two others begin
_GENERAL_OFFSET = 0x9010
_ORIGINAL = 0x9003, 0x9011, 0x9291  # a time, its offset, its part of a second
_DIGITIZED = 0x9004, 0x9012, 0x9292
_CHANGED = 0x0132, _GENERAL_OFFSET, 0x9290
_LATITUDE_OF, _LATITUDE, _LONGITUDE_OF, _LONGITUDE, _CLOCK, _DATE = 1, 2, 3, 4, 7, 29
_ASCII, _LONG, _RATIONAL = 2, 4, 5
_MOST_TAGS, _LONGEST_TEXT = 512, 64
_SIZES = {_ASCII: 1, _LONG: 4, _RATIONAL: 8}
_FIRST_YEAR = 1826  # Niépce's view from a window
_TIME = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"([+-])(0\d|1[0-4]):?([0-5]\d)|Z")
_OF_XMP = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
_XMP_TIME = re.compile(
    r"\s{0,9}(?:=\s{0,9}[\"']|>)\s{0,9}(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d)?(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?\s{0,9}[\"'<]"
)

Value = str | int | tuple[float, ...]
Tags = Mapping[int, Value]


@dataclass(frozen=True)
class Capture:
    """`taken_at`: where the camera named no time zone (`zoned` is false) its clock is read as UTC. `latitude` and
    `longitude` in degrees, north and east above 0 (WGS 84). None: it does not say, or says what cannot be.
    """

    taken_at: datetime | None = None
    zoned: bool = False
    latitude: float | None = None
    longitude: float | None = None


NOTHING = Capture()


def read(block: bytes, now: datetime | None = None, xmp: object = None) -> Capture:
    """Return what an Exif block says, with or without its `Exif` prefix, or XMP; what is broken is left out.

    A time of before photography or after tomorrow is a clock that was never set; the place (0, 0) is a receiver that
    has found none.
    """
    latest = (now or datetime.now(UTC)) + timedelta(days=1)
    block = block[len(PREFIX) :] if block.startswith(PREFIX) else block
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    first: Tags = {}
    camera = receiver = first
    if order is not None:
        block = block[:LONGEST]
        first = _tags(block, order, _offset(block, order))
        camera, receiver = (_tags(block, order, first.get(place)) for place in (_EXIF, _GPS))
    times = (
        _stated(camera, *_ORIGINAL),
        _stated(camera, *_DIGITIZED),
        _of_receiver(receiver),
        _stated({**camera, **first}, *_CHANGED),
        *_of_xmp(xmp),
    )
    taken_at, zoned = next((one for one in times if one and _can_be(one[0], latest)), (None, False))
    latitude = _degrees(receiver, _LATITUDE, _LATITUDE_OF, "NS", 90)
    longitude = _degrees(receiver, _LONGITUDE, _LONGITUDE_OF, "EW", 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        latitude = longitude = None
    return Capture(taken_at, zoned, latitude, longitude)


def _offset(block: bytes, order: str) -> int | None:
    return int(struct.unpack_from(order + "I", block, 4)[0]) if len(block) >= 8 else None


def _tags(block: bytes, order: str, at: Value | None) -> dict[int, Value]:
    """Return the texts, numbers and fractions of one directory; what reaches beyond the block is left out."""
    if not isinstance(at, int) or at + 2 > len(block):
        return {}
    (count,) = struct.unpack_from(order + "H", block, at)
    found: dict[int, Value] = {}
    for entry in range(at + 2, at + 2 + 12 * min(count, _MOST_TAGS), 12):
        if entry + 12 > len(block):
            break
        tag, kind, many = struct.unpack_from(order + "HHI", block, entry)
        size = _SIZES.get(kind, 0) * many
        if not 0 < size <= _LONGEST_TEXT:
            continue
        start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", block, entry + 8)[0]
        if start + size <= len(block):
            found[tag] = _value(block[start : start + size], order, kind, many)
    return found


def _value(data: bytes, order: str, kind: int, many: int) -> Value:
    if kind == _ASCII:
        return data.split(b"\0")[0].decode("ascii", "replace").strip()
    if kind == _LONG:
        return int(struct.unpack_from(order + "I", data)[0])
    pairs = struct.unpack(f"{order}{2 * many}I", data)
    return tuple(a / b if b else math.nan for a, b in zip(pairs[::2], pairs[1::2], strict=True))


def _can_be(time: datetime, latest: datetime) -> bool:
    """Whether it lies between the first photograph and tomorrow."""
    return time.year > _FIRST_YEAR and time <= latest


def _stated(tags: Tags, time: int, offset: int, part: int) -> tuple[datetime, bool] | None:
    """Return a time of the camera, and whether it says its zone."""
    zone = next(
        (one for tag in (offset, _GENERAL_OFFSET) if (one := str(tags.get(tag, ""))) and _ZONE.fullmatch(one)), ""
    )
    return _zoned(_clock(tags.get(time)), zone, str(tags.get(part, "")))


def _zoned(time: datetime | None, zone: str, part: str = "") -> tuple[datetime, bool] | None:
    """Return a clock's time as UTC, with its part of a second, and whether its zone is known."""
    if time is None:
        return None
    if part.isascii() and part.isdigit():
        time = time.replace(microsecond=int(part[:6].ljust(6, "0")))
    said = _ZONE.fullmatch(zone)
    if said and said[1]:
        away = timedelta(hours=int(said[2]), minutes=int(said[3]))
        try:
            time = time - away if said[1] == "+" else time + away
        except OverflowError:
            return None
    return time, bool(said)


def _of_receiver(tags: Tags) -> tuple[datetime, bool] | None:
    date, clock = tags.get(_DATE), tags.get(_CLOCK)
    if isinstance(date, str) and isinstance(clock, tuple) and len(clock) == 3 and all(0 <= one < 61 for one in clock):
        return _zoned(_clock(f"{date} {int(clock[0]):02}:{int(clock[1]):02}:{int(clock[2]):02}"), "Z")
    return None


def _of_xmp(packet: object) -> Iterator[tuple[datetime, bool] | None]:
    """Yield what XMP says, found as its orientation is: no XML parser. A date alone is its first moment."""
    text = packet[:LONGEST_XMP].decode("utf-8", "replace") if isinstance(packet, bytes) else ""
    for name in _OF_XMP:
        said = _XMP_TIME.match(text, text.index(name) + len(name)) if name in text else None
        if said:
            date, clock, seconds, part, zone = said.groups("")
            yield _zoned(_clock(f"{date} {clock or '00:00'}{seconds or ':00'}"), zone, part[1:])


def _clock(text: Value | None) -> datetime | None:
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        return datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[misc, arg-type]
    except ValueError:  # the 30th of February
        return None


def _degrees(tags: Tags, value: int, side: int, letters: str, most: float) -> float | None:
    parts, letter = tags.get(value), str(tags.get(side, ""))[:1].upper()
    if not isinstance(parts, tuple) or len(parts) != 3 or not letter or letter not in letters:
        return None
    degrees, minutes, seconds = parts
    found = degrees + minutes / 60 + seconds / 3600
    if not (0 <= minutes < 60 and 0 <= seconds < 60 and 0 <= found <= most):  # nor NaN
        return None
    return -found if letter == letters[1] else found
