"""Is a picture in a folder read faster by plain system calls or by obstore's LocalStore?

Run `python -m bench.store_read`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import obstore
from obstore.store import LocalStore

from imgsearch.storage.files import Files
from imgsearch.storage.store import Store, open_store

PICTURES, SIZE, ROUNDS = 300, 100_000, 7  # objects, bytes each, interleaved rounds


def main() -> None:
    """Print microseconds per read (median of the rounds), page cache warm."""
    with tempfile.TemporaryDirectory() as folder:
        store: Store = open_store(f"file://{folder}")
        uris = [store.put(os.urandom(SIZE)) for _ in range(PICTURES)]
        keys = [uri.removeprefix("store:") for uri in uris]
        local = LocalStore(folder)
        files = Files(store.objects.root) if isinstance(store.objects, Files) else None
        assert files is not None
        ways: dict[str, Callable[[], object]] = {
            "Store.get": lambda: [store.get(uri) for uri in uris],
            "Files.read": lambda: [files.read(key, SIZE) for key in keys],
            "obstore LocalStore": lambda: [obstore.get(local, key).bytes().to_bytes() for key in keys],
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                took[name].append((time.perf_counter() - start) / PICTURES * 1e6)
    for name, times in took.items():
        print(f"{name:20} {statistics.median(times):7.1f} µs per read of {SIZE} bytes")


if __name__ == "__main__":
    main()
