"""The schema is made and removed whole, and refuses servers it would not be safe on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DatabaseError, DatabaseUnreachable, ExtensionMissing, SchemaBehind, UsageError
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces import space
from tests.conftest import behind, with_settings
from tests.own_server import named, with_database

Connection = psycopg.Connection[Any]


@pytest.fixture
def empty(servers: embedded.Servers, request: pytest.FixtureRequest) -> Any:
    """A database without anything in it."""
    name = f"empty_{abs(hash(request.node.name)) % 10**8}"
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(Identifier(named(name))))
    yield load_settings({"DATABASE_URL": with_database(servers.database_url, name)}, environ={})
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(named(name))))


def test_remove_leaves_nothing_and_refuses_while_others_build_on_it(settings: Settings) -> None:
    with db.connect(settings, autocommit=True) as connection:
        space.ensure(connection, FakeEncoder().describe())
        connection.execute("CREATE VIEW cheap AS SELECT product_id FROM imgsearch.images WHERE price < 5")
        with pytest.raises(UsageError, match="DROP VIEW cheap"):
            schema.remove(settings)
        connection.execute("DROP VIEW cheap")
        schema.remove(settings)
        assert connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ 'imgsearch'").fetchall() == []
    assert schema.upgrade(settings) == schema.head()


def test_two_upgrades_at_once_do_not_meet(empty: Settings) -> None:
    environ = os.environ | {"IMGSEARCH_DATABASE_URL": empty.database_url}
    command = [sys.executable, "-m", "imgsearch", "db", "upgrade"]
    running = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in running] == [f"The schema is at {schema.head()}."] * 3


def test_a_database_that_is_behind_says_so(empty: Settings) -> None:
    with db.connect(empty, autocommit=True) as connection:
        with pytest.raises(ExtensionMissing, match="CREATE EXTENSION vector"):
            schema.check(connection)
        connection.execute("CREATE EXTENSION vector")
        with pytest.raises(SchemaBehind, match="imgsearch db upgrade"):
            schema.check(connection)
        with pytest.raises(SchemaBehind, match="imgsearch db upgrade"):
            space.active(connection)
    schema.upgrade(empty)
    behind(empty)
    with db.connect(empty, autocommit=True) as connection, pytest.raises(SchemaBehind, match=f"at {schema.head()}"):
        schema.check(connection)


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
        schema.upgrade(poor)
    with db.connect(empty, autocommit=True) as owner:
        owner.execute("GRANT CREATE ON DATABASE {} TO poor".format(owner.info.dbname))  # type: ignore[arg-type]  # noqa: UP032
    with pytest.raises(ExtensionMissing, match="CREATE EXTENSION vector"):
        schema.upgrade(poor)
    with psycopg.connect(empty.database_url, autocommit=True) as owner:
        owner.execute("CREATE EXTENSION vector")
    assert schema.upgrade(poor) == schema.head(), "an ordinary role that may create a schema is enough"


def test_another_dimension_takes_over_without_dropping_views_built_on_top(connection: Connection) -> None:
    first = FakeEncoder().describe()
    space.ensure(connection, first)
    connection.execute("CREATE VIEW cheap AS SELECT product_id, embedding FROM imgsearch.images WHERE price < 5")
    made = connection.execute(
        "SELECT imgsearch.add_space('other', '', 'print', 7, '1', array_fill(0.1::real, ARRAY[7])::halfvec)"
    ).fetchone()
    assert made is not None
    connection.execute("SELECT imgsearch.activate_space(%s::text, true)", made)
    assert space.require(connection).dimension == 7
    assert connection.execute("SELECT count(*) FROM cheap").fetchone() == (0,)
