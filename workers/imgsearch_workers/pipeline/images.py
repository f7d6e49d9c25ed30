"""The image queue: claim → fetch and decode → one forward pass → one fenced delivery, each stage beside the others.

Threads: the loop's own claims and keeps the leases, one holds the device, some write to the database. At most
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
from imgsearch.ops import metrics, upkeep
from imgsearch_workers.pipeline.completer import Completer
from imgsearch_workers.pipeline.describer import Describer
from imgsearch_workers.pipeline.device import Device
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.in_flight import InFlight
from imgsearch_workers.pipeline.merger import Merger
from imgsearch_workers.pipeline.prefetcher import Prefetcher
from imgsearch_workers.pipeline.regions import RegionFiller
from imgsearch_workers.pipeline.tenants import Tenants
from imgsearch_workers.pipeline.tuner import Tuner
from imgsearch_workers.pipeline.work_loop import LoopContext, WorkLoop
from imgsearch_workers.process.listener import Listener
from imgsearch_workers.process.watchdog import Watchdog

log = logging.getLogger("imgsearch.worker")
BATCHES_IN_FLIGHT = 3
WRITERS, WRITERS_GPU = 2, 4  # a GPU makes more vectors than one backend can put into an index
NET_SECONDS = 300.0  # how often pictures without vector and job are looked for; the sweep does so every minute
FINISH_SECONDS = 8.0  # what is decoded or on the device at SIGTERM may take so long


class ImageLoop(WorkLoop):
    """Embeds waiting pictures until stopped."""

    name = "images"

    def __init__(
        self,
        context: LoopContext,
        listener: Listener,
        *,
        prefetcher: Prefetcher,
        embedders: Sequence[Embedder],
        on_device_lost: Callable[[], None],
        describer: Describer | None = None,
        filler: RegionFiller | None = None,
    ) -> None:
        super().__init__(context, listener, Watchdog())
        self._prefetcher, self._embedders = prefetcher, embedders
        self._most = max(one.batch.most for one in embedders)
        self._in_flight = InFlight()
        writers = WRITERS if context.device == "cpu" else WRITERS_GPU
        self._completer = Completer(context.settings, self._settled, writers=writers)
        self._device = Device(
            embedders, prefetcher, self._in_flight, self._completer, self.watchdog, on_lost=on_device_lost
        )
        self._merger, self._tuner = Merger(context.settings), Tuner(context.settings)
        self._tenants = Tenants(context.settings)
        self._describer, self._filler = describer, filler
        self._steps = upkeep.Steps()
        self._rescued_at = self._net_at = self._beat_at = float("-inf")

    def start(self) -> None:
        self._completer.start()
        self._device.start()
        self._merger.lookout.start()
        self._tuner.start()
        self._tenants.start()
        if self._describer is not None:
            self._describer.start(busy=lambda: bool(len(self._in_flight)))
        if self._filler is not None:
            self._filler.start(busy=lambda: bool(len(self._in_flight)))
        super().start()

    def is_alive(self) -> bool:
        return super().is_alive() and self._device.is_alive() and self._completer.is_alive()

    def work(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            self._keep_house(connection)
            self._begin(connection, self._in_flight.take_waiting())
            if not self._claim_some(connection):
                self.listener.wait(self._patience(connection))
        self._finish(connection)

    def _claim_some(self, connection: psycopg.Connection[Any]) -> bool:
        """Claim what fits; return whether there may be more at once."""
        if self._in_flight.is_shut() or self._prefetcher.breaker.rest() or self._in_flight.holds_suspect():
            return False
        held = len(self._in_flight)
        wanted = min(BATCHES_IN_FLIGHT * self._most - held, self._most)
        spaces = self._claimable(connection)
        if not spaces or wanted <= 0 or (held and wanted < self._most // 2):  # claim by the handful, not one by one
            return False
        claims = queue.claim(
            connection,
            worker=self.worker,
            limit=wanted,
            lease_seconds=self.settings.lease_seconds,
            idle=not held,
            spaces=spaces,
        )
        metrics.count("claimed", len(claims))
        if not self._in_flight.enter(claims):
            queue.release(connection, claims)
            return False
        self._begin(connection, claims)
        return len(claims) >= wanted

    def _claimable(self, connection: psycopg.Connection[Any]) -> list[int]:
        """Return the spaces whose pictures may be claimed now: one that is being filled has its share of our time."""
        now, held = time.monotonic(), self._in_flight.spaces()
        there = [one for one in self._embedders if one.space_id in self.spaces]
        for one in there:
            filled = self.spaces[one.space_id].get("state") == "building"
            one.throttle.share = self.spaces[one.space_id].get("share", 1.0) if filled else 1.0
            one.throttle.note(now, working=one.space_id in held)
        busy = any(one.throttle.share == 0 for one in there) and queue.is_busy(connection)
        return [one.space_id for one in there if one.throttle.may(now, busy=busy)]

    def _begin(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> None:
        """Work on claims: what has a vector already is delivered, the rest is prepared. Else the claims are forgotten.

        They must not stay in flight when the database goes away in between: their leases would be renewed by a
        worker that does not work on them.
        """
        if not claims:
            return
        try:
            rest = self._without_known(connection, claims)
        except BaseException:
            self._in_flight.settle(claims)
            raise
        self._prefetcher.submit(self._in_flight.group(rest))

    def _without_known(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> list[Claim]:
        """Deliver pictures whose bytes this tenant has a vector of; return the others."""
        known: dict[tuple[int, str, bytes], queue.Known] = {}
        for space_id in {claim.space_id for claim in claims}:
            digests = {(c.tenant_id, c.sha256) for c in claims if c.sha256 and c.space_id == space_id}
            for (tenant, digest), one in queue.known(connection, space_id, sorted(digests)).items():
                known[space_id, tenant, digest] = one
        rest: list[Claim] = []
        for claim in claims:
            found = known.get((claim.space_id, claim.tenant_id, claim.sha256)) if claim.sha256 else None
            if found is None or claim.sha256 is None:
                rest.append(claim)
            else:
                self._completer.put([Delivery(claim=claim, sha256=claim.sha256, **vars(found))])
        return rest

    def _settled(self, claims: Sequence[Claim]) -> None:
        if len(claims) > 1:
            self._merger.lookout.wake()
        if claims:
            if self._filler is not None:
                self._filler.note(claim.key for claim in claims)
            self._in_flight.settle(claims)
            self.listener.wake()

    def _keep_house(self, connection: psycopg.Connection[Any]) -> None:
        now = time.monotonic()
        lease = self.settings.lease_seconds
        self.alive(connection)
        if now - self._beat_at > lease / 3:
            self._beat_at = now
            if mine := self._in_flight.all():
                ours = queue.heartbeat(connection, mine, lease_seconds=lease)
                self._settled([claim for claim in mine if claim.key not in ours])
        if now - self._rescued_at > min(2.0, lease / 3):
            self._rescued_at = now
            most = self.settings.max_attempts
            if rescued := self._steps.run(connection, "rescue", lambda here: queue.rescue(here, max_attempts=most)):
                metrics.count("rescued", rescued)
                log.warning("took back %d pictures of workers that went silent", rescued)
        if now - self._net_at > NET_SECONDS:
            self._net_at = now
            if found := self._steps.run(connection, "enqueue_missing", queue.enqueue_missing):
                log.warning("queued %d pictures that had neither vector nor job", found)
            if followed := self._steps.run(connection, "retry_attached", queue.retry_attached):
                log.info("followed %d rows of attached tables that could not be before", followed)

    def _patience(self, connection: psycopg.Connection[Any]) -> float:
        """Seconds to wait for a sound: short while pictures are in flight or about to be due."""
        if len(self._in_flight):
            return 0.5
        if rest := self._prefetcher.breaker.rest():
            return min(3.0, rest)
        due = queue.next_due(connection, list(self.spaces))
        # What is due and was not claimed is somebody else's turn, or beyond a space's share of our time.
        return 3.0 if due is None else min(3.0, max(0.1, due))

    def _finish(self, connection: psycopg.Connection[Any]) -> None:
        """End within seconds: what has begun is finished, the rest given back unspent."""
        for one in (self._merger, self._tuner, self._tenants):
            one.lookout.stop()
        if self._describer is not None:
            self._describer.stop()
        if self._filler is not None:
            self._filler.stop()
        deadline = time.monotonic() + FINISH_SECONDS
        back = self._give_back(
            connection, [claim for group in self._prefetcher.cancel() for claim in self._in_flight.close(group)]
        )
        self._device.end()
        while len(self._in_flight) and time.monotonic() < deadline:
            self._keep_house(connection)
            back += self._give_back(connection, self._in_flight.take_waiting())
            self.listener.wait(0.05)
        back += self._give_back(connection, self._in_flight.all())
        if back:
            log.info("gave back %d pictures", back)
        self._completer.close(2)

    def _give_back(self, connection: psycopg.Connection[Any], claims: list[Claim]) -> int:
        if claims:
            metrics.count("released", len(queue.release(connection, claims)))
            self._in_flight.settle(claims)
        return len(claims)
