"""New vectors into a graph that is searched: straight into it, or beside it and merged later. `python -m bench.tail`.

Vectors of 768 numbers are given by two clients at once to pictures that are there, in lots of 1,000, each lot a
transaction; after each the next goes the other way, so that both meet the same graph. Then the tail is merged, and
searches are asked with none, half and all of it outside the graph. Figures are processor time of the backends, which
other work on the machine does not reach, and the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from typing import Any

import numpy as np
import psycopg

from bench.home import fresh_home
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.ingest import queue, vectors
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings, load_settings

DIMENSION = 768
LOT = 1000
ASK = "SELECT count(*) FROM imgsearch.search(%s::real[]::halfvec, k => 10, per => 'image')"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", type=int, default=20_000, help="vectors in the graph before")
    parser.add_argument("--lots", type=int, default=6, help="of 1,000, for each client and way")
    given = parser.parse_args()
    with fresh_home("tail-") as home:
        url = embedded.start(home, memory_mb=4096).database_url
        settings = load_settings({"DATABASE_URL": url}, environ={})
        schema.upgrade(settings)
        print(json.dumps(run(settings, given.graph, given.lots), indent=1))


def run(settings: Settings, graph: int, lots: int) -> dict[str, Any]:
    """Fill the graph, give vectors both ways, merge, search; return the figures."""
    many = graph + 4 * lots * LOT
    with db.connect(settings, autocommit=True) as connection:
        lifecycle.activate(connection, lifecycle.add_given(connection, "mine", DIMENSION))
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri) SELECT 'acme', n, 'x:' || n"
            " FROM generate_series(1, %s) n",
            (many,),
        )
        connection.execute("SET imgsearch.tail = off")
        connection.execute("DROP INDEX imgsearch.embedding_1_hnsw")
        for first in range(1, graph + 1, LOT):
            vectors.give_vectors(connection, "mine", _lot(first))
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("""CREATE INDEX embedding_1_hnsw ON imgsearch.embedding_1
            USING hnsw (embedding halfvec_cosine_ops) WITH (m = 24, ef_construction = 200)""")
        connection.execute("VACUUM ANALYZE imgsearch.image")
        connection.execute("SELECT imgsearch.refresh_sample()")
        figures: dict[str, Any] = {"graph": graph, "dimension": DIMENSION, "cores": 2}
        figures["vectors per second"] = _given(settings, graph, lots)
        waiting = 2 * lots * LOT
        for part in ("all", "half", "none"):
            left = {"all": waiting, "half": waiting // 2, "none": 0}[part]
            _merge_to(connection, left, figures)
            figures[f"search, ms, {left} outside the graph"] = _asked(connection)
        return figures


def _lot(first: int) -> list[vectors.GivenVector]:
    drawn = np.random.default_rng(first).standard_normal((LOT, DIMENSION)).astype("f4")
    return [{"vector": one, "image_id": first + place} for place, one in enumerate(drawn)]


def _given(settings: Settings, graph: int, lots: int) -> dict[str, Any]:
    """Two clients give lot after lot, one lot into the graph, the next beside it."""
    spent: dict[str, list[tuple[float, float]]] = {"graph": [], "tail": []}

    def client(number: int, way: str, turn: int) -> None:
        with db.connect(settings, autocommit=True) as connection:
            connection.execute("SELECT set_config('imgsearch.tail', %s, false)", ("off" if way == "graph" else "on",))
            place = (turn * 2 + number) * 2 + (way == "tail")
            lot = _lot(graph + 1 + place * LOT)
            processor, clock = _processor(connection), time.perf_counter()
            vectors.give_vectors(connection, "mine", lot)
            spent[way].append((_processor(connection) - processor, time.perf_counter() - clock))

    for turn in range(lots):
        for way in ("graph", "tail"):
            both = [threading.Thread(target=client, args=(number, way, turn)) for number in (0, 1)]
            for one in both:
                one.start()
            for one in both:
                one.join()
    return {
        way: {
            "of a backend's processor time": round(LOT / statistics.median(p for p, _ in found)),
            "by the clock, two clients": round(2 * LOT / statistics.median(c for _, c in found)),
        }
        for way, found in spent.items()
    }


def _merge_to(connection: psycopg.Connection[Any], left: int, figures: dict[str, Any]) -> None:
    count = "SELECT count(*) FROM imgsearch.embedding_1_tail"
    before, processor, clock = _count(connection, count), _processor(connection), time.perf_counter()
    longest = 0.0
    while _count(connection, count) > left:
        began = time.perf_counter()
        queue.merge_tail(connection, 1)
        longest = max(longest, time.perf_counter() - began)
    if before > left:
        figures["merged per second"] = round((before - left) / (time.perf_counter() - clock))
        figures["merged per second of processor time"] = round((before - left) / (_processor(connection) - processor))
        figures["longest merge, ms"] = round(1000 * longest, 1)
    connection.execute("VACUUM imgsearch.embedding_1_tail")


def _asked(connection: psycopg.Connection[Any]) -> float:
    found = []
    for number in range(40):
        asked = np.random.default_rng(1 + LOT * (number % 7)).standard_normal((LOT, DIMENSION))[number].tolist()
        connection.execute(ASK, (asked,), prepare=True).fetchone()
        before = _processor(connection)
        connection.execute(ASK, (asked,), prepare=True).fetchone()
        found.append(_processor(connection) - before)
    return round(1000 * statistics.median(found), 2)


def _count(connection: psycopg.Connection[Any], statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0


def _processor(connection: psycopg.Connection[Any]) -> float:
    """Seconds of processor time that the connection's backend has used."""
    with open(f"/proc/{connection.info.backend_pid}/schedstat") as file:  # noqa: PTH123 - a line of the kernel's
        return int(file.read().split()[0]) / 1e9


if __name__ == "__main__":
    main()
