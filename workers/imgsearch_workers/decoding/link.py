"""How does the worker talk to one decoder process, and for how long?

Start, ask, kill. What comes back is data from a process that a picture may have taken over: every length and code is
checked, nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

import imgsearch
from imgsearch.errors import ImgsearchError, PictureError
from imgsearch.picture import CODES
from imgsearch.picture.capture import NOTHING, Capture
from imgsearch.picture.region import Region
from imgsearch_workers.decoding.child import (
    CAPTURE,
    PIXELS,
    PIXELS_OF_A_CUT_FILE,
    PLACE,
    PLANE,
    READY,
    REFUSAL,
    REPLY,
    REQUEST,
    SKETCH,
    TIME,
    WITH_SKETCH,
    WITH_THUMBNAIL,
    ZONE,
    Options,
)

# Where this package and imgsearch lie: one folder when installed, two in a checkout.
_ROOTS = [Path(__file__).resolve().parents[2], Path(imgsearch.__file__).resolve().parents[1]]
_START_S = 60.0  # a child is up in 0.3 s; a laden machine may need much longer
_STARVED = 4  # times the limit for a child that never got half of its time on a CPU
_PIPE = 1 << 20  # bytes a pipe holds: 192 KiB of pixels go in one write
_LONGEST_REFUSAL = 65_536  # bytes of JSON
_LONGEST_MESSAGE = 1_000  # characters
_LONGEST_THUMBNAIL = 4 * 1024 * 1024
_PASSED_ON = ("LD_LIBRARY_PATH",)  # of our environment; never an address or a password


@dataclass(frozen=True)
class Decoded:
    """`pixels` uint8 (height, width, 3) of the model's geometry, (size, size, 3) as a rule; the
    picture's (or its region's) upright width and height; a WebP or None.

    Not `whole`: the file lacks its last bytes. `plane`: what a fingerprint is made of. sketch: the picture squashed to
    (64, 64, 3), where it was asked for.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    thumbnail: bytes | None = None
    whole: bool = True
    plane: bytes = bytes(PLANE)
    sketch: NDArray[np.uint8] | None = None
    capture: Capture = NOTHING


class ChildDiedError(Exception):
    """The child ended, or answered what no child of ours answers."""


class Child:
    """The parent's end of one decoder."""

    def __init__(self, module: str, options: Options) -> None:
        self._options = options
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-W", "ignore", "-m", module, options.as_argument()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which finishes its batch
        )
        self._to, self._from = _fd(self._process.stdin), _fd(self._process.stdout)
        self._ready = False
        self.served = 0

    def ask(
        self, data: bytes, thumbnail: bool, region: Region | None = None, sketch: bool = False
    ) -> Decoded | PictureError:
        """Return the answer; raise TimeoutError or `ChildDiedError`, after which this child must be killed."""
        self.await_start()
        self.served += 1
        clock = _Clock(self._options.timeout_s, self._process.pid)
        part = b"" if region is None else str(region).encode()
        flags = (WITH_THUMBNAIL if thumbnail else 0) | (WITH_SKETCH if sketch else 0)
        head = REQUEST.pack(flags, len(part), len(data))
        self._send(head + part + data, clock)  # one write, one wake-up
        kind, length, thumbnail_length, width, height = REPLY.unpack(self._receive(REPLY.size, clock))
        if kind == REFUSAL and length <= _LONGEST_REFUSAL:
            return _as_error(self._receive(length, clock))
        wide, tall = self._options.geometry.seen((width, height))
        if (
            kind not in (PIXELS, PIXELS_OF_A_CUT_FILE)
            or length != wide * tall * 3
            or wide * tall > self._options.geometry.most_pixels
            or thumbnail_length > _LONGEST_THUMBNAIL
        ):
            raise ChildDiedError("an answer that makes no sense")
        capture = _capture(self._receive(CAPTURE.size, clock))
        pixels = np.frombuffer(self._receive(length, clock), np.uint8).reshape(tall, wide, 3)
        plane = bytes(self._receive(PLANE, clock))
        shown = bytes(self._receive(thumbnail_length, clock)) if thumbnail_length else None
        small = np.frombuffer(self._receive(SKETCH, clock), np.uint8).reshape(64, 64, 3) if sketch else None
        return Decoded(pixels, width, height, shown, kind == PIXELS, plane, small, capture)

    def kill(self) -> None:
        """End the process now and leave nothing of it behind."""
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end:
                end.close()

    def await_start(self) -> None:
        """Return once the process is ready for a picture; raise `ImgsearchError` where it does not start."""
        if self._ready:
            return
        try:
            kind = REPLY.unpack(self._receive(REPLY.size, _Clock(_START_S)))[0]
        except (TimeoutError, ChildDiedError) as error:
            raise ImgsearchError(
                f"A decoder process does not start ({error}); "
                f"run `{sys.executable} -c 'import PIL, imgsearch_workers'`."
            ) from error
        if kind != READY:
            raise ImgsearchError("A decoder process of another version answers; reinstall imgsearch.")
        self._ready = True

    def _send(self, data: bytes, clock: _Clock) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._to, left) :]
            except BlockingIOError:
                clock.wait(self._to, select.POLLOUT)
            except BrokenPipeError as error:
                raise self._death() from error

    def _receive(self, length: int, clock: _Clock) -> bytearray:
        data = bytearray(length)
        self._fill(memoryview(data), clock)
        return data

    def _fill(self, left: memoryview, clock: _Clock) -> None:
        while left:
            try:
                got = os.readv(self._from, [left])
            except BlockingIOError:
                clock.wait(self._from, select.POLLIN)
                continue
            if not got:
                raise self._death()
            left = left[got:]

    def _death(self) -> Exception:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return ChildDiedError("closed its pipe")
        if code == -signal.SIGXCPU:
            return TimeoutError("used up its CPU time")
        return ChildDiedError(f"signal {-code}" if code < 0 else f"exit code {code}")


