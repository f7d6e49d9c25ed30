"""A picture that lacks only its last bytes is taken, and said to; one that lacks more is refused as truncated."""

from __future__ import annotations

import pytest
from imgsearch_workers.decoding.decoder import DecodePool

from imgsearch.errors import PictureError
from imgsearch.picture import inspect
from imgsearch.picture.pixels import square
from tests.drawn import encoded, off, scene, squashed

SIZE = 64
LARGE = scene(1200, 800)
KINDS = {
    "grey": (LARGE.convert("L"), {}),
    "baseline": (LARGE, {}),
    "progressive": (LARGE, {"progressive": True}),
    "CMYK": (LARGE.convert("CMYK"), {}),
    "small": (scene(100, 80), {}),
}


def looks(data: bytes) -> tuple[bool, float]:
    """Whether it is whole, and how far it is from the picture it was."""
    import numpy as np

    got = square(data, SIZE)
    pixels = np.frombuffer(got.pixels, np.uint8).reshape(SIZE, SIZE, 3)
    return got.whole, off(pixels, squashed(LARGE, SIZE))


def code(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        square(data, SIZE)
    return caught.value.code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [1, 2, 10])
def test_a_jpeg_without_its_last_bytes_is_taken_and_marked(kind: str, missing: int) -> None:
    picture, options = KINDS[kind]
    data = encoded(picture, "JPEG", quality=90, **options)
    whole, cut = square(data, SIZE), square(data[:-missing], SIZE)
    assert (whole.whole, cut.whole) == (True, False)
    assert (cut.width, cut.height) == picture.size
    assert sum(a != b for a, b in zip(whole.pixels, cut.pixels, strict=True)) < len(whole.pixels) // 10
    inspect(data[:-missing])


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_jpeg_that_lacks_a_few_blocks_is_nearly_what_it_was(kind: str) -> None:
    whole, error = looks(encoded(LARGE, "JPEG", quality=90, **KINDS[kind][1])[:-2_000])
    assert not whole
    assert error < 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_cut_in_half_is_refused(kind: str) -> None:
    picture, options = KINDS[kind]
    data = encoded(picture, "JPEG", quality=90, **options)
    assert code(data[: len(data) // 2]) == "truncated"


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused() -> None:
    data = encoded(LARGE, "JPEG", quality=90, progressive=True)
    last = data.rindex(b"\xff\xda")
    assert code(data[:last]) == "truncated"
    assert looks(data[: last + 200])[0] is False


def test_a_png_without_its_end_is_taken_and_marked() -> None:
    data = encoded(LARGE, "PNG")
    assert looks(data)[0] is True
    for missing in (1, 2, 10, 12, 14, 16):  # IEND, and the sum of the last pixels
        whole, error = looks(data[:-missing])
        assert not whole
        assert error < 1
    assert code(data[:-2_000]) == "truncated"
    assert code(data[: len(data) // 2]) == "truncated"


def test_a_decoder_says_what_is_not_whole() -> None:
    data = encoded(scene(), "JPEG", quality=90)
    with DecodePool(1, SIZE) as pool:
        assert pool.decode(data).whole
        cut = pool.decode(data[:-2], thumbnail=True)
    assert not cut.whole
    assert cut.thumbnail
