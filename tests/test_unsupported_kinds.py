"""An undamaged picture of a kind that the decoder does not know is refused as that kind, not as damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from imgsearch import picture
from imgsearch.errors import PictureError


def tiff(bits: int, *, bands: int = 1, compression: int = 1, sample: int = 1) -> bytes:
    """A whole TIFF of 16 x 16 pixels, its samples of so many bits."""
    size = -(-16 * bits * bands // 8) * 16
    tags = [(256, 16), (257, 16), (258, bits), (259, compression), (262, 1 if bands == 1 else 2), (273, 200)]
    tags += [(277, bands), (278, 16), (279, size), (339, sample)]
    entries = b"".join(
        struct.pack("<HHIHxx" if tag != 279 else "<HHII", tag, 3 + (tag == 279), 1, v) for tag, v in tags
    )
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(200, b"\0") + bytes(size)


def bmp(bits: int, packing: int, masks: tuple[int, ...] = ()) -> bytes:
    """A whole BMP of 16 x 16 pixels."""
    body = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, bits, packing, 0, 1, 1, 0, 0) + struct.pack(
        f"<{len(masks)}I", *masks
    )
    pixels = bytes(-(-16 * bits // 32) * 4 * 16)
    head = struct.pack("<2sIHHI", b"BM", 14 + len(body) + len(pixels), 0, 0, 14 + len(body))
    return head + body + pixels


KINDS: dict[str, Callable[[], bytes]] = {
    **{f"TIFF of {bits} bits": lambda bits=bits: tiff(bits) for bits in (3, 5, 10, 14, 24, 64)},
    "TIFF of 64-bit floats in three bands": lambda: tiff(64, bands=3, sample=3),
    "TIFF of an unknown compression": lambda: tiff(8, compression=47_000),
    "BMP of 3 bits": lambda: bmp(3, 0),
    "BMP of odd bit fields": lambda: bmp(16, 3, (0x0F00, 0x00F0, 0x000F)),
    "BMP of odd bit fields in 32 bits": lambda: bmp(32, 3, (0x3FF00000, 0x000FFC00, 0x000003FF)),
    "BMP that holds a JPEG": lambda: bmp(24, 4),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_that_is_not_supported_is_called_that(name: str) -> None:
    with pytest.raises(PictureError) as caught:
        picture.decode(KINDS[name](), 16)
    assert caught.value.code == "format_refused", str(caught.value)
    assert "damaged" not in str(caught.value)
