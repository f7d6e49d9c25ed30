"""How a picture is read by a `file:` address: only below folders that the operator named."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgsearch.errors import FetchRefused, ObjectMissing, StoreDenied, StoreError
from imgsearch.storage.policy import Fetched, FetchPolicy


def read_file(uri: str, policy: FetchPolicy, max_bytes: int) -> Fetched:
    """Read `file:///…`; symbolic links are followed first and judged by where they end.

    Raises FetchRefused outside the allowed folders, for anything but a regular file and above `max_bytes`;
    ObjectMissing, StoreDenied or StoreError like the store.
    """
    path = _allowed(uri, policy)
    try:
        # O_NONBLOCK: opening a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            data = _regular(descriptor, path, max_bytes)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise ObjectMissing(f"There is no {path}; correct the address of the picture.") from error
    except PermissionError as error:
        raise StoreDenied(f"{path} may not be read; check its owner and mode.") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); check the disk and try again.") from error
    return Fetched(data, uri)


def _regular(descriptor: int, path: Path, max_bytes: int) -> bytes:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise FetchRefused(f"{path} is not a file; use the address of a picture.")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        data = file.read(max_bytes + 1) if found.st_size <= max_bytes else None
    if data is None or len(data) > max_bytes:
        raise FetchRefused(f"{path} has more than {max_bytes} bytes; use a smaller picture.")
    return data


def _allowed(uri: str, policy: FetchPolicy) -> Path:
    refused = FetchRefused(
        "This file: address is not below an allowed folder; "
        "name its folder in the worker's IMGSEARCH_FETCH_FOLDERS, or put the picture into the store."
    )
    try:
        parts = urlsplit(uri)
        path = unquote(parts.path, errors="strict")
    except ValueError:
        raise refused from None
    if (
        parts.netloc not in {"", "localhost"}
        or parts.query
        or parts.fragment
        or "\0" in path
        or not path.startswith("/")
    ):
        raise refused
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(Path(root).resolve()) for root in policy.file_roots):
        raise refused
    return real
