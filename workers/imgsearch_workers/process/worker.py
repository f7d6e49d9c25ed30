"""One worker process: a model, the space it writes to, and the loops it works on."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any, Literal

import psycopg

from imgsearch import db, schema
from imgsearch.errors import DatabaseError, NoSpace
from imgsearch.settings import DEFAULT_MODEL, Settings
from imgsearch.spaces import space
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy, open_store
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model import probe
from imgsearch_workers.model.encoder import Encoder, SharedEncoder, described, geometry_of, load
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.images import ImageLoop
from imgsearch_workers.pipeline.prefetcher import Prefetcher
from imgsearch_workers.pipeline.queries import QueryLoop
from imgsearch_workers.pipeline.work_loop import LoopContext, WorkLoop
from imgsearch_workers.process.listener import Listener

log = logging.getLogger("imgsearch.worker")
Queues = Literal["images", "queries", "both"]
DEVICE_LOST = 70  # exit code: a supervisor should start a fresh process
SPACE_CHANGED = 75  # exit code: another space is searched; a fresh process loads its model
END_SECONDS = 12.0
FETCHING = 8  # pictures on their way from a bucket or a strange server while all decoders are busy


class Worker:
    """Loads the model once, checks it against the space, and runs the loops until stopped."""

    def __init__(self, settings: Settings, queues: Queues) -> None:
        self.settings = settings
        self._names = ("images", "queries") if queues == "both" else (queues,)
        self.loops: list[WorkLoop] = []
        self._started = False
        self._pools: list[DecodePool] = []
        self._prefetchers: list[Prefetcher] = []

    @property
    def listeners(self) -> dict[str, Listener]:
        """Return what wakes the loop of each queue."""
        return {loop.name: loop.listener for loop in self.loops}

    def load(self) -> None:
        """Load the model and check everything; nothing is claimed yet.

        Raises ModelError, SpaceMismatch, and the database's typed errors: a worker that must not write does not start.
        """
        settings = self.settings
        with db.connect(settings, autocommit=True) as connection:
            schema.check(connection)
            active = space.active(connection)
        model = settings.model or (active.model if active else DEFAULT_MODEL)
        encoder = load(settings, model, with_texts="queries" in self._names)
        joined = self._join_space(encoder, active)
        log.info("model %s on %s, space %d, queues %s", model, encoder.device, joined.space_id, "+".join(self._names))
        if len(self._names) > 1:
            encoder = SharedEncoder(encoder)
        context = LoopContext(settings, encoder.device, joined.space_id)
        make = {"images": self._image_loop, "queries": self._query_loop}
        self.loops = [make[name](context, encoder) for name in self._names]
        for pool in self._pools:
            pool.await_start()

    def start(self) -> None:
        """Start the loops; from now on this process may hold pictures."""
        for loop in self.loops:
            loop.start()
        self._started = True

    def ask_to_end(self) -> None:
        """Have the loops finish or give back what they hold; returns at once."""
        for loop in self.loops:
            loop.stop()

    def stop(self, seconds: float = END_SECONDS) -> bool:
        """End the loops, within `seconds` altogether; return whether all have ended."""
        deadline = time.monotonic() + seconds
        self.ask_to_end()
        ended = [loop.join(deadline - time.monotonic()) for loop in self.loops]
        for prefetcher in self._prefetchers:
            prefetcher.close()
        if all(ended):  # else a decoder may be at work for seconds; it dies with this process
            for pool in self._pools:
                pool.close()
        return all(ended)

    def outdated(self) -> bool:
        """Return whether another space is searched now, so that a fresh process should load its model."""
        return any(loop.outdated for loop in self.loops)

    def broken(self) -> str | None:
        """Return why this process should end, so that a fresh one takes over; None while it works."""
        for loop in self.loops:
            if not loop.is_alive():
                return f"a part of the {loop.name} loop has ended"
            if loop.watchdog.is_stuck():
                return f"a forward pass of the {loop.name} loop does not return"
        return None

    def ready(self) -> list[str]:
        """Return what keeps this worker from working, nothing when all is well. May take some seconds."""
        if not self._started:
            return ["the model is being loaded"]
        return [f"{loop.name}: does not look at its queue" for loop in self.loops if not loop.is_polling()] + [
            f"{loop.name}: the model does not answer" for loop in self.loops if not loop.watchdog.is_responsive()
        ]

    def _image_loop(self, context: LoopContext, encoder: Encoder) -> ImageLoop:
        settings = self.settings
        prefetcher = Prefetcher(
            open_store(settings.storage_url),
            FetchPolicy(allow_hosts=settings.fetch_allow, file_roots=settings.fetch_folders),
            self._pool(encoder, settings.decoders),
            threads=settings.decoders + FETCHING,
        )
        self._prefetchers.append(prefetcher)
        return ImageLoop(
            context,
            Listener(settings, "imgsearch_image"),
            prefetcher=prefetcher,
            batch=Batch(encoder, settings.batch),
            probe=probe.drawn(1, encoder.size)[0],
            on_device_lost=_exit,
        )

    def _query_loop(self, context: LoopContext, encoder: Encoder) -> QueryLoop:
        return QueryLoop(
            context,
            Listener(self.settings, "imgsearch_query"),
            encoder=encoder,
            pool=self._pool(encoder, 1),
            on_device_lost=_exit,
        )

    def _pool(self, encoder: Encoder, children: int) -> DecodePool:
        pool = DecodePool(children, geometry_of(encoder), module=encoder.decoder)
        self._pools.append(pool)
        return pool

    def _join_space(self, encoder: Encoder, active: Space | None) -> Space:
        """Return our space; a query worker that came first waits for an image worker to make it."""
        description = described(encoder, with_mean=active is None and "images" in self._names)
        while True:
            with db.connect(self.settings, autocommit=True) as connection:
                try:
                    return space.ensure(connection, description)
                except NoSpace:
                    if "images" in self._names:
                        raise
                    log.info("waiting for an image worker to make the space")
            time.sleep(1)


def _exit() -> None:
    """Leave at once: nothing that touches the device can be trusted to return."""
    os._exit(DEVICE_LOST)


def database_is_up(settings: Settings, wait: Callable[[float], Any] = time.sleep, tries: int = 30) -> None:
    """Wait for the database at start, as it may come up beside us; raise what is wrong after `tries` seconds."""
    for left in range(tries, -1, -1):
        try:
            db.connect(settings).close()
        except (DatabaseError, psycopg.Error):
            if not left:
                raise
            wait(1)
        else:
            return
