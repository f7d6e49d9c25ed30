"""What could not be followed is tried again by itself: in time, some at once, never in the shop's way."""

from __future__ import annotations

import time
from typing import Any

import pytest

from imgsearch import db
from imgsearch.ingest import attachment, queue
from imgsearch.settings import Settings
from tests.attach.conftest import Connection, images

BROKEN = (
    "CREATE OR REPLACE FUNCTION dear(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE"
    " AS $$ BEGIN RETURN n / 0; END $$"
)
MENDED = BROKEN.replace("n / 0", "n")
AGED = "UPDATE imgsearch.attachment_failure SET failed_at = failed_at - interval '61 seconds'"


@pytest.fixture
def shop(connection: Connection) -> Connection:
    connection.execute("CREATE TABLE thing (id integer PRIMARY KEY, photo text)")
    connection.execute(BROKEN.encode())
    attachment.attach(connection, "thing", key="id", image="photo", price="dear(id)", base="https://x.example")
    return connection


def failed(connection: Connection) -> list[Any]:
    return connection.execute("SELECT key, times FROM imgsearch.attachment_failure ORDER BY key").fetchall()


def test_what_failed_is_tried_again_later_and_later(shop: Connection) -> None:
    shop.execute("INSERT INTO thing VALUES (1, 'a'), (2, 'b')")
    assert queue.retry_attached(shop) == 0
    assert failed(shop) == [("1", 1), ("2", 1)], "not before its time"
    shop.execute(AGED.encode())
    assert queue.retry_attached(shop) == 0
    assert failed(shop) == [("1", 2), ("2", 2)]
    shop.execute(MENDED.encode())
    shop.execute(AGED.encode())
    assert queue.retry_attached(shop) == 0, "the second time after two minutes"
    shop.execute(AGED.encode())
    assert queue.retry_attached(shop) == 2
    assert (failed(shop), len(images(shop))) == ([], 2)


def test_a_worker_may_call_it_and_some_at_once(shop: Connection) -> None:
    shop.execute("INSERT INTO thing SELECT n, 'p' || n FROM generate_series(1, 50) n")
    shop.execute(MENDED.encode())
    shop.execute(AGED.encode())
    shop.execute("SET ROLE imgsearch_worker")
    assert shop.execute("SELECT imgsearch.retry_attached(20)").fetchone() == (20,)
    assert queue.retry_attached(shop) == 30
    shop.execute("RESET ROLE")
    assert len(images(shop)) == 50


def test_rows_that_are_not_known_one_by_one(shop: Connection) -> None:
    shop.execute("DROP FUNCTION dear CASCADE")
    shop.execute("INSERT INTO thing SELECT n, 'p' || n FROM generate_series(1, 500) n")
    assert failed(shop) == [("", 1)]
    shop.execute(AGED.encode())
    assert queue.retry_attached(shop) == 0
    assert failed(shop) == [("", 2)]
    shop.execute(MENDED.encode())
    shop.execute(AGED.encode())
    assert queue.retry_attached(shop) == 0
    shop.execute(AGED.encode())
    assert queue.retry_attached(shop) == 500
    assert (failed(shop), len(images(shop))) == ([], 500)


def test_a_row_that_the_shop_holds_is_not_waited_for(shop: Connection, settings: Settings) -> None:
    shop.execute("INSERT INTO thing VALUES (1, 'a')")
    shop.execute(MENDED.encode())
    shop.execute(AGED.encode())
    with db.connect(settings) as other:
        other.execute("UPDATE thing SET photo = photo WHERE id = 1")
        began = time.monotonic()
        assert queue.retry_attached(shop) == 0
        assert time.monotonic() - began < 5
        assert failed(shop) == [("1", 1)]
    assert queue.retry_attached(shop) == 1
