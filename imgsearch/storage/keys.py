"""How a picture, and what was made of it, is called in a store: by the digest of the picture's bytes."""

from __future__ import annotations

import re

KEPT = ("sift", "own")  # what may be kept of a picture: local features, and what a step of the shop makes of it
PICTURE = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})")
MADE_AGAIN = re.compile(r"look/([0-9a-f]{2})/(\1[0-9a-f]{62})\.(?:sift|own)")
_THUMBNAIL = re.compile(r"thumb/([0-9a-f]{2})/(\1[0-9a-f]{62})\.webp")


def key_of(sha256: bytes) -> str:
    """Return the key of the picture with this digest (32 bytes)."""
    return f"{sha256[:1].hex()}/{sha256.hex()}"


def thumbnail_key(sha256: bytes) -> str:
    """Return the key of its thumbnail."""
    return f"thumb/{key_of(sha256)}.webp"


def digest_of(key: str) -> bytes | None:
    """Return the digest of the picture that an object is, or was made of; None for what is not ours."""
    match = PICTURE.fullmatch(key) or _THUMBNAIL.fullmatch(key) or MADE_AGAIN.fullmatch(key)
    return bytes.fromhex(match[2]) if match else None
