"""What a worker does when things break around it: nothing is lost, and no attempt is spent that was not made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from bench.soak import pictures
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import Store, open_store
from tests.conftest import with_settings
from tests.loops import Gate, images
from tests.processes import eventually

pytestmark = pytest.mark.slow  # all of them together

Connection = psycopg.Connection[Any]


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings.storage_url)


def add(connection: Connection, store: Store, name: str, data: bytes) -> int:
    return upload.add(connection, data, product_id=name, tenant="acme", store=store).image_id


def ready(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM imgsearch.images").fetchone()
    return int(row[0]) if row else 0


def jobs(connection: Connection) -> list[Any]:
    return connection.execute(
        "SELECT i.product_id, j.state, j.attempts, j.error_code FROM imgsearch.job j"
        " JOIN imgsearch.image i USING (tenant_id, image_id) ORDER BY 1"
    ).fetchall()


def test_a_claim_that_an_outage_cut_off_is_worked_on_by_the_same_worker(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    """The claim was committed, then the database went away: a worker that forgot it must not renew its lease."""
    short = with_settings(settings, LEASE_SECONDS="2")
    connection.execute("BEGIN; LOCK TABLE imgsearch.embedding_1 IN ACCESS EXCLUSIVE MODE")
    with images(short, FakeEncoder()):
        add(connection, store, "a", pictures.draw(1))
        connection.execute("COMMIT; BEGIN; LOCK TABLE imgsearch.embedding_1 IN ACCESS EXCLUSIVE MODE")
        eventually(
            lambda: connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'imgsearch images' AND wait_event_type = 'Lock'"
            ).fetchone(),
            what="the loop between claim and prefetch",
        )
        connection.execute("COMMIT")
        eventually(lambda: ready(connection) == 1, what="the picture ready")


def test_the_same_bytes_in_different_batches_in_flight_are_embedded_once(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    encoder = Gate()
    encoder.open.clear()
    with images(settings, encoder, batch=2):
        add(connection, store, "first", pictures.draw(1))
        assert encoder.waiting.wait(120)
        for n in range(4):
            add(connection, store, f"later{n}", pictures.draw(1))
        eventually(lambda: [j[1] for j in jobs(connection)] == ["leased"] * 5, what="all five in flight")
        encoder.open.set()
        eventually(lambda: ready(connection) == 5, what="all five ready")
    assert encoder.embedded == 1


def test_a_lost_device_gives_everything_back_within_two_seconds(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    encoder = Gate(poisonous=True)
    encoder.open.clear()
    with images(settings, encoder, batch=4) as running:
        add(connection, store, "culprit", pictures.draw(0, 0, "sticky"))
        assert encoder.waiting.wait(120)
        for n in range(6):
            add(connection, store, f"neighbour{n}", pictures.draw(n + 1))
        eventually(lambda: [j[1] for j in jobs(connection)] == ["leased"] * 7, what="all in flight")
        encoder.open.set()
        assert running.lost.wait(120)
        assert encoder.raised_at is not None
        assert running.lost_at - encoder.raised_at < 2
        # A picture claimed at that very moment is given back by the next look of the loop, or by its lease.
        eventually(lambda: "leased" not in {j[1] for j in jobs(connection)}, what="everything given back")
        found = jobs(connection)
    assert ("culprit", "pending", 1, "worker_lost") in found, "whoever was there has spent the attempt, and is suspect"
    assert {j[1] for j in found} == {"pending"}, "nothing is lost, nobody is set aside"


def test_a_picture_for_which_there_is_no_memory_waits_and_then_the_process_ends(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    class Starved(Gate):
        def embed_pictures(self, pixels: Any) -> Any:
            raise MemoryError("none left")

    with images(settings, Starved()) as running:
        for n in range(3):
            add(connection, store, f"p{n}", pictures.draw(n))
        assert running.lost.wait(120)
        assert [j[1:3] for j in jobs(connection)] == [("pending", 0)] * 3


@pytest.mark.parametrize("kind", ["nan", "zero"])
def test_nonsense_of_the_model_never_reaches_the_table(
    settings: Settings, connection: Connection, space: Space, store: Store, kind: Any
) -> None:
    with images(settings, FakeEncoder(poisonous=True)):
        add(connection, store, "bad", pictures.draw(0, 0, kind))
        for n in range(5):
            add(connection, store, f"good{n}", pictures.draw(n + 1))
        eventually(lambda: ready(connection) == 5, what="the neighbours ready")
        eventually(lambda: jobs(connection) == [("bad", "failed", 1, "not_embeddable")], what="the bad one set aside")


def test_a_store_that_is_away_spends_no_attempt_and_a_missing_picture_does(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    folder = Path(settings.storage_url.removeprefix("file://"))
    for n in range(6):
        add(connection, store, f"p{n}", pictures.draw(n))
    away = folder.rename(folder.with_name("away"))
    with images(settings, FakeEncoder()) as running:
        eventually(lambda: running.loop._prefetcher.breaker.rest() > 0, what="the outage noticed")
        eventually(lambda: [j[1:3] for j in jobs(connection)] == [("pending", 0)] * 6, what="all given back")
        away.rename(folder)
        missing = add(connection, store, "missing", pictures.draw(99))
        shutil.rmtree(folder / pictures_folder(connection, missing))
        eventually(lambda: ready(connection) == 6, what="all ready once the store is back")
        eventually(lambda: jobs(connection)[0][2:] in {(1, "missing"), (2, "missing")}, what="the missing one counted")


def pictures_folder(connection: Connection, image_id: int) -> str:
    row = connection.execute("SELECT uri FROM imgsearch.image WHERE image_id = %s", (image_id,)).fetchone()
    assert row is not None
    return str(row[0]).removeprefix("store:").partition("/")[0]


def test_a_bug_in_the_devices_thread_ends_the_process_instead_of_a_worker_that_only_renews_leases(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    class Buggy(FakeEncoder):
        def embed_pictures(self, pixels: Any) -> Any:
            return "no vectors at all"

    with images(settings, Buggy()) as running:
        add(connection, store, "a", pictures.draw(1))
        assert running.lost.wait(120)


def test_what_the_database_cannot_take_does_not_stop_the_desk(
    settings: Settings, connection: Connection, space: Space, store: Store
) -> None:
    class Odd(FakeEncoder):
        """An answer of another dimension is refused by the database, and with it the whole statement."""

        more = 0

        def embed_pictures(self, pixels: Any) -> Any:
            return np.pad(super().embed_pictures(pixels), ((0, 0), (0, self.more)))

    encoder = Odd()
    with images(settings, encoder):
        add(connection, store, "before", pictures.draw(1))
        eventually(lambda: ready(connection) == 1, what="the first ready")
        encoder.more = 1
        add(connection, store, "odd", pictures.draw(2))
        eventually(lambda: jobs(connection) == [("odd", "failed", 1, "not_embeddable")], what="the odd one set aside")
        encoder.more = 0
        add(connection, store, "after", pictures.draw(3))
        eventually(lambda: ready(connection) == 2, what="the next ready")
