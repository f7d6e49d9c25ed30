"""How objects live in a bucket (S3, Google, Azure) or in this process's memory, by way of obstore."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import MemoryStore

from imgsearch.errors import FetchRefused, ObjectMissing, StoreDenied, StoreError
from imgsearch.storage.objects import Entry

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

CHUNK = 1 << 20  # bytes
THROTTLED_WAIT = 5.0  # seconds; obstore does not pass Retry-After on, so this is what we ask callers to wait


def options(timeout: float, *, allow_http: bool) -> dict[str, Any]:
    """Return obstore options that bound one call to about twice `timeout` seconds, retries included."""
    return {
        "client_options": {
            "allow_http": allow_http,
            "connect_timeout": timedelta(seconds=min(3.0, timeout)),
            "read_timeout": timedelta(seconds=min(5.0, timeout)),
            "timeout": timedelta(seconds=timeout),
        },
        "retry_config": {
            "max_retries": 3,
            "retry_timeout": timedelta(seconds=timeout),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
        },
    }


@cache
def memory(url: str) -> Remote:
    """Return the one store that this process knows as `url`: a worker and a page in one process share it."""
    return Remote(MemoryStore(), url, timeout=1.0)


class Remote:
    """Objects in an obstore store; `name` is what messages call it, `timeout` bounds one read (seconds)."""

    def __init__(self, bucket: ObjectStore, name: str, timeout: float) -> None:
        self.bucket = bucket
        self.name = name
        self.timeout = timeout

    def read(self, key: str, max_bytes: int) -> bytes:
        deadline = time.monotonic() + 2 * self.timeout
        parts = bytearray()
        with self._speaking(key):
            answer = obstore.get(self.bucket, key)
            size = answer.meta["size"]
            if size > max_bytes:
                raise FetchRefused(f"{key} has {size} bytes, more than the {max_bytes} allowed; use a smaller picture.")
            for chunk in answer.stream(min_chunk_size=CHUNK):
                parts += chunk
                if len(parts) > max_bytes:
                    raise FetchRefused(f"{key} has more than the {max_bytes} bytes allowed; use a smaller picture.")
                if time.monotonic() > deadline:
                    raise StoreError(f"{self.name} is too slow in sending {key}; try again later.")
        if len(parts) != size:
            raise StoreError(f"{self.name} sent {len(parts)} of {size} bytes of {key}; try again.")
        return bytes(parts)

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:  # a bucket's PUT always is
        with self._speaking(key):
            # One PUT is atomic; a multipart upload would leave invisible, billed parts behind when we crash.
            obstore.put(self.bucket, key, data, use_multipart=False)

    def stat(self, key: str) -> Entry | None:
        try:
            with self._speaking(key):
                return _entry(obstore.head(self.bucket, key))
        except ObjectMissing:
            return None

    def renew(self, key: str, data: bytes) -> None:
        self.write(key, data)

    def delete(self, key: str) -> None:
        try:
            with self._speaking(key):
                obstore.delete(self.bucket, key)
        except ObjectMissing:
            pass  # some stores say so, others do not

    def delete_older(self, key: str, before: datetime) -> bool:
        # Buckets have no portable "delete if unchanged": an upload of the very same bytes that lands between these
        # two calls (one round trip, and only for an object older than the grace period) is lost and asked for again.
        found = self.stat(key)
        if found is None or found.modified >= before:
            return False
        self.delete(key)
        return True

    def entries(self, under: str = "") -> Iterator[Entry]:
        with self._speaking("its list of objects"):
            for page in obstore.list(self.bucket, under or None, chunk_size=1000):
                yield from map(_entry, page)

    def sweep_unfinished(self, before: datetime) -> int:
        return 0  # one PUT leaves nothing behind

    @contextmanager
    def _speaking(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise self._translated(key, error) from error

    def _translated(self, key: str, error: Exception) -> StoreError:
        # The first line says what happened; the rest is a debug dump. Query strings may carry signatures.
        said = re.sub(r"\?\S+", "", str(error).partition("\n")[0])
        status = re.search(r"status code: (\d{3})", said)
        code = int(status[1]) if status else 0
        if isinstance(error, FileNotFoundError):
            if "NoSuchBucket" in str(error):
                return StoreError(f"{self.name} does not exist; make it or check IMGSEARCH_STORAGE_URL.")
            return ObjectMissing(f"There is no {key} in {self.name}; add the picture again.")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or code in {401, 403}:
            return StoreDenied(
                f"{self.name} refuses us {key}; check the credentials and their rights to read, write, delete and list "
                f"(without the right to list, S3 says this of a missing object too). It said: {said}"
            )
        if "/latest/api/token" in said or "/latest/meta-data" in said:  # the last place AWS credentials are looked for
            return StoreDenied(
                f"There are no credentials for {self.name}; set AWS_ACCESS_KEY_ID or its like. It said: {said}"
            )
        if code in {429, 503}:
            return StoreError(
                f"{self.name} asks us to slow down ({code}); try again later.", retry_after=THROTTLED_WAIT
            )
        return StoreError(f"{self.name} cannot be used for {key}; check that it is up and try again. It said: {said}")


def _entry(meta: ObjectMeta) -> Entry:
    return Entry(meta["path"], meta["size"], meta["last_modified"])
