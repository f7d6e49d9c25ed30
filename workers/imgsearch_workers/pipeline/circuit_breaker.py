"""Is one picture at fault, or the whole store? During an outage no attempt is spent and nothing more is claimed."""

from __future__ import annotations

import threading
import time

from imgsearch.errors import ObjectMissing, StoreDenied, StoreError
from imgsearch.storage import Store

REST_SECONDS = 5.0
DENIALS = 3  # different pictures in a row: then it is our rights, not theirs
_PROBE = "store:00/" + "0" * 64  # nobody's digest: only whether the store answers is of interest


class CircuitBreaker:
    """What the reading threads have learnt about the picture store; http(s) addresses never speak for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._denied: set[str] = set()
        self._until = 0.0

    def rest(self) -> float:
        """Return for how many seconds nothing should be claimed."""
        return max(0.0, self._until - time.monotonic())

    def over(self, uri: str) -> None:
        """A picture was read: whatever was wrong with the store is past."""
        if uri.startswith("store:") and (self._until or self._denied):
            with self._lock:
                self._denied.clear()
                self._until = 0.0

    def noticed(self, uri: str, error: StoreError) -> float | None:
        """Return for how many seconds to give this picture back unspent, or None when the fault is its own."""
        if not uri.startswith("store:"):
            return None
        if isinstance(error, StoreDenied):
            with self._lock:
                self._denied.add(uri)
                out = len(self._denied) >= DENIALS
        else:
            out = error.retry_after is not None or not self._answers()
        if not out:
            return None
        seconds = error.retry_after or REST_SECONDS
        with self._lock:
            self._until = time.monotonic() + seconds
        return seconds

    def _answers(self) -> bool:
        """Ask the store for an object that nobody has: "there is none" and "you may not look" are answers, too."""
        try:
            self._store.get(_PROBE)
        except (ObjectMissing, StoreDenied):
            return True
        except StoreError:
            return False
        return True
