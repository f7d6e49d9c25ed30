"""A primary that dies, and one that becomes a replica under its clients: nothing is lost, processes come back."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from bench import failover
from bench.soak import pictures
from imgsearch import db
from imgsearch.flask import create_app
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests import own_server
from tests.processes import WorkerProcess, eventually


@pytest.mark.slow
@pytest.mark.skipif(bool(own_server.URL), reason="copies the files of an embedded server")
def test_nothing_is_lost_when_the_standby_takes_over_under_load() -> None:
    figures = failover.run(4, 20, 1, durable=False)
    assert figures["lost"] == figures["not embedded"] == 0, figures
    assert figures["uploads answered"] > 10
    assert figures["ended"] == [], "the worker and the web process came back by themselves"
    assert all(status.startswith("503") for status in figures["refused"]), figures["refused"]
    assert None not in figures["seconds to work again"].values(), figures


def read_only(admin: psycopg.Connection[Any], value: str) -> None:
    """Have the server refuse writes on all connections, as one that was a primary and kept them (some rented ones)."""
    admin.execute("SET default_transaction_read_only = off")
    admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
    admin.execute("SELECT pg_reload_conf()")


def pooled(admin: psycopg.Connection[Any]) -> set[Any]:
    """The server's processes that a web process's pool holds."""
    found = admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'imgsearch http'").fetchall()
    return {row[0] for row in found}


def test_a_server_that_only_reads_for_a_while_ends_no_worker_and_no_connection_stays_stale(
    admin: psycopg.Connection[Any], settings: Settings, space: Space, worker: WorkerProcess
) -> None:
    app = create_app(settings.environment(), allow_anonymous=True)
    price = lambda: app.test_client().patch("/v1/products/p1", json={"price": 1}, query_string={"tenant": "acme"})  # noqa: E731
    with db.connect(settings, autocommit=True) as connection:
        add = {"product_id": "p1", "tenant": "acme", "store": open_store(settings.storage_url)}
        upload.add(connection, pictures.draw(1), **add)
        ready = lambda: connection.execute("SELECT count(*) FROM imgsearch.vectors").fetchone()[0]  # type: ignore[index] # noqa: E731
        eventually(lambda: ready() == 1)
        assert price().status_code == 200
        try:
            read_only(admin, "on")
            said = worker.log.read_text
            old = pooled(admin)
            eventually(lambda: said().count("the database is away") > 1 or "met a bug" in said())
            answer = eventually(lambda: (said := price()).status_code != 200 and said)
            assert (answer.status_code, answer.get_json()["code"]) == (503, "read_only_database")
            eventually(lambda: not old <= pooled(admin), 30, "a new connection of the pool")
        finally:
            read_only(admin, "off")
        eventually(lambda: price().status_code == 200)
        upload.add(connection, pictures.draw(2), **{**add, "product_id": "p2"})
        eventually(lambda: ready() == 2 or "met a bug" in worker.log.read_text())
    app.extensions["imgsearch"].close()
    assert worker.process.poll() is None
    assert "met a bug" not in worker.log.read_text()
