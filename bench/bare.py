"""The bare table: what people build with pgvector alone, everything in one row, every index at its default."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from bench import copying, filters, load, shop, vectors
from bench.dataset import Dataset
from bench.progress import Say

_COLUMNS = ("image_id", "tenant_id", "product_id", "category", "price", "in_stock", "attributes", "embedding")
_INDEXES = (
    "CREATE INDEX image_tenant ON bare.image (tenant_id)",
    "CREATE INDEX image_category ON bare.image (category)",
    "CREATE INDEX image_price ON bare.image (price)",
    "CREATE INDEX image_attributes ON bare.image USING gin (attributes)",
    "CREATE INDEX image_product ON bare.image (product_id)",
    "CREATE INDEX image_hnsw ON bare.image USING hnsw (embedding halfvec_cosine_ops)",
)


def ready(data: Dataset, url: str, say: Say) -> None:
    """Make and fill the table, unless an earlier run did; it depends on the dataset alone."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT obj_description(to_regclass('bare.image'))").fetchone()
        if row and row[0] == "complete":
            return
        connection.execute("DROP SCHEMA IF EXISTS bare CASCADE")
        connection.execute("CREATE SCHEMA bare")
        connection.execute(
            SQL(
                """CREATE TABLE bare.image (
                       image_id bigint PRIMARY KEY, tenant_id text NOT NULL, product_id text NOT NULL, category text,
                       price double precision, in_stock boolean NOT NULL, attributes jsonb NOT NULL,
                       embedding halfvec({}) NOT NULL)"""
            ).format(Literal(data.dim))
        )
        copying.copy(connection, Identifier("bare", "image"), _COLUMNS, _rows(data))
        load.build(data, connection, _INDEXES, say)
        connection.execute("VACUUM ANALYZE bare.image")
        connection.execute("COMMENT ON TABLE bare.image IS 'complete'")


def _rows(data: Dataset) -> Iterator[tuple[bytes, ...]]:
    goods, names = data.products, shop.tenant_names()
    attributes = [copying.jsonb(value) for value in filters.attributes_json(goods)]
    for start in range(0, data.rows, vectors.CHUNK):
        part = slice(start, start + vectors.CHUNK)
        packed = copying.halfvecs(data.vectors[part])
        for row, (product, vector) in enumerate(zip(data.product_of[part].tolist(), packed, strict=True), start + 1):
            yield (
                copying.bigint(row),
                copying.text(names[goods.tenant[product]]),
                copying.text(load.product_id(product)),
                copying.text(filters.category_name(goods.category[product])),
                copying.double(goods.price[product]),
                copying.boolean(goods.in_stock[product]),
                attributes[product],
                vector,
            )
