"""Do uploads wait while a catalogue gets its parts, and how fast does it get them? `python -m bench.region_fill`.

One worker with the demo's model. Several shops have pictures with their vectors; in each round some are uploaded
for another shop while nothing else is done, then one shop asks for parts and as many are uploaded beside that. Figures:
seconds until all of the uploads are found, each way, and pictures looked at per second when nobody uploads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import psycopg

from bench.home import fresh_home
from bench.models import Fleet
from bench.soak import pictures
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.ingest import queue, upload
from imgsearch.ops import shops
from imgsearch.settings import Settings, load_settings

LOOKED = "SELECT count(*) FROM imgsearch.region_state WHERE tenant_id = %s AND boxes IS NOT NULL"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.region_fill", description="Parts of pictures beside uploads.")
    parser.add_argument("--pictures", type=int, default=400, help="of each shop that asks")
    parser.add_argument("--uploads", type=int, default=200, help="each time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--proposer", default="grid", help="grid: always five parts; salient")
    parser.add_argument("--model", default="demo")
    given = parser.parse_args()
    with fresh_home("region-fill-") as home:
        values = {
            "DATABASE_URL": embedded.start(home).database_url,
            "HOME": str(home),
            "STORAGE_URL": (home / "pictures").as_uri(),
            "MODEL": given.model,
            "DECODERS": "1",
            "THREADS": "1",
        }
        settings = load_settings(values, environ={})
        schema.upgrade(settings)
        fleet = Fleet(settings, home / "workers.log")
        try:
            print(json.dumps(run(settings, fleet, given), indent=1))
        finally:
            fleet.close()


def run(settings: Settings, fleet: Fleet, given: argparse.Namespace) -> dict[str, Any]:
    """Upload with and without, in turn; return the figures."""
    bare, beside, rates = [], [], []
    number = 0
    with db.connect(settings, autocommit=True) as connection:
        fleet.wanted = {("images", "")}
        fleet.tend()
        for shop in range(given.rounds):
            number = _added(settings, connection, f"shop{shop}", given.pictures, number)[1]
        for shop in range(given.rounds):
            took, number = _added(settings, connection, "live", given.uploads, number)
            bare.append(took)
            shops.set_shop(connection, tenant=f"shop{shop}", regions=given.proposer, regions_per_picture=5)
            while not _looked(connection, f"shop{shop}"):
                time.sleep(0.02)
            took, number = _added(settings, connection, "live", given.uploads, number)
            beside.append(took)
            rates.append(_rate(connection, f"shop{shop}", given.pictures))
        [(parts,)] = connection.execute("SELECT count(*) FROM imgsearch.regions").fetchall()
        [(broken,)] = connection.execute("SELECT count(*) FROM imgsearch.violations").fetchall()
    return {
        "uploads of a round": given.uploads,
        "seconds until found, bare": [round(one, 2) for one in bare],
        "seconds until found, beside": [round(one, 2) for one in beside],
        "uploads per second beside / bare": round(statistics.median(bare) / statistics.median(beside), 3),
        "pictures looked at per second": round(statistics.median(rates), 1),
        "parts per picture": round(parts / (given.rounds * given.pictures), 2),
        "violations": broken,
    }


def _added(
    settings: Settings, connection: psycopg.Connection[Any], tenant: str, many: int, number: int
) -> tuple[float, int]:
    """Add pictures and wait until all are found; return how long that took, and the next picture's number."""
    store = upload.open_store(settings.storage_url)
    drawn = [pictures.draw(one) for one in range(number, number + many)]
    began = time.monotonic()
    for place, data in enumerate(drawn, number):
        upload.add(connection, data, product_id=f"p{place}", tenant=tenant, store=store)
    while queue.waiting(connection):
        time.sleep(0.02)
    return time.monotonic() - began, number + many


def _looked(connection: psycopg.Connection[Any], tenant: str) -> int:
    [(many,)] = connection.execute(LOOKED, (tenant,)).fetchall()
    return int(many)


def _rate(connection: psycopg.Connection[Any], tenant: str, many: int) -> float:
    """Wait until all are looked at; return how many a second, from when nobody uploads."""
    time.sleep(1)
    first, began = _looked(connection, tenant), time.monotonic()
    while _looked(connection, tenant) < many:
        time.sleep(0.05)
    return (many - first) / (time.monotonic() - began)


if __name__ == "__main__":
    main()
