"""A shop bounds its statements, in the database; what takes long by its nature is not bounded by that."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.ops import maintenance
from imgsearch.schema import migrate
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import behind

Connection = psycopg.Connection[Any]
BOUND = 1.0  # seconds


@pytest.fixture
def bounded(connection: Connection, settings: Settings, space: Space) -> Settings:
    for name in ("statement_timeout", "lock_timeout"):
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET {name} = {BOUND * 1000:.0f}'.encode())
    return settings


@contextmanager
def held(settings: Settings, statement: str) -> Iterator[None]:
    """Hold what a statement locks for longer than statements may take."""
    holder = db.connect(settings)
    holder.execute(statement.encode())
    timer = threading.Timer(2 * BOUND, holder.rollback)
    timer.start()
    began = time.monotonic()
    try:
        yield
        assert time.monotonic() - began > BOUND, "nobody had to wait: this shows nothing"
    finally:
        timer.join()
        holder.close()


def test_an_index_is_built(bounded: Settings) -> None:
    assert maintenance.drop(bounded)
    with held(bounded, "LOCK TABLE imgsearch.embedding_1 IN ROW EXCLUSIVE MODE"):
        assert maintenance.build(bounded)


def test_tables_are_vacuumed(bounded: Settings) -> None:
    with held(bounded, "LOCK TABLE imgsearch.image IN SHARE UPDATE EXCLUSIVE MODE"):
        assert "image" in maintenance.vacuum(bounded)


def test_an_upgrade_waits_for_another_one(bounded: Settings) -> None:
    behind(bounded)
    with db.connect(bounded, autocommit=True) as deploying:
        with held(bounded, "SELECT pg_advisory_xact_lock(hashtext('imgsearch.migrations'))"):
            migrate.upgrade(deploying)
        migrate.check(deploying)
        assert deploying.execute("SHOW statement_timeout").fetchone() == ("1s",)
