"""What is read from pictures beside those who replace them, beside a shop that wants none of it, and past a bug."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.pipeline import describer

from imgsearch import db
from imgsearch.ingest import upload
from imgsearch.ops import shops
from imgsearch.picture import palette
from imgsearch.picture.geometry import Geometry
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy
from tests.processes import eventually
from tests.test_described import add, attributes, describe, described, read

__all__ = ["add", "described"]
Connection = psycopg.Connection[Any]
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def beside(settings: Settings, act: Callable[[Connection], object]) -> threading.Thread:
    def acts() -> None:
        with db.connect(settings, autocommit=True) as other:
            act(other)

    thread = threading.Thread(target=acts, daemon=True)
    thread.start()
    return thread


def test_the_place_of_a_picture_goes_with_it(described: Connection) -> None:
    """Its file is gone: nobody may learn where it was taken, whether or not the next one can be read."""
    assert read(described) == 1
    described.execute("UPDATE imgsearch.image SET price = 3, sha256 = sha256")
    assert read(described) == 1
    described.execute("UPDATE imgsearch.image SET uri = 'store:2', sha256 = sha256('2')")
    assert read(described) == 0


def test_what_is_turned_off_while_a_worker_writes_it_is_gone(described: Connection, settings: Settings) -> None:
    """The worker has read the wish, and what it writes is not to be seen yet when all of it is removed."""
    described.execute("DELETE FROM imgsearch.capture")
    described.execute("UPDATE imgsearch.image SET uri = 'store:2', sha256 = sha256('2')")
    with db.connect(settings) as worker:
        assert describe(worker, b"2") == 1
        off = beside(
            settings, lambda other: shops.set_shop(other, tenant="acme", describe_pictures=False, keep_captures=False)
        )
        eventually(lambda: described.execute(WAITS).fetchone() == (1,), what="who turns it off waits")
        worker.commit()
    off.join(20)
    assert not off.is_alive()
    assert read(described) == 0
    assert attributes(described)["p"] == {"brand": "x"}


def test_a_shop_that_is_being_set_keeps_no_worker_waiting(
    described: Connection, settings: Settings, space: Space
) -> None:
    with db.connect(settings) as other:
        shops.set_shop(other, tenant="acme", keep_captures=False)
        described.execute("SET lock_timeout = '2s'")
        assert describe(described, b"1") == 0
        other.rollback()
    assert describe(described, b"1") == 1


def test_a_picture_that_meets_a_bug_costs_no_other_its_description(
    connection: Connection,
    settings: Settings,
    space: Space,
    add: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(pixels: Any, width: int, height: int) -> dict[str, Any]:
        if pixels[2, 2, 0] > 200 > pixels[2, 2, 1]:  # the red one
            raise ZeroDivisionError("a bug")
        return made(pixels, width, height)

    made = palette.describe
    monkeypatch.setattr(palette, "describe", broken)
    monkeypatch.setattr(describer, "LOOK_SECONDS", 0.2)
    add()
    connection.execute("DELETE FROM imgsearch.job")
    shops.set_shop(connection, tenant="acme", describe_pictures=True, keep_captures=True)
    pool = DecodePool(1, Geometry.fit(4))
    store = upload.default_store(settings)
    reader = describer.Describer(settings, store, FetchPolicy(), pool)
    reader.start(busy=bool)
    try:
        eventually(lambda: read(connection) == 3, what="three that are read", seconds=20)
        add("bolt")
        connection.execute("DELETE FROM imgsearch.job")
        shops.set_shop(connection, tenant="bolt", describe_pictures=True)
        eventually(lambda: sum("picture_shape" in one for one in attributes(connection, "bolt").values()) == 3)
    finally:
        reader.stop()
        pool.close()


def test_a_picture_that_somebody_held_is_read_soon_after(
    connection: Connection,
    settings: Settings,
    space: Space,
    add: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not only when all of a catalogue is looked through again, ten minutes later."""
    monkeypatch.setattr(describer, "SOON_SECONDS", 0.2)
    add()
    connection.execute("DELETE FROM imgsearch.job")
    shops.set_shop(connection, tenant="acme", keep_captures=True)
    pool = DecodePool(1, Geometry.fit(4))
    reader = describer.Describer(settings, upload.default_store(settings), FetchPolicy(), pool)
    try:
        with db.connect(settings) as other:
            other.execute("SELECT 1 FROM imgsearch.image WHERE product_id IN ('m', 's') FOR UPDATE")
            reader.start(busy=bool)
            eventually(lambda: read(connection) == 2, what="two that nobody holds")
        eventually(lambda: read(connection) == 4, what="the two that were held", seconds=30)
    finally:
        reader.stop()
        pool.close()
