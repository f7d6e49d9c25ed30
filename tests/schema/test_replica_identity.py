"""A publication for all tables (change capture, a logical replica) locks no table of ours against UPDATE and DELETE."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.process import tasks

import imgsearch
from bench.soak import pictures
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.errors import ImgsearchError
from imgsearch.ingest import queue, upload
from imgsearch.ops import api_keys, lifecycle, maintenance, page_sessions, tenant_graphs
from imgsearch.ops.doctor import examine
from imgsearch.settings import Settings, load_settings, process_settings
from imgsearch.spaces.space import Space
from tests.conftest import with_database
from tests.processes import WorkerProcess, eventually

Connection = psycopg.Connection[Any]
BARE = """SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace::regnamespace::text ~ '^imgsearch' AND c.relkind IN ('r', 'p') AND c.relreplident <> 'f'
  AND NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary)"""
NOTHING = "ALTER TABLE imgsearch.image REPLICA IDENTITY NOTHING"
MINE = "CREATE UNIQUE INDEX mine ON imgsearch.image (tenant_id, image_id)"
SHOP = """CREATE TABLE ware (id integer PRIMARY KEY, photo text, price float8);
INSERT INTO ware SELECT n, 'https://x.example/' || n, n FROM generate_series(1, 5) n;"""


def test_every_table_says_which_row_is_meant(connection: Connection, space: Space) -> None:
    """Those of each space as well, and what attaching makes."""
    lifecycle.add_given(connection, "mine", 8)
    connection.execute(SHOP + "SELECT imgsearch.attach('ware', key => 'id', image => 'photo')")
    assert connection.execute(BARE).fetchall() == []


@pytest.fixture
def logical(folder: Path) -> Iterator[Settings]:
    """A database on a server with wal_level logical, published before anything of ours is there."""
    servers = embedded.start(folder, memory_mb=512, durable=False)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET wal_level = 'logical'")
        admin.execute("CREATE DATABASE published")
    embedded.stop(folder)
    servers = embedded.start(folder, memory_mb=512, durable=False)
    values = {
        "DATABASE_URL": with_database(servers.database_url, "published"),
        "REDIS_URL": servers.redis_url,
        "STORAGE_URL": (folder / "pictures").as_uri(),
        "MODEL": FAKE,
        "HOME": str(folder),
    }
    settings = load_settings(values, environ={})
    with db.connect(settings, autocommit=True) as admin:
        assert admin.execute("SHOW wal_level").fetchone() == ("logical",)
        admin.execute("CREATE PUBLICATION p FOR ALL TABLES")
    yield settings
    embedded.stop(folder)


def test_every_command_that_writes_works_beside_a_publication_for_all_tables(
    logical: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in logical.environment().items():
        monkeypatch.setenv(name, value)
    process_settings.cache_clear()
    schema.upgrade(logical)
    with db.connect(logical, autocommit=True) as lent:
        lent.execute(
            "SELECT imgsearch.set_shop('acme', keep_questions => true, describe_pictures => true, regions => 'grid')"
        )
        with WorkerProcess(logical, dict(os.environ), tmp_path / "worker.log") as worker:
            for number in range(6):
                fields: dict[str, Any] = {"title": f"lamp {number}", "price": 1.0, "tenant": "acme"}
                upload.add(lent, pictures.draw(number), product_id=f"p{number}", **fields)
            ready = "SELECT ready, with_regions FROM imgsearch.status"
            eventually(lambda: lent.execute(ready).fetchone() == (6, 6), what="vectors and parts")
            described = "SELECT count(*) FROM imgsearch.image WHERE attributes <> '{}'"
            eventually(lambda: lent.execute(described).fetchone() == (6,), what="colours")
            imgsearch.search(lent, "a lamp", tenant="acme")
            write(lent, logical)
            assert worker.process.poll() is None
        for _ in range(2):
            tasks.sweep()
        assert lent.execute("SELECT * FROM imgsearch.upkeep_failure").fetchall() == []
        end(lent, logical)
        assert {finding.check_name for finding in examine(lent)} & {"table without identity", "upkeep fails"} == set()


def write(lent: Connection, settings: Settings) -> None:
    upload.add(lent, pictures.draw(9), product_id="p0", tenant="acme", title="another")
    imgsearch.change(lent, tenant="acme", product_id="p1", price=3.0, attributes={"colour": "red"})
    upload.remove(lent, tenant="acme", product_id="p2")
    lent.execute(
        "SELECT imgsearch.pin('acme', 'p1', query => 'x'), imgsearch.hide('acme', 'p3'), imgsearch.unpin('acme', 'p1'),"
        " imgsearch.keep_question('a lamp', 'acme'), imgsearch.keep_question('a lamp', 'acme'),"
        " imgsearch.requeue(), imgsearch.refetch(tenant => 'acme')"
    )
    key = api_keys.create(lent, tenant="acme", scope="search")
    handle = key.split("_")[1]
    token = page_sessions.begin(lent, key)
    assert token
    page_sessions.find(lent, token)
    page_sessions.end(lent, token)
    page_sessions.sweep(lent)
    api_keys.rotate(lent, handle, grace=timedelta(0))
    api_keys.revoke(lent, handle)
    maintenance.promote(lent, "colour", "text")
    maintenance.demote(lent, "colour")
    maintenance.reindex(settings, everything=True)
    maintenance.vacuum(settings)
    tenant_graphs.keep(settings, "acme")
    tenant_graphs.refuse(settings, "acme")
    tenant_graphs.leave(settings, "acme")
    lent.execute(SHOP + "SELECT imgsearch.attach('ware', key => 'id', image => 'photo', price => 'price')")
    lent.execute("UPDATE ware SET price = 9; UPDATE ware SET id = id + 10 WHERE id < 3; DELETE FROM ware WHERE id = 4")
    lent.execute("SELECT imgsearch.repair('ware'), imgsearch.retry_attached()")
    lent.execute("SELECT imgsearch.detach('ware')")
    schema.upgrade(settings)


def end(lent: Connection, settings: Settings) -> None:
    name = lifecycle.add_given(lent, "mine", 8)
    imgsearch.give_vectors(lent, name, [{"tenant": "acme", "product_id": "p1", "vector": [1.0] * 8}])
    imgsearch.give_vectors(lent, name, [{"tenant": "acme", "product_id": "p1", "vector": [0.5] * 4 + [0.1] * 4}])
    lifecycle.activate(lent, name, force=True)
    lifecycle.rollback(lent, force=True)
    lifecycle.drop(lent, name)
    for space_id in queue.tails(lent):
        queue.merge_tail(lent, space_id)
    upload.forget(lent, tenant="acme")
    assert lent.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)
    with pytest.raises(ImgsearchError):
        imgsearch.search(lent, "a lamp that nobody answers", tenant="acme", timeout=0.1)


@pytest.mark.parametrize(
    ("harm", "severity"),
    [
        ("ALTER TABLE imgsearch.vocabulary REPLICA IDENTITY DEFAULT", "advice"),
        (NOTHING, "advice"),
        (f"{NOTHING}; CREATE PUBLICATION p FOR ALL TABLES", "problem"),
        (f"{NOTHING}; CREATE PUBLICATION p FOR TABLE imgsearch.image", "problem"),
        (f"{NOTHING}; CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert')", "advice"),
        (f"{MINE}; ALTER TABLE imgsearch.image REPLICA IDENTITY USING INDEX mine; DROP INDEX imgsearch.mine", "advice"),
    ],
)
def test_the_doctor_names_a_table_that_a_publication_locks_and_its_fix_helps(
    connection: Connection, space: Space, harm: str, severity: str
) -> None:
    for statement in harm.split(";"):
        connection.execute(statement.encode())
    [named] = [finding for finding in examine(connection) if finding.check_name == "table without identity"]
    assert named.severity == severity
    connection.execute(named.fix.encode())
    assert "table without identity" not in {finding.check_name for finding in examine(connection)}
