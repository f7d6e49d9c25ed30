"""The image lane: claim → fetch and decode → one forward pass → one fenced delivery, each stage beside the others.

Threads: this lane's own claims and keeps the leases, one holds the device, some write to the database. At most
three batches are in flight, so memory is bounded and a crash costs little work. No transaction is open while a
picture is fetched, decoded or embedded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from imgsearch.ingest import queue
from imgsearch.ingest.queue import Claim, Delivery
from imgsearch.ops import metrics
from imgsearch.settings import Settings
from imgsearch_workers.pipeline.batch import Batch, Pixels
from imgsearch_workers.pipeline.completer import Desk
from imgsearch_workers.pipeline.device import Device
from imgsearch_workers.pipeline.in_flight import Ledger
from imgsearch_workers.pipeline.prefetcher import Feed
from imgsearch_workers.pipeline.work_loop import Lane
from imgsearch_workers.process.listener import Ears
from imgsearch_workers.process.watchdog import Pulse

log = logging.getLogger("imgsearch.worker")
BATCHES_IN_FLIGHT = 3
WRITERS, WRITERS_GPU = 2, 4  # a GPU makes more vectors than one backend can put into an index
NET_SECONDS = 300.0  # how often pictures without vector and job are looked for; the sweep does so every minute
FINISH_SECONDS = 8.0  # what is decoded or on the device at SIGTERM may take so long


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
        probe: Pixels,
        lost: Callable[[], None],
    ) -> None:
        super().__init__(settings, device, space_id, Pulse())
        self._feed, self._batch, self._ears = feed, batch, ears
        self._ledger = Ledger()
        self._desk = Desk(settings, space_id, self._settled, writers=WRITERS_GPU if device != "cpu" else WRITERS)
        self._device = Device(
            batch, feed.ready, self._ledger, self._desk, self.pulse, coming=feed.coming, probe=probe, lost=lost
        )
        self._rescued_at = self._net_at = self._beat_at = float("-inf")

    def start(self) -> None:
        self._desk.start()
        self._device.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._ears.close()

    def is_alive(self) -> bool:
        return super().is_alive() and self._device.is_alive() and self._desk.is_alive()

    def work(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            self._keep_house(connection)
            self._begin(connection, self._ledger.again())
            if not self._claim_some(connection):
                self._ears.wait(self._patience(connection))
        self._finish(connection)

    def _claim_some(self, connection: psycopg.Connection[Any]) -> bool:
        """Claim what fits; tell whether there may be more at once."""
        if self._ledger.is_shut() or self._feed.outage.rest() or self._ledger.holds_suspect():
            return False
        held = len(self._ledger)
        wanted = min(BATCHES_IN_FLIGHT * self._batch.most - held, self._batch.most)
        if wanted <= 0 or (held and wanted < self._batch.most // 2):  # claim by the handful, not one by one
            return False
        claims = queue.claim(
            connection,
            worker=self.worker,
            limit=wanted,
            lease_seconds=self.settings.lease_seconds,
            idle=not held,
            space_id=self.space_id,
        )
        metrics.count("claimed", len(claims))
        if not self._ledger.enter(claims):
            queue.release(connection, claims)
            return False
        self._begin(connection, claims)
        return len(claims) == wanted

    def _begin(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> None:
        """Work on claims: what has a vector already is delivered, the rest is fed. Else the claims are forgotten.

        They must not stay in the ledger when the database goes away in between: their leases would be renewed by a
        worker that does not work on them.
        """
        if not claims:
            return
        try:
            rest = self._without_known(connection, claims)
        except BaseException:
            self._ledger.settle(claims)
            raise
        self._feed.submit(self._ledger.group(rest))

    def _without_known(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> list[Claim]:
        """Deliver pictures whose bytes this tenant has a vector of; answer the others."""
        digests = {(c.tenant_id, c.sha256) for c in claims if c.sha256}
        known = queue.known(connection, self.space_id, sorted(digests))
        rest: list[Claim] = []
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

    def _settled(self, claims: Sequence[Claim]) -> None:
        if claims:
            self._ledger.settle(claims)
            self._ears.ring()

    def _keep_house(self, connection: psycopg.Connection[Any]) -> None:
        now = time.monotonic()
        lease = self.settings.lease_seconds
        self.alive(connection)
        if now - self._beat_at > lease / 3:
            self._beat_at = now
            if mine := self._ledger.all():
                ours = queue.heartbeat(connection, mine, lease_seconds=lease)
                self._settled([claim for claim in mine if claim.key not in ours])
        if now - self._rescued_at > min(2.0, lease / 3):
            self._rescued_at = now
            if rescued := queue.rescue(connection, max_attempts=self.settings.max_attempts):
                metrics.count("rescued", rescued)
                log.warning("took back %d pictures of workers that went silent", rescued)
        if now - self._net_at > NET_SECONDS:
            self._net_at = now
            if found := queue.enqueue_missing(connection):
                log.warning("queued %d pictures that had neither vector nor job", found)

    def _patience(self, connection: psycopg.Connection[Any]) -> float:
        """Seconds to wait for a sound: short while pictures are in flight or about to be due."""
        if len(self._ledger):
            return 0.5
        if rest := self._feed.outage.rest():
            return min(3.0, rest)
        due = queue.next_due(connection)
        return 3.0 if due is None else min(3.0, max(0.05, due))

    def _finish(self, connection: psycopg.Connection[Any]) -> None:
        """End within seconds: what has begun is finished, the rest given back unspent."""
        deadline = time.monotonic() + FINISH_SECONDS
        back = self._give_back(
            connection, [claim for group in self._feed.cancel() for claim in self._ledger.close(group)]
        )
        self._device.end()
        while len(self._ledger) and time.monotonic() < deadline:
            self._keep_house(connection)
            back += self._give_back(connection, self._ledger.again())
            self._ears.wait(0.05)
        back += self._give_back(connection, self._ledger.all())
        if back:
            log.info("gave back %d pictures", back)
        self._desk.close(2)

    def _give_back(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> int:
        if claims:
            metrics.count("released", len(queue.release(connection, claims)))
            self._ledger.settle(claims)
        return len(claims)
