"""How many of an app's connections one asker may hold, so that slow searches of one keep no others waiting."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from imgsearch.errors import Busy

SLOW = 1.0  # seconds; who holds a whole share for that long is told to come again, and quicker ones wait for their turn


class Shares:
    """Of `most` connections three quarters for one asker."""

    def __init__(self, most: int) -> None:
        self.of_one = max(1, most * 3 // 4)
        self._changed = Condition()
        self._began: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def of(self, who: str, patience: float) -> Iterator[None]:
        """Take one for as long as the block runs, waiting `patience` seconds at most. Raises Busy.

        Where all that somebody holds are slow, nobody waits: a thread that waits answers nobody.
        """
        here = time.monotonic()
        with self._changed:
            mine = self._began[who]
            while len(mine) >= self.of_one:
                now = time.monotonic()
                left = min(here + patience, max(mine) + SLOW) - now
                if left <= 0:
                    raise Busy
                self._changed.wait(left)
                mine = self._began[who]
            mine.append(began := time.monotonic())
        try:
            yield
        finally:
            with self._changed:
                mine.remove(began)
                if not mine and self._began.get(who) is mine:
                    del self._began[who]
                self._changed.notify_all()

    def taken(self, who: str) -> int:
        """Return how many somebody holds."""
        with self._changed:
            return len(self._began.get(who, ()))
