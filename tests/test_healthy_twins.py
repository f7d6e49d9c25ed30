"""A healthy file does not get the reason of a damaged one: long notes are skipped, the picture is taken."""

from __future__ import annotations

import io
import os
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from imgsearch.picture.bare import bare
from imgsearch.picture.pixels import square

SIZE = 32
GREY = Image.linear_gradient("L").resize((SIZE, SIZE))
PLAIN = Image.merge("RGB", (GREY, GREY.rotate(90), GREY.rotate(180)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(*chunks: bytes, behind: bytes = b"") -> bytes:
    out = io.BytesIO()
    PLAIN.save(out, "PNG")
    data = out.getvalue()
    return data[:33] + b"".join(chunks) + data[33:-12] + behind + data[-12:]


LONG = zlib.compress(b"<x:xmpmeta>" + os.urandom(8).hex().encode() * 150_000, 1)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LARGE_PROFILE = struct.pack(">I", 1_500_000) + PROFILE[4:] + bytes(1_500_000 - len(PROFILE))
NOTES = {
    "2 MB of text": (_png(_chunk(b"zTXt", b"note\0\0" + LONG)), True),
    "2 MB of international text": (_png(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG)), True),
    "2 MB of text behind the pixels": (_png(behind=_chunk(b"zTXt", b"note\0\0" + LONG)), True),
    "a profile of 1.5 MB": (_png(_chunk(b"iCCP", b"p\0\0" + zlib.compress(LARGE_PROFILE))), True),
    "a profile of 6 MB": (_png(_chunk(b"iCCP", b"p\0\0" + zlib.compress(PROFILE + bytes(6_000_000)))), True),
    "100 small notes": (_png(*[_chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * 1000))] * 100), True),
    "text that is not compressed": (_png(_chunk(b"tEXt", b"note\0" + b"x" * 2_000_000)), True),
    "2 MB of text, and no end": (_png(_chunk(b"zTXt", b"note\0\0" + LONG))[:-12], False),
}


@pytest.mark.parametrize("name", NOTES)
def test_a_png_with_long_notes_is_taken(name: str) -> None:
    data, whole = NOTES[name]
    found = square(data, SIZE)
    assert found.whole == whole
    assert found.pixels == square(_png(), SIZE).pixels


def test_a_profile_that_pillow_finds_too_long_counts() -> None:
    """One that exchanges colours: green is the primary that sRGB calls red."""
    swapped = bytearray(LARGE_PROFILE)
    count = struct.unpack_from(">I", swapped, 128)[0]
    places = {bytes(swapped[at : at + 4]): at + 4 for at in range(132, 132 + 12 * count, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    swapped[red : red + 8], swapped[green : green + 8] = swapped[green : green + 8], swapped[red : red + 8]
    data = _png(_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(swapped))))
    assert square(data, SIZE).pixels != square(_png(), SIZE).pixels


def _segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


SECRET = b"where somebody lives"
NOTE_SEGMENTS = {
    "JFXX": _segment(0xE0, b"JFXX\0\x10" + SECRET),
    "a JFIF with a thumbnail": _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\3" + SECRET),
    "APP0 of nobody": _segment(0xE0, b"CIFF\0" + SECRET),
    "Exif": _segment(0xE1, b"Exif\0\0" + SECRET),
    "MPF": _segment(0xE2, b"MPF\0" + SECRET),
    "IPTC": _segment(0xED, b"Photoshop 3.0\0" + SECRET),
    "APP14 of nobody": _segment(0xEE, SECRET),
    "an Adobe that is longer": _segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET),
    "JPG0": _segment(0xF0, SECRET),
    "JPG13": _segment(0xFD, SECRET),
    "a comment": _segment(0xFE, SECRET),
    "a reserved marker": _segment(0x02, SECRET),
}


def _jpeg() -> bytes:
    out = io.BytesIO()
    PLAIN.save(out, "JPEG", progressive=True, quality=90)
    return out.getvalue()


@pytest.mark.parametrize("name", NOTE_SEGMENTS)
@pytest.mark.parametrize("place", ["in front", "between two scans", "behind"])
def test_a_jpeg_is_stripped_of_what_is_said_about_it(name: str, place: str) -> None:
    data, note = _jpeg(), NOTE_SEGMENTS[name]
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    at = {"in front": 2, "between two scans": second, "behind": len(data)}[place]
    with_note = data[:at] + note + data[at:]
    served = bare(with_note)
    assert served is not None
    assert SECRET not in served[1]
    shown = Image.open(io.BytesIO(served[1]))
    if "Adobe" not in name:
        assert shown.convert("RGB").tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    assert square(with_note, SIZE).whole


@pytest.mark.parametrize("name", ["JFXX", "Exif", "a comment", "JPG0"])
def test_a_jpeg_without_its_end_is_stripped_as_well(name: str) -> None:
    data = _jpeg()
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    served = bare(data[:second] + NOTE_SEGMENTS[name] + data[second:-2])
    assert served is not None
    assert SECRET not in served[1]
