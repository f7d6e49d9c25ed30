"""A query worker inside the test's own process that keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from imgsearch import db
from imgsearch.dev.testing import FakeEncoder
from imgsearch.query import cache
from imgsearch.query.cache import Entry
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space


def seen(connection: psycopg.Connection[Any], space: Space) -> None:
    """Leave a query worker's sign of life, good for an hour."""
    connection.execute(
        "INSERT INTO imgsearch.worker (name, queue, host, pid, device, space_id, seen_at) "
        "VALUES ('queries@here:1', 'queries', 'here', 1, 'cpu', %s, now() + interval '1 hour') ON CONFLICT DO NOTHING",
        (space.space_id,),
    )


@contextmanager
def answering(settings: Settings, space: Space) -> Iterator[list[Entry]]:
    """Answer every question around a block; the list grows by each that was asked."""
    asked: list[Entry] = []
    stopping, ready = threading.Event(), threading.Event()

    def work() -> None:
        with db.connect(settings, autocommit=True) as connection:
            seen(connection, space)
            ready.set()
            while not stopping.wait(0.01):
                for one in cache.claim(connection, space.space_id, 16):
                    asked.append(one)
                    [vector] = FakeEncoder().embed_texts([one.query or one.key.hex()])
                    [tokens] = FakeEncoder().count_tokens([one.query or ""])
                    cache.answer(connection, space.space_id, one, vector, tokens=tokens)

    thread = threading.Thread(target=work, name="answering")
    thread.start()
    ready.wait(30)
    try:
        yield asked
    finally:
        stopping.set()
        thread.join(10)