class _Clock:
    """The time a picture may take: `seconds` of wall clock, more only where the machine gave its child no CPU."""

    def __init__(self, seconds: float, pid: int | None = None) -> None:
        self._seconds, self._pid = seconds, pid if sys.platform == "linux" else None
        self._end = time.monotonic() + seconds
        self._used = _cpu_seconds(self._pid) if self._pid else 0.0

    def wait(self, fd: int, event: int) -> None:
        """Return when the pipe is ready; raise TimeoutError when time is up."""
        poll = select.poll()
        poll.register(fd, event)
        while not poll.poll(max(0.0, self._end - time.monotonic()) * 1000):
            if not self._starved():
                raise TimeoutError("no answer in time")
            self._end += (_STARVED - 1) * self._seconds
            self._pid = None  # once

    def _starved(self) -> bool:
        if self._pid is None:
            return False
        try:
            state = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return state in "RD" and _cpu_seconds(self._pid) - self._used < self._seconds / 2


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process from its own clock (`clock_getcpuclockid(3)`): 1 µs, where /proc takes 80."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


# glibc: one arena, for little address space; buffers up to 8 MiB stay with the process instead of being mapped, faulted
# in and unmapped for every picture, which costs more than some of its decoding. The RLIMIT_AS holds all the same.
_MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "8388608", "MALLOC_TRIM_THRESHOLD_": "33554432"}


def _environment() -> dict[str, str]:
    """Return what a child is told: where to import from, and how to keep memory. No secret of ours."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(map(str, _ROOTS))), "LANG": "C.UTF-8", **_MALLOC, **passed}


def _fd(pipe: IO[bytes] | None) -> int:
    """Return the pipe's descriptor, made non-blocking and, where the system allows it, wide."""
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # beyond the user's share of pipe memory: the usual 64 KiB do as well
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    return pipe.fileno()


def _capture(packed: bytearray) -> Capture:
    """Return when and where a picture was taken; data from a process that may have been taken over."""
    says, seconds, latitude, longitude = CAPTURE.unpack(packed)
    try:
        at = datetime.fromtimestamp(seconds, UTC) if says & TIME else None
    except (ValueError, OverflowError, OSError) as error:
        raise ChildDiedError("a time that makes no sense") from error
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise ChildDiedError("a place that makes no sense")
    there = bool(says & PLACE)
    return Capture(at, bool(says & ZONE), latitude if there else None, longitude if there else None)


def _as_error(text: bytearray) -> PictureError:
    """Return the child's refusal; it is data from a process that may have been taken over."""
    try:
        said = json.loads(text)
        code, message = str(said["code"]), str(said["message"])[:_LONGEST_MESSAGE]
    except (ValueError, KeyError, TypeError) as error:
        raise ChildDiedError("a refusal that makes no sense") from error
    if code not in CODES:
        raise ChildDiedError("a refusal with an unknown code")
    return PictureError(code, "".join(filter(str.isprintable, message)))
