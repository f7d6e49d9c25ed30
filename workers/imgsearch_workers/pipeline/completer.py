"""Write what became of pictures: a few threads do it while the device goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any

import psycopg

from imgsearch.errors import DatabaseError, SpaceGone, UsageError
from imgsearch.ingest import arrival, queue
from imgsearch.ingest.queue import Claim, Delivery, Failure
from imgsearch.ops import metrics
from imgsearch.settings import Settings
from imgsearch_workers.process.connect import AWAY, connect
from imgsearch_workers.process.traces import span

log = logging.getLogger("imgsearch.worker")
MOST_AT_ONCE = 64
LOCKED_TRIES, LOCKED_REST = 6, 5.0  # 50 ms apart; then the picture is given back unspent for so many seconds


@dataclass(frozen=True)
class _Release:
    claims: list[Claim]
    delay: float


@dataclass(frozen=True)
class _Confirm:
    claim: Claim


_Result = Delivery | Failure | _Release | _Confirm


class Completer:
    """Takes deliveries, failures and releases from any thread; calls `settled` with claims no longer ours."""

    def __init__(self, settings: Settings, settled: Callable[[Sequence[Claim]], Any], *, writers: int = 1) -> None:
        self._settings, self._settled = settings, settled
        self._inbox: Queue[_Result | None] = Queue()
        self._threads = [threading.Thread(target=self._run, name=f"completer-{n}", daemon=True) for n in range(writers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        """Return whether results are still written."""
        return all(thread.is_alive() for thread in self._threads)

    def put(self, results: Sequence[Delivery | Failure]) -> None:
        """Have results written."""
        for result in results:
            self._inbox.put(result)

    def release(self, claims: Sequence[Claim], delay: float) -> None:
        """Give pictures back without spending the attempt."""
        if claims:
            self._inbox.put(_Release(list(claims), delay))

    def confirm(self, claims: Sequence[Claim]) -> None:
        """Close the jobs of addresses that answer the bytes of before."""
        for claim in claims:
            self._inbox.put(_Confirm(claim))

    def close(self, seconds: float) -> None:
        """Write what is left, for at most `seconds`; the leases of the rest run out by themselves."""
        deadline = time.monotonic() + seconds
        for _ in self._threads:
            self._inbox.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        pending: list[_Result] = []
        open_ = True
        while open_ or pending:
            try:
                with connect(self._settings, "imgsearch completer") as connection:
                    while open_ or pending:
                        if not pending:
                            pending, open_ = _take(self._inbox)
                        self._write(connection, pending)
                        pending = []
            except AWAY as error:
                log.warning("cannot deliver, trying again: %s", str(error).partition("\n")[0])
                if not open_:
                    return  # leases run out; the next worker makes these again
                time.sleep(0.5)
            except Exception:
                # Written one by one, what the database cannot take is found out; never drop its neighbours.
                log.exception("cannot write %d results together", len(pending))
                pending = self._one_by_one(pending)

    def _one_by_one(self, results: list[_Result]) -> list[_Result]:
        """Write results alone; return those to try again because the database went away."""
        try:
            with connect(self._settings, "imgsearch completer") as connection:
                while results:
                    try:
                        self._write(connection, results[:1])
                    except AWAY:
                        raise
                    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the others
                        self._set_aside(connection, results[0], error)
                    results = results[1:]
        except (psycopg.Error, DatabaseError) as error:
            log.warning("cannot deliver, trying again: %s", str(error).partition("\n")[0])
        return results

    def _set_aside(self, connection: psycopg.Connection[Any], result: _Result, error: Exception) -> None:
        claims = result.claims if isinstance(result, _Release) else [result.claim]
        log.error("cannot write what became of image %s: %s", claims[0].image_id, error)
        message = f"The result cannot be written: {type(error).__name__}"
        self._fail(connection, [Failure(claim=c, code="internal", message=message, permanent=False) for c in claims])

    def _write(self, connection: psycopg.Connection[Any], results: list[_Result]) -> None:
        for result in results:
            if isinstance(result, _Release):
                queue.release(connection, result.claims, delay=result.delay)
                metrics.count("released", len(result.claims))
                self._settled(result.claims)
        self._fail(connection, [result for result in results if isinstance(result, Failure)])
        by_space: dict[int, list[Delivery]] = {}
        for result in results:
            if isinstance(result, Delivery):
                by_space.setdefault(result.claim.space_id, []).append(result)
        self._confirm(connection, [result.claim for result in results if isinstance(result, _Confirm)])
        for space_id, deliveries in by_space.items():
            with metrics.timed("deliver"), span("imgsearch.deliver", pictures=len(deliveries), space=space_id):
                self._deliver(connection, space_id, deliveries)

    def _confirm(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> None:
        for space_id in {claim.space_id for claim in claims}:
            same = [claim for claim in claims if claim.space_id == space_id]
            try:
                metrics.count("ready", len(queue.confirm(connection, space_id, same)))
            except SpaceGone:
                log.warning("%d pictures were for space %d, which was dropped", len(same), space_id)
            self._settled(same)

    def _fail(self, connection: psycopg.Connection[Any], failures: list[Failure]) -> None:
        if not failures:
            return
        states = queue.fail(connection, failures, max_attempts=self._settings.max_attempts)
        for failure in failures:
            state = states.get(failure.claim.key)
            metrics.failed(failure.code, state)
            # Of a host that does not answer is told once a minute (hosts.py), not for each of its pictures.
            passing = failure.code == "fetch_failed" and state == "pending"
            log.log(
                logging.DEBUG if passing else logging.WARNING,
                "image %s of %s: %s %s",
                failure.claim.image_id,
                failure.claim.tenant_id,
                failure.code,
                failure.message,
                extra={**failure.claim.names(), "code": failure.code, "state": state},
            )
        self._settled([failure.claim for failure in failures])

    def _deliver(self, connection: psycopg.Connection[Any], space_id: int, deliveries: list[Delivery]) -> None:
        """Write a batch; rows that somebody holds locked are tried again alone, then given back.

        All are forgotten when their space was dropped: nobody waits for them any more.
        """
        for tried in range(LOCKED_TRIES):
            try:
                written, refused = arrival.deliver(connection, space_id, deliveries)
            except UsageError as error:
                self._deliver_alone(connection, space_id, deliveries, error)
                return
            except SpaceGone:
                log.warning("%d vectors are of space %d, which was dropped", len(deliveries), space_id)
                self._settled([d.claim for d in deliveries])
                return
            self._fail(connection, refused)
            done = written | {failure.claim.key for failure in refused}
            rest = [d for d in deliveries if d.claim.key not in done]
            still = queue.held(connection, [d.claim for d in rest]) if rest else set()
            metrics.count("ready", len(written))
            metrics.count("stale", len(rest) - len(still))
            self._settled([d.claim for d in deliveries if d.claim.key not in still])
            deliveries = [d for d in rest if d.claim.key in still]
            if not deliveries:
                return
            if tried < LOCKED_TRIES - 1:
                time.sleep(0.05)
        self._give_back(connection, deliveries, LOCKED_REST)

    def _give_back(self, connection: psycopg.Connection[Any], deliveries: list[Delivery], delay: float) -> None:
        claims = [delivery.claim for delivery in deliveries]
        queue.release(connection, claims, delay=delay)
        metrics.count("released", len(claims))
        self._settled(claims)

    def _deliver_alone(
        self, connection: psycopg.Connection[Any], space_id: int, deliveries: list[Delivery], error: UsageError
    ) -> None:
        """A vector the table refuses fails alone; its neighbours are delivered."""
        if len(deliveries) == 1:
            [delivery] = deliveries
            message = f"The database refuses this vector: {error}"
            self._fail(
                connection, [Failure(claim=delivery.claim, code="not_embeddable", message=message, permanent=True)]
            )
            return
        middle = len(deliveries) // 2
        self._deliver(connection, space_id, deliveries[:middle])
        self._deliver(connection, space_id, deliveries[middle:])


def _take(inbox: Queue[_Result | None]) -> tuple[list[_Result], bool]:
    """Wait for results and take what is there; return whether more may come."""
    taken: list[_Result] = []
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
