"""An image loop inside the test's own process, so that a test may hold its encoder's hand."""

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
from imgsearch_workers.model.encoder import Encoder, Pixels
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.images import ImageLoop
from imgsearch_workers.pipeline.prefetcher import Prefetcher
from imgsearch_workers.pipeline.work_loop import LoopContext
from imgsearch_workers.process.listener import Listener

from imgsearch.dev.testing import FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces import space
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
    """A running loop; `lost` is set instead of ending the process."""

    loop: ImageLoop
    encoder: Encoder
    lost: threading.Event = field(default_factory=threading.Event)
    lost_at: float = 0.0

    def lose(self) -> None:
        self.lost_at = time.monotonic()
        self.lost.set()


@contextmanager
def images(
    settings: Settings,
    encoder: Encoder,
    *,
    store: Store | None = None,
    batch: int = 8,
    policy: FetchPolicy | None = None,
    space_id: int = 1,
) -> Iterator[Running]:
    """Run the loop of the image queue around a block."""
    pool = DecodePool(1, encoder.size)
    fetched = policy or FetchPolicy()
    prefetcher = Prefetcher(store or open_store(settings.storage_url), fetched, {space_id: pool}, threads=2)
    probe = np.zeros((encoder.size, encoder.size, 3), np.uint8)
    running: Running
    loop = ImageLoop(
        LoopContext(settings, "cpu", (space_id,)),
        Listener(settings, "imgsearch_image"),
        prefetcher=prefetcher,
        embedders=[Embedder(space_id=space_id, batch=Batch(encoder, batch), pool=pool, probe=probe)],
        on_device_lost=lambda: running.lose(),
    )
    running = Running(loop, encoder)
    loop.start()
    try:
        yield running
    finally:
        loop.stop()
        loop.join(12)
        prefetcher.close()
        pool.close()


def add_another(connection: psycopg.Connection[Any], name: str = "other") -> int:
    """Make the space of another model, which nobody searches yet; return its number."""
    other = replace(FakeEncoder().describe(), model=name, fingerprint=name)
    return space.add(connection, other, name=name)


def activate_another(connection: psycopg.Connection[Any]) -> int:
    """Make the space of another model, and the searched one though it is empty; return its number."""
    space_id = add_another(connection)
    connection.execute("SELECT imgsearch.activate_space('other', force => true)")
    return space_id
