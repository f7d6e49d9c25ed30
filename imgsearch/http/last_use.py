"""When keys were last used, written down after the answer and at most once a minute: no answer waits for it."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import psycopg

from imgsearch.errors import ImgsearchError
from imgsearch.ops import api_keys

log = logging.getLogger("imgsearch.http")
EVERY = 60.0  # seconds; the database holds the same for all processes together
REMEMBERED = 1024
PATIENCE = 0.5  # seconds to wait for a connection that nobody needs; else the next use is noted


class LastUse:
    """Whose use is due to be written down. `ask` runs one statement outside any transaction."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._noted: OrderedDict[tuple[str, bytes | None], float] = OrderedDict()

    def is_due(self, handle: str, session: bytes | None) -> bool:
        """Return whether this use is to be noted; at most once a minute it is."""
        now = time.monotonic()
        with self._lock:
            if now - self._noted.get((handle, session), -EVERY) < EVERY:
                return False
            self._noted[handle, session] = now
            self._noted.move_to_end((handle, session))
            while len(self._noted) > REMEMBERED:
                self._noted.popitem(last=False)
            return True

    def note(self, handle: str, session: bytes | None) -> None:
        """Write a use down; where that fails, the log says so and nobody else."""
        try:
            self._ask(lambda connection: api_keys.note_use(connection, handle, session), patience=PATIENCE)
        except (psycopg.Error, ImgsearchError) as error:
            log.warning("the last use of key %s was not noted: %s", handle, error)
