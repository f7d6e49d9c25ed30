"""What a Photoshop file says of itself: its size, its profile, and where the flattened picture is.

Layers, paths and thumbnails never reach Pillow, whose walk through them has no bound.
"""

from __future__ import annotations

from struct import pack, unpack_from

from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_RESOURCES = 10_000
_PROFILE, _VERSION = 1039, 1057  # image resources: the ICC profile; whether the flattened picture is a real one
# (colour mode, bits) that Pillow reads: bitmap, grey, indexed, RGB, CMYK, multichannel, duotone, LAB.
_READ = frozenset({(0, 1), (0, 8), (1, 8), (2, 8), (3, 8), (4, 8), (7, 8), (8, 8), (9, 8)})


def psd(data: bytes, most_frames: int) -> Container:
    """Read the header, and leave out everything but palette, profile and the flattened picture."""
    version, channels, height, width, bits, mode = unpack_from(">H6xHIIHH", data, 4)
    if version != 1 or (mode, bits) not in _READ or not 0 < channels <= 56:
        raise refusal("format_refused", f"Photoshop of version {version}, colour mode {mode}, {bits} bits")
    palette_end = _section(data, 26)
    resources_end = _section(data, palette_end)
    profile = _resource(data, palette_end + 4, resources_end)
    layers_end = _section(data, resources_end)
    if unpack_from(">H", data, layers_end)[0] not in (0, 1):
        raise refusal("format_refused", "Photoshop with a packed picture")
    kept = (data[:palette_end], pack(">II", 0, 0), data[layers_end:])
    return Container(width, height, profile=profile, cleaned=b"".join(kept))


def _section(data: bytes, at: int) -> int:
    end = at + 4 + int(unpack_from(">I", data, at)[0])
    if end > len(data):
        raise refusal("truncated", "Photoshop section")
    return end


def _resource(data: bytes, at: int, end: int) -> bytes | None:
    """Return the profile; refuse a file whose flattened picture was left out when it was saved."""
    profile = None
    for _ in range(_MOST_RESOURCES):
        if at + 12 > end:
            return profile
        (kind, name) = unpack_from(">HB", data, at + 4)
        at += 6 + (name + 2 & ~1)
        (length,) = unpack_from(">I", data, at)
        content = data[at + 4 : at + 4 + length] if kind in (_PROFILE, _VERSION) else b""
        if kind == _PROFILE:
            profile = content
        elif kind == _VERSION and content[4:5] == b"\0":
            raise refusal("format_refused", "Photoshop saved without “maximize compatibility”")
        at += 4 + (length + 1 & ~1)
    raise refusal("corrupt", "Photoshop with too many resources")
