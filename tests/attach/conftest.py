"""A shop with a table of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]
PRODUCT = """
CREATE SCHEMA shop;
CREATE TABLE shop.product (
    id integer PRIMARY KEY, store text, name text, category text, price numeric(10, 2), stock integer, brand text,
    photo text, back text, note text
)
"""
MAPPING = (
    "key => 'id', image => 'photo', tenant => 'store', category => 'lower(category)', price => 'price',"
    " in_stock => 'stock > 0', attributes => ARRAY['brand', 'name AS title'], base => 'https://cdn.example.com/m/'"
)


@pytest.fixture
def shop(connection: Connection) -> Connection:
    """A shop with a table of its own, not attached yet."""
    connection.execute(PRODUCT.encode())
    return connection


@pytest.fixture
def attached(shop: Connection) -> Iterator[Connection]:
    """The same, attached; whatever a test did, nothing is out of step afterwards."""
    shop.execute(f"SELECT imgsearch.attach('shop.product', {MAPPING})".encode())
    yield shop
    assert shop.execute("SELECT * FROM imgsearch.drift('shop.product')").fetchall() == []
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def images(connection: Connection) -> dict[tuple[str, str, int], str]:
    rows = connection.execute("SELECT tenant_id, product_id, position, uri FROM imgsearch.image").fetchall()
    return {(tenant, product, position): uri for tenant, product, position, uri in rows}


def insert(connection: Connection, *ids: int, store: str = "acme", photo: str | None = "p.jpg") -> None:
    connection.execute(
        "INSERT INTO shop.product SELECT n, %s, 'Shoe ' || n, 'Shoes', n, 1, 'Nord', %s, NULL, '' FROM unnest(%s) n",
        (store, photo, list(ids)),
    )


def written(connection: Connection) -> list[tuple[Any, ...]]:
    """Which version each row of image and job is: unchanged versions were not written."""
    return connection.execute(
        "SELECT 'image', image_id, xmin::text FROM imgsearch.image"
        " UNION ALL SELECT 'job', image_id, xmin::text FROM imgsearch.job ORDER BY 1, 2"
    ).fetchall()
