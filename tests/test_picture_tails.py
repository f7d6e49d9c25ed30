"""What stands behind or beside a picture in its file is not the picture: a phone's film, the HDR half of a gain map."""

from __future__ import annotations

import io
import random
import struct

import pytest
from PIL import Image

from imgsearch.picture import inspect
from imgsearch.picture.pixels import square

COLOUR = (200, 120, 60)


def made(kind: str, size: tuple[int, int] = (400, 300), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, COLOUR).save(file, kind, **options)
    return file.getvalue()


def colour(data: bytes) -> tuple[int, ...]:
    pixels = square(data, 8).pixels
    return tuple(pixels[:3])


@pytest.mark.parametrize("progressive", [False, True])
def test_a_film_behind_a_photograph_is_no_part_of_it(progressive: bool) -> None:
    film = random.Random(7).randbytes(10 << 20)
    assert film.count(b"\xff\xda") > 125
    photo = made("JPEG", (4000, 3000), progressive=progressive)
    inspect(photo + film)
    assert all(abs(a - b) < 4 for a, b in zip(colour(photo + film), COLOUR, strict=True))
    assert square(photo + film, 8).whole


def test_scans_cannot_hide_behind_an_end_in_a_comment() -> None:
    """What is counted is what is decoded."""
    photo = made("JPEG")
    scan = photo.index(b"\xff\xda")
    comment = b"\xff\xfe" + struct.pack(">H", 4) + b"\xff\xd9"
    inspect(photo[:scan] + comment + photo[scan:])
    assert square(photo[:scan] + comment + photo[scan:], 8).whole


def test_numbers_of_another_item_do_not_colour_the_picture() -> None:
    """The first numbers are the picture's, also where they say sRGB; a gain map's are BT.2020 and PQ."""
    plain = made("AVIF", quality=90)
    at = plain.index(b"colrnclx") - 4
    size = struct.unpack(">I", plain[at : at + 4])[0]
    hdr = plain[at : at + 8] + b"nclx" + struct.pack(">HHHB", 9, 16, 9, 0x80)
    both = bytearray(plain[: at + size] + hdr + plain[at + size :])
    for name in (b"meta", b"iprp", b"ipco"):
        place = both.index(name) - 4
        both[place : place + 4] = struct.pack(">I", struct.unpack(">I", both[place : place + 4])[0] + len(hdr))
    both = bytearray(_moved(bytes(both), plain, len(hdr)))
    assert all(abs(a - b) < 6 for a, b in zip(colour(bytes(both)), COLOUR, strict=True))


def _moved(data: bytes, before: bytes, by: int) -> bytes:
    """Return a file whose one item is found again, `by` bytes further on."""
    start = before.index(b"mdat") + 4
    old, new = struct.pack(">I", start), struct.pack(">I", start + by)
    at = data.index(old, data.index(b"iloc"))
    return data[:at] + new + data[at + 4 :]
