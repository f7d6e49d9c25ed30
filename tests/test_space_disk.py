"""A disk that is really full while a space is filled or indexed: said so, nothing lost, and the next try succeeds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from bench.soak import pictures
from imgsearch import db, search
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DiskFull
from imgsearch.ingest import upload
from imgsearch.ops import lifecycle
from imgsearch.query import ImageId
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import loops
from tests.processes import eventually
from tests.small_disk import SmallDisk, small_disk
from tests.terminal import Run, run

__all__ = ["run"]

Connection = psycopg.Connection[Any]
MANY = 900
ALIKE = """INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) SELECT 'acme', 'p' || n, uri, sha256
FROM imgsearch.image, generate_series(1, %s) n"""


@pytest.fixture
def disk(connection: Connection, settings: Settings, space: Space, folder: Path) -> Iterator[SmallDisk]:
    """A shop of pictures alike, and another space on a disk of 4 MB."""
    store = upload.open_store(settings.storage_url)
    upload.add(connection, pictures.draw(1), product_id="p", tenant="acme", store=store)
    connection.execute(ALIKE, [MANY - 1])
    with loops.images(settings, FakeEncoder(), batch=256):
        eventually(lambda: ready(connection, 1) == MANY, what="the first space")
    with small_disk(connection, folder, 4) as small:
        try:
            connection.execute(SQL("SET default_tablespace = {}").format(Identifier(small.tablespace)))
            loops.add_another(connection)
            connection.execute("RESET default_tablespace")
            yield small
        finally:
            connection.execute("SELECT imgsearch.drop_space('other')")


def ready(connection: Connection, space_id: int) -> int:
    return next(int(one["embedded"]) for one in lifecycle.listed(connection) if one["space_id"] == space_id)


def test_vectors_wait_for_room_and_none_is_lost(
    connection: Connection, settings: Settings, disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.fill(leave=150_000)
    done: list[lifecycle.Filled] = []
    thread = threading.Thread(target=lambda: done.append(lifecycle.fill(settings, "other")))
    with loops.images(settings, FakeEncoder(), batch=256, space_id=2) as running:
        thread.start()
        eventually(lambda: "cannot deliver" in caplog.text, what="the full disk")
        assert "No space left on device" in caplog.text
        assert ready(connection, 2) < MANY
        assert connection.execute("SELECT count(*) FROM imgsearch.failures").fetchone() == (0,), "none is to blame"
        with db.connect(settings, autocommit=True) as shop:
            assert len(search(shop, an_image(shop), tenant="acme")) == 10
            shop.execute("UPDATE imgsearch.image SET price = 7")
        assert running.loop.is_alive()
        disk.empty()
        thread.join(60)
    assert [(one.embedded, one.failed) for one in done] == [(MANY, 0)]
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_indexes_that_do_not_fit_are_said_so_and_built_when_there_is_room(
    connection: Connection, settings: Settings, disk: SmallDisk, run: Run
) -> None:
    with loops.images(settings, FakeEncoder(), batch=256, space_id=2):
        while connection.execute("SELECT imgsearch.fill_space('other', 10000)").fetchone() != (0,):
            pass
        eventually(lambda: ready(connection, 2) == MANY, what="the vectors of the other space")
    database = SQL("ALTER DATABASE {} SET default_tablespace = {}")
    connection.execute(database.format(Identifier(connection.info.dbname), Identifier(disk.tablespace)))
    disk.fill(leave=100_000)
    with pytest.raises(DiskFull, match=r"No space left.*nothing that was there is lost"):
        lifecycle.fill(settings, "other")
    said = run("space", "fill", "other")
    assert (said.code, "No space left" in said.err) == (5, True)
    assert connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)
    with db.connect(settings, autocommit=True) as shop:
        assert len(search(shop, an_image(shop), tenant="acme")) == 10
    disk.empty()
    filled = lifecycle.fill(settings, "other")
    assert (filled.embedded, "embedding_2_hnsw" in filled.built) == (MANY, True)
    with db.connect(settings, autocommit=True) as shop:
        assert len(search(shop, an_image(shop), tenant="acme", space="other")) == 10
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def an_image(connection: Connection) -> ImageId:
    row = connection.execute("SELECT min(image_id) FROM imgsearch.image").fetchone()
    assert row is not None
    return ImageId(row[0])
