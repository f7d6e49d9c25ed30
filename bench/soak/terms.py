"""SIGTERM, again and again, while the workers have plenty to do: how long the exit takes, and what it costs."""

from __future__ import annotations

import signal
import time
from typing import Any

import psycopg

from bench.soak import client, pictures
from bench.soak.fleet import Fleet, Worker
from imgsearch import db
from imgsearch.ingest import upload
from imgsearch.settings import Settings

FIRST = 20_000_000
BACKLOG = 200
CLAIMED = "SELECT count(*) FROM imgsearch.job WHERE state = 'leased' AND worker = %s"
BURNT = "SELECT count(*) FROM imgsearch.job WHERE state = 'pending' AND attempts > 0 AND worker = %s"


def terminate(settings: Settings, fleet: Fleet, times: int) -> dict[str, Any]:
    """Return seconds per exit, wrong exit codes, leases left behind and attempts burnt."""
    seconds: list[float] = []
    held: list[int] = []
    found = {"bad_codes": 0, "left": 0, "burnt": 0, "added": 0}
    with db.connect(settings) as connection:
        while len(seconds) < times:
            found["added"] += _add(connection, settings, found["added"])
            worker = _busy(connection, fleet)
            if worker is None:
                continue
            held.append(_count(connection, CLAIMED, worker.name))
            worker.asked = True
            began = time.monotonic()
            worker.process.send_signal(signal.SIGTERM)
            while worker.process.poll() is None and time.monotonic() - began < 60:
                time.sleep(0.01)
            seconds.append(time.monotonic() - began)
            found["bad_codes"] += worker.process.poll() != 0
            found["left"] += _count(connection, CLAIMED, worker.name)
            found["burnt"] += _count(connection, BURNT, worker.name)
    return found | {"seconds": seconds, "held": held}


def _add(connection: psycopg.Connection[Any], settings: Settings, first: int) -> int:
    """Add pictures in one transaction, so that all of them wait at once; return how many."""
    store = upload.open_store(settings.storage_url)
    for n in range(first, first + BACKLOG):
        data = pictures.draw(FIRST + n)
        upload.add(connection, data, product_id=f"t{n}", tenant=client.TENANTS[0], store=store)
    connection.commit()
    return BACKLOG


def _busy(connection: psycopg.Connection[Any], fleet: Fleet) -> Worker | None:
    """Return a worker that holds pictures, once there is one."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for worker in fleet.working():
            if _count(connection, CLAIMED, worker.name):
                return worker
        time.sleep(0.01)
    return None


def _count(connection: psycopg.Connection[Any], query: str, worker: str) -> int:
    row = connection.execute(query, (worker,)).fetchone()
    connection.commit()
    return int(row[0]) if row else 0
