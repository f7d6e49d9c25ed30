"""A bad picture is refused with a typed code and told what to do, and the host process is left as it was."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image, ImageFile

from imgsearch import picture
from imgsearch.errors import PictureError
from imgsearch.picture import CODES, DEFAULT_LIMITS
from tests import drawn
from tests.drawn import encoded, scene

SIZE = 64


def refused(data: bytes, limits: picture.Limits = DEFAULT_LIMITS) -> PictureError:
    with pytest.raises(PictureError) as caught:
        picture.decode(data, SIZE, limits)
    return caught.value


PNG_70_MP = drawn.png(10_000, 7_000, 8, 2)
JPEG = encoded(scene(), "JPEG")
FRAME = b"," + bytes([0, 0, 0, 0, 1, 0, 1, 0, 0]) + b"\2\2\x4c\1\0"
GIF_OF_1001_FRAMES = b"GIF89a" + bytes([1, 0, 1, 0, 0, 0, 0]) + FRAME * 1_001 + b";"


def _half(kind: str) -> bytes:
    whole = encoded(scene(), kind)
    return whole[: len(whole) // 2]


def _flipped() -> bytes:
    whole = encoded(scene(), "PNG")
    return whole[:60] + bytes(3) + whole[63:]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty"),
    "prose": (lambda: b"There is no picture here. " * 9, "not_a_picture"),
    "zeros": (lambda: bytes(1_000), "not_a_picture"),
    "one byte": (lambda: b"\xff", "not_a_picture"),
    "SVG": (lambda: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "format_refused"),
    "PDF": (lambda: b"%PDF-1.7\n", "format_refused"),
    "EPS": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "format_refused"),
    "Photoshop of no kind": (lambda: b"8BPS\0\1" + bytes(20), "format_refused"),
    "cursor": (lambda: b"\0\0\2\0" + encoded(scene(32, 32), "ICO")[4:], "format_refused"),
    "HEIC without a picture": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "corrupt"),
    "film": (lambda: b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "format_refused"),
    "PAM": (lambda: b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\0", "format_refused"),
    "half a TGA": (lambda: _half("TGA"), "truncated"),
    "half a JPEG 2000": (lambda: _half("JPEG2000"), "truncated"),
    "half a QOI": (lambda: _half("QOI"), "truncated"),
    "half a PPM": (lambda: _half("PPM"), "truncated"),
    "half an icon": (lambda: _half("ICO"), "truncated"),
    "half a JPEG": (lambda: _half("JPEG"), "truncated"),
    "half a PNG": (lambda: _half("PNG"), "truncated"),
    "half a WebP": (lambda: _half("WEBP"), "truncated"),
    "half an AVIF": (lambda: _half("AVIF"), "truncated"),
    "half a TIFF": (lambda: _half("TIFF"), "truncated"),
    "half a BMP": (lambda: _half("BMP"), "truncated"),
    "half a GIF": (lambda: _half("GIF"), "truncated"),
    "JPEG with rubbish for segments": (lambda: JPEG[:20] + b"rubbish" * 20_000, "corrupt"),
    "PNG with flipped bits": (_flipped, "corrupt"),
    "PNG without area": (lambda: drawn.png(0, 10, 8, 2), "corrupt"),
    "70 megapixels": (lambda: PNG_70_MP, "too_many_pixels"),
    "a long thread": (lambda: drawn.png(70_000, 2, 8, 2), "too_many_pixels"),
    "1,001 frames": (lambda: GIF_OF_1001_FRAMES, "too_many_pixels"),
    "26 MiB": (lambda: JPEG.ljust(26 * 1024 * 1024, b"\0"), "too_many_bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_refused_with_its_code(name: str) -> None:
    file, code = BAD[name]
    error = refused(file())
    assert error.code == code, str(error)
    assert str(error).endswith(CODES[code])


def test_what_the_header_shows_is_refused_by_inspect_already() -> None:
    for name in ("nothing", "prose", "SVG", "70 megapixels", "26 MiB", "half a WebP", "1,001 frames"):
        file, code = BAD[name]
        with pytest.raises(PictureError) as caught:
            picture.inspect(file())
        assert caught.value.code == code


def test_limits_are_the_callers() -> None:
    assert refused(JPEG, replace(DEFAULT_LIMITS, max_pixels=59_999)).code == "too_many_pixels"
    assert refused(JPEG, replace(DEFAULT_LIMITS, max_side=299)).code == "too_many_pixels"
    assert refused(JPEG, replace(DEFAULT_LIMITS, max_bytes=100)).code == "too_many_bytes"
    assert picture.decode(JPEG, SIZE, picture.Limits(len(JPEG), 60_000, 300, 1)).shape == (SIZE, SIZE, 3)


def test_there_are_eighteen_codes_and_each_says_what_to_do() -> None:
    assert len(CODES) == 18
    for code, sentence in CODES.items():
        assert re.fullmatch(r"[a-z_]+", code)
        assert re.fullmatch(r"[A-Z][^;]+; [^;]+\.", sentence)


def test_a_refusal_quotes_no_control_characters() -> None:
    assert str(picture.refusal("corrupt", "a\x1b[31m\nb" * 99)).isprintable()


def test_nothing_of_pillow_is_changed_for_the_host() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    picture.decode(JPEG, SIZE)
    refused(PNG_70_MP)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before
