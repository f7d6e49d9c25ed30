"""An image lane inside the test's own process, so that a test may hold its encoder's hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psycopg
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.pipeline.batch import Batch, Pixels
from imgsearch_workers.pipeline.images import Images
from imgsearch_workers.pipeline.prefetcher import Feed
from imgsearch_workers.process.listener import Ears

from imgsearch.db import sql
from imgsearch.dev.testing import FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces.space import _values
from imgsearch.storage import FetchPolicy, Store, open_store


class Gate(FakeEncoder):
    """Counts what it embeds, and stops before each pass while the gate is shut."""

    def __init__(self, *, poisonous: bool = False) -> None:
        super().__init__(poisonous=poisonous)
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        self.embedded = 0
        self.raised_at: float | None = None

    def embed_pictures(self, pixels: Pixels) -> Any:
        self.waiting.set()
        self.open.wait(30)
        self.embedded += len(pixels)
        try:
            return super().embed_pictures(pixels)
        except RuntimeError:
            self.raised_at = time.monotonic()
            raise


@dataclass
class Running:
    """A running lane; `lost` is set instead of ending the process."""

    lane: Images
    encoder: Any
    lost: threading.Event = field(default_factory=threading.Event)
    lost_at: float = 0.0


@contextmanager
def images(
    settings: Settings, encoder: Any, *, store: Store | None = None, batch: int = 8, policy: FetchPolicy | None = None
) -> Iterator[Running]:
    """Run an image lane around a block."""
    pool = DecodePool(1, encoder.size)
    feed = Feed(store or open_store(settings.storage_url), policy or FetchPolicy(), pool, threads=2)
    ears = Ears(settings, "imgsearch_image")
    running = Running(lane=None, encoder=encoder)  # type: ignore[arg-type]

    def lost() -> None:
        running.lost_at = time.monotonic()
        running.lost.set()

    running.lane = Images(
        settings,
        "cpu",
        1,
        feed=feed,
        batch=Batch(encoder, batch),
        ears=ears,
        probe=np.zeros((encoder.size, encoder.size, 3), np.uint8),
        lost=lost,
    )
    ears.start()
    running.lane.start()
    try:
        yield running
    finally:
        running.lane.stop()
        running.lane.join(12)
        feed.close()
        pool.close()


def activate_another(connection: psycopg.Connection[Any]) -> int:
    """Make the space of another model, and the searched one; answer its number."""
    other = replace(FakeEncoder().describe(), model="other", fingerprint="other")
    space_id = int(sql.value(connection, "space", "create", _values(other)))
    sql.run(connection, "space", "activate", {"space_id": space_id})
    return space_id
