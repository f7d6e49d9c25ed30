"""Price updates beside searches: how much slower do searches get, and does an update touch the HNSW?

python -m bench.updates                                   5,000 updates a second, 2 searching clients, 20 s
python -m bench.updates --rows 5000 --seconds 2           a quick look
python -m bench.updates --control                         and beside the same updates of a copy in another database

What the control costs searches is the processors' share alone: nothing of theirs is touched.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench import load
from bench.dataset import OUT, Dataset, dataset

CELL = "image tenant 10% unc"
BATCH = 250
_UPDATE = """UPDATE imgsearch.image SET price = round((price * (0.9 + 0.2 * random()))::numeric, 2)
WHERE image_id = ANY (%s)"""
_TOUCHED = """SELECT c.relname, s.n_tup_upd + s.n_tup_ins + s.n_tup_del, pg_relation_size(h.indexrelid), n_dead_tup
FROM imgsearch.space a JOIN pg_class c ON c.oid = ('imgsearch.embedding_' || a.space_id)::regclass
JOIN pg_stat_all_tables s ON s.relid = c.oid
JOIN pg_stat_all_indexes h ON h.relid = c.oid AND h.indexrelname LIKE '%%hnsw'
WHERE a.state = 'active'"""
_SHAPE = """SELECT (
           SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
           FROM pg_attribute a WHERE a.attrelid = 'imgsearch.image'::regclass AND a.attnum > 0 AND NOT a.attisdropped),
       ARRAY(SELECT pg_get_indexdef(x.indexrelid) FROM pg_index x WHERE x.indrelid = 'imgsearch.image'::regclass)"""


def main() -> int:
    """Measure searches quiet and beside updates; print and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.updates", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--rate", type=int, default=5000, help="price updates a second (default 5000)")
    parser.add_argument("--clients", type=int, default=2, help="searching clients (default 2)")
    parser.add_argument("--seconds", type=float, default=20, help="of each half (default 20)")
    parser.add_argument("--control", action="store_true", help="measure beside the same updates elsewhere too")
    parser.add_argument("--json", type=Path, default=OUT / "updates.json")
    chosen = parser.parse_args()
    data = dataset(chosen.rows, chosen.dim)
    kept = load.running(data)
    url = load.ready(data)
    try:
        quiet = _searches(data, url, chosen.clients, chosen.seconds, None)
        before = _touched(url)
        beside = _searches(data, url, chosen.clients, chosen.seconds, chosen.rate)
        after = _touched(url)
        control = None
        if chosen.control:
            with _copied(url) as elsewhere:
                control = _searches(data, url, chosen.clients, chosen.seconds, chosen.rate, elsewhere)
    finally:
        _restore(data, url)
        if not kept:
            load.stop(data)
    figures = {"quiet": quiet, "beside": beside, "p50_ratio": round(beside["p50"] / quiet["p50"], 2)}
    if control is not None:
        figures |= {"control": control, "control_p50_ratio": round(control["p50"] / quiet["p50"], 2)}
    figures |= {"hnsw_touched": after[0] - before[0], "hnsw_grew_bytes": after[1] - before[1]}
    chosen.json.write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    return 0


