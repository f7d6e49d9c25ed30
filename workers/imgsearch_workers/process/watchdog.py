"""Does the device still compute? What readiness is made of: when a forward pass ran, and whether one hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FRESH_SECONDS = 5.0  # a pass younger than this proves enough
SLOW_SECONDS = 8.0  # a pass that takes longer is thought to hang, unless this device has been slower before
STUCK_SECONDS = 60.0


class Watchdog:
    """Kept by the thread that holds the device, read by whoever wants to know. Times are of time.monotonic()."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` wakes the thread that holds the device, where it sleeps for long."""
        self._wake = wake
        self._began: float | None = None
        self._ended = time.monotonic()  # the model answered its probe when it was loaded
        self._slowest = 0.0
        self._asked = threading.Event()
        self.forward_at: float | None = None  # seconds since the epoch

    @contextmanager
    def forward_pass(self) -> Iterator[None]:
        """Run a forward pass, and note that it came back. One that raises has not proved that the device works."""
        self._asked.clear()
        self._began = began = time.monotonic()
        try:
            yield
        finally:
            self._began = None
        self._ended = time.monotonic()
        self._slowest = max(self._slowest, self._ended - began)
        self.forward_at = time.time()

    def wanted(self) -> bool:
        """Tell the device's thread whether somebody waits for a proof of life."""
        return self._asked.is_set()

    def is_responsive(self, within: float = FRESH_SECONDS) -> bool:
        """Return whether the device computes: by a pass that runs or just ran, else by one that is asked for.

        Waits for that one for up to `within` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            now, began = time.monotonic(), self._began
            if began is not None:
                return now - began < max(SLOW_SECONDS, 2 * self._slowest)
            if now - self._ended < FRESH_SECONDS:
                return True
            if now > deadline:
                return False
            self._asked.set()
            self._wake()
            time.sleep(0.02)

    def is_stuck(self) -> bool:
        """Return whether a pass has been running for so long that it will never return."""
        began = self._began
        return began is not None and time.monotonic() - began > max(STUCK_SECONDS, 10 * self._slowest)
