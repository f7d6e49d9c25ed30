"""How long does a claim take when the queue's table is full of dead rows?

    python -m bench.claims                       100,000 dead rows before 20,000 that wait
    python -m bench.claims --dead 400000

Autovacuum is off, and the dead rows are the oldest, so that every claim begins among them. `held`: a transaction that
is older than their deletion stays open, so that nothing may be cleaned up: the worst a forgotten console can do.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from rich.console import Console

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.ingest import queue
from imgsearch.settings import load_settings

Connection = psycopg.Connection[Any]
OUT = Path(__file__).parent / "out" / "claims.json"


def fill(connection: Connection, count: int) -> None:
    """Add pictures that wait, each due a little later than the one before."""
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) SELECT 't', n::text, 'store:' || n"
        " FROM generate_series((SELECT count(*) FROM imgsearch.image) + 1,"
        " (SELECT count(*) FROM imgsearch.image) + %s) n",
        (count,),
    )
    connection.execute(
        "UPDATE imgsearch.job SET due = now() - interval '1 day' + image_id * interval '1 ms'"
        " WHERE due > now() - interval '1 hour'"
    )
    connection.execute("VACUUM ANALYZE imgsearch.job")


def measure(connection: Connection, claims: int, batch: int) -> dict[str, float]:
    """Claim and deliver nothing: give back at once, so that the queue stays as long. Answer milliseconds."""
    took = []
    for _ in range(claims):
        began = time.perf_counter()
        claimed = queue.claim(connection, worker="bench", limit=batch, lease_seconds=60)
        took.append(1000 * (time.perf_counter() - began))
        queue.release(connection, claimed, delay=3600)
    p50, p99 = np.percentile(took, (50, 99))
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(max(took), 2)}


def run(connection: Connection, url: str, dead: int, claims: int, batch: int) -> dict[str, dict[str, float]]:
    """Measure a clean table, one full of dead rows, and the same beside an old transaction."""
    waiting = 3 * claims * batch + 1_000
    connection.execute("ALTER TABLE imgsearch.job SET (autovacuum_enabled = false)")
    fill(connection, dead + waiting)
    found = {"no dead rows": measure(connection, claims, batch)}
    _delete_oldest(connection, dead)
    found[f"{dead:,} dead rows"] = measure(connection, claims, batch)
    connection.execute("VACUUM ANALYZE imgsearch.job")
    fill(connection, dead)
    with psycopg.connect(url) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM imgsearch.job")
        _delete_oldest(connection, dead)
        found[f"{dead:,} dead rows, held"] = measure(connection, claims, batch)
    return found


def _delete_oldest(connection: Connection, count: int) -> None:
    connection.execute(
        "DELETE FROM imgsearch.job WHERE (tenant_id, image_id) IN"
        " (SELECT tenant_id, image_id FROM imgsearch.job WHERE state = 'pending' ORDER BY due LIMIT %s)",
        (count,),
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure on a server of its own; print and write the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.claims", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--claims", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="clm-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        try:
            settings = load_settings({"DATABASE_URL": embedded.start(home, memory_mb=1024).database_url}, environ={})
            schema.upgrade(settings)
            with db.connect(settings, autocommit=True) as connection:
                found = run(connection, settings.database_url, given.dead, given.claims, given.batch)
        finally:
            embedded.stop(home)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1))
    console = Console(highlight=False)
    for what, spread in found.items():
        console.print(f"claim of {given.batch}, {what}: p50 {spread['p50']} ms, p99 {spread['p99']} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
