"""One worker process: its models, the spaces they write to, and the loops it works on."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import psycopg

from imgsearch import db, schema
from imgsearch.db import sql
from imgsearch.errors import DatabaseError, NoSpace, StoreError, UsageError
from imgsearch.ingest import picture_store
from imgsearch.picture.geometry import Geometry
from imgsearch.settings import DEFAULT_MODEL, Settings
from imgsearch.spaces import space
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy, Store, open_store
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model import probe
from imgsearch_workers.model.encoder import Encoder, SharedEncoder, described, geometry_of, load
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.describer import Describer
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.images import ImageLoop
from imgsearch_workers.pipeline.looks import LookLoop
from imgsearch_workers.pipeline.parts import Looker
from imgsearch_workers.pipeline.prefetcher import Prefetcher
from imgsearch_workers.pipeline.queries import QueryLoop
from imgsearch_workers.pipeline.regions import RegionFiller
from imgsearch_workers.pipeline.work_loop import LoopContext, WorkLoop
from imgsearch_workers.process.listener import Listener

log = logging.getLogger("imgsearch.worker")
Queues = Literal["images", "queries", "both"]
DEVICE_LOST = 70  # exit code: a supervisor should start a fresh process
SPACE_CHANGED = 75  # exit code: its space was dropped; a fresh process may find another
END_SECONDS = 12.0
FETCHING = 8  # pictures on their way from a bucket or a strange server while all decoders are busy


class Worker:
    """Loads its models once, checks each against its space, and runs the loops until stopped.

    `space`: the name or number of the one it works for, "all" for every one there is; empty: the searched one.
    """

    def __init__(self, settings: Settings, queues: Queues, space: str = "") -> None:
        self.settings, self._space = settings, space
        self._names = ("images", "queries") if queues == "both" else (queues,)
        self.loops: list[WorkLoop] = []
        self._started = False
        self._pools: list[DecodePool] = []
        self._prefetchers: list[Prefetcher] = []

    @property
    def listeners(self) -> dict[str, Listener]:
        """Return what wakes the loop of each queue."""
        return {loop.name: loop.listener for loop in self.loops if loop.name in self._names}

    def load(self) -> None:
        """Load the models and check everything; nothing is claimed yet.

        Raises ModelError, SpaceMismatch, UnknownSpace, UsageError, and the database's typed errors: a worker that must
        not write does not start.
        """
        with db.connect_direct(self.settings, autocommit=True) as connection:
            schema.check(connection)
            chosen = self._chosen(connection)
            self._store = self._own_store(connection)
        wanted: list[Space | None] = [*chosen] or [None]
        encoders = dict(map(self._loaded, wanted))
        if "images" in self._names:  # parts of pictures are embedded beside them
            encoders = {space_id: SharedEncoder(encoder) for space_id, encoder in encoders.items()}
        context = LoopContext(self.settings, next(iter(encoders.values())).device, tuple(encoders))
        make = {"images": self._image_loop, "queries": self._query_loop}
        self.loops = [make[name](context, encoders) for name in self._names]
        if "queries" in self._names:
            self.loops.append(LookLoop(context, Listener(self.settings, "imgsearch_look")))
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
        """Return whether its spaces were dropped, so that a fresh process should look for others."""
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

    def _chosen(self, connection: psycopg.Connection[Any]) -> list[Space]:
        """Return the spaces to work for; none where the first is still to be made."""
        if self._space == "all":
            return space.filled_by_workers(connection)
        found = space.named(connection, self._space) if self._space else space.active(connection)
        if found is not None and found.kind != "model":
            if self._space:
                raise UsageError(f"Nobody embeds the pictures of space {found.name}: its vectors are given.")
            raise NoSpace(
                f"The searched space, {found.name}, needs no worker: its vectors are given. Name another one."
            )
        return [found] if found else []

    def _loaded(self, joined: Space | None) -> tuple[int, Encoder]:
        """Load the model of a space, or the first model there is, and check it; return its space's number."""
        settings = self.settings
        own = settings.model.split(",") if settings.model else []
        model = joined.model if joined is not None and (self._space or not own) else (*own, DEFAULT_MODEL)[0]
        # The commit that made the space, whatever its branch holds by now.
        revision = joined.revision if joined is not None and joined.model == model else None
        encoder = load(settings, model, with_texts="queries" in self._names, revision=revision or None)
        made = self._join_space(encoder, joined)
        log.info("model %s on %s, space %s, queues %s", model, encoder.device, made.name, "+".join(self._names))
        self._say_what_is_left(made)
        return made.space_id, encoder

    def _own_store(self, connection: psycopg.Connection[Any]) -> Store:
        """Let the store know whose pictures this worker reads: those of a restored copy have no other sign of it."""
        store = picture_store.own_store(connection, open_store(self.settings.storage_url))
        try:
            if sql.value(connection, "upload", "stores_pictures"):
                store.mark()
        except StoreError as error:
            log.warning("the picture store could not be marked as this database's: %s", error)
        return store

    def _image_loop(self, context: LoopContext, encoders: Mapping[int, Encoder]) -> ImageLoop:
        settings = self.settings
        pools: dict[tuple[str, Geometry], DecodePool] = {}
        embedders = []
        for space_id, encoder in encoders.items():
            alike = encoder.decoder, geometry_of(encoder)
            if alike not in pools:
                pools[alike] = self._pool(encoder, settings.decoders)
            embedders.append(
                Embedder(
                    space_id=space_id,
                    batch=Batch(encoder, settings.batch),
                    pool=pools[alike],
                    probe=probe.drawn(1, encoder.size)[0],
                )
            )
        store = self._store
        describer = Describer(settings, store, self._policy(), embedders[0].pool)
        prefetcher = Prefetcher(
            store,
            self._policy(),
            {one.space_id: one.pool for one in embedders},
            threads=settings.decoders + FETCHING,
            describer=describer,
        )
        self._prefetchers.append(prefetcher)
        filler = RegionFiller(settings, Looker(settings, store, self._policy()), embedders, _exit)
        return ImageLoop(
            context,
            Listener(settings, "imgsearch_image"),
            prefetcher=prefetcher,
            embedders=embedders,
            describer=describer,
            filler=filler,
            on_device_lost=_exit,
        )

    def _query_loop(self, context: LoopContext, encoders: Mapping[int, Encoder]) -> QueryLoop:
        return QueryLoop(
            context,
            Listener(self.settings, "imgsearch_query"),
            encoders={space_id: (encoder, self._pool(encoder, 1)) for space_id, encoder in encoders.items()},
            store=self._store,
            policy=self._policy(),
            on_device_lost=_exit,
        )

    def _policy(self) -> FetchPolicy:
        return FetchPolicy(allow_hosts=self.settings.fetch_allow, file_roots=self.settings.fetch_folders)

    def _pool(self, encoder: Encoder, children: int) -> DecodePool:
        pool = DecodePool(children, geometry_of(encoder), module=encoder.decoder)
        self._pools.append(pool)
        return pool

    def _say_what_is_left(self, made: Space) -> None:
        """A space that is made where there are many images already is searched at once, and slowly."""
        with db.connect_direct(self.settings, autocommit=True) as connection:
            if made.state == "active" and not space.is_indexed(connection, made.space_id):
                log.warning(
                    "searches of space %s compare everything: it has no index yet. When its images are embedded, or "
                    "now to wait for them: imgsearch space fill %s",
                    made.name,
                    made.name,
                )

    def _join_space(self, encoder: Encoder, joined: Space | None) -> Space:
        """Return our space; a query worker that came first waits for an image worker to make it."""
        description = described(encoder, with_mean=joined is None and "images" in self._names)
        while True:
            with db.connect_direct(self.settings, autocommit=True) as connection:
                try:
                    made = space.ensure(connection, description, space_id=joined.space_id if joined else None)
                    if description.revision != made.revision:
                        log.warning(
                            "this worker has revision %s of its model, the space %s was made with %s: the weights are "
                            "the same",
                            description.revision or "(none: a folder)",
                            made.name,
                            made.revision or "(none: a folder)",
                        )
                    return made
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
            db.connect_direct(settings).close()
        except (DatabaseError, psycopg.Error):
            if not left:
                raise
            wait(1)
        else:
            return
