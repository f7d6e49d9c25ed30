"""Pictures made to hurt in the formats that few people send; see `tests.bombs`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from tests.drawn import encoded, scene
from tests.pictures import written
from tests.pictures.kinds import jxl

Bomb = tuple[str, bytes, str | None]
HEIC = (Path(__file__).parent / "pictures" / "colour.heic").read_bytes()


def rare_bombs() -> Iterator[Bomb]:
    """(name, file, code or None)."""
    yield from _sizes()
    yield from _many_small_parts()
    yield from _other_lies()


def _sizes() -> Iterator[Bomb]:
    at = HEIC.index(b"ispe") + 8
    yield "HEIC of 65,535 x 65,535", HEIC[:at] + struct.pack(">II", 65_535, 65_535) + HEIC[at + 8 :], "too_many_pixels"
    yield "JPEG XL of 2**30", b"\xff\x0a" + _bits((0, 1), (3, 2), (2**30 - 1, 30), (1, 3)), "too_many_pixels"
    jp2 = encoded(scene(), "JPEG2000", no_jp2=True)
    huge = struct.pack(">8I", 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0)
    yield "JPEG 2000 of one huge tile", jp2[:8] + huge + jp2[40:], "too_many_pixels"
    yield (
        "JPEG 2000 of 60,000 x 60,000 tiles",
        jp2[:8] + huge[:16] + struct.pack(">4I", 1, 1, 0, 0) + jp2[40:],
        "corrupt",
    )
    yield "TGA of 65,535 x 65,535", _tga(65_535, 65_535), "too_many_pixels"
    yield "Photoshop of 30,000 x 30,000", _psd(30_000, 30_000), "too_many_pixels"
    yield "PPM of 99,999 x 99,999", b"P6 99999 99999 255\n" + bytes(99), "too_many_pixels"
    yield "PPM as text of 9,000,000 values", b"P3 1733 1733 255\n" + b"1 " * 9_009_867, "format_refused"
    yield "QOI of 30,000 x 30,000", b"qoif" + struct.pack(">IIBB", 30_000, 30_000, 4, 0) + bytes(99), "too_many_pixels"
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 40, 22) + struct.pack("<IiiHH", 40, 30_000, 60_000, 1, 32)
    yield "icon of 30,000 x 30,000", b"\0\0\1\0\1\0" + entry + bytes(24), "format_refused"


def _many_small_parts() -> Iterator[Bomb]:
    yield "HEIC of 1,000,000 boxes", HEIC + b"\0\0\0\x08free" * 1_000_000, "corrupt"
    boxed = jxl(scene(32, 32), usecontainer=True)
    yield "JPEG XL of 1,000,000 boxes", boxed[:32] + b"\0\0\0\x08free" * 1_000_000 + boxed[32:], "corrupt"
    jp2 = encoded(scene(), "JPEG2000")
    at = jp2.index(b"jp2h") - 4
    yield "JPEG 2000 of 1,000,000 boxes", jp2[:at] + b"\0\0\0\x08free" * 1_000_000 + jp2[at:], "corrupt"
    at = jp2.index(b"\xff\x52")
    yield "JPEG 2000 of 4,000,000 markers", jp2[:at] + b"\xff\x30\0\2" * 4_000_000 + jp2[at:], "corrupt"
    icon = encoded(scene(32, 32), "ICO")
    yield "icon of 65,535 pictures", icon[:4] + b"\xff\xff" + icon[6:22] * 65_535 + icon[22:], "corrupt"
    resources = written.psd_resource(1_000, b"") * 1_000_000
    yield "Photoshop of 1,000,000 resources", written.psd(scene(32, 32), resources=resources), "corrupt"
    yield "PPM of comments", b"P3 9 9 255\n" + b"#\n" * 9_000_000 + b"1 " * 243, "corrupt"
    yield "PPM with a comment of 20 MB", b"P6 #" + b"x" * (20 << 20) + b"\n9 9 255\n" + bytes(243), "corrupt"


def _other_lies() -> Iterator[Bomb]:
    packed = bytearray(encoded(Image.new("RGB", (7_000, 7_000)), "TGA", compression="tga_rle"))
    yield "run-length TGA, 49 megapixels of nothing", bytes(packed), None
    yield "Photoshop with 20 MB of layers", written.psd(scene(32, 32), layers=bytes(20 << 20)), None
    inside = encoded(scene(900, 900), "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    yield "icon larger inside than outside", b"\0\0\1\0\1\0" + entry + inside, None
    at = HEIC.index(b"ispe") + 8
    yield "HEIC larger inside than outside", HEIC[:at] + struct.pack(">II", 16, 16) + HEIC[at + 8 :], "too_much_memory"


def _tga(width: int, height: int) -> bytes:
    return (
        struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, width, height, 24, 0) + bytes(9) + b"TRUEVISION-XFILE.\0"
    )


def _psd(width: int, height: int) -> bytes:
    return b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, height, width, 8, 3) + bytes(14)


def _bits(*fields: tuple[int, int]) -> bytes:
    """Numbers of so many bits, the lowest first, and zeros."""
    whole, used = 0, 0
    for value, count in fields:
        whole |= value << used
        used += count
    return whole.to_bytes(32, "little")
