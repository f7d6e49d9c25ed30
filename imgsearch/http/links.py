"""Links that nobody can guess: a thumbnail, and a photo that was searched by, named by digest and signature.

Whoever has such a link may follow it without a key, as a shop's visitors do; it says nothing about a tenant. The same
bytes have the same link for ever, so it may be cached for ever.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256

from flask import url_for

from imgsearch.http.state import AppState

_SIGNED = re.compile(r"([0-9a-f]{64})-([A-Za-z0-9_-]{22})")


def thumbnail(state: AppState, digest: bytes | None) -> str | None:
    """Return the address of the thumbnail of the picture with this digest (32 bytes), from the root of the host."""
    return None if digest is None else url_for("imgsearch.thumbnail", name=signed(state, "thumbnail", digest))


def signed(state: AppState, purpose: str, digest: bytes) -> str:
    """Return digest and signature as text; what is signed for one purpose is worth nothing for another."""
    return f"{digest.hex()}-{_signature(state, purpose, digest)}"


def digest_in(state: AppState, purpose: str, name: str) -> bytes | None:
    """Return the digest in a signed text, None when it was not signed here for this purpose."""
    parts = _SIGNED.fullmatch(name)
    if parts is None:
        return None
    digest = bytes.fromhex(parts[1])
    return digest if hmac.compare_digest(_signature(state, purpose, digest), parts[2]) else None


def _signature(state: AppState, purpose: str, digest: bytes) -> str:
    made = hmac.new(state.secret, purpose.encode() + b"\0" + digest, sha256).digest()[:16]
    return urlsafe_b64encode(made).decode().rstrip("=")
