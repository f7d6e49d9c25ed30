"""A graph of an older release: walked wider, and exchanged for a denser one that is built beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import SpaceBusy
from imgsearch.ops import maintenance
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.crowd import crowd
from tests.shop import database

Connection = psycopg.Connection[Any]
HNSW = (
    "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
    "WHERE indexrelid = to_regclass('imgsearch.embedding_1_hnsw')"
)
SPARSE = (
    "CREATE INDEX embedding_1_hnsw ON imgsearch.embedding_1 USING hnsw (embedding halfvec_cosine_ops)"
    " WITH (m = 16, ef_construction = 128)"
)


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        crowd(opened, ensure(opened, FakeEncoder().describe()), 500)
        yield opened


def width(connection: Connection) -> tuple[int, ...]:
    """How wide a search begins to walk, as it comes."""
    rows = connection.execute(
        "SELECT (imgsearch_internal.search_context(v.embedding, 10)).ef FROM imgsearch.vectors v LIMIT 1"
    ).fetchone()
    assert rows is not None
    return tuple(rows)


def test_a_graph_of_an_older_release_is_walked_wider_until_a_denser_one_takes_its_place(
    settings: Settings, connection: Connection
) -> None:
    maintenance.build(settings)
    dense = width(connection)
    connection.execute(f"DROP INDEX imgsearch.embedding_1_hnsw; {SPARSE}".encode())
    assert width(connection) == (200,)
    assert dense < (200,)
    assert maintenance.reindex(settings) == [], "only on demand: it takes as long as a build"
    assert maintenance.reindex(settings, everything=True) == ["rebuilt embedding_1_hnsw, denser than it was"]
    assert [row[1] for row in connection.execute(HNSW)] == [True]
    assert width(connection) == dense
    assert maintenance.reindex(settings, everything=True) == ["rebuilt embedding_1_hnsw"]


def leave_waiting(settings: Settings, connection: Connection) -> None:
    """Have a denser graph built beside an older one, and no moment to exchange them."""
    maintenance.build(settings)
    connection.execute("DROP INDEX imgsearch.embedding_1_hnsw")
    connection.execute(SPARSE.encode())
    here = Identifier(connection.info.dbname)
    connection.execute(SQL("ALTER DATABASE {} SET imgsearch.lock_patience = '1s'").format(here))
    with db.connect(settings) as busy:
        busy.execute("LOCK TABLE imgsearch.embedding_1 IN ACCESS SHARE MODE")  # a search that goes on: no build waits
        with pytest.raises(SpaceBusy, match="embedding_1"):
            maintenance.reindex(settings, everything=True)
    connection.execute(SQL("ALTER DATABASE {} RESET imgsearch.lock_patience").format(here))
    assert waits(connection)


def waits(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('imgsearch.embedding_1_hnsw_ccnew') IS NOT NULL").fetchone()
    return row == (True,)


def test_an_exchange_that_finds_no_moment_is_made_by_the_next_call(settings: Settings, connection: Connection) -> None:
    leave_waiting(settings, connection)
    assert "m='16'" in connection.execute(HNSW).fetchall()[0][0], "searches go on as before"
    assert maintenance.reindex(settings) == ["rebuilt embedding_1_hnsw, denser than it was"], "nothing is built twice"
    assert "m='24'" in connection.execute(HNSW).fetchall()[0][0]
    assert not waits(connection)


def test_dropping_before_a_load_drops_the_one_that_waits_too(settings: Settings, connection: Connection) -> None:
    """Else the load writes into a graph that nobody walks, at the full price."""
    leave_waiting(settings, connection)
    assert maintenance.drop(settings)
    assert connection.execute(HNSW).fetchall() == []
    assert not waits(connection)
    maintenance.build(settings)
    assert "m='24'" in connection.execute(HNSW).fetchall()[0][0]
