"""Where picture bytes live and how they are fetched: `read` takes every kind of address."""

from __future__ import annotations

from dataclasses import replace

from imgsearch.errors import FetchRefused
from imgsearch.extras import needed
from imgsearch.storage.folder import read_file
from imgsearch.storage.policy import Fetched, FetchPolicy
from imgsearch.storage.store import Store, open_store, sweep

__all__ = ["UNREAD", "FetchPolicy", "Fetched", "Store", "open_store", "read", "sweep"]

UNREAD = "unread"  # the scheme of a picture whose file a shop could not read; the rest is the file's name there


def read(uri: str, store: Store, policy: FetchPolicy, max_bytes: int) -> Fetched:
    """Read a picture from wherever its `uri` says: `store:`, `http:`, `https:` or, where allowed, `file:`.

    Raises FetchRefused (never to be tried again: forbidden, or more than `max_bytes`), ObjectMissing, StoreDenied, and
    StoreError itself for what is worth trying again.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme == "store":
        return Fetched(store.get(uri, max_bytes), uri)
    if scheme in {"http", "https"}:
        with needed("fetch", "Fetching from the web"):  # here: httpx costs a web process that never fetches 100 ms
            from imgsearch.storage.web import fetch

        limited = replace(policy, max_bytes=max_bytes)
        return fetch(uri, limited)
    if scheme == "file":
        return read_file(uri, policy, max_bytes)
    if scheme == UNREAD:
        name = uri.partition(":")[2]
        raise FetchRefused(f"{name[:100]!r} could not be read when it was saved; save its row again in your shop.")
    raise FetchRefused(f"{uri[:20]!r}… is not a supported address; use store:, http:, https: or an allowed file:.")
