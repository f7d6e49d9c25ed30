"""pgvector 0.8.0 to 0.8.3: no HNSW, which vacuum could corrupt, until the extension is updated; older is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db, schema, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import embed
from imgsearch.errors import ExtensionMissing
from imgsearch.ops import doctor, maintenance
from imgsearch.settings import Settings, load_settings
from tests.own_server import named, with_database

Connection = psycopg.Connection[Any]
ADD = """INSERT INTO imgsearch.image (tenant_id, product_id, uri)
         SELECT 'acme', n, 'https://x.example/' || n FROM generate_series(1, 40) n"""
GRAPHS = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'imgsearch' AND indexdef LIKE '%hnsw%'"


@pytest.fixture
def old(servers: embedded.Servers) -> Iterator[Settings]:
    """A database that has pgvector as its catalogue says: an upgrade reads nothing else of it."""
    name = Identifier(named("old_pgvector"))
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(name))
        settings = load_settings({"DATABASE_URL": with_database(servers.database_url, "old_pgvector")}, environ={})
        with db.connect(settings, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        yield settings
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def set_version(connection: Connection, version: str) -> None:
    connection.execute("UPDATE pg_extension SET extversion = %s WHERE extname = 'vector'", (version,))


@pytest.mark.parametrize("version", ["0.8.0", "0.8.3", "0.8.1.google-2"])
def test_there_is_no_graph_until_the_extension_is_updated(old: Settings, version: str) -> None:
    with db.connect(old, autocommit=True) as connection:
        set_version(connection, version)
        schema.upgrade(old)
        connection.execute(ADD)
        assert embed(connection, texts={"hat": "5"}) == 40
        assert connection.execute(GRAPHS).fetchone() == (0,)
        answer = search(connection, "hat")
        assert (answer[0].product_id, answer.strategy in {"bits", "exact"}, answer.complete) == ("5", True, True)
        with pytest.raises(ExtensionMissing, match="index build"):
            maintenance.build(old)
        assert maintenance.reindex(old, everything=True) == []
        [found] = [one for one in doctor.examine(connection) if one.check_name in {"pgvector too old", "no HNSW"}]
        assert (found.check_name, found.severity) == ("pgvector too old", "advice")
        assert found.fix.endswith("imgsearch index build")
        set_version(connection, "0.8.4")
        assert maintenance.build(old)
        assert connection.execute(GRAPHS).fetchone() == (1,)
        assert search(connection, "hat")[0].product_id == "5"


def test_what_is_older_is_refused_with_the_reason(old: Settings) -> None:
    with db.connect(old, autocommit=True) as connection:
        set_version(connection, "0.7.4")
        with pytest.raises(ExtensionMissing, match=r"pgvector here is 0\.7\.4.*short pages.*ALTER EXTENSION"):
            schema.upgrade(old)
