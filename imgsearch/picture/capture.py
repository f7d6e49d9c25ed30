"""When and where was a picture taken? The few Exif tags that say so, read without Pillow (see exif.py).

    0x9003 DateTimeOriginal, 0x9011 OffsetTimeOriginal; GPS 1 to 4 (place), 7 and 29 (its clock, UTC)
    Exif 3.0 (CIPA DC-008-2023), §4.6.5 and §4.6.7

Nothing of it is kept unless a shop asks for it: it tells where somebody lives.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imgsearch.picture.exif import LONGEST, PREFIX

_EXIF, _GPS = 0x8769, 0x8825  # in the first directory: where the two others begin
_TAKEN, _OFFSET = 0x9003, 0x9011
_LATITUDE_OF, _LATITUDE, _LONGITUDE_OF, _LONGITUDE, _CLOCK, _DATE = 1, 2, 3, 4, 7, 29
_ASCII, _LONG, _RATIONAL = 2, 4, 5
_MOST_TAGS, _LONGEST_TEXT = 512, 64
_SIZES = {_ASCII: 1, _LONG: 4, _RATIONAL: 8}
_FIRST_YEAR = 1826  # Niépce's view from a window
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")

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


def read(block: bytes, now: datetime | None = None) -> Capture:
    """Return what an Exif block says, with or without its `Exif` prefix; what is broken or impossible is left out.

    A time of before photography or after tomorrow is a clock that was never set; the place (0, 0) is a receiver that
    has found none.
    """
    block = block[len(PREFIX) :] if block.startswith(PREFIX) else block
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return NOTHING
    block = block[:LONGEST]
    first = _tags(block, order, _offset(block, order))
    camera = _tags(block, order, first.get(_EXIF))
    receiver = _tags(block, order, first.get(_GPS))
    taken_at, zoned = _time_of(camera, receiver, (now or datetime.now(UTC)) + timedelta(days=1))
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


def _time_of(camera: Tags, receiver: Tags, latest: datetime) -> tuple[datetime | None, bool]:
    """Return the camera's time, with its zone where it says one; else the receiver's, which is UTC."""
    said = _clock(camera.get(_TAKEN))
    if said is not None:
        if said.year <= _FIRST_YEAR or said.year > latest.year + 1:
            return None, False
        zone = _ZONE.fullmatch(str(camera.get(_OFFSET, "")))
        if zone:
            away = timedelta(hours=int(zone[2]), minutes=int(zone[3]))
            said = said - away if zone[1] == "+" else said + away
        return (said, bool(zone)) if said <= latest else (None, False)
    date, clock = receiver.get(_DATE), receiver.get(_CLOCK)
    if isinstance(date, str) and isinstance(clock, tuple) and len(clock) == 3 and all(0 <= one < 61 for one in clock):
        said = _clock(f"{date} {int(clock[0]):02}:{int(clock[1]):02}:{int(clock[2]):02}")
        if said is not None and said.year > _FIRST_YEAR and said <= latest:
            return said, True
    return None, False


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
