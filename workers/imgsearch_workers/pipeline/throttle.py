"""How much of a worker's time goes into filling a space beside what is searched."""

from __future__ import annotations

WINDOW = 10.0  # seconds over which the share is kept: what was left unused earlier is not caught up


class Throttle:
    """Tells when work for a space may begin, so that it takes no more than `share` of the time; 1: always, 0: only
    while nothing else waits. Times are of time.monotonic(); kept by the thread that claims.
    """

    def __init__(self, now: float, share: float = 1.0) -> None:
        self.share = share
        self._since = self._seen = now
        self._worked = 0.0

    def note(self, now: float, *, working: bool) -> None:
        """Note whether this worker held work of the space since the last look."""
        if working:
            self._worked += now - self._seen
        self._seen = now
        if now - self._since > WINDOW:
            # Half of the window is kept, so that its end is no moment to work without measure.
            self._since, self._worked = now - WINDOW / 2, min(self._worked, WINDOW) / 2

    def may(self, now: float, *, busy: bool) -> bool:
        """Return whether work may begin; `busy`: something waits for the searched space."""
        if self.share >= 1:
            return True
        if self.share <= 0:
            return not busy
        return self._worked <= self.share * (now - self._since)
