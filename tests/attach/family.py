# the names of the schema are ours
"""A catalogue of many tables: products with variants, pictures, stock, categories."""

from __future__ import annotations

from typing import Any

from imgsearch.ingest import attachment
from tests.attach.conftest import Connection

TABLES = """
CREATE TABLE product (
    id integer PRIMARY KEY, parent_id integer, like_id integer, store text DEFAULT 'default', title text
);
CREATE INDEX ON product (parent_id);
CREATE INDEX ON product (like_id);
CREATE TABLE picture (
    id integer PRIMARY KEY, product_id integer, place integer DEFAULT 0, is_main boolean DEFAULT false, file text
);
CREATE INDEX ON picture (product_id);
CREATE TABLE stock (
    id integer PRIMARY KEY, product_id integer REFERENCES product ON DELETE CASCADE, price numeric, note text
);
CREATE INDEX ON stock (product_id);
CREATE TABLE category (id integer PRIMARY KEY, name text);
CREATE TABLE product_category (product_id integer, category_id integer, PRIMARY KEY (product_id, category_id));
CREATE INDEX ON product_category (category_id);
"""
MAPPING: dict[str, Any] = {
    "key": "id",
    "tenant": "store",
    "image": "file",
    "pictures": "picture",
    "picture_of": "product_id",
    "ordinal": "place",
    "main": "is_main",
    "owner": "coalesce(parent_id, id)",
    "fallback": "like_id",
    "title": "title",
    "price": "(SELECT min(s.price) FROM stock s WHERE s.product_id = product.id)",
    "categories": "SELECT c.name FROM category c JOIN product_category pc ON pc.category_id = c.id"
    " WHERE pc.product_id = product.id",
    "follow": {
        "stock": "product_id",
        "product_category": "product_id",
        "category": "SELECT pc.product_id FROM product_category pc JOIN changed c ON c.id = pc.category_id",
    },
    "base": "https://x.example",
}


def make_family(connection: Connection, at: str) -> None:
    """The tables, in `public`, or in a schema that is on the search path only while they are attached."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {at}".encode())
    connection.execute(f"SET search_path = {at}, public".encode())
    connection.execute(TABLES.encode())


def attach_family(connection: Connection, **more: Any) -> None:
    attachment.attach(connection, "product", **(MAPPING | more))


def drift(connection: Connection) -> list[Any]:
    return connection.execute("SELECT d.* FROM imgsearch.attachments a, imgsearch.drift(a.relation) d").fetchall()


def written_rows(connection: Connection) -> list[Any]:
    return connection.execute("SELECT image_id, xmin::text FROM imgsearch.image ORDER BY 1").fetchall()
