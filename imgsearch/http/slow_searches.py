"""Which searches were slow, and whether a line about one is due."""

from __future__ import annotations

import time
from threading import Lock

EVERY = 10.0  # seconds between two lines of one process: a slow hour must not fill a disk, nor be made slower


class SlowSearches:
    """One process's: at most one line in `EVERY` seconds, which says how many were slow since the last."""

    def __init__(self, milliseconds: float, every: float = EVERY) -> None:
        self.milliseconds, self._every = milliseconds, every
        self._lock = Lock()
        self._next, self._since = 0.0, 0

    def is_slow(self, took_ms: float) -> bool:
        return 0 < self.milliseconds <= took_ms

    def turn(self) -> int:
        """Return how many were slow since the last line, this one among them; 0 where no line is due."""
        with self._lock:
            self._since += 1
            if time.monotonic() < self._next:
                return 0
            self._next, found, self._since = time.monotonic() + self._every, self._since, 0
            return found
