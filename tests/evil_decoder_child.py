"""A decoder that a picture has taken over: data that begins with EVIL names what it tries. All else it decodes."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgsearch_workers.decoding import child as decoder_child
from imgsearch_workers.decoding.child import Options

from imgsearch.errors import PictureError
from imgsearch.picture.region import Region


def _spin() -> object:
    while True:
        pass


def _clone(number: int, flags: int) -> int:
    pid = ctypes.CDLL(None, use_errno=True).syscall(number, flags, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return int(pid)


def _threads() -> int:
    """Start threads that stay, until no more are to be had."""
    import threading

    stay, count = threading.Event(), 0
    threading.stack_size(32_768)
    try:
        while True:
            threading.Thread(target=stay.wait, daemon=True).start()
            count += 1
    except RuntimeError:
        stay.set()
    return count


HEAVY = ("PIL", "torch", "numpy", "psycopg", "redis", "celery", "sqlalchemy", "httpx")

TRICKS: dict[str, Callable[[], object]] = {
    "spin": _spin,
    "sleep": lambda: time.sleep(3_600),
    "segfault": lambda: ctypes.string_at(0),
    "leave": lambda: os._exit(0),
    "error": lambda: {}["no such key"],
    "hoard": lambda: bytearray(4 << 30),
    "environment": lambda: dict(os.environ),
    "modules": lambda: [name for name in HEAVY if name in sys.modules],
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open("/tmp/imgsearch-evil", os.O_WRONLY | os.O_CREAT),
    "remove a file": lambda: Path("/tmp/imgsearch-evil-victim").unlink(),
    "open a socket": lambda: socket.socket(),
    "fork": os.fork,
    "clone like a fork": lambda: _clone(56 if platform.machine() == "x86_64" else 220, 17),
    "clone3": lambda: _clone(435, 0),
    "run a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    "signal the parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "threads without end": lambda: _threads(),
    "list a folder": lambda: len(list(Path("/").iterdir())),
}


@dataclass
class Lie:
    """What looks like a `Square`."""

    pixels: bytes
    thumbnail: bytes = b""
    width: int = 2
    height: int = 2
    whole: bool = True
    plane: bytes = bytes(4096)


LIES: dict[str, Callable[[Options], Lie]] = {
    "too few pixels": lambda options: Lie(bytes(12)),
    "too many pixels": lambda options: Lie(bytes(options.geometry.size**2 * 3 + 1)),
    "an endless thumbnail": lambda options: Lie(bytes(options.geometry.size**2 * 3), bytes(64 << 20)),
}


def main() -> int:
    options = Options.from_argument(sys.argv[1])
    source, sink = decoder_child.take_pipes()
    honest = decoder_child.prepare(options)

    def work(data: bytes, flags: int, region: Region | None) -> Any:
        if not data.startswith(b"EVIL "):
            return honest(data, flags, region)
        name = data[5:].rstrip(b"\0").decode()
        if name in LIES:
            return LIES[name](options)
        if name == "an unknown code":
            raise PictureError("rm -rf", "")
        if name == "noise":
            os.write(sink, bytes(range(256)) * 99)
            os._exit(0)
        try:
            result = TRICKS[name]()
        except OSError as error:
            raise PictureError("corrupt", f"refused: {error}") from error
        raise PictureError("corrupt", json.dumps(result))

    decoder_child.confine(options)
    return decoder_child.serve(work, options, source, sink)


if __name__ == "__main__":
    sys.exit(main())
