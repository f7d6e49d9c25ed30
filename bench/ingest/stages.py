"""What one step costs when it has the machine to itself: milliseconds per picture, on the clock and of processor.

Each step is measured alone, by the very functions the worker calls; processor time is that of every process involved
(this one, the decoder, the database's backend).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import psutil
import psycopg
from imgsearch_workers.decoding.decoder import DecodePool
from psycopg.sql import SQL, Identifier

from imgsearch import db, picture, storage
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.settings import Settings
from imgsearch.spaces import space
from imgsearch.spaces.space import Description
from imgsearch.storage import FetchPolicy, Store

FIRST = 1_000_000  # numbers of products no run uses


@dataclass
class Cost:
    """Seconds spent on so many pictures; `others` in `of` are ids of processes."""

    pictures: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    def plain(self) -> dict[str, float]:
        """Return milliseconds per picture."""
        return {"wall_ms": 1000 * self.wall / self.pictures, "cpu_ms": 1000 * self.cpu / self.pictures}


@dataclass
class Costs:
    """The steps measured so far, by name."""

    by_step: dict[str, Cost] = field(default_factory=dict)

    @contextmanager
    def of(self, step: str, pictures: int, *others: int) -> Iterator[None]:
        """Measure a block that handles `pictures`, in this process and in `others`."""
        wall, cpu = time.perf_counter(), _cpu(others)
        yield
        cost = self.by_step.setdefault(step, Cost())
        cost.pictures += pictures
        cost.wall += time.perf_counter() - wall
        cost.cpu += _cpu(others) - cpu


def read_and_decode(costs: Costs, store: Store, rows: Sequence[tuple[str, bytes]], size: int) -> None:
    """Measure fetch (bytes and digest) and decode (pixels, hash and thumbnail, kept)."""
    read: list[bytes] = []
    with costs.of("fetch", len(rows)):
        for uri, _ in rows:
            data = storage.read(uri, store, FetchPolicy(), picture.DEFAULT_LIMITS.max_bytes).data or b""
            picture.digest(data)
            read.append(data)
    others = _children()
    with DecodePool(1, size) as pool:
        pool.decode(read[0], thumbnail=True)
        [child] = _children() - others
        with costs.of("decode", len(read), child):
            for data, (_, digest) in zip(read, rows, strict=True):
                decoded = pool.decode(data, thumbnail=True)
                store.put_thumbnail(digest, decoded.thumbnail or b"")


def write(costs: Costs, settings: Settings, dimension: int, count: int, batch: int) -> None:
    """Measure claim, delivery without an index, the index built afterwards, and delivery with it: `count` rows each."""
    with db.connect(settings, autocommit=True) as connection:
        made = space.ensure(connection, _description(dimension))
        backend = connection.info.backend_pid
        index = f"embedding_{made.space_id}_hnsw"
        found = connection.execute("SELECT pg_get_indexdef(%s::regclass)", (f"imgsearch.{index}",)).fetchone()
        connection.execute(SQL("DROP INDEX {}").format(Identifier("imgsearch", index)))
        _deliver(costs, connection, backend, made.space_id, dimension, count, batch, "vector write")
        connection.execute("SET max_parallel_maintenance_workers = 0")
        with costs.of("index built afterwards", count, backend):
            connection.execute(found[0] if found else "")
        _deliver(costs, connection, backend, made.space_id, dimension, count, batch, "vector write + HNSW")


def _deliver(
    costs: Costs,
    connection: psycopg.Connection[Any],
    backend: int,
    space_id: int,
    dimension: int,
    count: int,
    batch: int,
    step: str,
) -> None:
    """Add `count` rows and take them through the queue, a batch at a time, with vectors near one of 50 centres."""
    chance = np.random.default_rng(len(step))
    centres = chance.normal(size=(50, dimension))
    rows = [sha256(f"{step} {n}".encode()).digest() for n in range(count)]
    with connection.transaction(), connection.cursor() as cursor:
        into = "COPY imgsearch.image (tenant_id, product_id, category, price, uri, sha256) FROM STDIN"
        with cursor.copy(into) as copy:
            for n, digest in enumerate(rows):
                copy.write_row(("shop", f"{step} {n}", f"c{n % 20}", n % 100, storage.store.uri_of(digest), digest))
    left = count
    while left > 0:
        with costs.of("claim", min(batch, left), backend):
            claims = queue.claim(connection, worker="bench", limit=batch, lease_seconds=60)
            queue.known(connection, space_id, [(c.tenant_id, c.sha256) for c in claims if c.sha256])
        if not claims:
            raise RuntimeError("nothing to claim: does a worker run on this database?")
        drawn = centres[chance.integers(0, 50, len(claims))] + 0.6 * chance.normal(size=(len(claims), dimension))
        vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        deliveries = [
            Delivery(claim=c, sha256=c.sha256 or b"", embedding=v) for c, v in zip(claims, vectors, strict=True)
        ]
        with costs.of(step, len(claims), backend):
            left -= len(queue.deliver(connection, space_id, deliveries))


def _description(dimension: int) -> Description:
    return Description(
        model="bench", revision="", fingerprint="bench", dimension=dimension, preprocessing="none",
        mean=[0.001] * dimension,
    )  # fmt: skip


def _children() -> set[int]:
    return {process.pid for process in psutil.Process().children()}


def _cpu(others: Sequence[int]) -> float:
    return time.process_time() + sum(cpu_of(pid) for pid in others)


def cpu_of(pid: int) -> float:
    """Return the processor time of a process from its own clock (`clock_getcpuclockid(3)`); 0 when it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
