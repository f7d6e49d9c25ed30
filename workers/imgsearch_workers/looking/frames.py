"""How a worker and its child for second looks speak: frames of JSON and bytes over two pipes, never a pickle."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any

HEAD = struct.Struct("<II")  # bytes of JSON, bytes behind it
LARGEST_JSON = 4 << 20
LARGEST_BLOB = 64 << 20
Frame = tuple[dict[str, Any], bytes]


class EndedError(Exception):
    """The other end is gone, or says what makes no sense."""


def packed(said: dict[str, Any], blob: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    text = json.dumps(said).encode()
    return b"".join((HEAD.pack(len(text), len(blob)), text, blob))


def send(to: int, frame: bytes, deadline: float | None = None) -> None:
    """Write a frame; raise TimeoutError at the deadline, EndedError where nobody reads."""
    left = memoryview(frame)
    while left:
        try:
            left = left[os.write(to, left) :]
        except BlockingIOError:
            _wait(to, select.POLLOUT, deadline)
        except OSError as error:
            raise EndedError("closed its pipe") from error


def receive(source: int, deadline: float | None = None) -> Frame:
    """Read a frame; raise TimeoutError at the deadline, EndedError at the end or for nonsense."""
    text_length, blob_length = HEAD.unpack(_read(source, HEAD.size, deadline))
    if text_length > LARGEST_JSON or blob_length > LARGEST_BLOB:
        raise EndedError("an answer that is too large")
    try:
        said = json.loads(_read(source, text_length, deadline))
    except ValueError as error:
        raise EndedError("an answer that makes no sense") from error
    if not isinstance(said, dict):
        raise EndedError("an answer that makes no sense")
    return said, bytes(_read(source, blob_length, deadline))


def _read(source: int, length: int, deadline: float | None) -> bytearray:
    data = bytearray(length)
    left = memoryview(data)
    while left:
        try:
            got = os.readv(source, [left])
        except BlockingIOError:
            _wait(source, select.POLLIN, deadline)
            continue
        if not got:
            raise EndedError("ended")
        left = left[got:]
    return data


def _wait(fd: int, event: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(fd, event)
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    if not poll.poll(left):
        raise TimeoutError("no answer in time")
