"""What `add()` accepts by its size, a decoder holds; what it does not, is refused with the true reason."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from PIL import Image

from imgsearch.errors import PictureError
from imgsearch.picture import DEFAULT_LIMITS, Header, Limits, inspect
from imgsearch.picture.limits import STATED
from tests.drawn import encoded, png, scene

SIZE = 64
WARM = (200, 120, 40)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1, SIZE, timeout_s=60) as made:
        yield made


def refused(data: bytes, limits: Limits = DEFAULT_LIMITS) -> PictureError:
    with pytest.raises(PictureError) as caught:
        inspect(data, limits)
    return caught.value


def flat(width: int, height: int, kind: str, **options: object) -> bytes:
    return encoded(Image.new("RGB", (width, height), WARM), kind, **options)


def patched(data: bytes, width: int, height: int, marker: bytes) -> bytes:
    """The JPEG with another size in its frame header."""
    at = data.index(marker) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


LARGE = {
    "a phone of 50 megapixels": (8_192, 6_144, "JPEG", {"quality": 50}),
    "a phone of 108 megapixels": (12_000, 9_000, "JPEG", {"quality": 50}),
    "a progressive JPEG of 64 megapixels": (9_504, 6_736, "JPEG", {"quality": 50, "progressive": True}),
    "a panorama": (33_000, 1_500, "JPEG", {"quality": 50}),
    "the longest side": (65_500, 20, "JPEG", {"quality": 50}),
    "a long PNG": (65_535, 12, "PNG", {}),
    "a WebP of 40 megapixels": (8_000, 5_000, "WEBP", {"quality": 1, "method": 0}),
    "a lossless WebP of 64 megapixels": (8_000, 8_000, "WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "an AVIF of 27 megapixels": (6_000, 4_500, "AVIF", {"speed": 10, "quality": 1}),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_picture_that_add_accepts_is_decoded(name: str, pool: DecodePool) -> None:
    width, height, kind, options = LARGE[name]
    data = flat(width, height, kind, **options)
    assert inspect(data) == Header(kind, width, height)
    got = pool.decode(data)
    assert (got.width, got.height) == (width, height)
    assert np.abs(got.pixels.astype(int) - WARM).max() < 6
    assert pool.replaced == 0


def test_each_format_has_one_limit_on_its_pixels() -> None:
    jpeg = encoded(scene(), "JPEG")
    assert inspect(patched(jpeg, 12_000, 10_000, b"\xff\xc0")).width == 12_000
    assert refused(patched(jpeg, 12_001, 10_000, b"\xff\xc0")).code == "too_many_pixels"
    assert inspect(png(8_000, 8_000, 8, 2)).height == 8_000
    error = refused(png(8_001, 8_000, 8, 2))
    assert (error.code, "64,000,000 pixels are allowed in PNG" in str(error)) == ("too_many_pixels", True)
    assert refused(png(65_536, 1, 8, 2)).code == "too_many_pixels"


def test_a_jpeg_that_keeps_all_its_coefficients_is_reckoned_before_it_is_decoded() -> None:
    for picture, options in (
        (scene().convert("CMYK"), {"progressive": True, "subsampling": 0}),  # 8 bytes per pixel
        (scene(), {"progressive": True, "subsampling": 0}),  # 6
    ):
        data = patched(encoded(picture, "JPEG", **options), 9_000, 8_000, b"\xff\xc2")
        bands = len(picture.getbands())
        assert inspect(data, replace(DEFAULT_LIMITS, max_memory=2 * bands * 73_000_000 + 60_000_000)).width == 9_000
        error = refused(data, replace(DEFAULT_LIMITS, max_memory=2 * bands * 71_000_000))
        assert error.code == "too_much_memory"
        assert "MB to decode where" in str(error)
        assert inspect(patched(encoded(picture, "JPEG"), 9_000, 8_000, b"\xff\xc0")).width == 9_000


def test_what_needs_more_than_any_decoder_has_is_not_called_damaged() -> None:
    little = replace(DEFAULT_LIMITS, max_memory=100_000_000)
    data = flat(4_000, 3_000, "WEBP", lossless=True, quality=0, method=0)
    with DecodePool(1, SIZE, little) as pool, pytest.raises(PictureError) as caught:
        pool.decode(data)
    assert caught.value.code == "too_much_memory"


@pytest.mark.parametrize(("width", "height", "frames"), [(472, 298, 380), (1080, 1080, 45)])
def test_an_animation_costs_its_first_frame_only(width: int, height: int, frames: int, pool: DecodePool) -> None:
    first = Image.new("P", (width, height), 1)
    first.putpalette([0, 0, 0, *WARM])
    start, end = encoded(first, "GIF")[:-1], b";"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x4c\1\0"
    data = start + frame * (frames - 1) + end
    assert inspect(data) == Header("GIF", width, height, frames)
    assert pool.decode(data).pixels[5, 5].tolist() == list(WARM)
    assert refused(start + frame * 1_000 + end).code == "too_many_pixels"


def test_the_documents_state_the_limits() -> None:
    text = (Path(__file__).parent.parent / "docs" / "pictures.md").read_text()
    assert STATED in text
    assert "At most 25 MiB; a JPEG of at most 120 million pixels, others of 64 million or less" in STATED
