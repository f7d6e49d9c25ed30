"""The first worker makes its space while the shop goes on writing: neither ends the other's transaction."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import SpaceBusy
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure

INSERT = "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', %s, 'http://shop.example/1.jpg')"


def test_a_transaction_that_read_pictures_may_add_one_while_a_space_is_made(
    settings: Settings, connection: psycopg.Connection[Any]
) -> None:
    """It holds a weak lock and wants a stronger one; the space wants the strongest of all."""
    made: list[int] = []

    def make() -> None:
        with db.connect(settings, autocommit=True) as worker:
            made.append(ensure(worker, FakeEncoder().describe()).space_id)

    with db.connect(settings) as shop:
        shop.execute("SELECT count(*) FROM imgsearch.image")
        worker = threading.Thread(target=make)
        worker.start()
        worker.join(0.5)
        shop.execute(INSERT, ("before",))
        shop.commit()
        worker.join(20)
    assert made == [1]
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,)


def test_a_space_gives_up_rather_than_stop_the_shop_for_long(
    settings: Settings, connection: psycopg.Connection[Any]
) -> None:
    """Whoever waits for the strongest lock makes all others wait behind it, so it must not wait for long."""
    connection.execute("SET imgsearch.lock_patience = '1s'")
    with db.connect(settings) as shop:
        shop.execute(INSERT, ("unfinished",))
        with pytest.raises(SpaceBusy, match=rf"imgsearch.image was in use .* process {shop.info.backend_pid} of"):
            ensure(connection, FakeEncoder().describe())
        shop.commit()
    assert ensure(connection, FakeEncoder().describe()).dimension == 48


def test_whoever_looks_at_the_queue_is_not_in_the_way(settings: Settings, connection: psycopg.Connection[Any]) -> None:
    """A reader of imgsearch.status holds the queue and then wants the pictures: a space must not want the queue."""
    with db.connect(settings) as looking:
        looking.execute("SELECT count(*) FROM imgsearch.job, imgsearch.query_vector, imgsearch.image_sample")
        assert ensure(connection, FakeEncoder().describe()).dimension == 48
