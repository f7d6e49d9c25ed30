"""Addresses that nobody can guess, read or change: a thumbnail, and a photo that was searched by.

A sealed text carries its words out of sight (SIV: the HMAC-SHA256 of the words, cut to 16 bytes, stands before them and
begins the key stream they are hidden in, so the same words give the same text). Whoever has the address of a thumbnail
may follow it without a key, as a shop's visitors do, until it expires or the tenant has no picture of these bytes; it
shows neither tenant nor digest. It changes once an hour (IMGSEARCH_HTTP_THUMBNAIL_HOURS), so that browsers can keep
what it leads to. A photo's text is worth something to the tenant alone that asked.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from flask import g, url_for

from imgsearch.http import access
from imgsearch.http.state import AppState

LONGEST = 1200  # characters of a sealed text: a name of a tenant has at most 200, of four bytes each
MARK = 16  # bytes


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """What the address of a thumbnail says; `expires` in seconds since 1970."""

    tenant: str
    digest: bytes
    expires: int


def thumbnail(state: AppState, tenant: str, digest: bytes | None) -> str | None:
    """Return the address of the thumbnail of a tenant's picture with this digest, from the root of the host."""
    return thumbnails(state)(tenant, digest)


def thumbnails(state: AppState) -> Callable[[str, bytes | None], str | None]:
    """Return what makes addresses of thumbnails: of dozens on a page, where they begin and end is worked out once."""
    (begin, end), secret, until = _around("thumbnail"), state.secret, expiry(state).to_bytes(5)

    def address(tenant: str, digest: bytes | None) -> str | None:
        return None if digest is None else begin + seal(secret, "thumbnail", until + digest + tenant.encode()) + end

    return address


def larger(state: AppState, tenant: str, digest: bytes | None) -> str | None:
    """Return the address of the same picture as it was added, where the shop shows it so; else of its thumbnail."""
    if digest is None or state.settings.page_larger == "off":
        return thumbnail(state, tenant, digest)
    words = expiry(state).to_bytes(5) + digest + tenant.encode()
    begin, end = _around("larger")
    return begin + seal(state.secret, "larger", words) + end


def _around(purpose: str) -> tuple[str, str]:
    """Return what stands before and behind the name in addresses of pictures in this request."""
    known: dict[str, tuple[str, str]] = g.setdefault("imgsearch_addresses", {})
    if purpose not in known:
        begin, _, end = url_for(f"imgsearch.{purpose}", name="-").rpartition("-")
        known[purpose] = begin, end
    return known[purpose]


def larger_in(state: AppState, name: str) -> Thumbnail | None:
    """Return what the name of a larger picture says, as `thumbnail_in` does."""
    return _read(state, "larger", name)


def thumbnail_in(state: AppState, name: str) -> Thumbnail | None:
    """Return what the name of a thumbnail says, None when it was not sealed here or has expired."""
    return _read(state, "thumbnail", name)


def _read(state: AppState, purpose: str, name: str) -> Thumbnail | None:
    words = unseal(state.secret, purpose, name)
    if words is None or len(words) < 38:
        return None
    found = Thumbnail(expires=int.from_bytes(words[:5]), digest=words[5:37], tenant=words[37:].decode())
    return found if found.expires > time.time() else None


def expiry(state: AppState) -> int:
    """Return when addresses of thumbnails given out now expire: in one to two times their hours."""
    life = state.settings.http_thumbnail_hours * 3600
    return (int(time.time()) // life + 2) * life


def expires_at(state: AppState) -> datetime:
    """Return the same as a time."""
    return datetime.fromtimestamp(expiry(state), UTC)


def photo(state: AppState, digest: bytes) -> str:
    """Return a photo that whoever asks has searched by, as text for an address."""
    return seal(state.secret, "photo", digest + (access.me().tenant or "").encode())


def photo_in(state: AppState, text: str) -> bytes | None:
    """Return the digest in such a text, None where it is none or was given to another tenant."""
    words = unseal(state.secret, "photo", text)
    if words is None or len(words) < 32 or words[32:].decode() != (access.me().tenant or ""):
        return None
    return words[:32]


@lru_cache(maxsize=1024)  # a page writes the same photo into each of its links
def seal(secret: bytes, purpose: str, words: bytes) -> str:
    """Return words as a sealed text; one for one purpose is worth nothing for another."""
    mark = hmac.digest(secret, purpose.encode() + b"\0" + words, "sha256")[:MARK]
    return urlsafe_b64encode(mark + _hidden(secret, purpose, mark, words)).decode().rstrip("=")


def unseal(secret: bytes, purpose: str, text: str) -> bytes | None:
    """Return the words of a sealed text, None when it was not sealed with this secret for this purpose."""
    if len(text) > LONGEST or not text.isascii():
        return None
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    words = _hidden(secret, purpose, raw[:MARK], raw[MARK:])
    made = seal.__wrapped__(secret, purpose, words)  # what strangers try is not worth remembering
    return words if hmac.compare_digest(made, text) else None


def _hidden(secret: bytes, purpose: str, mark: bytes, words: bytes) -> bytes:
    """Return words xor the key stream of a mark; doing it twice gives the words back."""
    blocks = range(-(-len(words) // 32))
    stream = b"".join(hmac.digest(secret, b"stream\0" + purpose.encode() + mark + bytes([n]), "sha256") for n in blocks)
    return bytes(one ^ other for one, other in zip(words, stream, strict=False))
