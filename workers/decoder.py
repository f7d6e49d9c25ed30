"""Decode strangers' pictures in child processes, so that no picture can hurt the process that holds the model.

N long-lived children (`workers.decoder_child`), each with one picture at a time, a wall clock, and limits of its own.
A child that overruns is killed, one that dies is replaced, and only the picture at fault is refused.
Not `multiprocessing`: it forks or pickles, cannot kill one running job, and loses the whole pool with one child.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import ImgsearchError, PictureError
from imgsearch.picture import CODES, DEFAULT_LIMITS, Limits, refusal
from workers.decoder_child import PIXELS, READY, REFUSAL, REPLY, REQUEST, WITH_THUMBNAIL, Options

_ROOT = Path(__file__).resolve().parent.parent
_START_S = 30.0  # a child is up in 0.2 s; a laden machine may need longer
_PIPE = 1 << 20  # bytes a pipe holds: 192 KiB of pixels go in one write
_LONGEST_REFUSAL = 65_536
_LONGEST_THUMBNAIL = 4 * 1024 * 1024
_PASSED_ON = ("LD_LIBRARY_PATH",)  # of our environment; never an address or a password


@dataclass(frozen=True)
class Decoded:
    """`pixels` uint8 (size, size, 3); `phash` 64-bit dHash; the picture's upright width and height; a WebP or None."""

    pixels: NDArray[np.uint8]
    phash: int
    width: int
    height: int
    thumbnail: bytes | None = None


