"""Fill a small shop with pictures whose vectors are known, and answer questions about it without an index."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch.dev import embedded
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import Space, vector_literal
from tests.own_server import named, with_database

_numbers = itertools.count(1)


@contextmanager
def database(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """A migrated database for a whole module of tests that only read, or clean up behind themselves."""
    name = f"shop{next(_numbers)}"
    address = with_database(servers.database_url, name)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                Identifier(named(name)), Identifier(named(template))
            )
        )
        admin.execute(SQL("ALTER DATABASE {} SET hnsw.iterative_scan = 'strict_order'").format(Identifier(named(name))))
        yield load_settings({"DATABASE_URL": address}, environ={})
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(named(name))))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture to be; `vector` need not have length one."""

    vector: Sequence[float]
    tenant: str = "acme"
    product: str | None = None  # one of its own
    category: str | None = None
    price: float | None = None
    in_stock: bool = True
    attributes: dict[str, Any] = field(default_factory=dict)


def fill(connection: psycopg.Connection[Any], space: Space, rows: Sequence[Row], *, first: int = 0) -> list[int]:
    """Store pictures with vector and bits, as a worker would have; return their image ids in order."""
    positions: Counter[tuple[str, str | None]] = Counter()
    with connection.transaction(), connection.cursor() as cursor:
        ids: list[int] = []
        cursor.executemany(
            "INSERT INTO imgsearch.image"
            " (tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, 'store:x', %s) RETURNING image_id",
            [
                (
                    row.tenant,
                    row.product or f"p{first + n}",
                    _next(positions, row),
                    row.category,
                    row.price,
                    row.in_stock,
                    json.dumps(row.attributes),
                    digest(n),
                )
                for n, row in enumerate(rows, first)
            ],
            returning=True,
        )
        for _ in rows:
            ids.append(cursor.fetchone()[0])  # type: ignore[index]
            cursor.nextset()
        embed(
            cursor,
            space,
            [(row.tenant, i, digest(n), row.vector) for n, (i, row) in enumerate(zip(ids, rows, strict=True), first)],
        )
    return ids


def _next(positions: Counter[tuple[str, str | None]], row: Row) -> int:
    """Return the position of the next picture of a product."""
    positions[row.tenant, row.product] += row.product is not None
    return positions[row.tenant, row.product]


def digest(number: int) -> bytes:
    """Return the digest of a picture that does not exist."""
    return sha256(str(number).encode()).digest()


def embed(
    cursor: psycopg.Cursor[Any], space: Space, vectors: Sequence[tuple[str, int, bytes, Sequence[float]]]
) -> None:
    """Deliver (tenant, image, digest, vector)s."""
    cursor.executemany(
        SQL("""WITH stored AS (
            INSERT INTO {embedding} (tenant_id, image_id, sha256, embedding)
            VALUES (%s, %s, %s, l2_normalize(%s::halfvec)) RETURNING *
        ), closed AS (
            DELETE FROM imgsearch.job j USING stored s WHERE j.tenant_id = s.tenant_id AND j.image_id = s.image_id
        )
        UPDATE imgsearch.image i SET {bits} = imgsearch_internal.quantized(s.embedding, p.mean, p.signs)
        FROM stored s, imgsearch.space p
        WHERE i.tenant_id = s.tenant_id AND i.image_id = s.image_id AND p.space_id = {space_id}""").format(
            embedding=Identifier("imgsearch", f"embedding_{space.space_id}"),
            bits=Identifier(f"bits_{space.space_id}"),
            space_id=space.space_id,
        ),
        [(tenant, image, sha, vector_literal(vector)) for tenant, image, sha, vector in vectors],
    )
