"""The delivery desk: one thread writes what the device made, while the device goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any

import psycopg

from imgsearch import db, queue
from imgsearch.config import Settings
from imgsearch.errors import DatabaseError
from imgsearch.queue import Claim, Delivery, Failure

log = logging.getLogger("imgsearch.worker")
MOST_AT_ONCE = 256
LOCKED_TRIES = 40  # times 50 ms: then the picture is given back unspent


@dataclass(frozen=True)
class _Release:
    claims: list[Claim]
    delay: float


class Desk:
    """Takes deliveries, failures and releases from any thread; calls `settled` with claims no longer ours."""

    def __init__(self, settings: Settings, space_id: int, settled: Callable[[Sequence[Claim]], Any]) -> None:
        self._settings, self._space_id, self._settled = settings, space_id, settled
        self._inbox: Queue[Delivery | Failure | _Release | None] = Queue()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self.seconds = 0.0

    def start(self) -> None:
        self._thread.start()

    def put(self, results: Sequence[Delivery | Failure]) -> None:
        for result in results:
            self._inbox.put(result)

    def release(self, claims: Sequence[Claim], delay: float) -> None:
        """Give pictures back without spending the attempt."""
        if claims:
            self._inbox.put(_Release(list(claims), delay))

    def close(self) -> None:
        """Write what is left, for at most ten seconds."""
        self._inbox.put(None)
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        pending: list[Delivery | Failure | _Release] = []
        open_ = True
        while open_ or pending:
            try:
                with db.connect(self._settings, autocommit=True, application_name="imgsearch desk") as connection:
                    while open_ or pending:
                        if not pending:
                            pending, open_ = _take(self._inbox)
                        self._write(connection, pending)
                        pending = []
            except (psycopg.OperationalError, DatabaseError) as error:
                log.warning("cannot deliver, trying again: %s", str(error).splitlines()[0])
                if not open_:
                    return  # leases run out; the next worker makes these again
                time.sleep(0.5)

    def _write(self, connection: psycopg.Connection[Any], results: list[Delivery | Failure | _Release]) -> None:
        began = time.perf_counter()
        for result in results:
            if isinstance(result, _Release):
                queue.release(connection, result.claims, delay=result.delay)
                self._settled(result.claims)
        failures = [result for result in results if isinstance(result, Failure)]
        queue.fail(connection, failures, max_attempts=self._settings.max_attempts)
        for failure in failures:
            log.warning(
                "image %s of %s: %s %s", failure.claim.image_id, failure.claim.tenant_id, failure.code, failure.message
            )
        self._settled([failure.claim for failure in failures])
        self._deliver(connection, [result for result in results if isinstance(result, Delivery)])
        self.seconds += time.perf_counter() - began

    def _deliver(self, connection: psycopg.Connection[Any], deliveries: list[Delivery]) -> None:
        """Write a batch; rows that somebody holds locked are tried again alone, then given back."""
        for tried in range(LOCKED_TRIES):
            if not deliveries:
                return
            try:
                written = queue.deliver(connection, self._space_id, deliveries)
            except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
                self._deliver_alone(connection, deliveries, error)
                return
            rest = [d for d in deliveries if d.claim.key not in written]
            still = queue.held(connection, [d.claim for d in rest]) if rest else set()
            self._settled([d.claim for d in deliveries if d.claim.key not in still])
            deliveries = [d for d in rest if d.claim.key in still]
            if deliveries and tried < LOCKED_TRIES - 1:
                time.sleep(0.05)
        queue.release(connection, [d.claim for d in deliveries], delay=1)
        self._settled([d.claim for d in deliveries])

    def _deliver_alone(
        self, connection: psycopg.Connection[Any], deliveries: list[Delivery], error: psycopg.Error
    ) -> None:
        """A vector the table refuses fails alone; its neighbours are delivered."""
        if len(deliveries) == 1:
            [delivery] = deliveries
            message = f"The database refuses this vector: {error.diag.message_primary}"
            failure = Failure(claim=delivery.claim, code="not_embeddable", message=message, permanent=True)
            queue.fail(connection, [failure], max_attempts=self._settings.max_attempts)
            self._settled([delivery.claim])
            return
        middle = len(deliveries) // 2
        self._deliver(connection, deliveries[:middle])
        self._deliver(connection, deliveries[middle:])


def _take(inbox: Queue[Delivery | Failure | _Release | None]) -> tuple[list[Delivery | Failure | _Release], bool]:
    """Wait for results and take what is there; tell whether the desk is still open."""
    taken: list[Delivery | Failure | _Release] = []
    result = inbox.get()
    try:
        while result is not None:
            taken.append(result)
            if len(taken) >= MOST_AT_ONCE:
                return taken, True
            result = inbox.get_nowait()
    except Empty:
        return taken, True
    return taken, False
