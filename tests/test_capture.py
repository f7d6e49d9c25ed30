"""When and where: what cameras write is read, what is broken, impossible or hostile is left out."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgsearch.picture import capture
from imgsearch.picture.capture import Capture
from imgsearch.picture.pixels import square

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TAKEN = "2024:06:30 14:05:06"
PLACE = {1: "N", 2: (48.0, 8.0, 15.0), 3: "E", 4: (11.0, 34.0, 30.0)}


def block(camera: dict[int, object] | None = None, receiver: dict[int, object] | None = None) -> bytes:
    """An Exif block as Pillow writes it."""
    made = Image.Exif()
    if camera:
        made.get_ifd(0x8769).update(camera)
        made[0x8769] = made.get_ifd(0x8769)
    if receiver:
        made.get_ifd(0x8825).update(receiver)
        made[0x8825] = made.get_ifd(0x8825)
    return made.tobytes()


def read(camera: dict[int, object] | None = None, receiver: dict[int, object] | None = None) -> Capture:
    return capture.read(block(camera, receiver), NOW)


def test_time_and_place() -> None:
    found = read({0x9003: TAKEN, 0x9011: "+02:00"}, PLACE)
    assert found.taken_at == datetime(2024, 6, 30, 12, 5, 6, tzinfo=UTC)
    assert found.zoned
    assert (found.latitude, found.longitude) == (pytest.approx(48.1375), pytest.approx(11.575))


def test_south_and_west_are_below_zero() -> None:
    found = read(None, {**PLACE, 1: "S", 3: "W"})
    assert (found.latitude, found.longitude) == (pytest.approx(-48.1375), pytest.approx(-11.575))
    assert found.taken_at is None


def test_a_camera_that_names_no_zone_is_read_as_utc_and_says_so() -> None:
    found = read({0x9003: TAKEN})
    assert (found.taken_at, found.zoned) == (datetime(2024, 6, 30, 14, 5, 6, tzinfo=UTC), False)


def test_the_receivers_clock_is_used_where_the_camera_has_none() -> None:
    found = read(None, {29: "2024:06:30", 7: (12.0, 5.0, 6.5)})
    assert (found.taken_at, found.zoned) == (datetime(2024, 6, 30, 12, 5, 6, tzinfo=UTC), True)


@pytest.mark.parametrize(
    "camera",
    [
        {0x9003: "0000:00:00 00:00:00"},
        {0x9003: "2024:02:30 10:00:00"},
        {0x9003: "1601:01:01 00:00:00"},
        {0x9003: "2099:01:01 00:00:00"},
        {0x9003: "yesterday"},
        {0x9003: "9999:12:31 23:59:59", 0x9011: "-99:99"},
        {0x9003: "0001:01:01 00:00:00", 0x9011: "+14:00"},
    ],
)
def test_a_time_that_cannot_be_is_left_out(camera: dict[int, object]) -> None:
    assert read(camera, PLACE) == Capture(None, False, pytest.approx(48.1375), pytest.approx(11.575))


@pytest.mark.parametrize(
    "change",
    [
        {2: (91.0, 0.0, 0.0)},
        {4: (181.0, 0.0, 0.0)},
        {2: (48.0, 60.0, 0.0)},
        {2: (48.0, 8.0)},
        {1: "X"},
        {3: ""},
        {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
    ],
)
def test_a_place_that_cannot_be_is_left_out(change: dict[int, object]) -> None:
    found = read({0x9003: TAKEN}, {**PLACE, **change})
    assert (found.latitude, found.longitude) == (None, None)
    assert found.taken_at is not None


def test_a_fraction_by_zero_is_no_place() -> None:
    made = bytearray(block(None, PLACE))
    value = struct.pack("<II", 48, 1) if made[6:8] == b"II" else struct.pack(">II", 48, 1)
    at = bytes(made).index(value)
    made[at + 4 : at + 8] = bytes(4)
    assert capture.read(bytes(made), NOW) == Capture()


@given(st.binary(max_size=400), st.sampled_from([b"II*\0", b"MM\0*", b"Exif\0\0II*\0"]))
def test_whatever_the_bytes_it_answers(rest: bytes, head: bytes) -> None:
    found = capture.read(head + rest, NOW)
    assert found.taken_at is None or found.taken_at.tzinfo is not None


@given(st.data())
def test_a_damaged_block_answers_too(data: st.DataObject) -> None:
    made = bytearray(block({0x9003: TAKEN, 0x9011: "+02:00"}, PLACE))
    for _ in range(data.draw(st.integers(1, 6))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    found = capture.read(bytes(made), NOW)
    assert found.latitude is None or abs(found.latitude) <= 90
    assert found.longitude is None or abs(found.longitude) <= 180


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("turn", [1, 6])
def test_each_kind_of_file_says_it(kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    exif.get_ifd(0x8769).update({0x9003: TAKEN, 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update(PLACE)
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, kind, exif=exif.tobytes())
    found = square(out.getvalue(), 16).capture
    assert found.taken_at == datetime(2024, 6, 30, 12, 5, 6, tzinfo=UTC)
    assert (found.latitude, found.longitude) == (pytest.approx(48.1375), pytest.approx(11.575))


def _xmp(**said: str) -> bytes:
    names = {"original": "exif:DateTimeOriginal", "created": "photoshop:DateCreated", "made": "xmp:CreateDate"}
    return ("<x:xmpmeta " + " ".join(f'{names[name]}="{value}"' for name, value in said.items()) + "/>").encode()


CAMERA_ONLY: dict[str, tuple[dict[int, object], dict[int, object], bytes, str | None, bool]] = {
    "original": ({0x9003: TAKEN}, {}, b"", "2024-06-30T14:05:06", False),
    "original and its offset": ({0x9003: TAKEN, 0x9011: "+02:00"}, {}, b"", "2024-06-30T12:05:06", True),
    "its offset before the general": (
        {0x9003: TAKEN, 0x9011: "-01:00", 0x9010: "+02:00"},
        {},
        b"",
        "2024-06-30T15:05:06",
        True,
    ),
    "original and the general offset": ({0x9003: TAKEN, 0x9010: "+02:00"}, {}, b"", "2024-06-30T12:05:06", True),
    "a blank offset": ({0x9003: TAKEN, 0x9011: "   :  ", 0x9010: "+02:00"}, {}, b"", "2024-06-30T12:05:06", True),
    "the other one's offset": ({0x9003: TAKEN, 0x9012: "+02:00"}, {}, b"", "2024-06-30T14:05:06", False),
    "Z": ({0x9003: TAKEN, 0x9011: "Z"}, {}, b"", "2024-06-30T14:05:06", True),
    "an offset without colon": ({0x9003: TAKEN, 0x9011: "+0200"}, {}, b"", "2024-06-30T12:05:06", True),
    "an offset that is none": ({0x9003: TAKEN, 0x9011: "+25:00"}, {}, b"", "2024-06-30T14:05:06", False),
    "a part of a second": ({0x9003: TAKEN, 0x9291: "25"}, {}, b"", "2024-06-30T14:05:06.250000", False),
    "digitized": ({0x9004: TAKEN, 0x9012: "+02:00"}, {}, b"", "2024-06-30T12:05:06", True),
    "original before digitized": (
        {0x9003: TAKEN, 0x9004: "2020:01:01 00:00:00"},
        {},
        b"",
        "2024-06-30T14:05:06",
        False,
    ),
    "blank beside digitized": ({0x9003: "    :  :     :  :  ", 0x9004: TAKEN}, {}, b"", "2024-06-30T14:05:06", False),
    "changed": ({}, {0x0132: TAKEN}, b"", "2024-06-30T14:05:06", False),
    "changed and the general offset": ({0x9010: "+02:00"}, {0x0132: TAKEN}, b"", "2024-06-30T12:05:06", True),
    "zero beside changed": ({0x9003: "0000:00:00 00:00:00"}, {0x0132: TAKEN}, b"", "2024-06-30T14:05:06", False),
    "blank beside changed": ({0x9003: ""}, {0x0132: TAKEN}, b"", "2024-06-30T14:05:06", False),
    "a clock never set beside changed": (
        {0x9003: "2099:01:01 00:00:00"},
        {0x0132: TAKEN},
        b"",
        "2024-06-30T14:05:06",
        False,
    ),
    "XMP created": ({}, {}, _xmp(created="2024-06-30T14:05:06+02:00"), "2024-06-30T12:05:06", True),
    "XMP original": ({}, {}, _xmp(created="2020-01-01", original="2024-06-30T14:05:06"), "2024-06-30T14:05:06", False),
    "XMP made": ({}, {}, _xmp(made="2024-06-30T14:05Z"), "2024-06-30T14:05:00", True),
    "XMP date": ({}, {}, _xmp(created="2024-06-30"), "2024-06-30T00:00:00", False),
    "XMP element": (
        {},
        {},
        b"<photoshop:DateCreated>2024-06-30T14:05:06.5Z</photoshop:DateCreated>",
        "2024-06-30T14:05:06.500000",
        True,
    ),
    "XMP behind Exif": ({0x9004: TAKEN}, {}, _xmp(original="2020-01-01"), "2024-06-30T14:05:06", False),
    "XMP that is none": ({}, {}, _xmp(created="2024-02-30T14:05:06"), None, False),
    "XMP cut short": ({}, {}, b"photoshop:DateCreated", None, False),
}


@pytest.mark.parametrize("name", CAMERA_ONLY)
def test_the_first_that_is_a_time_counts(name: str) -> None:
    camera, first, packet, taken_at, zoned = CAMERA_ONLY[name]
    made = Image.Exif()
    made.update(first)
    if camera:
        made.get_ifd(0x8769).update(camera)
        made[0x8769] = made.get_ifd(0x8769)
    exif = made.tobytes() if camera or first else b""
    found = capture.read(exif, NOW, packet)
    assert (found.taken_at and found.taken_at.replace(tzinfo=None).isoformat(), found.zoned) == (taken_at, zoned)


def test_the_receivers_clock_goes_before_the_date_of_a_change() -> None:
    made = Image.Exif()
    made[0x0132] = "2025:01:01 00:00:00"
    made.get_ifd(0x8825).update({29: "2024:06:30", 7: (12.0, 5.0, 6.0)})
    made[0x8825] = made.get_ifd(0x8825)
    assert capture.read(made.tobytes(), NOW).taken_at == datetime(2024, 6, 30, 12, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_is_read_from_every_format_that_carries_it(name: str) -> None:
    packet = _xmp(created="2024-06-30T14:05:06Z")
    out, options = io.BytesIO(), {"xmp": packet}
    if name == "PNG":
        from PIL.PngImagePlugin import PngInfo

        note = PngInfo()
        note.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": note}
    if name == "TIFF":
        options = {"tiffinfo": {700: packet}}
    Image.new("RGB", (32, 32), "red").save(out, name, **options)
    assert square(out.getvalue(), 32).capture.taken_at == datetime(2024, 6, 30, 14, 5, 6, tzinfo=UTC)
