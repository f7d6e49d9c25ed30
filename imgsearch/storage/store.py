"""Where picture bytes live: a content-addressed store in a folder, a bucket or memory.

A picture's address is `store:<aa>/<sha256>`; it names no place, so that the store can be moved by changing one setting.
The same bytes are stored once. Thumbnails stand under `thumb/<aa>/<sha256>.webp`, what second looks made
of a picture under `look/<aa>/<sha256>.<kind>`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from imgsearch.errors import FetchRefused, ObjectMissing, SettingsError, StoreDenied, StoreError
from imgsearch.extras import needed
from imgsearch.storage import owners
from imgsearch.storage.files import Files
from imgsearch.storage.keys import KEPT, MADE_AGAIN, PICTURE, digest_of, key_of, thumbnail_key
from imgsearch.storage.objects import Entry, Objects
from imgsearch.storage.owners import Owner

MAX_BYTES = 64 << 20  # one picture
MAX_THUMBNAIL_BYTES = 4 << 20
# A second `put` of an object older than this makes it young again, so that a sweep that began before cannot take it.
RENEW_AFTER = timedelta(minutes=10)
GRACE = timedelta(hours=1)
MOST_REFUSED = 100  # objects that cannot be deleted, after which a sweep ends: the store is away
_URI = re.compile(r"store:(([0-9a-f]{2})/(\2[0-9a-f]{62}))")
_T = TypeVar("_T")


class Stored(NamedTuple):
    """One stored picture: its uri, its size in bytes and when it was last written (aware, UTC)."""

    uri: str
    size: int
    modified: datetime


class Copied(NamedTuple):
    """What `Store.copy_to` did: objects written and bytes in them, and keys whose bytes do not match their name."""

    objects: int
    size: int
    damaged: tuple[str, ...]


class Swept(NamedTuple):
    """What `sweep` did: objects looked at, objects deleted and bytes freed."""

    seen: int
    deleted: int
    size: int


def uri_of(sha256: bytes) -> str:
    """Return the address of the picture with this digest (32 bytes)."""
    return f"store:{key_of(sha256)}"


def sha256_of(uri: str) -> bytes:
    """Return the digest (32 bytes) in a `store:` address.

    Raises FetchRefused when `uri` is not such an address.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise FetchRefused(f"{uri[:100]!r} is not store:<aa>/<sha256>; use what Store.put returned.")
    return bytes.fromhex(match[3])


@dataclass(frozen=True)
class Store:
    """Pictures and thumbnails in one place. Safe to share between threads.

    Every method raises StoreError (worth trying again, perhaps after `retry_after` seconds), StoreDenied or, where an
    object is asked for, ObjectMissing. `owner`: the database whose mark goes before what is put here.
    """

    objects: Objects
    owner: Owner | None = None

    def of(self, owner: Owner) -> Store:
        """Return the same store as this database's."""
        return replace(self, owner=owner)

    def mark(self) -> None:
        """Let the store know that its database keeps pictures here."""
        if self.owner:
            owners.mark(self.objects, self.owner)

    def put(self, data: bytes) -> str:
        """Store `data` whole or not at all and return its uri; the same bytes again write nothing new."""
        key = key_of(hashlib.sha256(data).digest())
        self.mark()
        try:
            found = self.objects.stat(key)
        except StoreDenied:
            found = None  # rights to write without rights to look are usual in S3
        if found is None or found.size != len(data):
            self.objects.write(key, data)
        elif datetime.now(UTC) - found.modified > RENEW_AFTER:
            self.objects.renew(key, data)
        return f"store:{key}"

    def get(self, uri: str, max_bytes: int = MAX_BYTES) -> bytes:
        """Return the bytes of a picture; FetchRefused when there are more than `max_bytes` or `uri` is not ours."""
        return self.objects.read(key_of(sha256_of(uri)), max_bytes)

    def put_thumbnail(self, sha256: bytes, data: bytes) -> None:
        """Store the thumbnail (WebP) of the picture with this digest, in place of any other.

        Not worth waiting for the disk: one that a power cut empties is as if there were none.
        """
        self.mark()
        self.objects.write(thumbnail_key(sha256), data, durable=False)

    def get_thumbnail(self, sha256: bytes) -> bytes:
        """Return the thumbnail (WebP) of the picture with this digest."""
        return self.objects.read(thumbnail_key(sha256), MAX_THUMBNAIL_BYTES)

    def put_kept(self, sha256: bytes, kind: str, data: bytes) -> None:
        """Keep something small that was made of the picture with this digest: it goes when the picture goes."""
        self.mark()
        self.objects.write(f"look/{key_of(sha256)}.{kind}", data, durable=False)

    def get_kept(self, sha256: bytes, kind: str, max_bytes: int) -> bytes:
        """Return what was kept of the picture with this digest."""
        return self.objects.read(f"look/{key_of(sha256)}.{kind}", max_bytes)

    def exists(self, uri: str) -> bool:
        """Return whether the picture is here."""
        return self.objects.stat(key_of(sha256_of(uri))) is not None

    def delete(self, uri: str) -> None:
        """Delete a picture and what was made of it, if they are here. Others may use the same bytes: see `sweep`."""
        sha256 = sha256_of(uri)
        self.objects.delete(thumbnail_key(sha256))
        for kind in KEPT:
            self.objects.delete(f"look/{key_of(sha256)}.{kind}")
        self.objects.delete(key_of(sha256))

    def keys(self) -> Iterator[Stored]:
        """Walk the pictures (not the thumbnails, nor what is not ours), in no order."""
        for entry in self.objects.entries():
            if PICTURE.fullmatch(entry.key):
                yield Stored(f"store:{entry.key}", entry.size, entry.modified)

    def copy_to(
        self,
        other: Store,
        progress: Callable[[int, int], None] | None = None,
        workers: int = 8,
        used: Callable[[list[bytes]], set[bytes]] | None = None,
    ) -> Copied:
        """Copy pictures and thumbnails that `other` lacks; may be stopped and started again. `used`: as for `sweep`.

        `progress(objects, bytes)` is called in this thread after each object with the totals so far, those already
        there included. Objects whose bytes do not match their name are left out and named in the result.
        """

        from concurrent.futures import ThreadPoolExecutor  # here: only copying needs it

        def copy(key: str) -> tuple[int, bool]:
            return _copy(self.objects, other.objects, key)

        seen = size = written = 0
        damaged: list[str] = []
        ours = (
            entry for entry in self.objects.entries() if digest_of(entry.key) and not MADE_AGAIN.fullmatch(entry.key)
        )
        with ThreadPoolExecutor(workers, thread_name_prefix="copy") as pool:
            for entries in _batches(ours, 16 * workers):
                batch = _used_of(entries, used) if used else entries
                for entry, (copied, whole) in zip(batch, pool.map(copy, [entry.key for entry in batch]), strict=True):
                    seen, size, written = seen + 1, size + copied, written + (copied > 0)
                    if not whole:
                        damaged.append(entry.key)
                    if progress:
                        progress(seen, size)
        return Copied(written, size, tuple(damaged))


