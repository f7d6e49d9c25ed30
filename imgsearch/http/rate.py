"""How often may one key ask? A token bucket per key, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

REMEMBERED = 10_000  # keys; the one unseen for longest is forgotten, which only fills its bucket


class Rate:
    """`per_second` requests on average, bursts of twice that (at least 1); 0: no limit."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, 2 * per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, key: str) -> float:
        """Count one request of `key`; answer 0, or in how many seconds the next is welcome."""
        if not self._per_second:
            return 0.0
        now = time.monotonic()
        with self._lock:
            tokens, then = self._buckets.pop(key, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._per_second)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
            self._buckets[key] = (tokens if wait else tokens - 1, now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        return wait
