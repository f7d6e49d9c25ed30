"""Hear Celery's nudges, in a thread of its own: when the broker is away, slow or mute, nothing else notices.

The lanes look into the database by themselves every few seconds, so a consumer that never comes back after a broker's
restart costs at most that delay. One that ends is started again.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterable
from typing import Any

log = logging.getLogger("imgsearch.worker")
AGAIN_SECONDS = 5.0


class Bell:
    """A Celery worker without work: it consumes `queues`, and its tasks only ring at the lanes of this process."""

    def __init__(self, queues: Iterable[str], name: str) -> None:
        self._queues, self._name = list(queues), f"{name}@{socket.gethostname()}-{os.getpid()}"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Listen no more; the thread dies with the process."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._consume()
            except Exception:
                log.exception("the bell is out of order, polling goes on")
            self._closed.wait(AGAIN_SECONDS)

    def _consume(self) -> None:
        """Consume until Celery gives up. Imported here: Celery costs half a second that no picture need wait for."""
        from celery.worker import WorkController

        from imgsearch_workers.process.app import app

        options: dict[str, Any] = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        # Not Celery's own command: that one takes the process's signals, which are ours to handle.
        worker = WorkController(
            app=app, hostname=self._name, pool="solo", concurrency=1, queues=self._queues, **options
        )
        worker.start()
