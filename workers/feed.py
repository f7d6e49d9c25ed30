"""From claims to pixels: threads fetch the bytes, child processes decode them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue

from imgsearch import picture
from imgsearch.errors import FetchRefused, ObjectMissing, PictureError, StoreDenied, StoreError
from imgsearch.queue import Claim, Failure
from imgsearch.storage import FetchPolicy, Store, read
from workers.batch import Pixels
from workers.decoder import Decoded, DecodePool

RETRIED_CODES = frozenset({"decoder_timeout", "decoder_crashed"})  # the machine may have been at fault
OUTAGE_AFTER = 3  # failures in a row, across pictures: then it is the store, not the picture


@dataclass(frozen=True, kw_only=True)
class Fed:
    """Pixels (S, S, 3) uint8 of one picture, and everybody who claimed these very bytes."""

    claims: list[Claim]
    pixels: Pixels = field(repr=False)
    sha256: bytes
    phash: str
    etag: str | None


@dataclass(frozen=True, kw_only=True)
class Snoozed:
    """The store is out, not the picture at fault: give back without spending the attempt."""

    claims: list[Claim]
    delay: float


Result = Fed | Snoozed | list[Failure]


class Feed:
    """Fetches and decodes in `threads` threads; results arrive in `ready`, in any order."""

    def __init__(
        self, store: Store, policy: FetchPolicy, pool: DecodePool, *, threads: int, thumbnails: bool = True
    ) -> None:
        self.ready: Queue[Result] = Queue()
        self._store, self._policy, self._pool, self._thumbnails = store, policy, pool, thumbnails
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="feed")
        self._outage = 0
        self._lock = threading.Lock()
        self.fetch_seconds = self.decode_seconds = 0.0

    def submit(self, claims: list[Claim]) -> None:
        """Feed pictures; claims of one call with the same bytes are read and decoded once."""
        groups: dict[object, list[Claim]] = {}
        for claim in claims:
            groups.setdefault((claim.tenant_id, claim.sha256) if claim.sha256 else claim.key, []).append(claim)
        for group in groups.values():
            self._threads.submit(self._feed, group)

    def close(self) -> None:
        """Drop what has not begun, and wait for what has."""
        self._threads.shutdown(cancel_futures=True)

    def _feed(self, claims: list[Claim]) -> None:
        try:
            self.ready.put(self._read(claims))
        except PictureError as error:
            self.ready.put(_failures(claims, error.code, error, permanent=error.code not in RETRIED_CODES))
        except Exception as error:  # noqa: BLE001 - a bug here must not leave a picture leased for ever
            self.ready.put(_failures(claims, "internal", error, permanent=False))

    def _read(self, claims: list[Claim]) -> Result:
        first = claims[0]
        began = time.perf_counter()
        try:
            fetched = read(first.uri, self._store, self._policy, picture.DEFAULT_LIMITS.max_bytes)
        except ObjectMissing as error:
            return _failures(claims, "missing", error, permanent=False)
        except FetchRefused as error:
            return _failures(claims, "fetch_refused", error, permanent=True)
        except StoreDenied as error:
            return self._unavailable(claims, "store_denied", error)
        except StoreError as error:
            return self._unavailable(claims, "store_unavailable", error)
        self._outage = 0
        data = fetched.data or b""
        digest = picture.digest(data)
        if first.sha256 is not None and digest != first.sha256:
            message = "The store's bytes are not the ones that were added (digests differ); add the picture again."
            return _failures(claims, "corrupt", StoreError(message), permanent=False)
        fetched_at = time.perf_counter()
        decoded = self._pool.decode(data, thumbnail=self._thumbnails)
        with self._lock:
            self.fetch_seconds += fetched_at - began
            self.decode_seconds += time.perf_counter() - fetched_at
        self._keep_thumbnail(digest, decoded)
        phash = f"{decoded.phash:064b}"
        return Fed(claims=claims, pixels=decoded.pixels, sha256=digest, phash=phash, etag=fetched.etag)

    def _unavailable(self, claims: list[Claim], code: str, error: StoreError) -> Result:
        with self._lock:
            self._outage += 1
            outage = self._outage >= OUTAGE_AFTER
        if outage:
            return Snoozed(claims=claims, delay=float(getattr(error, "retry_after", None) or 5.0))
        return _failures(claims, code, error, permanent=False)

    def _keep_thumbnail(self, digest: bytes, decoded: Decoded) -> None:
        if decoded.thumbnail is not None:
            try:
                self._store.put_thumbnail(digest, decoded.thumbnail)
            except StoreError:
                return  # a page can make it later; the vector must not wait for it


def _failures(claims: list[Claim], code: str, error: Exception, *, permanent: bool) -> list[Failure]:
    message = str(error) or type(error).__name__
    return [Failure(claim=claim, code=code, message=message, permanent=permanent) for claim in claims]
