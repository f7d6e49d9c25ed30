"""Loads a dataset into imgsearch's own schema, on an embedded server of its own that later runs find again."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from bench import copying, filters, shop, vectors
from bench.dataset import Dataset
from bench.progress import Say
from imgsearch import schema
from imgsearch.dev.embedded.place import locked
from imgsearch.dev.embedded.postgres import postgres_url, start_postgres, stop_postgres
from imgsearch.dev.embedded.tuning import machine_memory
from imgsearch.schema import source
from imgsearch.settings import load_settings
from imgsearch.spaces import space

_SPACE = "imgsearch bench"


def server(data: Dataset) -> str:
    """Start the dataset's Postgres, with buffers for all of it, and return its URL. It outlives this process."""
    home = data.folder / "home"
    with locked(home):
        url = start_postgres(home, memory_mb=16 * 1024, durable=False)
        wanted = min(int(data.rows * (data.dim * 11 + 1500) / 2**20), machine_memory() * 2 // 5)
        if wanted > 4096 and _megabytes(url) < wanted:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(SQL("ALTER SYSTEM SET shared_buffers = {}").format(f"{wanted}MB"))
            stop_postgres(home)
            url = start_postgres(home, memory_mb=16 * 1024, durable=False)
    return url


def running(data: Dataset) -> bool:
    """Return whether the dataset's Postgres runs already: then somebody else wants it too."""
    return postgres_url(data.folder / "home") is not None


def stop(data: Dataset) -> bool:
    """Stop the dataset's Postgres; its data stays."""
    return stop_postgres(data.folder / "home")


def _megabytes(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT setting::bigint / 128 FROM pg_settings WHERE name = 'shared_buffers'"
        ).fetchone()
        return int(row[0]) if row else 0


def ready(data: Dataset, say: Say = print, *, anew: bool = False) -> str:
    """Bring the database to this dataset and this checkout's SQL, loading only what is not there; return its URL.

    anew: load although a loaded database is there.
    """
    url = server(data)
    stamp = data.folder / "loaded.json"
    before = json.loads(stamp.read_text()) if stamp.exists() else {}
    tables, indexes = _tables(), _bits_indexes()
    if {name: before.get(name) for name in tables} == tables and not anew:
        schema.upgrade(load_settings({"DATABASE_URL": url}))  # functions follow the checkout
        if before.get("indexes") != indexes:
            _remake(url, indexes, say)
            stamp.write_text(json.dumps(tables | {"indexes": indexes}))
        return url
    stamp.unlink(missing_ok=True)
    say("loading")
    _empty(url)
    schema.upgrade(load_settings({"DATABASE_URL": url}))
    _load(data, url, say)
    _complete(data, url)
    stamp.write_text(json.dumps(tables | {"indexes": indexes}))
    return url


def _space_sql() -> str:
    return (Path(schema.__file__).parent / "functions/space.sql").read_text(encoding="utf-8")


def _tables() -> dict[str, str]:
    """Return the digests of what makes the large tables: where one differs, they are loaded anew."""
    large = source.steps()[:1]
    space_without = _BITS_INDEX.sub("", _space_sql())
    return {step.name: step.digest for step in large} | {"space": sha256(space_without.encode()).hexdigest()}


_BITS_INDEX = re.compile(r"SELECT '(image_bits\w*)_' \|\| space, 'image', format\('([^']+)', space\)")


def _bits_indexes() -> dict[str, str]:
    """Return {name: statement} of the indexes that hold bits, %1$s for the space: made anew in seconds."""
    return {
        found[1]: f"CREATE INDEX {found[1]}_%1$s ON imgsearch.image {found[2].replace('%s', '%1$s')}"
        for found in _BITS_INDEX.finditer(_space_sql())
    }


def _remake(url: str, indexes: dict[str, str], say: Say) -> None:
    """Make the indexes that hold bits as this checkout does."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT space_id FROM imgsearch.space WHERE state = 'active'").fetchone()
        assert row is not None
        for name, statement in indexes.items():
            began = time.perf_counter()
            connection.execute(SQL("DROP INDEX IF EXISTS {}").format(Identifier("imgsearch", f"{name}_{row[0]}")))
            connection.execute(statement.replace("%1$s", str(row[0])).encode())
            say(f"{name}: {time.perf_counter() - began:.0f} s")
        connection.execute("VACUUM ANALYZE imgsearch.image")


def _empty(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("shop", "imgsearch_internal", "imgsearch"):
            connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(name)))


def _load(data: Dataset, url: str, say: Say) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        made = _space(data, connection)
        # No trigger, no foreign key: what is loaded is consistent, and nothing shall wait for a worker.
        connection.execute("SET session_replication_role = replica")
        later = _take_away_indexes(connection, made)
        began = time.perf_counter()
        copying.copy(connection, Identifier("imgsearch", "image"), (*_IMAGE, f"bits_{made}"), _images(data))
        columns = ("tenant_id", "image_id", "sha256", "embedding")
        copying.copy(connection, Identifier("imgsearch", f"embedding_{made}"), columns, _embeddings(data))
        connection.execute("SELECT setval(pg_get_serial_sequence('imgsearch.image', 'image_id'), %s)", [data.rows])
        say(f"loaded {data.rows:,} pictures in {time.perf_counter() - began:.0f} s")
        _products(connection, data)
        build(data, connection, later, say)


_TEXTS = 1000  # texts that were asked before, from which a space knows where texts lie


def _complete(data: Dataset, url: str) -> None:
    """Do what happens in a database that is used: texts are asked, statistics and the search's sample are fresh."""
    with psycopg.connect(url, autocommit=True) as connection:
        copying.register(connection)
        with connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO imgsearch.query_vector (space_id, kind, key, embedding, answered_at)
                   SELECT space_id, 'text', sha256(%s), %s, now() FROM imgsearch.space WHERE state = 'active'
                   ON CONFLICT DO NOTHING""",
                [(f"text {n}".encode(), copying.Halfvec(v)) for n, v in enumerate(data.text_queries[-_TEXTS:])],
            )
        connection.execute("VACUUM ANALYZE")
        if connection.execute("SELECT to_regproc('imgsearch.refresh_sample')").fetchone() != (None,):
            connection.execute("SELECT imgsearch.refresh_sample()")


def build(data: Dataset, connection: psycopg.Connection[Any], statements: Iterable[str], say: Say) -> None:
    """Create indexes one after the other, the graph of an HNSW in memory."""
    connection.execute("SELECT set_config('maintenance_work_mem', %s, false)", [graph_memory(data.rows, data.dim)])
    # Two processes wait for one another more than they work while a graph is small.
    workers = "1" if data.rows > 50_000 else "0"
    connection.execute("SELECT set_config('max_parallel_maintenance_workers', %s, false)", [workers])
    connection.execute("SET client_connection_check_interval = '2s'")  # a bench that was stopped stops its build too
    for statement in statements:
        began = time.perf_counter()
        connection.execute(statement.encode())
        say(f"{statement.split(' USING ')[0]}: {time.perf_counter() - began:.0f} s")


def _space(data: Dataset, connection: psycopg.Connection[Any]) -> int:
    described = space.Description(
        model=_SPACE,
        revision="",
        fingerprint=data.folder.name,
        dimension=data.dim,
        preprocessing="none",
        mean=data.mean.tolist(),
    )
    return space.ensure(connection, described).space_id


def _take_away_indexes(connection: psycopg.Connection[Any], made: int) -> list[str]:
    """Drop what is only slow to fill row by row, the HNSW above all; return the statements that make it again."""
    found = connection.execute(
        """SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
           WHERE i.indrelid = ANY (%s::regclass[]) AND NOT i.indisunique""",
        [["imgsearch.image", f"imgsearch.embedding_{made}"]],
    ).fetchall()
    for name, _ in found:
        connection.execute(SQL("DROP INDEX {}").format(Identifier(*name.split("."))))
    return [definition for _, definition in found]


_IMAGE = (
    "tenant_id",
    "image_id",
    "product_id",
    "position",
    "category",
    "price",
    "in_stock",
    "attributes",
    "uri",
    "sha256",
)


def product_id(number: int) -> str:
    return f"product-{number}"


def _sha256(row: int) -> bytes:
    return hashlib.sha256(row.to_bytes(8)).digest()


def _images(data: Dataset) -> Iterator[tuple[bytes, ...]]:
    goods, names = data.products, shop.tenant_names()
    tenants = [copying.text(names[number]) for number in goods.tenant]
    categories = [copying.text(filters.category_name(number)) for number in goods.category]
    attributes = [copying.jsonb(value) for value in filters.attributes_json(goods)]
    for start in range(0, data.rows, vectors.CHUNK):
        part = slice(start, start + vectors.CHUNK)
        packed = copying.bits(copying.signs(data.vectors[part], data.mean), data.dim)
        for row, (product, position, bits) in enumerate(
            zip(data.product_of[part].tolist(), data.position[part].tolist(), packed, strict=True), start
        ):
            yield (
                tenants[product],
                copying.bigint(row + 1),
                copying.text(product_id(product)),
                copying.integer(position),
                categories[product],
                copying.double(goods.price[product]),
                copying.boolean(goods.in_stock[product]),
                attributes[product],
                copying.text(f"store:{row}"),
                copying.raw(_sha256(row)),
                bits,
            )


def _embeddings(data: Dataset) -> Iterator[tuple[bytes, ...]]:
    tenants = [copying.text(name) for name in shop.tenant_names()]
    for start in range(0, data.rows, vectors.CHUNK):
        part = slice(start, start + vectors.CHUNK)
        owners = data.pictures.tenant[part].tolist()
        for row, (owner, vector) in enumerate(zip(owners, copying.halfvecs(data.vectors[part]), strict=True), start):
            yield tenants[owner], copying.bigint(row + 1), copying.raw(_sha256(row)), vector


def _products(connection: psycopg.Connection[Any], data: Dataset) -> None:
    """The user's own table, that some cells join to."""
    connection.execute("CREATE SCHEMA shop")
    connection.execute(
        """CREATE TABLE shop.product (
               product_id text PRIMARY KEY, supplier integer NOT NULL, name text NOT NULL,
               margin double precision NOT NULL)"""
    )
    rows = (
        (
            copying.text(product_id(number)),
            copying.integer(int(supplier)),
            copying.text(f"Product number {number}"),
            copying.double(number % 100 / 100),
        )
        for number, supplier in enumerate(data.products.supplier)
    )
    copying.copy(connection, Identifier("shop", "product"), ("product_id", "supplier", "name", "margin"), rows)
    connection.execute("CREATE INDEX ON shop.product (supplier)")


def graph_memory(vectors: int, dim: int) -> str:
    """Return what building an HNSW of so many vectors may take: Postgres takes all of it at once."""
    return f"{min(6144, 64 + vectors * (2 * dim + 1200) // 2**20)}MB"
