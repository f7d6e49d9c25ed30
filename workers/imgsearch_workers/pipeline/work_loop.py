"""What works on a queue: a thread with its own database connection that outlives the database."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.settings import Settings
from imgsearch_workers.process.connect import AWAY, connect
from imgsearch_workers.process.listener import Listener
from imgsearch_workers.process.watchdog import Watchdog

log = logging.getLogger("imgsearch.worker")
SIGN_OF_LIFE = 5.0
SILENT_SECONDS = 8.0  # a loop that has not looked at its queue for so long is not ready


@dataclass(frozen=True)
class LoopContext:
    """What a loop works for: the name of its device, and the spaces it writes to."""

    settings: Settings
    device: str
    spaces: tuple[int, ...]


class WorkLoop:
    """Runs `work` until told to stop, on a fresh connection whenever the database was away.

    Subclasses say what work is, and call `alive` at least every few seconds of it.
    """

    name = ""  # of its queue

    def __init__(self, context: LoopContext, listener: Listener, watchdog: Watchdog) -> None:
        self.settings, self.device = context.settings, context.device
        # What the database said of each at the last sign of life; one that was dropped is not here any more.
        self.spaces: dict[int, dict[str, Any]] = {space_id: {} for space_id in context.spaces}
        self._started_for, self._only = context.spaces, len(context.spaces) == 1
        self.listener, self.watchdog = listener, watchdog
        self.worker = f"{self.name}@{socket.gethostname()}:{os.getpid()}"
        self.stopping = threading.Event()
        self.outdated = False  # its spaces were dropped: what this worker makes is of no use
        self.looked_at = time.monotonic()  # when it was last seen to work with the database
        self._alive_at = 0.0
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self.listener.start()
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end; it finishes or gives back what it holds."""
        self.stopping.set()
        self.listener.close()

    def join(self, seconds: float) -> bool:
        """Wait for the loop to end; return whether it has."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def is_alive(self) -> bool:
        """Return whether everything this loop is made of still runs."""
        return self._thread.is_alive()

    def is_polling(self) -> bool:
        """Return whether the loop looks at its queue as it should."""
        return self.is_alive() and time.monotonic() - self.looked_at < SILENT_SECONDS

    def work(self, connection: psycopg.Connection[Any]) -> None:
        """Work until `stopping` is set, or until the database goes away (then raise what psycopg raised)."""
        raise NotImplementedError

    def alive(self, connection: psycopg.Connection[Any]) -> None:
        """Leave a sign of life every few seconds, for each space; stop when all of them were dropped."""
        self.looked_at = time.monotonic()
        if self.looked_at - self._alive_at < SIGN_OF_LIFE:
            return
        self._alive_at = self.looked_at
        values = {
            "queue": self.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": self.device,
            "forward_at": self.watchdog.forward_at,
        }
        for space_id in list(self.spaces):
            found = sql.value(
                connection, "queue", "alive", values | {"name": self._name(space_id), "space_id": space_id}
            )
            if found is not None:
                self.spaces[space_id] = found
                continue
            log.critical(
                "%s: space %s was dropped; what this worker has of it is forgotten",
                self.name,
                self.spaces.pop(space_id).get("name", space_id),
            )
        if not self.spaces and not self.outdated:
            self.outdated = True
            log.critical("%s: no space is left for this worker, so it ends (imgsearch worker --space NAME)", self.name)
            self.stop()

    def _name(self, space_id: int) -> str:
        return self.worker if self._only else f"{self.worker}/{space_id}"

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                with connect(self.settings, f"imgsearch {self.name}") as connection:
                    self._alive_at = float("-inf")
                    self.work(connection)
                    sql.run(
                        connection, "queue", "gone", {"names": [self._name(space_id) for space_id in self._started_for]}
                    )
            except AWAY as error:
                # Leases outlive an outage shorter than theirs; a longer one hands the pictures to somebody else.
                log.warning("the database is away, trying again: %s", str(error).partition("\n")[0])
                self.stopping.wait(1.0)
            except Exception:
                log.exception("the %s loop met a bug and ended; this process ends with it", self.name)
                return
