"""An index that an upgrade builds: a disk that fills, an interrupted build, a writer in its way; and the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.errors import DiskFull, SchemaBusy
from imgsearch.schema import migrate
from imgsearch.schema.plan import plan
from imgsearch.schema.step import Part, Step
from imgsearch.settings import Settings
from tests.conftest import behind
from tests.schema.rehearsal import PHOTOS, STEPS, done, stepped
from tests.small_disk import small_disk

Connection = psycopg.Connection[Any]


@pytest.fixture
def small(connection: Connection, folder: Path) -> Iterator[str]:
    """A tablespace of 2 MB."""
    with small_disk(connection, folder, 2) as made:
        yield made.tablespace
        connection.execute("DROP INDEX IF EXISTS imgsearch.image_full")


def test_a_disk_that_fills_while_an_index_is_built_costs_nothing_but_a_second_try(
    connection: Connection, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute(PHOTOS, [3000])
    connection.execute(
        "UPDATE imgsearch.image SET attributes = jsonb_build_object('a',"
        " (SELECT string_agg(md5(image_id || ' ' || n), '') FROM generate_series(1, 40) n))"
    )
    index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS image_full ON imgsearch.image ((attributes ->> 'a'))"
    stepped(monkeypatch, Step("9999_full", f"{index} TABLESPACE {small}", (Part("index"),), online=True))
    with pytest.raises(DiskFull, match="nothing that was there is lost"):
        migrate.upgrade(connection)
    there = "SELECT to_regclass('imgsearch.image_full') IS NOT NULL, (SELECT count(*) FROM imgsearch.image)"
    assert connection.execute(there).fetchone() == (False, 3000), "an index that is not whole is written, never read"
    assert connection.execute("SELECT current_setting('lock_timeout')").fetchone() == ("0",)
    connection.execute("DELETE FROM imgsearch.image WHERE image_id % 4 > 0")
    migrate.upgrade(connection)
    assert connection.execute(there).fetchone() == (True, 750)


def test_an_index_that_another_session_left_half_built_is_built_anew(rehearsal: Connection, settings: Settings) -> None:
    rehearsal.execute("ALTER TABLE imgsearch.image ADD COLUMN rehearsed double precision DEFAULT 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        rehearsal.execute("CREATE UNIQUE INDEX CONCURRENTLY image_rehearsed ON imgsearch.image (rehearsed)")
    assert done(rehearsal)[1] is False
    migrate.upgrade(rehearsal)
    assert done(rehearsal) == (0, True, True)


def test_a_build_that_waits_for_a_writer_too_long_names_it(rehearsal: Connection, settings: Settings) -> None:
    with db.connect(settings) as shop:
        rehearsal.execute("ALTER TABLE imgsearch.image ADD COLUMN rehearsed double precision DEFAULT 0")
        rehearsal.execute("ALTER TABLE imgsearch.image_sample ADD COLUMN rehearsed double precision")
        shop.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'open', 'store:o')")
        with pytest.raises(SchemaBusy, match=rf"part 1 of 5.*process {shop.info.backend_pid} .*INSERT INTO imgsearch"):
            migrate.upgrade(rehearsal, patience=0.5)
        rehearsal.execute("INSERT INTO imgsearch.schema_version VALUES ('9000_rehearsal', '2 parts', '0.1.0', '0.1.0')")
        with pytest.raises(SchemaBusy, match=rf"part 3 of 5.*process {shop.info.backend_pid} .*INSERT INTO imgsearch"):
            migrate.upgrade(rehearsal, patience=0.5)
    assert done(rehearsal)[1] is not True
    migrate.upgrade(rehearsal)
    assert done(rehearsal)[1:] == (True, True)


def test_the_plan_says_what_is_to_be_done_and_changes_nothing(rehearsal: Connection, settings: Settings) -> None:
    rehearsal.execute("ANALYZE imgsearch.image")
    found = plan(rehearsal)
    assert (found.current, found.head, found.online) == (STEPS[-1].name, "9000_rehearsal", True)
    assert [(one.step, one.how, one.rows) for one in found.lines[:5]] == [
        ("9000_rehearsal", how, rows)
        for how, rows in [("brief", 0), ("batches", 2000), ("index", 2000), ("brief", 0), ("validate", 2000)]
    ]
    assert found.lines[0].locks["imgsearch.image"] == "ACCESS EXCLUSIVE"
    assert found.lines[2].disk_bytes == 80_000
    assert plan(rehearsal) == found
    migrate.upgrade(rehearsal)
    assert plan(rehearsal).lines == ()
    rehearsal.execute("ALTER VIEW imgsearch.spaces SET (security_barrier = true)")
    behind(settings)
    [line] = plan(rehearsal).lines
    assert line.locks == {"imgsearch.spaces": "ACCESS EXCLUSIVE"}
