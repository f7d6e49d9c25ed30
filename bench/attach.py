"""What an attached table costs: `python -m bench.attach` (100,000 rows, real embedded Postgres, fsync on).

Each statement runs on two tables side by side, one attached and one not, in alternation; the figure is the median of
the backend's CPU time, waiting for the disk not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import attachment
from imgsearch.settings import load_settings
from imgsearch.spaces import space

Connection = psycopg.Connection[Any]
TABLES = ("shop.plain", "shop.attached")
COLUMNS = "id, store, name, category, price, stock, brand, note, photo"
ROW = (
    "'s' || n % 5, 'Product ' || n, 'c' || n % 20, (n * 7919 % 10000) / 100.0, n % 10, 'b' || n % 50, '', "
    "'https://cdn.example.com/' || n || '.jpg'"
)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-search", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgs-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        servers = embedded.start(home, memory_mb=2048)
        try:
            settings = load_settings({"DATABASE_URL": servers.database_url}, environ={})
            schema.upgrade(settings)
            with db.connect(settings, autocommit=True) as connection:
                prepare(connection, given.rows)
                writes(connection, given.rows, given.rounds)
                if not given.no_search:
                    searches(connection)
        finally:
            embedded.stop(home)


def prepare(connection: Connection, rows: int) -> None:
    """Two equal tables, one of them attached after it was filled; say how fast its rows were copied."""
    connection.execute("CREATE SCHEMA shop")
    for table in TABLES:
        run(
            connection,
            f"CREATE TABLE {table} (id integer PRIMARY KEY, store text, name text, category text, price numeric(10, 2),"
            " stock integer, brand text, note text, photo text) WITH (fillfactor = 80)",
        )
        run(connection, f"INSERT INTO {table} SELECT n, {ROW} FROM generate_series(1, {rows}) n")
        run(connection, f"VACUUM ANALYZE {table}")
    attachment.attach(
        connection,
        TABLES[1],
        key="id",
        image="photo",
        tenant="store",
        category="category",
        price="price",
        in_stock="stock > 0",
        attributes=["brand", "name AS title"],
        backfill=False,
    )
    space.ensure(connection, FakeEncoder().describe())
    began = time.perf_counter()
    for _ in attachment.backfill(connection, TABLES[1]):
        pass
    print(f"backfill: {rows / (time.perf_counter() - began):,.0f} rows/s (each a picture and its job)")
    connection.execute("DELETE FROM imgsearch.job")
    connection.execute("VACUUM ANALYZE imgsearch.image")


def writes(connection: Connection, rows: int, rounds: int) -> None:
    """Print what each kind of statement costs with and without the attachment."""
    many = min(10_000, rows // 2)
    print("| statement | plain CPU ms | attached CPU ms | more per row µs |\n|---|---|---|---|")
    fresh = rows

    def next_ids(count: int) -> int:
        nonlocal fresh
        fresh += count
        return fresh - count

    cases: list[tuple[str, int, Callable[[str], str]]] = [
        ("UPDATE of 10,000 prices", many, lambda t: f"UPDATE {t} SET price = price + 1 WHERE id <= {many}"),
        ("UPDATE of 10,000 unmapped columns", many, lambda t: f"UPDATE {t} SET note = note || 'x' WHERE id <= {many}"),
        (
            "UPDATE of 10,000 rows, every column set to itself",
            many,
            lambda t: (
                f"UPDATE {t} SET store = store, name = name, category = category, price = price, stock = stock,"
                f" brand = brand, photo = photo WHERE id <= {many}"
            ),
        ),
        ("UPDATE of 1 price", 1, lambda t: f"UPDATE {t} SET price = price + 1 WHERE id = 77"),
        ("UPDATE of 1 unmapped column", 1, lambda t: f"UPDATE {t} SET note = 'x' WHERE id = 77"),
    ]
    for name, count, statement in cases:
        repeats = rounds if count > 1 else 100 * rounds
        times: dict[str, list[float]] = {table: [] for table in TABLES}
        for _ in range(repeats):
            for table in TABLES:
                times[table].append(timed(connection, statement(table)))
        report(name, count, times)
    for name, count in (("INSERT of 10,000 rows in one statement", many), ("INSERT of 1 row", 1)):
        times = {table: [] for table in TABLES}
        for _ in range(rounds if count > 1 else 100 * rounds):
            first = next_ids(count)
            for table in TABLES:
                text = f"INSERT INTO {table} SELECT n, {ROW} FROM generate_series({first + 1}, {first + count}) n"
                times[table].append(timed(connection, text))
        report(name, count, times)


def report(name: str, count: int, times: dict[str, list[float]]) -> None:
    plain, attached = (statistics.median(times[table]) * 1000 for table in TABLES)
    print(f"| {name} | {plain:,.2f} | {attached:,.2f} | {(attached - plain) / count * 1000:,.1f} |", flush=True)


def searches(connection: Connection) -> None:
    """Print p50 of a search on the attached copy, and of one joined to the shop's own table, at three selectivities."""
    [(many,)] = connection.execute("SELECT count(*) FROM imgsearch.image").fetchall()
    vectors = np.random.default_rng(7).normal(size=(many, 48)).astype(np.float32)
    with connection.transaction(), connection.cursor() as cursor:
        ids = cursor.execute("SELECT tenant_id, image_id FROM imgsearch.image ORDER BY image_id").fetchall()
        cursor.execute("DELETE FROM imgsearch.job")
        cursor.execute("DROP INDEX imgsearch.embedding_1_hnsw")
        cursor.execute("CREATE TEMP TABLE made (tenant_id text, image_id bigint, embedding halfvec(48)) ON COMMIT DROP")
        with cursor.copy("COPY made FROM STDIN") as copy:
            for (tenant, image), vector in zip(ids, vectors, strict=True):
                copy.write_row((tenant, image, "[" + ",".join(f"{x:.4f}" for x in vector) + "]"))
        cursor.execute(
            "INSERT INTO imgsearch.embedding_1 (tenant_id, image_id, sha256, embedding)"
            " SELECT tenant_id, image_id, sha256(image_id::text::bytea), l2_normalize(embedding) FROM made"
        )
        cursor.execute(
            "UPDATE imgsearch.image i SET bits_1 = imgsearch_internal.quantized(e.embedding, s.mean, s.signs),"
            " sha256 = e.sha256"
            " FROM imgsearch.embedding_1 e, imgsearch.space s WHERE e.image_id = i.image_id"
        )
        cursor.execute(
            "CREATE INDEX embedding_1_hnsw ON imgsearch.embedding_1 USING hnsw (embedding halfvec_cosine_ops)"
        )
    connection.execute("VACUUM ANALYZE imgsearch.image, imgsearch.embedding_1, shop.attached")
    connection.execute("SELECT imgsearch.refresh_sample()")
    queries = ["[" + ",".join(f"{x:.4f}" for x in v) + "]" for v in np.random.default_rng(8).normal(size=(60, 48))]
    print("| selectivity | on the attached copy ms | joined to the shop's table ms |\n|---|---|---|")
    for share, ceiling in (("50 %", 50.0), ("5 %", 5.0), ("0.1 %", 0.1)):
        copied = [timed(connection, OURS, (query, ceiling)) for query in queries]
        joined = [timed(connection, JOINED, (query, ceiling)) for query in queries]
        print(f"| price ≤ {ceiling:g} ({share}) | {median_ms(copied)} | {median_ms(joined)} |", flush=True)


OURS = "SELECT * FROM imgsearch.search(%s::halfvec, max_price => %s, k => 10)"
JOINED = (
    "SELECT i.image_id, p.id FROM imgsearch.images i JOIN shop.attached p ON p.id = i.product_id::integer"
    " ORDER BY i.embedding <=> %s::halfvec LIMIT 10"
).replace(" ORDER BY", " WHERE p.price <= %s ORDER BY")


def median_ms(times: list[float]) -> str:
    return f"{statistics.median(times) * 1000:.2f}"


def run(connection: Connection, text: str) -> None:
    connection.execute(text.encode())


def timed(connection: Connection, text: str, values: tuple[Any, ...] | None = None) -> float:
    """Return the seconds of CPU one statement took in its backend, commit included: a busy machine changes little."""
    if values is not None and text is JOINED:
        values = (values[1], values[0])
    spent = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    began = int(spent.read_text().split()[0])
    connection.execute(text.encode(), values)
    return (int(spent.read_text().split()[0]) - began) / 1e9


if __name__ == "__main__":
    main()
