"""Which way up a picture is, wherever the file says it: Exif, XMP, or Exif as ImageMagick writes it into a PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from imgsearch import picture
from tests.drawn import STORED, chunk, encoded, off, scene, squashed

SIZE = 64
TOLERANCE = 2.0
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
    "TIFF": {},
}


def xmp(turn: int, form: str = 'tiff:Orientation="{}"') -> bytes:
    said = form.format(turn)
    inside = f" {said}/>" if "=" in said else f">{said}</rdf:Description>"
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{inside}</rdf:RDF></x:xmpmeta>'
    ).encode()


def stored(turn: int) -> Image.Image:
    method = STORED[turn]
    return scene() if method is None else scene().transpose(method)


def noted(kind: str, shown: Image.Image, packet: bytes, **options: Any) -> bytes:
    """The picture with an XMP packet."""
    if kind == "PNG":
        return with_chunk(encoded(shown, kind, **options), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    if kind == "TIFF":
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        tags = ImageFileDirectory_v2()
        tags[700] = packet
        tags.tagtype[700] = 1
        for tag, value in dict(options.pop("exif", {})).items():
            tags[tag] = value
        return encoded(shown, kind, tiffinfo=tags, **options)
    return encoded(shown, kind, xmp=packet, **KINDS[kind], **options)


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    return data[:33] + chunk(kind, content) + data[33:]


def is_upright(data: bytes) -> bool:
    return off(picture.decode(data, SIZE), squashed(scene(), SIZE)) < TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", [2, 3, 6, 8])
def test_a_turn_that_only_xmp_tells_is_done(kind: str, turn: int) -> None:
    data = noted(kind, stored(turn), xmp(turn))
    assert is_upright(data)
    assert picture.upright(data).size == scene().size


@pytest.mark.parametrize("kind", KINDS)
def test_where_both_speak_exif_is_followed_and_once(kind: str) -> None:
    for said, also in ((6, 6), (6, 3), (1, 3)):
        if (kind, said) == ("AVIF", 1):
            continue  # Pillow writes none
        tags = Image.Exif()  # made anew: Pillow takes the tag out of it when it writes an AVIF
        tags[0x0112] = said
        assert is_upright(noted(kind, stored(said), xmp(also), exif=tags))


def test_xmp_is_read_as_attribute_as_element_and_compressed() -> None:
    for form in ('tiff:Orientation="{}"', "tiff:Orientation='{}'", "<tiff:Orientation>{}</tiff:Orientation>"):
        assert is_upright(noted("JPEG", stored(8), xmp(8, form)))
    packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(8))
    assert is_upright(with_chunk(encoded(stored(8), "PNG"), b"iTXt", packed))


@pytest.mark.parametrize("said", ["0", "9", "66", "six", ""])
def test_an_orientation_in_xmp_that_is_none_is_ignored(said: str) -> None:
    packet = xmp(1).replace(b'"1"', f'"{said}"'.encode())
    assert is_upright(noted("JPEG", scene(), packet))


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_exif_in_hexadecimal_is_read(kind: bytes) -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 6) + bytes(4)
    lines = block.hex()
    text = f"\nexif\n{len(block):8}\n{lines[:72]}\n{lines[72:]}\n".encode()
    content = text if kind == b"tEXt" else b"\0" + zlib.compress(text)
    assert is_upright(with_chunk(encoded(stored(6), "PNG"), kind, b"Raw profile type exif\0" + content))
    broken = text.replace(b"4578", b"zzzz")
    content = broken if kind == b"tEXt" else b"\0" + zlib.compress(broken)
    assert is_upright(with_chunk(encoded(scene(), "PNG"), kind, b"Raw profile type exif\0" + content))
