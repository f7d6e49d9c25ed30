"""Each index of image has a statement that needs it: a changed price writes all (docs/decisions/0036-updates.md)."""

from __future__ import annotations

import re
from typing import Any

import psycopg

from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]
# What it is for. Those without a statement hold a key that foreign keys name.
NEEDED = {
    "image_pkey": "",
    "one_picture_per_position": "SELECT uri FROM imgsearch.image WHERE product_id = 'p7'",
    "image_by_id": "SELECT uri FROM imgsearch.image WHERE image_id = 7",
    "image_by_digest": r"SELECT DISTINCT sha256 FROM imgsearch.image WHERE sha256 = ANY ('{\\x01,\\x02}'::bytea[])",
    "image_by_attributes": """SELECT uri FROM imgsearch.image WHERE attributes @> '{"colour": 7}'""",
    "image_by_categories": "SELECT uri FROM imgsearch.image WHERE categories && ARRAY['x30']",
    "image_with_categories": "SELECT 1 FROM imgsearch.image WHERE tenant_id >= 'a' AND categories IS NOT NULL LIMIT 1",
    "image_bits_1": "SELECT bits_1, product_id FROM imgsearch.image WHERE tenant_id = 'shop-1' AND category = 'c3'",
    "image_bits_category_1": "SELECT bits_1, product_id, tenant_id FROM imgsearch.image WHERE category = 'c3'",
    "image_bits_price_1": "SELECT bits_1, product_id, tenant_id FROM imgsearch.image WHERE price < 5",
}


FILL = """
INSERT INTO imgsearch.image (tenant_id, product_id, position, category, price, uri, sha256, attributes, categories)
SELECT 'shop-' || n % 7, 'p' || n / 3, n % 3, 'c' || n % 50, n % 997, 'store:' || n, sha256(n::text::bytea),
       jsonb_build_object('colour', n % 100), CASE WHEN n % 10 = 0 THEN ARRAY['c1', 'x' || n % 90] END
FROM generate_series(1, 3000) n"""


def test_every_index_of_image_is_needed_by_a_statement(connection: Connection, space: Space) -> None:
    connection.execute(FILL)
    connection.execute("VACUUM ANALYZE imgsearch.image")
    rows = connection.execute(
        "SELECT c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"
        " WHERE x.indrelid = 'imgsearch.image'::regclass"
    ).fetchall()
    assert {name for (name,) in rows} == set(NEEDED), "say here what a new index is for"
    connection.execute("SET enable_seqscan = off")
    for index, statement in NEEDED.items():
        if statement:
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}".encode()).fetchall())
            assert re.search(rf"\b{index}\b", plan), plan


def test_positions_stay_unique_within_a_product_of_a_tenant(connection: Connection) -> None:
    add = """INSERT INTO imgsearch.image (tenant_id, product_id, position, uri) VALUES (%s, %s, %s, 'store:x')
             ON CONFLICT (tenant_id, product_id, position) DO UPDATE SET uri = EXCLUDED.uri RETURNING image_id"""
    first, again, elsewhere, second = (
        connection.execute(add, values).fetchone()
        for values in (("a", "same", 0), ("a", "same", 0), ("b", "same", 0), ("a", "same", 1))
    )
    assert first == again
    assert len({first, elsewhere, second}) == 3
