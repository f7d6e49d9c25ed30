"""Pictures made to hurt: each with the code it must be refused with, or None where it is harmless and decodes."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.drawn import chunk, encoded, png, scene
from tests.rare_bombs import rare_bombs

MANY = 10_000
Bomb = tuple[str, bytes, str | None]


def bombs() -> Iterator[Bomb]:
    """(name, file, code or None), smallest idea first."""
    yield from _other_kinds()
    yield from _sizes()
    yield from _animations()
    yield from _packed_notes()
    yield from _many_small_parts()
    yield from _tiff_directories()
    yield from _lying_containers()
    yield from rare_bombs()
    yield from _lying_notes()


def _other_kinds() -> Iterator[Bomb]:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    yield (
        "SVG of a billion laughs",
        f"<?xml version='1.0'?><!DOCTYPE s [{entities}]><svg>&e9;</svg>".encode(),
        "format_refused",
    )
    yield "PDF", b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript>>>>", "format_refused"
    yield (
        "EPS that runs Ghostscript",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file",
        "format_refused",
    )
    yield "a JPEG as a gzip body", gzip.compress(encoded(scene(), "JPEG")), "format_refused"
    yield "a gzip bomb", gzip.compress(bytes(50 << 20)), "format_refused"
    yield "an error page", b"<!doctype html><title>404</title>" * 99, "not_a_picture"
    yield "a GIF that is an archive as well", encoded(scene().quantize(16), "GIF") + b"PK\3\4" + bytes(99), None
    yield "one pixel", png(1, 1, 8, 2, data=bytes(4)), None


def _sizes() -> Iterator[Bomb]:
    yield "30,000 x 30,000 PNG of one bit", png(30_000, 30_000, 1, 0, data=bytes(3_751 * 30_000)), "too_many_pixels"
    yield "PNG of 2**31", png(2**31 - 1, 2**31 - 1, 8, 6), "too_many_pixels"
    yield (
        "GIF of 65,535 x 65,535",
        b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + _gif_frame(),
        "too_many_pixels",
    )
    yield "GIF that grows", b"GIF89a" + bytes([1, 0, 1, 0, 0, 0, 0]) + _gif_frame(65_534, 65_534), "too_many_pixels"
    yield "JPEG of 65,535 x 65,535", _patched_jpeg(65_535, 65_535), "too_many_pixels"
    yield "JPEG of 1 x 65,535", _patched_jpeg(1, 65_535), "corrupt"
    yield "BMP of 30,000 x 30,000", _bmp(30_000, 30_000, 0), "too_many_pixels"
    yield "run-length BMP", _bmp(6_000, 6_000, 1), "format_refused"
    yield "WebP canvas of 16,384 x 16,384", _webp_canvas(16_384, 16_384), "too_many_pixels"
    yield "TIFF of 60,000 x 60,000", _tiff([(256, 4, 1, 60_000), (257, 4, 1, 60_000)]), "too_many_pixels"
    avif = encoded(scene(), "AVIF")
    at = avif.index(b"ispe") + 8
    yield "AVIF of 65,535 x 65,535", avif[:at] + struct.pack(">II", 65_535, 65_535) + avif[at + 8 :], "too_many_pixels"


def _animations() -> Iterator[Bomb]:
    start = b"GIF89a" + bytes([9, 0, 9, 0, 0, 0, 0])
    yield "GIF of 10,000 frames", start + _gif_frame() * MANY + b";", "too_many_pixels"
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    webp = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    at = webp.rindex(b"ANMF")
    webp = webp[:at] + webp[at:] * MANY
    yield "WebP of 10,000 frames", webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:], "too_many_pixels"
    claim = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield "PNG that claims 2**31 frames", png(9, 9, 8, 2, claim, data=bytes(28 * 9)), "too_many_pixels"
    control = b"".join(chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, 9, 9, 0, 0, 1, 10, 0, 0)) for n in range(MANY))
    yield (
        "PNG of 10,000 frames",
        png(9, 9, 8, 2, chunk(b"acTL", struct.pack(">II", MANY, 0)), control),
        "too_many_pixels",
    )
    avif = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    at = avif.index(b"stsz") + 12
    yield "AVIF that claims 2**31 frames", avif[:at] + struct.pack(">I", 2**31) + avif[at + 4 :], "too_many_pixels"


def _packed_notes() -> Iterator[Bomb]:
    packed = zlib.compress(bytes(100 << 20), 9)
    pixels = bytes(28 * 9)
    yield (
        "PNG with a colour profile of 100 MB",
        png(9, 9, 8, 2, chunk(b"iCCP", b"p\0\0" + packed), data=pixels),
        None,
    )
    yield "PNG with a note of 100 MB", png(9, 9, 8, 2, chunk(b"zTXt", b"k\0\0" + packed), data=pixels), None
    note = chunk(b"iTXt", b"k\0\1\0\0\0" + packed)
    yield "PNG with an international note of 100 MB", png(9, 9, 8, 2, note, data=pixels), None
    small = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000), 9))
    yield "PNG with 1,000 notes of 1 MB", png(9, 9, 8, 2, small * 1_000, data=pixels), None
    yield "JPEG whose EXIF unpacks 5,000-fold", encoded(scene(), "JPEG", exif=_exif_bomb(60_000)), None
    yield "PNG whose EXIF unpacks 4,000-fold", encoded(scene(), "PNG", exif=_exif_bomb(4 << 20)), None
    yield "WebP whose EXIF unpacks 4,000-fold", encoded(scene(), "WEBP", exif=_exif_bomb(4 << 20)), None
    jpeg = encoded(scene(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + _exif_bomb(65_527)
    yield "JPEG with 100 EXIF segments", jpeg[:2] + segment * 100 + jpeg[2:], None


def _many_small_parts() -> Iterator[Bomb]:
    jpeg = encoded(scene(), "JPEG")
    yield "JPEG with 20 MB of fill bytes", jpeg[:2] + b"\xff" * (20 << 20) + jpeg[2:], "corrupt"
    yield "JPEG with 20 MB between segments", jpeg[:20] + bytes(20 << 20) + jpeg[20:], "corrupt"
    yield "JPEG of 1,000,000 comments", jpeg[:2] + b"\xff\xfe\0\2" * 1_000_000 + jpeg[2:], "corrupt"
    yield "progressive JPEG of 5,000 scans", _many_scans(5_000), "corrupt"
    head = b"GIF89a" + bytes([9, 0, 9, 0, 0, 0, 0])
    yield (
        "GIF with a comment in 10,000,000 blocks",
        head + b"!\xfe" + b"\1a" * 10_000_000 + b"\0" + _gif_frame(),
        "corrupt",
    )
    yield "GIF of 20 MB of padding", head + bytes(20 << 20) + _gif_frame(), "corrupt"
    empty = chunk(b"prVt", b"")
    yield "PNG of 1,000,000 empty chunks", png(9, 9, 8, 2, empty * 1_000_000, data=bytes(28 * 9)), "corrupt"
    yield "PNG of 1,000,000 empty IDAT", png(9, 9, 8, 2, chunk(b"IDAT", b"") * 1_000_000, data=bytes(28 * 9)), "corrupt"
    webp = encoded(scene(), "WEBP")
    webp += b"JUNK\0\0\0\0" * 1_000_000
    yield "WebP of 1,000,000 empty chunks", webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:], "corrupt"
    avif = encoded(scene(), "AVIF")
    yield "AVIF of 1,000,000 empty boxes", avif + b"\0\0\0\x08free" * 1_000_000, "corrupt"
    nested = b""
    for _ in range(3_000):
        nested = struct.pack(">I", len(nested) + 8) + b"moov" + nested
    yield "AVIF 3,000 boxes deep", avif + nested, "corrupt"


def _tiff_directories() -> Iterator[Bomb]:
    size = [(256, 4, 1, 16), (257, 4, 1, 16)]
    whole = encoded(scene(), "TIFF")
    (at,) = struct.unpack_from("<I", whole, 4)
    (tags,) = struct.unpack_from("<H", whole, at)
    end = at + 2 + 12 * tags
    yield "TIFF whose directory follows itself", whole[:end] + struct.pack("<I", at) + whole[end + 4 :], None
    greedy = [*size, *((40_000 + n, 7, 1_000_000, 8) for n in range(4_000))]
    yield "TIFF of 4,000 tags that claim 1 MB each", _tiff(greedy) + bytes(1 << 20), "corrupt"
    yield "TIFF of 65,535 tags", _tiff([*size, *((n, 3, 1, 0) for n in range(300, 65_533))]), "corrupt"
    yield "TIFF of 5,000,000 strips", _tiff([*size, (273, 4, 5_000_000, 8)]) + bytes(20 << 20), "corrupt"
    tiles = [*size, (322, 4, 1, 65_536), (323, 4, 1, 65_536), (324, 4, 1, 8), (325, 4, 1, 8)]
    yield "TIFF of one huge tile", _tiff(tiles), "corrupt"


def _lying_containers() -> Iterator[Bomb]:
    valid = encoded(scene(), "PNG")
    at = valid.index(b"IDAT") - 4
    yield "PNG chunk of 4 GB", valid[:at] + b"\xff\xff\xff\xff" + valid[at + 4 :], "truncated"
    yield "WebP of 4 GB", b"RIFF\xff\xff\xff\xffWEBP" + encoded(scene(), "WEBP")[12:], "truncated"
    yield "AVIF box of 2**63", encoded(scene(), "AVIF") + b"\0\0\0\1free" + b"\x7f" + bytes(7), "truncated"
    large = encoded(Image.new("RGB", (5_000, 4_000), "red"), "AVIF", speed=10)
    at = large.index(b"ispe") + 8
    yield "AVIF larger inside than outside", large[:at] + struct.pack(">II", 16, 16) + large[at + 8 :], None
    frame = encoded(scene(900, 900), "WEBP")
    yield "WebP larger inside than outside", _webp_canvas(16, 16, frame[12:]), "corrupt"


def _lying_notes() -> Iterator[Bomb]:
    """XMP that a parser would expand, turns said a million times, profiles and heights that lie."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    laughs = f'<!DOCTYPE x [{entities}]><x tiff:Orientation="&e9;">&e9;</x>'.encode()
    yield "JPEG with XMP of a billion laughs", encoded(scene(), "JPEG", xmp=laughs), None
    yield "WebP with XMP of a billion laughs", encoded(scene(), "WEBP", xmp=laughs), None
    yield "WebP with 10 MB of turns in XMP", encoded(scene(), "WEBP", xmp=b"tiff:Orientation=" * 600_000), None
    yield (
        "AVIF with 10 MB of spaces in XMP",
        encoded(scene(), "AVIF", xmp=b"tiff:Orientation" + b" " * (10 << 20)),
        None,
    )
    pixels, packed = bytes(28 * 9), zlib.compress(b"tiff:Orientation=" * (6 << 20), 9)
    note = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)
    yield "PNG with XMP of 100 MB", png(9, 9, 8, 2, note, data=pixels), None
    raw = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n9\n" + b"49" * (50 << 20), 9))
    yield "PNG with EXIF of 100 MB in hexadecimal", png(9, 9, 8, 2, raw, data=pixels), None
    yield "PNG with many notes in hexadecimal", png(9, 9, 8, 2, raw * 40, data=pixels), None
    jpeg = encoded(scene(), "JPEG")
    yield "JPEG whose height comes later", _patched_jpeg(300, 0)[:-2] + b"\xff\xdc\0\4\xff\xff\xff\xd9", "corrupt"
    yield "JPEG with a second height", jpeg[:-2] + b"\xff\xdc\0\4\xff\xff\xff\xd9", None
    at = jpeg.index(b"\xff\xc0")
    yield "JPEG of 255 components", jpeg[: at + 9] + b"\xff" + jpeg[at + 10 :], "corrupt"
    profile = (b"\0\x10\0\0" + bytes(124) + struct.pack(">I", 1 << 31)).ljust(1 << 20, b"\xff")
    yield "JPEG whose profile claims 2**31 tags", encoded(scene(), "JPEG", icc_profile=profile), None
    yield (
        "PNG in no colours",
        png(9, 9, 8, 2, chunk(b"cHRM", bytes(32)), chunk(b"gAMA", b"\0\0\0\1"), data=pixels),
        None,
    )


def _gif_frame(width: int = 9, height: int = 9) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x4c\1\0"


def _patched_jpeg(width: int, height: int) -> bytes:
    jpeg = encoded(scene(), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _bmp(width: int, height: int, packing: int) -> bytes:
    depth = 8 if packing else 24
    return b"BM" + bytes(8) + struct.pack("<IIiiHHIIiiII", 54, 40, width, height, 1, depth, packing, 0, 1, 1, 0, 0)


def _webp_canvas(width: int, height: int, inside: bytes = b"") -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + inside
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(tags: list[tuple[int, int, int, int]]) -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def _exif_bomb(length: int) -> bytes:
    """As many tags as fit into 60 KB, each of which claims the whole block."""
    count = min(60_000, length) // 12 - 10
    entries = b"".join(struct.pack("<HHII", 1_000 + n, 7, length - 8, 8) for n in range(count))
    return (b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4)).ljust(length, b"\0")


def _many_scans(count: int) -> bytes:
    """A progressive JPEG of 12 megapixels whose last scan comes again and again."""
    jpeg = io.BytesIO()
    Image.new("L", (4_000, 3_000), 99).save(jpeg, "JPEG", progressive=True)
    data = jpeg.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]
