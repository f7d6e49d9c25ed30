"""The schema goes up and down on data, one migration at a time, and refuses servers it would not be safe on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DatabaseError, DatabaseUnreachable, ExtensionMissing, SchemaBehind
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces import space
from tests.conftest import with_database, with_settings

Connection = psycopg.Connection[Any]


@pytest.fixture
def empty(servers: embedded.Servers, request: pytest.FixtureRequest) -> Any:
    """A database without anything in it."""
    name = f"empty_{abs(hash(request.node.name)) % 10**8}"
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield load_settings({"DATABASE_URL": with_database(servers.database_url, name)}, environ={})
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def test_down_to_nothing_and_up_again_on_data(settings: Settings) -> None:
    with db.connect(settings, autocommit=True) as connection:
        made = space.ensure(connection, FakeEncoder().describe())
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES ('a', '1', 'store:1', sha256('1'))"
        )
        [claim] = queue.claim(connection, worker="w", limit=1, lease_seconds=9)
        vector = [1.0] + [0.0] * 47
        queue.deliver(connection, made.space_id, [Delivery(claim=claim, sha256=claim.sha256 or b"", embedding=vector)])
    assert db.downgrade(settings, "0001") == "0001"
    assert db.upgrade(settings) == db.head()
    with db.connect(settings, autocommit=True) as connection:
        assert connection.execute("SELECT product_id FROM imgsearch.image").fetchall() == [("1",)], "pictures stay"
        space.ensure(connection, FakeEncoder().describe())
        assert queue.enqueue_missing(connection) == 1, "their vectors are made again"
        assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    assert db.downgrade(settings, "base") is None
    with db.connect(settings, autocommit=True) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'imgsearch'::regnamespace AND relkind IN ('r', 'v')"
        ).fetchall()
        assert left == [("schema_version",)]
    assert db.upgrade(settings) == db.head()


def test_every_step_can_be_taken_alone(empty: Settings) -> None:
    assert db.upgrade(empty) == db.head()
    while (now := db.downgrade(empty, "-1")) is not None:
        assert db.upgrade(empty, "+1") != now
        assert db.downgrade(empty, "-1") == now
    assert db.upgrade(empty) == db.head()


def test_two_upgrades_at_once_do_not_meet(empty: Settings) -> None:
    environ = os.environ | {"IMGSEARCH_DATABASE_URL": empty.database_url}
    command = [sys.executable, "-m", "imgsearch", "db", "upgrade"]
    running = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in running] == [f"The schema is at {db.head()}."] * 3


def test_a_database_that_is_behind_says_so(empty: Settings) -> None:
    with db.connect(empty, autocommit=True) as connection:
        with pytest.raises(ExtensionMissing, match="CREATE EXTENSION vector"):
            db.check(connection)
        connection.execute("CREATE EXTENSION vector")
        with pytest.raises(SchemaBehind, match="imgsearch db upgrade"):
            db.check(connection)
        with pytest.raises(SchemaBehind, match="imgsearch db upgrade"):
            space.active(connection)
    db.upgrade(empty, "0001")
    with db.connect(empty, autocommit=True) as connection, pytest.raises(SchemaBehind, match="at 0001"):
        db.check(connection)


def test_a_database_that_is_not_there_says_so(tmp_path: Path) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/x", "postgresql:///x?host=/nowhere"):
        with pytest.raises(DatabaseUnreachable, match="IMGSEARCH_DATABASE_URL"):
            db.connect(load_settings({"DATABASE_URL": url}, environ={}))
    with pytest.raises(DatabaseError, match="imgsearch up"):
        db.connect(load_settings({"HOME": str(tmp_path)}, environ={}))


def test_a_role_without_rights_is_told_whom_to_ask(empty: Settings, servers: embedded.Servers) -> None:
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS poor")
        admin.execute("CREATE ROLE poor LOGIN")
    poor = with_settings(empty, DATABASE_URL=empty.database_url.replace("postgres@", "poor@"))
    with pytest.raises(DatabaseError):
        db.upgrade(poor)
    with db.connect(empty, autocommit=True) as owner:
        owner.execute("GRANT CREATE ON DATABASE {} TO poor".format(owner.info.dbname))  # type: ignore[arg-type]  # noqa: UP032
    with pytest.raises(ExtensionMissing, match="CREATE EXTENSION vector"):
        db.upgrade(poor)
    with psycopg.connect(empty.database_url, autocommit=True) as owner:
        owner.execute("CREATE EXTENSION vector")
    assert db.upgrade(poor) == db.head(), "an ordinary role that may create a schema is enough"


def test_another_dimension_takes_over_without_dropping_views_built_on_top(connection: Connection) -> None:
    first = FakeEncoder().describe()
    space.ensure(connection, first)
    connection.execute("CREATE VIEW cheap AS SELECT product_id, embedding FROM imgsearch.images WHERE price < 5")
    made = connection.execute(
        "SELECT imgsearch.create_space('other', '', 'print', 7, '1', array_fill(0.1::real, ARRAY[7])::halfvec)"
    ).fetchone()
    assert made is not None
    connection.execute("SELECT imgsearch.activate_space(%s)", made)
    assert space.require(connection).dimension == 7
    assert connection.execute("SELECT count(*) FROM cheap").fetchone() == (0,)
