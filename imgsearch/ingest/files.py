"""How the bytes of a picture come out of a file object: whole, whoever read of it before."""

from __future__ import annotations

import inspect
from contextlib import suppress
from io import UnsupportedOperation
from typing import Any

from imgsearch.errors import UsageError

_CURE = "Give the bytes of the picture, its path, a file opened for reading bytes, or an http(s) address."


def read(file: Any) -> bytes:
    """Return what a file holds: one that can seek from its start, another from where it stands.

    Raises UsageError for what is no file of bytes: text, a closed one, one that is read asynchronously.
    """
    if not callable(getattr(file, "read", None)):
        raise UsageError(f"A picture is not {type(file).__name__}. {_CURE}")
    if inspect.iscoroutinefunction(file.read):
        raise _asynchronous()
    try:
        _rewind(file)
        data = file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"The file cannot be read: {error}. Open it again.") from error
    if inspect.isawaitable(data):
        if inspect.iscoroutine(data):
            data.close()  # never awaited: no warning of it
        raise _asynchronous()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise UsageError(f"The file holds {type(data).__name__}, not bytes; open it in binary mode: open(path, 'rb').")
    return bytes(data)


def _rewind(file: Any) -> None:
    """Go to the start, where the file can; a pipe or a socket cannot, and says so, or raises."""
    can = getattr(file, "seekable", None)
    if (callable(can) and not can()) or not callable(getattr(file, "seek", None)):
        return
    with suppress(UnsupportedOperation):
        file.seek(0)


def _asynchronous() -> UsageError:
    return UsageError("The file is read asynchronously; give its bytes: `await file.read()`.")
