"""A small white picture in every format: decoding them once imports all that decoding imports."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from imgsearch.picture.formats import FORMATS

_LIBRARIES = {"HEIF": "pi_heif", "JXL": "imagecodecs"}
_SAVED_AS = {"PNM": "PPM"}  # names of Pillow's that are not ours
_WRITTEN = {
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\1\0\0\0\1\0\10\0\3" + bytes(12) + b"\0\0\xff\xff\xff",
    "JXL": b"\xff\nC@$\x08\x04\x01\x00<\x00K\x18\x8b\x15\x80]\xf4\xff\x00\x10R(p\xfa\x03",
}


def is_installed(name: str) -> bool:
    """Whether the library that decodes this format is here."""
    return name not in _LIBRARIES or find_spec(_LIBRARIES[name]) is not None


def samples() -> Iterator[bytes]:
    """Yield a picture in every format that can be decoded here."""
    picture = Image.new("RGB", (16, 16), "white")
    for name in filter(is_installed, FORMATS):
        if name == "HEIF":
            yield Path(__file__).with_name("white.heic").read_bytes()
        elif name in _WRITTEN:
            yield _WRITTEN[name]
        else:
            out = io.BytesIO()
            picture.save(out, _SAVED_AS.get(name, name))
            yield out.getvalue()
