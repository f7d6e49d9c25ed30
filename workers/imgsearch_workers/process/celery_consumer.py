"""Receive Celery's wake-up messages, in a thread of its own: when the broker is away, slow or mute, nothing else waits.

Workers look into the database by themselves every few seconds, so a broker that is away costs at most that delay.
That is said once, not at every attempt to reach it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

from imgsearch.ingest.wakeup import QUEUES
from imgsearch_workers.process.listener import POLL_SECONDS, Listener

log = logging.getLogger("imgsearch.worker")
AGAIN_SECONDS = 5.0


class CeleryConsumer:
    """A Celery worker without work: its tasks only wake the loops of this process, and run the sweeps."""

    def __init__(self, listeners: Mapping[str, Listener], name: str) -> None:
        """`listeners`: by the names of their queues, `images` and `queries`."""
        self._listeners = listeners
        self._name = f"{name}@{socket.gethostname()}-{os.getpid()}"
        self._away = False
        self._thread = threading.Thread(target=self._run, name="celery-consumer", daemon=True)

    def start(self) -> None:
        """Receive messages from now on; the thread dies with the process."""
        self._thread.start()

    def _run(self) -> None:
        # What Celery says of its connection is said here, once.
        logging.getLogger("celery.worker").setLevel(logging.CRITICAL + 1)
        pause = threading.Event()
        while True:
            try:
                self._consume()
            except Exception as error:  # noqa: BLE001 - whatever it is, the database is asked all the same
                self._say_away(error)
            pause.wait(AGAIN_SECONDS)

    def _consume(self) -> None:
        """Consume until the broker goes away. Imported here: Celery costs half a second no picture need wait for."""
        from celery.worker import WorkController

        from imgsearch_workers.app import app
        from imgsearch_workers.process import tasks

        with app.connection_for_read() as connection:
            connection.connect()
        if self._away:
            log.info("the broker is back")
            self._away = False
        tasks.use(self._listeners)
        app.set_current()  # of this thread alone: Celery looks tasks up there, and ours are registered nowhere else
        options: dict[str, Any] = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        queues = [QUEUES[name] for name in self._listeners]
        # Not Celery's own command: that one takes the process's signals, which are ours to handle.
        WorkController(app=app, hostname=self._name, pool="solo", concurrency=1, queues=queues, **options).start()
        self._say_away("the connection ended, or a message there is none that Celery can read")

    def _say_away(self, reason: object) -> None:
        if not self._away:
            log.warning(
                "no wake-up messages: the broker cannot be used (%s). This worker asks the database every %g s; "
                "correct IMGSEARCH_REDIS_URL if there should be one",
                reason,
                POLL_SECONDS,
            )
        self._away = True