@contextmanager
def _copied(url: str) -> Iterator[str]:
    """Copy the table of images with all its indexes into another database of the server, and return that one's URL."""
    elsewhere = url.replace("/imgsearch?", "/updates?", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS updates WITH (FORCE)")
        connection.execute("CREATE DATABASE updates")
        connection.execute("VACUUM imgsearch.image")
        columns, indexes = connection.execute(_SHAPE).fetchone() or ("", [])
        with psycopg.connect(elsewhere, autocommit=True) as other:
            other.execute("CREATE SCHEMA imgsearch")
            other.execute(f"CREATE TABLE imgsearch.image ({columns}) WITH (fillfactor = 85)".encode())
            with (
                connection.cursor().copy("COPY imgsearch.image TO STDOUT (FORMAT binary)") as read,
                other.cursor().copy("COPY imgsearch.image FROM STDIN (FORMAT binary)") as written,
            ):
                for piece in read:
                    written.write(piece)
            for index in indexes:
                other.execute(index.encode())
            other.execute("VACUUM ANALYZE imgsearch.image")
        yield elsewhere
        connection.execute("DROP DATABASE updates WITH (FORCE)")


def _restore(data: Dataset, url: str) -> None:
    """Give every picture the dataset's price again: other benches judge answers by it."""
    prices = data.products.price[data.product_of].tolist()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """UPDATE imgsearch.image i SET price = p.price
               FROM unnest(%s::bigint[], %s::double precision[]) p (image_id, price)
               WHERE i.image_id = p.image_id AND i.price <> p.price""",
            [list(range(1, data.rows + 1)), prices],
        )
        connection.execute("VACUUM FULL ANALYZE imgsearch.image")  # the next bench finds the table as this one did
        connection.execute("VACUUM imgsearch.image")  # which also marks it all visible, for index-only scans
        connection.execute("SELECT imgsearch.refresh_sample()")


def _touched(url: str) -> tuple[int, int]:
    """Return how many rows of the vectors' table were ever written, and the size of its HNSW."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(_TOUCHED).fetchone()
    assert row is not None
    return int(row[1]), int(row[2])


def _searches(
    data: Dataset, url: str, clients: int, seconds: float, rate: int | None, elsewhere: str | None = None
) -> dict[str, Any]:
    """Return what the clients measured together, and how many rows were updated meanwhile where `rate` is given."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.SimpleQueue()
    barrier = context.Barrier(clients + (rate is not None))
    searching = [
        context.Process(target=_search, args=(data.rows, data.dim, url, n, seconds, barrier, answers))
        for n in range(clients)
    ]
    updated: Any = context.SimpleQueue()
    updating = (
        [context.Process(target=_update, args=(data.rows, elsewhere or url, rate, seconds, barrier, updated))]
        if rate
        else []
    )
    for process in (*searching, *updating):
        process.start()
    found_by = [answers.get() for _ in searching]
    times = np.array([took for one, _ in found_by for took in one]) * 1000
    found = {
        "searches_per_second": round(len(times) / seconds, 1),
        "p50": round(float(np.median(times)), 2),
        "p95": round(float(np.percentile(times, 95)), 2),
        "server_cpu_ms": round(sum(cpu for _, cpu in found_by) * 1000 / len(times), 2),
    }
    if updating:
        found["updates_per_second"] = round(updated.get() / seconds)
    for process in (*searching, *updating):
        process.join()
    return found


def _search(rows: int, dim: int, url: str, number: int, seconds: float, barrier: Any, answers: Any) -> None:
    from bench.cells import cells
    from bench.everything import methods_of

    data = dataset(rows, dim)
    method = next(method for method in methods_of(data, url) if method.name == "search-sql")
    cell = next(cell for cell in cells(data) if cell.name == CELL)
    runs = [method.ready(cell, ask, 10) for ask in cell.asks(50, seed=number)]
    for run in runs[:5]:
        run()
    barrier.wait()
    took: list[float] = []
    spent = method.spent(cell)
    deadline = time.perf_counter() + seconds
    while (began := time.perf_counter()) < deadline:
        runs[len(took) % len(runs)]()
        took.append(time.perf_counter() - began)
    answers.put((took, method.spent(cell) - spent))


def _update(rows: int, url: str, rate: int, seconds: float, barrier: Any, updated: Any) -> None:
    """Update random prices in batches, one transaction each, as many a second as asked for or as can be done."""
    rng = np.random.default_rng(1)
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        barrier.wait()
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds:
            if done > rate * now:
                time.sleep(BATCH / rate / 4)
                continue
            chosen = rng.integers(1, rows + 1, BATCH).tolist()
            done += connection.execute(_UPDATE, [chosen], prepare=True).rowcount
    updated.put(done)


if __name__ == "__main__":
    raise SystemExit(main())
