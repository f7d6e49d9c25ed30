"""Does a space fill as fast while pictures are uploaded, and do uploads wait for it? `python -m bench.filling`.

Two stand-in models, a worker process each. One space is searched and full, the other is filled; meanwhile pictures are
uploaded in every second window of some seconds. Figures: images that the filled space got per second in windows with
and without uploads, and how long an upload takes until it is found, in those windows and before the fill.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from typing import Any

import psycopg

from bench.home import fresh_home
from bench.models import Fleet
from bench.soak import pictures
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE, OTHER, OtherEncoder
from imgsearch.ingest import queue, upload
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces import space

WINDOW = 3.0
COUNT = "SELECT count(*) FROM imgsearch.embedding_2"
READY = "SELECT bits_1 IS NOT NULL FROM imgsearch.image WHERE product_id = %s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--rate", type=float, default=2, help="uploads per second, in every second window")
    given = parser.parse_args()
    with fresh_home("filling-") as home:
        values = {
            "DATABASE_URL": embedded.start(home).database_url,
            "HOME": str(home),
            "STORAGE_URL": (home / "pictures").as_uri(),
            "MODEL": f"{FAKE},{OTHER}",
            "DECODERS": "1",
        }
        settings = load_settings(values, environ={})
        schema.upgrade(settings)
        fleet = Fleet(settings, home / "workers.log")
        try:
            print(json.dumps(run(settings, fleet, given.pictures, given.rate), indent=1))
        finally:
            fleet.close()


def run(settings: Settings, fleet: Fleet, many: int, rate: float) -> dict[str, Any]:
    """Fill, upload in every second window; return the figures."""
    store = upload.open_store(settings.storage_url)
    with db.connect(settings, autocommit=True) as connection:
        fleet.wanted = {("images", "")}
        fleet.tend()
        for number in range(many):
            upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
        while queue.waiting(connection):
            time.sleep(0.2)
        fleet.wanted = {("images", space.require(connection).name)}
        fleet.tend()
        uploads = Uploads(settings, rate)
        uploads.during("before the fill", 10)
        lifecycle.add(connection, OtherEncoder().describe(), name="new")
        fleet.wanted |= {("images", "new")}
        fleet.tend()
        filling = threading.Thread(target=lifecycle.fill, args=(settings, "new"))
        filling.start()
        while _count(connection) == 0:
            time.sleep(0.05)
        rates: dict[bool, list[float]] = {False: [], True: []}
        live = False
        while filling.is_alive() and many - _count(connection) > 1.5 * WINDOW * max([1.0, *rates[False], *rates[True]]):
            before, began = _count(connection), time.monotonic()
            uploads.during("beside the fill", WINDOW) if live else time.sleep(WINDOW)
            rates[live].append((_count(connection) - before) / (time.monotonic() - began))
            live = not live
        filling.join()
        bare, beside = (round(statistics.median(rates[one]), 1) for one in (False, True))
        return {
            "pictures": many,
            "windows": [len(rates[False]), len(rates[True])],
            "filled per second, bare": bare,
            "filled per second, beside uploads": beside,
            "ratio": round(beside / bare, 3),
            "upload until found, ms": {name: _of(found) for name, found in uploads.found.items()},
            "violations": len(connection.execute("SELECT * FROM imgsearch.violations").fetchall()),
        }


class Uploads:
    """Uploads pictures for a while and waits until each is found."""

    def __init__(self, settings: Settings, rate: float) -> None:
        self._settings, self._rest, self._number = settings, 1 / rate, 10**6
        self.found: dict[str, list[float]] = {}

    def during(self, name: str, seconds: float) -> None:
        """Upload for so long, one after the other."""
        until = time.monotonic() + seconds
        store = upload.open_store(self._settings.storage_url)
        with db.connect(self._settings, autocommit=True) as connection:
            while (began := time.monotonic()) < until:
                self._number += 1
                product = f"live{self._number}"
                upload.add(connection, pictures.draw(self._number), product_id=product, tenant="acme", store=store)
                while connection.execute(READY, (product,)).fetchone() != (True,):
                    time.sleep(0.002)
                self.found.setdefault(name, []).append(1000 * (time.monotonic() - began))
                time.sleep(max(0.0, self._rest - (time.monotonic() - began)))


def _count(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(COUNT.encode()).fetchone()
    return int(row[0]) if row else 0


def _of(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        "many": len(ordered),
        "median": round(statistics.median(ordered)),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))]),
    }


if __name__ == "__main__":
    main()
