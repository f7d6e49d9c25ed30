"""Pictures that the picture tests draw themselves, and what a right decoder must make of them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# What turns an upright picture into the one a camera stores under this EXIF orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def scene(width: int = 300, height: int = 200) -> Image.Image:
    """A smooth picture that no turn or flip leaves as it was."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 235 * x / width, 235 * y / height
    blue = 127 + 100 * np.sin(9 * x / width) * np.cos(5 * y / height)
    pixels = np.stack([red, green, blue], axis=-1)
    pixels[height // 8 : height // 2, width // 8 : width // 4] = (240, 30, 40)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def turned(picture: Image.Image, orientation: int, kind: str, **options: Any) -> bytes:
    """The file that a camera held this way writes of the upright picture."""
    method = STORED[orientation]
    stored = picture if method is None else picture.transpose(method)
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(stored, kind, exif=tags, **options)


def squashed(picture: Image.Image, size: int) -> NDArray[np.float64]:
    """What a model should see: plain BICUBIC, no short cuts."""
    return np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC), np.float64)


def off(got: NDArray[np.uint8], wanted: NDArray[np.float64]) -> float:
    """Mean absolute error in levels of 255."""
    return float(np.abs(got.astype(np.float64) - wanted).mean())


def chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, *chunks: bytes, data: bytes = b"") -> bytes:
    """A PNG of raw scan lines (filter bytes included), with chunks between header and data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", header, *chunks, chunk(b"IDAT", zlib.compress(data, 9)), chunk(b"IEND", b""))
    )


# RGB → XYZ (D50) of three colour spaces, from their published primaries.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
GAMMA = 2.2


def profile(matrix: NDArray[np.float64], space: bytes = b"RGB ") -> bytes:
    """A version 2 matrix profile with a plain gamma."""
    tags = {b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    name = b"drawn\0"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    for column, letter in enumerate(b"rgb"):
        tags[bytes([letter]) + b"XYZ"] = _xyz(tuple(matrix[:, column]))
        tags[bytes([letter]) + b"TRC"] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMA * 256))
    at, table, body = 132 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def as_srgb(picture: Image.Image, matrix: NDArray[np.float64]) -> Image.Image:
    """What a picture in that space looks like in sRGB: the textbook, in floating point."""
    linear = (np.asarray(picture, np.float64) / 255) ** GAMMA
    light = np.clip(linear @ (np.linalg.inv(SRGB) @ matrix).T, 0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(curved * 255).astype(np.uint8))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))
