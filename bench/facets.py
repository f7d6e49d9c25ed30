"""What counts cost the database: kept, sampled and exact, whether samples keep within their error, and what marks cost.

    python -m bench.facets --database-url postgresql://…     # the URL that --load-only prints

Milliseconds of the server process's own time. Updates of prices are taken back; with and without the trigger in turn.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.retrieval.filters import Filters

ASKED = {"none": Filters(), "tenant 30%": Filters(tenant="general-30"), "max_price 50": Filters(max_price=50)}
_UPDATE = "UPDATE imgsearch.image SET price = price + 0 WHERE image_id = ANY (%s)"
_TRIGGER = "ALTER TABLE imgsearch.image {} TRIGGER image_counted_updated"
Connection = psycopg.Connection[Any]


def spent(connection: Connection) -> float:
    """Return the milliseconds that the connection's server process has worked."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6


def cost(connection: Connection, work: Callable[[], object], times: int) -> float:
    """Return the median of what some work costs the server."""
    found = []
    for _ in range(times):
        before = spent(connection)
        work()
        found.append(spent(connection) - before)
    return statistics.median(found)


def counts(connection: Connection, filters: Filters) -> str:
    """Return a row of the table of counts."""
    asked: dict[str, Any] = {"filters": filters.as_json(), "per": "product", "prices": None, "names": None}

    def rows(**more: Any) -> Any:
        return sql.rows(connection, "search", "facets", {"exact": False, "known": None, **asked, **more})

    def key(row: Any) -> tuple[Any, ...]:
        return row["facet"], row["name"], row["value"], row["low"]

    sampled, exact = rows(), {key(row): row["count"] for row in rows(exact=True)}
    known = sampled[0]["stamp"]
    shared = [row for row in sampled if row["approximate"] and key(row) in exact]
    within = sum(abs(row["count"] - exact[key(row)]) <= row["error"] for row in shared)
    ms = [
        cost(connection, lambda: rows(known=known), 40),
        cost(connection, rows, 3),
        cost(connection, lambda: rows(exact=True), 3),
    ]
    return " | ".join([*(f"{one:.1f}" for one in ms), f"{within} of {len(shared)}"])


def updates(connection: Connection, pictures: int, size: int, times: int) -> tuple[float, float]:
    """Return what an update of `size` prices costs with the trigger and without it."""
    found: dict[str, list[float]] = {"ENABLE ALWAYS": [], "DISABLE": []}
    for _ in range(times):
        chosen = [random.randint(1, pictures) for _ in range(size)]
        for how, took in found.items():
            connection.execute(_TRIGGER.format(how).encode())
            with connection.transaction(force_rollback=True):
                before = spent(connection)
                connection.execute(_UPDATE, [chosen])
                took.append(spent(connection) - before)
    connection.execute(_TRIGGER.format("ENABLE ALWAYS").encode())
    return statistics.median(found["ENABLE ALWAYS"]), statistics.median(found["DISABLE"])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", required=True)
    with psycopg.connect(parser.parse_args().database_url, autocommit=True) as connection:
        print("| filters | kept, ms | sampled, ms | exact, ms | within their error |\n|-|-|-|-|-|")
        for name, filters in ASKED.items():
            print(f"| {name} | {counts(connection, filters)} |", flush=True)
        row = connection.execute("SELECT max(image_id) FROM imgsearch.image").fetchone()
        assert row is not None
        print("| rows updated at once | with marks, ms | without, ms |\n|-|-|-|")
        for size, times in ((1, 200), (250, 40)):
            on, off = updates(connection, row[0], size, times)
            print(f"| {size} | {on:.2f} | {off:.2f} |", flush=True)


if __name__ == "__main__":
    main()
