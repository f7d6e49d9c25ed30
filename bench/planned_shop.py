"""A shop of drawn images, put into the database as workers do: by the queue, in lots, vacuumed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from imgsearch.ingest import queue
from imgsearch.spaces import space

LOT = 500
WORDS = [
    f"{a}{b}{c}"
    for a in "bdfgklmnprst"
    for b in ("a", "e", "i", "or", "un")
    for c in ("ba", "del", "gon", "k", "mi", "rst")
]
HNSW = """CREATE INDEX embedding_{0}_hnsw ON imgsearch.embedding_{0}
    USING hnsw (embedding halfvec_cosine_ops) WITH (m = 24, ef_construction = 200)"""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What is put there. attributes, title: bytes of JSON and characters, about."""

    images: int
    dimension: int
    per_product: int = 4
    attributes: int = 120
    title: int = 60


def fill(connection: psycopg.Connection[Any], shop: Shop, seed: int = 7) -> None:
    """Make a space, add the pictures of a shop and deliver their vectors in lots, without its HNSW."""
    described = space.Description(
        model=f"capacity {shop.dimension}",
        revision="",
        fingerprint=str(shop.dimension),
        dimension=shop.dimension,
        preprocessing="none",
        mean=[0.0] * shop.dimension,
    )
    made = space.ensure(connection, described).space_id
    connection.execute("DROP INDEX IF EXISTS imgsearch.embedding_1_hnsw")
    drawn = np.random.default_rng(seed)
    for number, vectors in enumerate(drawn_vectors(shop, drawn)):
        _insert(connection, shop, number * LOT, len(vectors), drawn)
        _deliver(connection, made, vectors)
        _vacuum(connection, number)
    connection.execute("VACUUM ANALYZE")
    connection.execute("SELECT imgsearch.refresh_sample()")


def _deliver(connection: psycopg.Connection[Any], made: int, vectors: NDArray[np.float32]) -> None:
    claims = queue.claim(connection, worker="bench", limit=LOT, lease_seconds=600, spaces=[made])
    given = zip(claims, vectors, strict=True)
    deliveries = [queue.Delivery(claim=c, sha256=c.sha256 or b"", embedding=v, phash="01" * 32) for c, v in given]
    queue.deliver(connection, made, deliveries)


def _vacuum(connection: psycopg.Connection[Any], number: int) -> None:
    """Do after every fifth lot what autovacuum does, whose clock would be that of the bench."""
    if number % 5 == 4:
        connection.execute("VACUUM imgsearch.image")
        connection.execute("VACUUM imgsearch.job")
        connection.execute("SELECT imgsearch_internal.fold_changes()")  # as the sweep of the workers does
        connection.execute("VACUUM imgsearch.image_change")


def drawn_vectors(shop: Shop, drawn: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Yield lots of vectors of length one that lie in 300 heaps, as goods do."""
    heaps = drawn.standard_normal((300, shop.dimension)).astype("f4")
    for first in range(0, shop.images, LOT):
        many = min(LOT, shop.images - first)
        near = heaps[drawn.integers(0, len(heaps), many)] + 0.7 * drawn.standard_normal((many, shop.dimension)).astype(
            "f4"
        )
        yield near / np.linalg.norm(near, axis=1, keepdims=True)


def _insert(connection: psycopg.Connection[Any], shop: Shop, first: int, many: int, drawn: np.random.Generator) -> None:
    images, products = [], []
    for n in range(first, first + many):
        product, position = divmod(n, shop.per_product)
        attributes = {"colour": WORDS[int(drawn.integers(12))], "size": int(drawn.integers(30, 50))}
        attributes["material"] = " ".join(WORDS[int(one)] for one in drawn.integers(0, len(WORDS), 40))[
            : shop.attributes - 44
        ]
        category = f"category {int(drawn.integers(50))}"
        price = round(float(drawn.lognormal(3.5, 1)), 2)
        row = (f"product-{product}", position, category, price, drawn.random() < 0.9, json.dumps(attributes))
        images.append((*row, f"store:{n:02x}/{drawn.bytes(32).hex()}", drawn.bytes(32)))
        if position == 0:
            title = " ".join(WORDS[int(one)] for one in drawn.zipf(1.3, 20) % len(WORDS))[: shop.title]
            products.append((f"product-{product}", title))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO imgsearch.product (tenant_id, product_id, title) VALUES ('acme', %s, %s)", products
        )
        cursor.executemany(
            "INSERT INTO imgsearch.image (tenant_id, product_id, position, category, price, in_stock, attributes, uri,"
            " sha256) VALUES ('acme', %s, %s, %s, %s, %s, %s, %s, %s)",
            images,
        )


def fill_second(connection: psycopg.Connection[Any], shop: Shop) -> None:
    """Add a second space of the same dimension and deliver its vectors, without its HNSW."""
    zero = space.vector_literal([0.0] * shop.dimension)
    add = (
        "SELECT imgsearch.add_space('second', '', 'second', %s, 'none', %s::halfvec, name => 'second', indexes => true)"
    )
    connection.execute(add, (shop.dimension, zero))
    connection.execute("DROP INDEX imgsearch.embedding_2_hnsw")
    for number, vectors in enumerate(drawn_vectors(shop, np.random.default_rng(3))):
        if number % 4 == 0:
            connection.execute("SELECT imgsearch.fill_space('second')")
        _deliver(connection, 2, vectors)
        _vacuum(connection, number)
    connection.execute("VACUUM ANALYZE")
