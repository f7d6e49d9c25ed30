"""Decode strangers' pictures in child processes, so that no picture can hurt the process that holds the model.

N long-lived children (`imgsearch_workers.decoding.child`), each with one picture at a time, a wall clock, and limits
of its own. A child that overruns is killed, one that dies is replaced, and only the picture at fault is refused.
Not `multiprocessing`: it forks or pickles, cannot kill one running job, and loses the whole pool with one child.
"""

from __future__ import annotations

import os
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

from imgsearch.errors import ImgsearchError, PictureError
from imgsearch.picture import DEFAULT_LIMITS, Limits, refusal
from imgsearch.picture.geometry import Geometry, of
from imgsearch.picture.region import Region
from imgsearch_workers.decoding.child import Options
from imgsearch_workers.decoding.link import Child, ChildDiedError, Decoded

__all__ = ["DecodePool", "Decoded"]

_CLOSED = "This decoder pool is closed; make a new one."
_COPIES = 5  # of the file, at most, that lie in a child at once, beside what decoding needs


class DecodePool:
    """A thread-safe pool of decoders; threads beyond `children` wait for a free one. Make it after any fork.

    `size` is the model's, or its geometry; `memory_mb` what a child may use above its start, `recycle` after how many
    pictures it is replaced. A picture that needs more gets a child of its own that may use what `limits` allow: one at
    a time, so a pool never holds more than all children and one large one. `replaced` counts the children that crashed
    or were killed for overrunning.
    """

    def __init__(
        self,
        children: int = 2,
        size: int | Geometry = 256,
        limits: Limits = DEFAULT_LIMITS,
        timeout_s: float = 5.0,
        *,
        memory_mb: int = 440,
        recycle: int = 1_000,
        module: str = "imgsearch_workers.decoding.child",
    ) -> None:
        geometry = of(size)
        self._options = _options(geometry, limits, timeout_s, memory_mb << 20)
        self._large = _options(geometry, limits, timeout_s, limits.max_memory + _COPIES * limits.max_bytes)
        self._one_large = threading.Lock()
        self._children = children
        self._recycle = recycle
        self._module = module
        self._closed = False
        self._counting = threading.Lock()
        self.replaced = 0
        # Linux sends PR_SET_PDEATHSIG when the *thread* that started a child ends: so one thread, as old as the pool.
        self._spawner = ThreadPoolExecutor(1, "decoder-spawner")
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._idle.put(self._spawn(self._options))

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def decode(
        self, data: bytes, thumbnail: bool = False, region: Region | None = None, *, sketch: bool = False
    ) -> Decoded:
        """Return the pixels of the picture, or of a region of it; raise `PictureError` with one of `CODES`.

        A picture whose child dies is given to a fresh one once, since a child may also be killed by somebody else.
        Raises `ImgsearchError` where no child can be started: no picture is to blame for that.
        """
        if not data:
            raise refusal("empty")
        if len(data) > self._options.limits.max_bytes:
            raise refusal("too_many_bytes", f"{len(data):,} bytes")
        for _ in range(2):
            try:
                return self._decode_once(data, thumbnail, region, sketch)
            except ChildDiedError as death:
                reason = str(death)
            except PictureError as error:
                if error.code != "too_much_memory":
                    raise
                with self._one_large:
                    return self._decode_large(data, thumbnail, region, sketch)
        raise refusal("decoder_crashed", reason)

    def await_start(self) -> None:
        """Return once every decoder is ready for a picture; one that does not start is tried again when it is needed.

        Before pictures are claimed: one that waits for its decoder to start is held, and at risk, all that time.
        """
        children = [self._idle.get() for _ in range(self._children)]
        for child in children:
            kept = child
            try:
                if child is not None:
                    child.await_start()
            except ImgsearchError:
                kept = None
                if child is not None:
                    child.kill()
            self._idle.put(kept)

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
        with self._one_large:
            self._spawner.shutdown()

    def _decode_once(self, data: bytes, thumbnail: bool, region: Region | None, sketch: bool) -> Decoded:
        child = self._idle.get()
        kept = None
        try:
            if self._closed:
                raise ImgsearchError(_CLOSED)
            child = child or self._spawn(self._options)
            answer = self._ask(child, data, thumbnail, region, sketch)
            kept = child if child.served < self._recycle else None
        finally:
            if child is not None and kept is None:
                child.kill()
            self._idle.put(kept)
        return _pixels(answer)

    def _decode_large(self, data: bytes, thumbnail: bool, region: Region | None, sketch: bool) -> Decoded:
        child = self._spawn(self._large)
        try:
            return _pixels(self._ask(child, data, thumbnail, region, sketch))
        except ChildDiedError as death:
            raise refusal("decoder_crashed", str(death)) from death
        finally:
            child.kill()

    def _ask(
        self, child: Child, data: bytes, thumbnail: bool, region: Region | None, sketch: bool
    ) -> Decoded | PictureError:
        try:
            return child.ask(data, thumbnail, region, sketch)
        except (TimeoutError, ChildDiedError) as error:
            with self._counting:
                self.replaced += 1
            if isinstance(error, TimeoutError):
                raise refusal("decoder_timeout", f"stopped after {self._options.timeout_s:g} s") from error
            raise

    def _spawn(self, options: Options) -> Child:
        if self._closed:
            raise ImgsearchError(_CLOSED)
        return self._spawner.submit(Child, self._module, options).result()


def _options(geometry: Geometry, limits: Limits, timeout_s: float, memory: int) -> Options:
    """Return the options of a child with `memory` bytes, which promises to decode what needs less of it."""
    promised = min(limits.max_memory, memory - _COPIES * limits.max_bytes)
    return Options(geometry, replace(limits, max_memory=promised), timeout_s, memory, os.getpid())


def _pixels(answer: Decoded | PictureError) -> Decoded:
    if isinstance(answer, PictureError):
        raise answer
    return answer
