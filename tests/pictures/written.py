"""Picture files that Pillow does not write: Photoshop, 16-bit PPM and PNG, PPM as text, icons of bitmaps."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PSD_MODES = {"1": (0, 1), "L": (1, 1), "P": (2, 1), "RGB": (3, 3), "RGBA": (3, 4), "CMYK": (4, 4), "LAB": (9, 3)}


def psd(picture: Image.Image, *, packed: bool = False, resources: bytes = b"", layers: bytes = b"") -> bytes:
    """A Photoshop file whose flattened picture this is."""
    mode, channels = _PSD_MODES[picture.mode]
    planes = [np.asarray(band) for band in picture.split()] if picture.mode != "P" else [np.asarray(picture)]
    if picture.mode == "CMYK":
        planes = [255 - plane for plane in planes]
    palette = b""
    if picture.mode == "P":
        colours = np.zeros((256, 3), np.uint8)
        given = np.array(picture.getpalette() or [], np.uint8).reshape(-1, 3)
        colours[: len(given)] = given
        palette = colours.T.tobytes()
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", channels, picture.height, picture.width, 8, mode)
    sections = b"".join(struct.pack(">I", len(part)) + part for part in (palette, resources, layers))
    rows = [_packbits(row.tobytes()) if packed else row.tobytes() for plane in planes for row in plane]
    lengths = b"".join(struct.pack(">H", len(row)) for row in rows) if packed else b""
    return head + sections + struct.pack(">H", packed) + lengths + b"".join(rows)


def psd_resource(kind: int, content: bytes) -> bytes:
    """One image resource without a name."""
    return b"8BIM" + struct.pack(">HHI", kind, 0, len(content)) + content + bytes(len(content) % 2)


def _packbits(row: bytes) -> bytes:
    parts = [row[at : at + 128] for at in range(0, len(row), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def ppm(picture: Image.Image, most: int) -> bytes:
    """A PPM of so many shades; two bytes each above 255."""
    values = np.rint(np.asarray(picture.convert("RGB"), np.float64) / 255 * most)
    head = f"P6\n# drawn\n{picture.width} {picture.height}\n{most}\n".encode()
    return head + values.astype(">u2" if most > 255 else "u1").tobytes()


def text_ppm(picture: Image.Image) -> bytes:
    """A PPM in words."""
    values = " ".join(map(str, np.asarray(picture.convert("RGB")).ravel()))
    return f"P3\n{picture.width} {picture.height}\n255\n{values}\n".encode()


def deep_png(values: NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits a value, of 3 or 4 channels."""
    height, width, channels = values.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    packed = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def icon(picture: Image.Image) -> bytes:
    """An icon of three sizes, each a bitmap; the largest comes second."""
    largest = picture.copy()
    largest.thumbnail((256, 256))
    sizes = [(16, 16), largest.size, (32, 32)]
    out = io.BytesIO()
    others = [picture.resize(size) for size in (sizes[0], sizes[2])]
    largest.save(out, "ICO", bitmap_format="bmp", sizes=sizes, append_images=[*others, largest])
    return out.getvalue()
