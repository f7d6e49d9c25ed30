"""On a rented server: who may not create roles hears what is missing; no clock but the database's counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bench.soak import pictures
from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.ingest import queue, upload
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.places import made_folder
from tests.terminal import Run
from tests.test_readme import DOCS, blocks


@pytest.fixture
def cluster() -> Iterator[str]:
    """A cluster that nothing of imgsearch was ever in, with a role that owns its database and no more."""
    home = made_folder("imgs-")
    servers = embedded.start(home, memory_mb=512, durable=False)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE shopowner LOGIN")
        admin.execute("CREATE DATABASE shop OWNER shopowner")
    yield servers.database_url.replace("/imgsearch?", "/shop?")
    embedded.stop(home)


def test_what_is_missing_is_said_and_what_the_administrator_types_mends_it(cluster: str, run: Run) -> None:
    owner = load_settings({"DATABASE_URL": cluster.replace("postgres@", "shopowner@")}, environ={})
    refused = run("db", "upgrade", **owner.environment())
    said = " ".join(refused.err.split())
    assert refused.code == 5, refused
    assert "An administrator" in said
    assert "CREATE EXTENSION vector" in said
    with psycopg.connect(cluster, autocommit=True) as administrator:
        administrator.execute("CREATE EXTENSION vector")
        assert run("db", "upgrade", **owner.environment()).code == 0
        for command in (("doctor",), ("db", "check")):
            told = run(*command, **owner.environment())
            assert "imgsearch_writer" in told.out + told.err, (command, told)
        [typed] = [one for one in blocks("sql", DOCS["rented-postgres.md"]) if "CREATE ROLE" in one]
        for (statement,) in administrator.execute(typed.encode()).fetchall():
            administrator.execute(statement.encode())
    assert run("db", "mend", **owner.environment()).code == 0
    assert "Schema: OK" in run("db", "check", **owner.environment()).out
    with db.connect(owner) as connection:
        assert connection.execute("SELECT count(*) FROM imgsearch_internal.missing_rights()").fetchone() == (0,)


def test_workers_whose_clocks_are_hours_apart_do_not_take_each_others_pictures(
    connection: psycopg.Connection[Any], settings: Settings, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases begin and end by the database's clock."""
    add = {"tenant": "acme", "store": open_store(settings.storage_url)}
    upload.add(connection, pictures.draw(1), product_id="p1", **add)
    mine: dict[str, Any] = {"limit": 10, "lease_seconds": 30, "spaces": [space.space_id]}
    now = time.time()
    for hours in (0, 5, -5):
        monkeypatch.setattr(time, "time", lambda hours=hours: now + hours * 3600)
        claimed = queue.claim(connection, worker=f"w{hours}", **mine)
        assert len(claimed) == (hours == 0)
        queue.rescue(connection, max_attempts=5)
    row = connection.execute("SELECT lease > now(), lease < now() + interval '31 s' FROM imgsearch.job").fetchone()
    assert row == (True, True)
