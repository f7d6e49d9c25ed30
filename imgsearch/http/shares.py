"""How many of an app's connections one asker may hold, so that slow searches of one keep no others waiting."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Condition

from imgsearch.errors import Busy

SLOW = 1.0  # seconds; who holds a whole share for that long is told to come again, and quicker ones wait for their turn


def share(most: int, level: int) -> int:
    """Return how many of `most` one key may hold (level 1), or one address behind a key (level 2)."""
    return int(max(1, most * 3**level // 4**level))


class Shares:
    """Of `most` connections three quarters for one key, and three quarters of those for one address behind it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = Condition()
        self._began: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def of(self, who: Sequence[str], patience: float) -> Iterator[None]:
        """Take one for as long as the block runs, waiting `patience` seconds at most. Raises Busy.

        who: a key or an address, and behind a key that stands in a browser the address, too.

        Where all that somebody holds are slow, nobody waits: a thread that waits answers nobody.
        """
        here = time.monotonic()
        with self._changed:
            while full := self._full(who):
                left = min(here + patience, max(full) + SLOW) - time.monotonic()
                if left <= 0:
                    raise Busy
                self._changed.wait(left)
            began = time.monotonic()
            for name in who:
                self._began[name].append(began)
        try:
            yield
        finally:
            with self._changed:
                for name in who:
                    self._began[name].remove(began)
                    if not self._began[name]:
                        del self._began[name]
                self._changed.notify_all()

    def _full(self, who: Sequence[str]) -> list[float]:
        """Return since when all of a share that is taken are held."""
        for level, name in enumerate(who, 1):
            if len(began := self._began.get(name, [])) >= share(self._most, level):
                return began
        return []

    def taken(self, who: str) -> int:
        """Return how many somebody holds."""
        with self._changed:
            return len(self._began.get(who, ()))
