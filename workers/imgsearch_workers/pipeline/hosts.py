"""Which hosts of pictures do not answer now: their pictures fail at once, so that others go on at full speed."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from imgsearch.errors import StoreError

log = logging.getLogger("imgsearch.worker")
FAILURES = 3  # in a row: a single picture may be the only one that its host cannot give
SHORTEST, LONGEST = 2.0, 60.0  # seconds of rest; doubled each time
PROBE_SECONDS = 30.0  # how long one picture may find out whether a host answers again, while the others fail at once
LOG_SECONDS = 60.0


@dataclass
class _Host:
    failures: int = 0
    until: float = 0.0
    logged: float = float("-inf")
    error: StoreError | None = None


class Hosts:
    """What the reading threads have learnt about the hosts of http(s) addresses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def resting(self, uri: str) -> StoreError | None:
        """Return what a host failed with that rests now, or None: ask it. After its rest one asker goes first."""
        with self._lock:
            host = self._hosts.get(_name(uri))
            if host is None or host.failures < FAILURES:
                return None
            now = time.monotonic()
            if now < host.until:
                return host.error
            host.until = now + PROBE_SECONDS
            return None

    def answered(self, uri: str) -> None:
        """A host answered, whatever it said."""
        if self._hosts:
            with self._lock:
                self._hosts.pop(_name(uri), None)

    def failed(self, uri: str, error: StoreError) -> None:
        """A host did not answer, or said that it cannot now; told once a minute."""
        name = _name(uri)
        if not name:
            return
        now = time.monotonic()
        with self._lock:
            host = self._hosts.setdefault(name, _Host())
            host.failures, host.error = host.failures + 1, error
            rest = min(LONGEST, SHORTEST * 2.0 ** min(host.failures - FAILURES, 10))
            host.until = now + (error.retry_after or rest)
            silent = now - host.logged < LOG_SECONDS
            host.logged = host.logged if silent else now
        if not silent:
            log.warning("pictures of %s cannot be fetched now, they are tried again for a day: %s", name[:100], error)


def _name(uri: str) -> str:
    if not uri.lower().startswith(("http://", "https://")):
        return ""
    try:
        return urlsplit(uri).netloc.lower()
    except ValueError:
        return ""
