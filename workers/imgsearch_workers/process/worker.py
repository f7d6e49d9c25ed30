"""One worker process: a model, the space it writes to, and the lanes it works on."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import psycopg

from imgsearch import db, schema
from imgsearch.errors import DatabaseError, NoSpace
from imgsearch.extras import needed
from imgsearch.settings import DEFAULT_MODEL, Settings
from imgsearch.spaces import space
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy, open_store
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model import probe
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.images import Images
from imgsearch_workers.pipeline.prefetcher import Feed
from imgsearch_workers.pipeline.queries import Queries
from imgsearch_workers.pipeline.work_loop import Lane
from imgsearch_workers.process.listener import Ears

log = logging.getLogger("imgsearch.worker")
Lanes = Literal["images", "queries", "both"]
DEVICE_LOST = 70  # exit code: a supervisor should start a fresh process
SPACE_CHANGED = 75  # exit code: another space is searched; a fresh process loads its model
END_SECONDS = 12.0
FETCHING = 8  # pictures on their way from a bucket or a strange server while all decoders are busy
FAKE = "fake"


class Station:
    """Loads the model once, checks it against the space, and runs the lanes until stopped."""

    def __init__(self, settings: Settings, lanes: Lanes) -> None:
        self.settings = settings
        self._names = ("images", "queries") if lanes == "both" else (lanes,)
        self.lanes: list[Lane] = []
        self.ears: dict[str, Ears] = {}
        self._started = False
        self._pools: list[DecodePool] = []
        self._feeds: list[Feed] = []

    def load(self) -> None:
        """Load the model and check everything; nothing is claimed yet.

        Raises ModelError, SpaceMismatch, and the database's typed errors: a worker that must not write does not start.
        """
        settings = self.settings
        with db.connect(settings, autocommit=True) as connection:
            schema.check(connection)
            known = space.active(connection)
        model = settings.model or (known.model if known else DEFAULT_MODEL)
        encoder, free_memory = _load(settings, model, self._names)
        found = self._join_space(encoder, known)
        log.info("model %s on %s, space %d, lanes %s", model, encoder.device, found.space_id, "+".join(self._names))
        shared = _Shared(encoder) if len(self._names) > 1 else encoder
        for name in self._names:
            make: Any = self._images if name == "images" else self._queries
            self.lanes.append(make(shared, encoder, found.space_id, free_memory))
        for pool in self._pools:
            pool.await_start()

    def start(self) -> None:
        """Start the lanes; from now on this process may hold pictures."""
        for ears in self.ears.values():
            ears.start()
        for lane in self.lanes:
            lane.start()
        self._started = True

    def ask_to_end(self) -> None:
        """Have the lanes finish or give back what they hold; returns at once."""
        for lane in self.lanes:
            lane.stop()

    def stop(self, seconds: float = END_SECONDS) -> bool:
        """End the lanes, within `seconds` altogether; tell whether all have ended."""
        deadline = time.monotonic() + seconds
        self.ask_to_end()
        ended = [lane.join(deadline - time.monotonic()) for lane in self.lanes]
        for feed in self._feeds:
            feed.close()
        if all(ended):  # else a decoder may be at work for seconds; it dies with this process
            for pool in self._pools:
                pool.close()
        return all(ended)

    def outdated(self) -> bool:
        """Tell whether another space is searched now, so that a fresh process should load its model."""
        return any(lane.outdated for lane in self.lanes)

    def broken(self) -> str | None:
        """Answer why this process should end, so that a fresh one takes over; None while it works."""
        for lane in self.lanes:
            if not lane.is_alive():
                return f"a part of the lane {lane.name} has ended"
            if lane.pulse.stuck():
                return f"a forward pass of the lane {lane.name} does not return"
        return None

    def ready(self) -> list[str]:
        """Answer what keeps this worker from working, nothing when all is well. May take some seconds."""
        if not self._started:
            return ["the model is being loaded"]
        return [f"{lane.name}: does not look at its queue" for lane in self.lanes if not lane.looks()] + [
            f"{lane.name}: the model does not answer" for lane in self.lanes if not lane.pulse.beats()
        ]

    def _images(self, shared: Any, encoder: Any, space_id: int, free_memory: Callable[[], Any] | None) -> Images:
        settings = self.settings
        feed = Feed(
            open_store(settings.storage_url),
            FetchPolicy(allow_hosts=settings.fetch_allow, file_roots=settings.fetch_folders),
            self._pool(encoder, settings.decoders),
            threads=settings.decoders + FETCHING,
        )
        self._feeds.append(feed)
        return Images(
            settings,
            str(encoder.device),
            space_id,
            feed=feed,
            batch=Batch(shared, settings.batch, free_memory),
            ears=self._ears("images", "imgsearch_image"),
            probe=probe.drawn(1, encoder.size)[0],
            lost=_exit,
        )

    def _queries(self, shared: Any, encoder: Any, space_id: int, free_memory: Callable[[], Any] | None) -> Queries:
        return Queries(
            self.settings,
            str(encoder.device),
            space_id,
            encoder=shared,
            pool=self._pool(encoder, 1),
            ears=self._ears("queries", "imgsearch_query"),
            free_memory=free_memory,
            lost=_exit,
        )

    def _ears(self, lane: str, channel: str) -> Ears:
        self.ears[lane] = ears = Ears(self.settings, channel)
        return ears

    def _pool(self, encoder: Any, children: int) -> DecodePool:
        module = getattr(encoder, "decoder", "")  # the stand-in encoder of tests may bring another decoder
        pool = DecodePool(children, encoder.size, module=module or "imgsearch_workers.decoding.child")
        self._pools.append(pool)
        return pool

    def _join_space(self, encoder: Any, known: Space | None) -> Space:
        """Answer our space; a query worker that came first waits for an image worker to make it."""
        description = encoder.describe(with_mean=known is None and "images" in self._names)
        while True:
            with db.connect(self.settings, autocommit=True) as connection:
                try:
                    return space.ensure(connection, description)
                except NoSpace:
                    if "images" in self._names:
                        raise
                    log.info("waiting for an image worker to make the space")
            time.sleep(1)


class _Shared:
    """One encoder for two lanes: one forward pass at a time."""

    def __init__(self, encoder: Any) -> None:
        self._encoder, self._lock = encoder, threading.Lock()

    def embed_pictures(self, pixels: Any) -> Any:
        with self._lock:
            return self._encoder.embed_pictures(pixels)

    def embed_texts(self, texts: Any) -> Any:
        with self._lock:
            return self._encoder.embed_texts(texts)


def _load(settings: Settings, model: str, lanes: tuple[str, ...]) -> tuple[Any, Callable[[], Any] | None]:
    """Answer the encoder, and what hands its device's memory back."""
    if model == FAKE:
        with needed("dev", "IMGSEARCH_MODEL=fake"):
            from imgsearch.dev.testing import FakeEncoder
        return FakeEncoder.from_environment(), None
    from imgsearch_workers.model.encoder import BOTH, Encoder, free_memory

    # Queries are texts and pictures: that lane needs both towers. Uploads are pictures only.
    towers = BOTH if "queries" in lanes else frozenset({"image"})
    encoder = Encoder.load(
        model,
        revision=settings.model_revision or None,
        towers=towers,  # type: ignore[arg-type]
        device=settings.device,
        threads=settings.threads,
    )
    return encoder, free_memory


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