def open_store(url: str, timeout: float = 20.0) -> Store:
    """Open the store at `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`.

    Nothing is read or connected to yet. S3 takes credentials, region and endpoint from the usual AWS_… variables
    (AWS_ENDPOINT_URL for others than Amazon; http:// there is allowed). `memory://` (or `memory://name`) lives and dies
    with this process and no other sees it: for tests only. `timeout`: seconds for one request to a bucket; retries may
    double it.

    Raises SettingsError when `url` cannot be understood.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc not in {"", "localhost"} or not path.is_absolute() or parts.query or parts.fragment:
            raise SettingsError(f"{url!r} is not a folder; write file:///absolute/path in IMGSEARCH_STORAGE_URL.")
        return Store(Files(path))
    if parts.scheme not in {"memory", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss"} or "://" not in url:
        raise SettingsError(
            f"{url!r} is not a picture store; set IMGSEARCH_STORAGE_URL to file:///…, s3://… or gs://…."
        )
    return Store(_remote(url, f"{parts.scheme}://{parts.hostname or ''}", timeout))


def _remote(url: str, name: str, timeout: float) -> Objects:
    with needed("bucket", f"The picture store {name}"):  # here: a process that keeps pictures in files never loads it
        import obstore.exceptions
        from obstore.store import from_url

        from imgsearch.storage.remote import Remote, memory, options

    if name.startswith("memory:"):
        return memory(url)
    endpoints = [value for key, value in os.environ.items() if key.startswith("AWS_ENDPOINT")]
    allow_http = any(value.startswith("http://") for value in endpoints)
    try:
        return Remote(from_url(url, **options(timeout, allow_http=allow_http)), name, timeout)
    except (obstore.exceptions.BaseError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise SettingsError(
            f"{name} cannot be opened ({said}); check IMGSEARCH_STORAGE_URL and its credentials."
        ) from error


def sweep(store: Store, used: Callable[[list[bytes]], set[bytes]], older_than: timedelta = GRACE) -> Swept:
    """Delete pictures and thumbnails that no row uses and that were last written before `older_than` ago.

    `used(digests)` answers those of at most 1,000 digests (32 bytes each) that some row uses; it must see every
    committed row. An upload in flight is safe as long as it commits within `older_than` less ten minutes of its `put`,
    which renews what it finds; for the one remaining gap in buckets see `Remote.delete_older`. What is not ours in the
    folder or bucket is never touched. What cannot be deleted keeps nothing else: the first such error is raised last.
    """
    before = datetime.now(UTC) - older_than
    seen = deleted = size = 0
    refused: list[StoreError] = []
    ours = (entry for entry in store.objects.entries() if digest_of(entry.key))
    for batch in _batches(ours, 1000):
        seen += len(batch)
        old = [(entry, digest) for entry in batch if entry.modified < before and (digest := digest_of(entry.key))]
        kept = used(sorted({digest for _, digest in old})) if old else set()
        for entry, digest in old:
            try:
                if digest not in kept and store.objects.delete_older(entry.key, before):
                    deleted, size = deleted + 1, size + entry.size
            except StoreError as error:
                refused.append(error)
                if len(refused) == MOST_REFUSED:
                    raise error
    store.objects.sweep_unfinished(before)
    if refused:
        raise refused[0]
    return Swept(seen, deleted, size)


def _copy(source: Objects, target: Objects, key: str) -> tuple[int, bool]:
    """Copy one object unless it is there; return (bytes written, whether its bytes match its name)."""
    if target.stat(key) is not None:
        return 0, True
    try:
        data = source.read(key, MAX_BYTES)
    except ObjectMissing:
        return 0, True  # swept while we walk
    except FetchRefused:
        return 0, False
    if PICTURE.fullmatch(key) and hashlib.sha256(data).digest() != digest_of(key):
        return 0, False
    target.write(key, data)
    return len(data), True


def _used_of(entries: list[Entry], used: Callable[[list[bytes]], set[bytes]]) -> list[Entry]:
    kept = used(sorted({digest for entry in entries if (digest := digest_of(entry.key))}))
    return [entry for entry in entries if digest_of(entry.key) in kept]


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch
