"""What following other tables costs: `python -m bench.attached` (200,000 products of 3 pictures, fsync on).

The price comes out of stock, categories out of a third table, pictures stand in a table of their own. Each statement
runs on a plain copy and on the followed table in alternation; figures are CPU time of the backend, medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench.attach import Connection, run, timed
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import attachment
from imgsearch.settings import load_settings
from imgsearch.spaces import space

TABLES = """
CREATE TABLE product (id integer PRIMARY KEY, title text);
CREATE TABLE picture (id integer PRIMARY KEY, product_id integer, place integer, file text);
CREATE TABLE stock (id integer PRIMARY KEY, product_id integer, price numeric(10, 2)) WITH (fillfactor = 80);
CREATE TABLE plain (LIKE stock INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE product_category (product_id integer, name text);
"""
FILL = """
INSERT INTO product SELECT n, 'Product ' || n FROM generate_series(1, {n}) n;
INSERT INTO picture SELECT n, 1 + (n - 1) / 3, n % 3, n || '.jpg' FROM generate_series(1, 3 * {n}) n;
INSERT INTO stock SELECT n, 1 + n % {n}, (n * 7919 % 10000) / 100.0 FROM generate_series(1, {n}) n;
INSERT INTO plain SELECT * FROM stock;
INSERT INTO product_category SELECT n, 'c' || (n + m) % 40 FROM generate_series(1, {n}) n, generate_series(1, 2) m;
CREATE INDEX ON picture (product_id);
CREATE INDEX ON stock (product_id);
CREATE INDEX ON plain (product_id);
CREATE INDEX ON product_category (product_id);
ANALYZE;
"""


def main() -> None:
    """Measure, and print what decision 0019 quotes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgs-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        servers = embedded.start(home, memory_mb=2048)
        try:
            settings = load_settings({"DATABASE_URL": servers.database_url}, environ={})
            schema.upgrade(settings)
            with db.connect(settings, autocommit=True) as connection:
                prepare(connection, given.products)
                prices(connection, given.products, given.rounds)
                others(connection, given.products)
        finally:
            embedded.stop(home)


def prepare(connection: Connection, products: int) -> None:
    """Fill the tables, attach them, copy what is there; say how fast."""
    run(connection, TABLES)
    run(connection, FILL.format(n=products))
    space.ensure(connection, FakeEncoder().describe())
    attachment.attach(
        connection,
        "product",
        key="id",
        image="file",
        pictures="picture",
        picture_of="product_id",
        ordinal="place",
        title="title",
        base="https://cdn.example.com",
        price="(SELECT min(s.price) FROM stock s WHERE s.product_id = product.id)",
        categories="SELECT c.name FROM product_category c WHERE c.product_id = product.id",
        follow={"stock": "product_id", "product_category": "product_id"},
        backfill=False,
    )
    began = time.perf_counter()
    for _ in attachment.backfill(connection, "product"):
        pass
    took = time.perf_counter() - began
    print(f"backfill: {products / took:,.0f} products/s, {3 * products / took:,.0f} pictures/s", flush=True)
    run(connection, "DELETE FROM imgsearch.job")
    run(connection, "VACUUM ANALYZE imgsearch.image")


def prices(connection: Connection, products: int, rounds: int) -> None:
    """Print what a price costs on a plain table and on a followed one."""
    print("| statement | plain CPU ms | followed CPU ms | ratio |\n|---|---|---|---|")
    for name, many, repeats in (("UPDATE of 1 price", 1, 40 * rounds), ("UPDATE of 1,000 prices", 1000, rounds)):
        times: dict[str, list[float]] = {"plain": [], "stock": []}
        for turn in range(repeats):
            for table, spent in times.items():
                first = 1 + turn * 1009 % (products - many)
                text = f"UPDATE {table} SET price = price + 1 WHERE id >= {first} AND id < {first + many}"
                spent.append(timed(connection, text))
        report(name, times)
    times = {"plain": [], "stock": []}
    for _ in range(40 * rounds):
        for table, spent in times.items():
            spent.append(timed(connection, f"UPDATE {table} SET price = price WHERE id = 77"))
    report("UPDATE of 1 row that changes nothing", times)
    [(hnsw,)] = connection.execute(
        "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'embedding_1'"
    ).fetchall()
    print(f"rows of vectors written meanwhile: {hnsw}", flush=True)


def report(name: str, times: dict[str, list[float]]) -> None:
    plain, followed = (statistics.median(times[table]) * 1000 for table in ("plain", "stock"))
    print(f"| {name} | {plain:,.2f} | {followed:,.2f} | {followed / plain:.1f} |", flush=True)


def others(connection: Connection, products: int) -> None:
    """Print what a refresh and a COPY cost."""
    keys = list(range(1, products, max(1, products // 1000)))[:1000]
    for name in ("nothing changed", "every price changed"):
        if name != "nothing changed":
            run(connection, "SET session_replication_role = replica")
            connection.execute("UPDATE stock SET price = price + 5 WHERE product_id = ANY (%s)", (keys,))
            run(connection, "RESET session_replication_role")
        began = time.perf_counter()
        written = attachment.refresh(connection, "product", keys)
        print(f"refresh of 1,000 keys, {name}: {(time.perf_counter() - began) * 1000:,.0f} ms, {written} written")
    many = min(products, 200_000)
    run(connection, f"CREATE TABLE fresh AS SELECT id + 10000000 AS id, title FROM product LIMIT {many}")
    began = time.perf_counter()
    run(connection, "INSERT INTO product SELECT * FROM fresh")
    print(f"INSERT of {many:,} products without pictures: {time.perf_counter() - began:,.1f} s", flush=True)
    began = time.perf_counter()
    copied = f"SELECT id + 10000000, product_id + 10000000, place, file FROM picture WHERE product_id <= {many}"
    run(connection, f"INSERT INTO picture {copied}")
    print(f"INSERT of {3 * many:,} pictures in one statement: {time.perf_counter() - began:,.1f} s", flush=True)


if __name__ == "__main__":
    main()
