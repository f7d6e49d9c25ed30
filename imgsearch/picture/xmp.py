"""Which way up was the camera, as XMP says it? Looked for, not parsed: no XML parser, so no entities to expand."""

from __future__ import annotations

import re

PREFIX = b"http://ns.adobe.com/xap/1.0/\0"  # of a JPEG's segment
LONGEST = 1 << 18  # bytes looked at; editors write the properties of the picture first, their histories last
_ORIENTATION = re.compile(rb"""tiff:Orientation\s{0,9}(?:=\s{0,9}["']|>)\s{0,9}([1-8])\s{0,9}["'<]""")


def turn(packet: bytes) -> int:
    """Return the orientation 1-8 of an XMP packet; 0 where it says none."""
    found = _ORIENTATION.search(packet[:LONGEST])
    return int(found[1]) if found else 0
