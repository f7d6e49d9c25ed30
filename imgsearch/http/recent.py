"""An answer that is good for a moment: many who ask at once cost one look."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Remembers an answer for `seconds`. While one looks anew, all others are told what was last seen."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._looking = Lock()
        self._seen: tuple[float, T] | None = None

    def get(self, look: Callable[[], T]) -> T:
        """Return the answer, of `look` where the last one is too old."""
        seen = self._seen
        if seen is not None and (self._is_fresh(seen) or not self._looking.acquire(blocking=False)):
            return seen[1]
        if seen is None:
            self._looking.acquire()
        try:
            seen = self._seen
            if seen is None or not self._is_fresh(seen):
                self._seen = seen = (time.monotonic(), look())
            return seen[1]
        finally:
            self._looking.release()

    def _is_fresh(self, seen: tuple[float, T]) -> bool:
        return time.monotonic() - seen[0] < self._seconds