class DecodePool:
    """A thread-safe pool of decoders; threads beyond `children` wait for a free one.

    `size` is the model's, `memory_mb` what a child may use above its start, `recycle` after how many pictures it is
    replaced. `replaced` counts the children that crashed or were killed for overrunning.
    """

    def __init__(
        self,
        children: int = 2,
        size: int = 256,
        limits: Limits = DEFAULT_LIMITS,
        timeout_s: float = 5.0,
        *,
        memory_mb: int = 440,
        recycle: int = 1_000,
        module: str = "workers.decoder_child",
    ) -> None:
        self._options = Options(size, limits, timeout_s, memory_mb * 1024 * 1024, os.getpid())
        self._children = children
        self._recycle = recycle
        self._module = module
        self._closed = False
        self._counting = threading.Lock()
        self.replaced = 0
        # Linux sends PR_SET_PDEATHSIG when the *thread* that started a child ends: so one thread, as old as the pool.
        self._spawner = ThreadPoolExecutor(1, "decoder-spawner")
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._idle.put(self._spawn())

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def decode(self, data: bytes, thumbnail: bool = False) -> Decoded:
        """Return the picture's pixels; raise `PictureError` with one of `CODES`.

        A picture whose child dies is given to a fresh one once, since a child may also be killed by somebody else.
        Raises `ImgsearchError` where no child can be started: no picture is to blame for that.
        """
        if not data:
            raise refusal("empty")
        if len(data) > self._options.limits.max_bytes:
            raise refusal("too_many_bytes", f"{len(data):,} bytes")
        for _ in range(2):
            try:
                return self._decode_once(data, thumbnail)
            except _ChildDiedError as death:
                reason = str(death)
        raise refusal("decoder_crashed", reason)

    def close(self) -> None:
        """End the children; pictures being decoded are finished first, threads that wait for a child are refused."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._children):
            if child := self._idle.get():
                child.kill()
        for _ in range(self._children):
            self._idle.put(None)
        self._spawner.shutdown()

    def _decode_once(self, data: bytes, thumbnail: bool) -> Decoded:
        child = self._idle.get()
        kept = None
        try:
            if self._closed:
                raise ImgsearchError("This decoder pool is closed; make a new one.")
            child = child or self._spawn()
            answer = child.ask(data, thumbnail)
            kept = child if child.served < self._recycle else None
        except (TimeoutError, _ChildDiedError) as error:
            with self._counting:
                self.replaced += 1
            if isinstance(error, TimeoutError):
                raise refusal("decoder_timeout", f"stopped after {self._options.timeout_s:g} s") from error
            raise
        finally:
            if child is not None and kept is None:
                child.kill()
            self._idle.put(kept)
        if isinstance(answer, PictureError):
            raise answer
        return answer

    def _spawn(self) -> _Child:
        return self._spawner.submit(_Child, self._module, self._options).result()


class _ChildDiedError(Exception):
    """The child ended, or answered what no child of ours answers."""


class _Child:
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

    def ask(self, data: bytes, thumbnail: bool) -> Decoded | PictureError:
        """Return the answer; raise TimeoutError or `_ChildDiedError`, after which this child must be killed."""
        if not self._ready:
            self._await_start()
        self.served += 1
        deadline = time.monotonic() + self._options.timeout_s
        self._send(REQUEST.pack(WITH_THUMBNAIL if thumbnail else 0, len(data)), deadline)
        self._send(data, deadline)
        kind, length, thumbnail_length, width, height, phash = REPLY.unpack(self._receive(REPLY.size, deadline))
        if kind == REFUSAL and length <= _LONGEST_REFUSAL:
            return _as_error(self._receive(length, deadline))
        size = self._options.size
        if kind != PIXELS or length != size * size * 3 or thumbnail_length > _LONGEST_THUMBNAIL:
            raise _ChildDiedError("an answer that makes no sense")
        pixels = np.frombuffer(self._receive(length, deadline), np.uint8).reshape(size, size, 3)
        shown = bytes(self._receive(thumbnail_length, deadline)) if thumbnail_length else None
        return Decoded(pixels, phash, width, height, shown)

    def kill(self) -> None:
        """End the process now and leave nothing of it behind."""
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end:
                end.close()

    def _await_start(self) -> None:
        try:
            kind = REPLY.unpack(self._receive(REPLY.size, time.monotonic() + _START_S))[0]
        except (TimeoutError, _ChildDiedError) as error:
            raise ImgsearchError(
                f"A decoder process does not start ({error}); run `{sys.executable} -c 'import PIL, workers'`."
            ) from error
        if kind != READY:
            raise ImgsearchError("A decoder process of another version answers; reinstall imgsearch.")
        self._ready = True

    def _send(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._to, left) :]
            except BlockingIOError:
                _wait(self._to, select.POLLOUT, deadline)
            except BrokenPipeError as error:
                raise _ChildDiedError(self._epitaph()) from error

    def _receive(self, length: int, deadline: float) -> bytearray:
        data = bytearray(length)
        self._fill(memoryview(data), deadline)
        return data

    def _fill(self, left: memoryview, deadline: float) -> None:
        while left:
            try:
                got = os.readv(self._from, [left])
            except BlockingIOError:
                _wait(self._from, select.POLLIN, deadline)
                continue
            if not got:
                raise _ChildDiedError(self._epitaph())
            left = left[got:]

    def _epitaph(self) -> str:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    """Return what a child is told: where to import from, and to keep its address space small. No secret of ours."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1", **passed}


def _fd(pipe: IO[bytes] | None) -> int:
    """Return the pipe's descriptor, made non-blocking and, where the system allows it, wide."""
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # beyond the user's share of pipe memory: the usual 64 KiB do as well
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    return pipe.fileno()


def _wait(fd: int, event: int, deadline: float) -> None:
    left = deadline - time.monotonic()
    poll = select.poll()
    poll.register(fd, event)
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError("no answer in time")


def _as_error(text: bytearray) -> PictureError:
    """Return the child's refusal; it is data from a process that may have been taken over."""
    try:
        said = json.loads(text)
        code, message = str(said["code"]), str(said["message"])
    except (ValueError, KeyError, TypeError) as error:
        raise _ChildDiedError("a refusal that makes no sense") from error
    if code not in CODES:
        raise _ChildDiedError("a refusal with an unknown code")
    return PictureError(code, message)
