"""The image lane: claim → fetch and decode → one forward pass → one fenced delivery, each stage beside the others.

Three threads: this lane's own claims and keeps the leases, one holds the device, one writes to the database. At most
three batches are in flight, so memory is bounded and a crash costs little work. No transaction is open while a
picture is fetched, decoded or embedded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, Queue
from typing import Any

import psycopg

from imgsearch import queue
from imgsearch.config import Settings
from imgsearch.queue import Claim, Delivery, Failure, Key
from workers.batch import Batch, DeviceLost
from workers.delivery import Desk
from workers.ears import Ears
from workers.feed import Fed, Feed, Result, Snoozed
from workers.lane import Lane

log = logging.getLogger("imgsearch.worker")
BATCHES_IN_FLIGHT = 3
NET_SECONDS = 60.0  # how often pictures without vector and job are looked for


class Images(Lane):
    """Embeds waiting pictures until stopped."""

    name = "images"

    def __init__(
        self,
        settings: Settings,
        device: str,
        space_id: int,
        *,
        feed: Feed,
        batch: Batch,
        ears: Ears,
        lost: Callable[[], None],
    ) -> None:
        super().__init__(settings, device, space_id)
        self._feed, self._batch, self._ears, self._lost = feed, batch, ears, lost
        self._in_flight: dict[Key, Claim] = {}
        self._lock = threading.Lock()
        self._desk = Desk(settings, space_id, self._settled)
        self._device_thread = threading.Thread(target=self._embed_all, name="device", daemon=True)
        self._rescued_at = self._net_at = self._beat_at = 0.0

    def start(self) -> None:
        self._desk.start()
        self._device_thread.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._ears.close()

    def work(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            self._keep_house(connection)
            if not self._claim_some(connection):
                self._ears.wait(self._patience(connection))
        self._finish(connection)

    def _claim_some(self, connection: psycopg.Connection[Any]) -> bool:
        """Claim what fits; tell whether there may be more at once."""
        with self._lock:
            free = BATCHES_IN_FLIGHT * self._batch.most - len(self._in_flight)
        wanted = min(free, self._batch.most)
        if wanted <= 0:
            self._ears.wait(0.02)
            return True
        lease = self.settings.lease_seconds
        claims = queue.claim(connection, worker=self.worker, limit=wanted, lease_seconds=lease)
        with self._lock:
            self._in_flight |= {claim.key: claim for claim in claims}
        self._feed.submit(self._without_known(connection, claims))
        return len(claims) == wanted

    def _without_known(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> list[Claim]:
        """Deliver pictures whose bytes this tenant has a vector of; answer the others."""
        digests = {(c.tenant_id, c.sha256) for c in claims if c.sha256}
        known = queue.known(connection, self.space_id, sorted(digests))
        rest = []
        for claim in claims:
            found = known.get((claim.tenant_id, claim.sha256)) if claim.sha256 else None
            if found is None or claim.sha256 is None:
                rest.append(claim)
            else:
                delivery = Delivery(
                    claim=claim, sha256=claim.sha256, embedding=found.embedding, phash=found.phash, etag=claim.etag
                )
                self._desk.put([delivery])
        return rest

    def _embed_all(self) -> None:
        """The device's own thread: take what is decoded, never wait for a full batch."""
        while not self.stopping.is_set() or self._busy():
            results = _drain(self._feed.ready, self._batch.most)
            fed = [result for result in results if isinstance(result, Fed)]
            for result in results:
                if isinstance(result, Snoozed):
                    self._desk.release(result.claims, result.delay)
                elif isinstance(result, list):
                    self._desk.put(result)
            try:
                self._embed(fed)
            except DeviceLost as error:
                log.critical("the device is lost to this process: %s", error)
                self._give_up()
                return

    def _embed(self, fed: Sequence[Fed]) -> None:
        if not fed:
            return
        answers = self._batch.embed([picture.pixels for picture in fed])
        self.forward_at = time.time()
        settled: list[Delivery | Failure] = []
        for picture, answer in zip(fed, answers, strict=True):
            for claim in picture.claims:
                if isinstance(answer, Exception):
                    message = str(answer) or type(answer).__name__
                    settled.append(Failure(claim=claim, code="not_embeddable", message=message, permanent=True))
                else:
                    settled.append(
                        Delivery(
                            claim=claim, sha256=picture.sha256, embedding=answer, phash=picture.phash, etag=picture.etag
                        )
                    )
        self._desk.put(settled)

    def _settled(self, claims: Sequence[Claim]) -> None:
        with self._lock:
            for claim in claims:
                if self._in_flight.get(claim.key) is claim:
                    del self._in_flight[claim.key]
        self._ears.ring()

    def _busy(self) -> bool:
        with self._lock:
            return bool(self._in_flight)

    def _keep_house(self, connection: psycopg.Connection[Any]) -> None:
        now = time.monotonic()
        lease = self.settings.lease_seconds
        self.alive(connection)
        if now - self._beat_at > lease / 3:
            self._beat_at = now
            with self._lock:
                mine = list(self._in_flight.values())
            if mine:
                ours = queue.heartbeat(connection, mine, lease_seconds=lease)
                self._settled([claim for claim in mine if claim.key not in ours])
        if now - self._rescued_at > min(2.0, lease / 3):
            self._rescued_at = now
            if rescued := queue.rescue(connection, max_attempts=self.settings.max_attempts):
                log.warning("took back %d pictures of workers that went silent", rescued)
        if now - self._net_at > NET_SECONDS:
            self._net_at = now
            if found := queue.enqueue_missing(connection):
                log.warning("queued %d pictures that had neither vector nor job", found)

    def _patience(self, connection: psycopg.Connection[Any]) -> float:
        """Seconds to wait for a sound: short while pictures are in flight or about to be due."""
        if self._busy():
            return 0.2
        due = queue.next_due(connection)
        return 3.0 if due is None else min(3.0, max(0.05, due))

    def _finish(self, connection: psycopg.Connection[Any]) -> None:
        """End within seconds: what is decoded is finished, the rest given back unspent."""
        deadline = time.monotonic() + 8
        while self._busy() and time.monotonic() < deadline:
            self._keep_house(connection)
            time.sleep(0.05)
        with self._lock:
            rest = list(self._in_flight.values())
        if rest:
            queue.release(connection, rest)
            log.info("gave back %d pictures", len(rest))
        self._desk.close()

    def _give_up(self) -> None:
        with self._lock:
            rest = list(self._in_flight.values())
        self._desk.release(rest, 0)
        self._desk.close()
        self._lost()


def _drain(ready: Queue[Result], most: int) -> list[Result]:
    """Take what is there, up to `most`; wait a little for the first."""
    results: list[Result] = []
    try:
        results.append(ready.get(timeout=0.1))
        while len(results) < most:
            results.append(ready.get_nowait())
    except Empty:
        pass
    return results
