"""What every lane of a worker is: a thread with its own database connection that outlives the database."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Any

import psycopg

from imgsearch import db, sql
from imgsearch.config import Settings
from imgsearch.errors import DatabaseError

log = logging.getLogger("imgsearch.worker")
SIGN_OF_LIFE = 5.0


class Lane:
    """Runs `work` until told to stop, on a fresh connection whenever the database was away.

    Subclasses say what work is; `fatal` is set when this process cannot go on at all.
    """

    name = "lane"

    def __init__(self, settings: Settings, device: str, space_id: int) -> None:
        self.settings, self.device, self.space_id = settings, device, space_id
        self.worker = f"{self.name}@{socket.gethostname()}:{os.getpid()}"
        self.stopping = threading.Event()
        self.fatal: Exception | None = None
        self.forward_at: float | None = None
        self._alive_at = 0.0
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the lane to end; it finishes or gives back what it holds."""
        self.stopping.set()

    def join(self, seconds: float) -> bool:
        """Wait for the lane to end; tell whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def work(self, connection: psycopg.Connection[Any]) -> None:
        """Work until `stopping` is set, or until the database goes away (then raise what psycopg raised)."""
        raise NotImplementedError

    def alive(self, connection: psycopg.Connection[Any]) -> None:
        """Leave a sign of life every few seconds."""
        if time.monotonic() - self._alive_at < SIGN_OF_LIFE:
            return
        self._alive_at = time.monotonic()
        values = {
            "name": self.worker,
            "lane": self.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": self.device,
            "space_id": self.space_id,
            "forward_at": self.forward_at,
        }
        sql.run(connection, "queue", "alive", values)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                with db.connect(
                    self.settings, autocommit=True, application_name=f"imgsearch {self.name}"
                ) as connection:
                    self._alive_at = 0.0
                    self.work(connection)
                    sql.run(connection, "queue", "gone", {"name": self.worker})
            except (psycopg.Error, DatabaseError) as error:
                # Leases outlive an outage shorter than theirs; a longer one hands the pictures to somebody else.
                log.warning("the database is away, trying again: %s", str(error).splitlines()[0])
                self.stopping.wait(1.0)
            except Exception as error:
                log.exception("lane %s ended", self.name)
                self.fatal = error
                return
