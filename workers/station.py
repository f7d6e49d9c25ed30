"""One worker process: a model, the space it writes to, and the lanes it works on."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import psycopg

from imgsearch import config, db, space
from imgsearch.config import DEFAULT_MODEL, Settings
from imgsearch.errors import DatabaseError, NoSpace
from imgsearch.space import Space
from imgsearch.storage import FetchPolicy, open_store
from workers.batch import Batch
from workers.decoder import DecodePool
from workers.ears import Ears
from workers.feed import Feed
from workers.images import Images
from workers.lane import Lane
from workers.queries import Queries

log = logging.getLogger("imgsearch.worker")
Lanes = Literal["images", "queries", "both"]
DEVICE_LOST = 70  # exit code: a supervisor should start a fresh process
FAKE = "fake"


class Station:
    """Loads the model once, checks it against the space, and runs the lanes until stopped."""

    def __init__(self, settings: Settings, lanes: Lanes) -> None:
        self.settings = settings
        self._names = ("images", "queries") if lanes == "both" else (lanes,)
        self.lanes: list[Lane] = []
        self.ears: dict[str, Ears] = {}
        self._pools: list[DecodePool] = []
        self._feeds: list[Feed] = []

    def start(self) -> None:
        """Load, check, and start the lanes.

        Raises ModelError, SpaceMismatch, and the database's typed errors: a worker that must not write does not start.
        """
        settings = self.settings
        with db.connect(settings, autocommit=True) as connection:
            db.check(connection)
            known = space.active(connection)
        model = settings.get("MODEL") or (known.model if known else DEFAULT_MODEL)
        encoder = _load(settings, model, self._names)
        device = str(encoder.device)
        found = self._join_space(encoder, known)
        log.info("model %s on %s, space %d, lanes %s", model, device, found.space_id, "+".join(self._names))
        lock = threading.Lock()
        for name in self._names:
            self.ears[name] = ears = Ears(settings, "imgsearch_image" if name == "images" else "imgsearch_query")
            pool = DecodePool(settings.decoders if name == "images" else 1, encoder.size)
            self._pools.append(pool)
            shared = _Shared(encoder, lock) if len(self._names) > 1 else encoder
            if name == "images":
                store = open_store(settings.storage_url)
                policy = FetchPolicy(allow_hosts=settings.fetch_allow)
                feed = Feed(store, policy, pool, threads=settings.decoders + 1)
                self._feeds.append(feed)
                batch = Batch(shared, settings.batch, getattr(encoder, "free_memory", None))
                lane: Lane = Images(settings, device, found.space_id, feed=feed, batch=batch, ears=ears, lost=_exit)
            else:
                lane = Queries(settings, device, found.space_id, encoder=shared, pool=pool, ears=ears, lost=_exit)
            self.lanes.append(lane)
            ears.start()
            lane.start()

    def stop(self, seconds: float = 12) -> bool:
        """Finish or give back what the lanes hold; tell whether they ended in time."""
        for lane in self.lanes:
            lane.stop()
        ended = [lane.join(seconds) for lane in self.lanes]
        for feed in self._feeds:
            feed.close()
        for pool in self._pools:
            pool.close()
        return all(ended)

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

    def __init__(self, encoder: Any, lock: threading.Lock) -> None:
        self._encoder, self._lock = encoder, lock

    def embed_pictures(self, pixels: Any) -> Any:
        with self._lock:
            return self._encoder.embed_pictures(pixels)

    def embed_texts(self, texts: Any) -> Any:
        with self._lock:
            return self._encoder.embed_texts(texts)


def _load(settings: Settings, model: str, lanes: tuple[str, ...]) -> Any:
    if model == FAKE:
        from imgsearch.testing import FakeEncoder

        return FakeEncoder()
    from workers.encoder import BOTH, Encoder

    # Queries are texts and pictures: that lane needs both towers. Uploads are pictures only.
    towers = BOTH if "queries" in lanes else frozenset({"image"})
    return Encoder.load(
        model,
        revision=settings.get("MODEL_REVISION") or None,
        towers=towers,  # type: ignore[arg-type]
        device=settings.get("DEVICE"),
        threads=settings.threads,
    )


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


def load_settings() -> Settings:
    """Read the settings of this process."""
    return config.load()
