"""Answers that are good for a moment: many who ask at once cost one look."""

from __future__ import annotations

import time
from collections import OrderedDict
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


class RecentOf(Generic[T]):
    """Remembers the answers to many questions for `seconds`, at most `most` of them."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds = seconds
        self._most = most
        self._lock = Lock()
        self._seen: OrderedDict[str, tuple[float, T]] = OrderedDict()  # the oldest first

    def get(self, question: str) -> T | None:
        """Return the answer, None where there is none or it is too old."""
        with self._lock:
            at, answer = self._seen.get(question, (0.0, None))
            return answer if time.monotonic() - at < self.seconds else None

    def keep(self, question: str, answer: T) -> None:
        """Remember an answer, and forget what is too old or too many."""
        now = time.monotonic()
        with self._lock:
            self._seen.pop(question, None)
            self._seen[question] = (now, answer)
            while len(self._seen) > self._most or now - next(iter(self._seen.values()))[0] >= self.seconds:
                self._seen.popitem(last=False)
                if not self._seen:
                    break
