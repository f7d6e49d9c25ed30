"""How soon a picture is picked up when nothing else waits: with Redis, without it, and by the clock alone."""

from __future__ import annotations

import random
import time
from typing import Any

import psycopg

from bench.soak import client, pictures
from bench.soak.faults import Servers
from imgsearch import db
from imgsearch.ingest import upload
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.settings import Settings

FIRST = 10_000_000  # numbers no other phase uses


def pick_up(settings: Settings, servers: Servers, tries: int) -> dict[str, list[float]]:
    """Return the seconds from COMMIT to the claim, in order of trying; Redis is dead afterwards."""
    with db.connect(settings, autocommit=True) as connection:
        found = {"redis alive": [_ring_and_wait(connection, settings, FIRST + n) for n in range(tries)]}
        servers.stop_redis()
        found["redis dead"] = [_ring_and_wait(connection, settings, FIRST + 1000 + n) for n in range(tries)]
        found["clock alone"] = [
            _mute_and_wait(connection, settings, FIRST + 2000 + n) for n in range(max(2, tries // 2))
        ]
    return found


def _ring_and_wait(connection: psycopg.Connection[Any], settings: Settings, number: int) -> float:
    data = pictures.draw(number)
    store = upload.open_store(settings.storage_url)
    upload.add(connection, data, product_id=f"q{number}", tenant=client.TENANTS[0], store=store)
    began = time.monotonic()
    notify_workers(settings)
    return _claimed(connection, number, began)


def _mute_and_wait(connection: psycopg.Connection[Any], settings: Settings, number: int) -> float:
    time.sleep(random.uniform(0.5, 3.5))  # the worker that had the one before looks again as soon as it is done
    data = pictures.draw(number)
    uri = upload.open_store(settings.storage_url).put(data)
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "WITH added AS (INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256)"
            " VALUES (%s, %s, %s, sha256(%s)) RETURNING tenant_id, image_id)"
            " INSERT INTO imgsearch.job (tenant_id, image_id, space_id) SELECT tenant_id, image_id, 1 FROM added",
            (client.TENANTS[0], f"q{number}", uri, data),
        )
    return _claimed(connection, number, time.monotonic())


def _claimed(connection: psycopg.Connection[Any], number: int, began: float) -> float:
    while time.monotonic() - began < 60:
        row = connection.execute(
            "SELECT j.state FROM imgsearch.image i LEFT JOIN imgsearch.job j USING (tenant_id, image_id)"
            " WHERE i.product_id = %s",
            (f"q{number}",),
        ).fetchone()
        if row is not None and row[0] != "pending":
            return time.monotonic() - began
        time.sleep(0.005)
    raise TimeoutError(f"picture q{number} was not picked up within a minute")
