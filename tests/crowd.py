"""A few thousand pictures with drawn vectors: clusters tied to categories, tenants of unlike size, random prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch.spaces.space import Space, vector_literal

CATEGORIES = ("shoes", "bags", "lamps", "chairs", "mugs")
TENANTS = ("acme", "acme", "acme", "bolt", "coop", "acme", "bolt", "dora")


def crowd(
    connection: psycopg.Connection[Any],
    space: Space,
    count: int,
    *,
    seed: int = 1,
    first: int = 0,
    spread: float = 0.6,
    tenants: Sequence[str] = TENANTS,
) -> None:
    """Store `count` pictures in bulk, the tenants in turn: the index is built after the rows."""
    numbers = np.random.default_rng(seed)
    centres = numbers.normal(size=(40, space.dimension))
    cluster = numbers.integers(0, len(centres), count)
    vectors = centres[cluster] + spread * numbers.normal(size=(count, space.dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(
            "COPY imgsearch.image (tenant_id, product_id, category, price, in_stock, attributes, uri, sha256) "
            "FROM STDIN"
        ) as copy:
            for n in range(count):
                copy.write_row(
                    (
                        tenants[n % len(tenants)],
                        f"p{first + n}",
                        CATEGORIES[cluster[n] % len(CATEGORIES)],
                        round(float(numbers.uniform(1, 100)), 2),
                        bool(numbers.random() < 0.8),
                        f'{{"colour": "{("red", "green", "blue")[n % 3]}", "size": {n % 12}}}',
                        "store:x",
                        (first + n).to_bytes(32, "big"),
                    )
                )
        cursor.execute("CREATE TEMP TABLE drawn (sha256 bytea, embedding halfvec) ON COMMIT DROP")
        with cursor.copy("COPY drawn FROM STDIN") as copy:
            for n, vector in enumerate(vectors):
                copy.write_row(((first + n).to_bytes(32, "big"), vector_literal(vector)))
        table, bits = Identifier("imgsearch", f"embedding_{space.space_id}"), Identifier(f"bits_{space.space_id}")
        cursor.execute(
            SQL(
                "INSERT INTO {} (tenant_id, image_id, sha256, embedding) "
                "SELECT tenant_id, image_id, sha256, embedding FROM drawn JOIN imgsearch.image USING (sha256)"
            ).format(table)
        )
        cursor.execute(
            SQL(
                "UPDATE imgsearch.image i SET {} = imgsearch_internal.quantized(e.embedding, s.mean, s.signs)"
                " FROM {} e, imgsearch.space s "
                "WHERE i.tenant_id = e.tenant_id AND i.image_id = e.image_id AND s.space_id = %s AND i.{} IS NULL"
            ).format(bits, table, bits),
            (space.space_id,),
        )
        cursor.execute("DELETE FROM imgsearch.job")
    connection.execute("VACUUM ANALYZE imgsearch.image")
    connection.execute(SQL("VACUUM ANALYZE {}").format(table))
    connection.execute("SELECT setseed(0.5)")  # the same sample each time: what is guessed from it decides the way
    connection.execute("SELECT imgsearch.refresh_sample()")
