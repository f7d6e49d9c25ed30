"""All methods there are on a loaded dataset."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from bench.dataset import Dataset
from bench.methods import Method, bares, singles
from bench.product import products

READER = "imgsearch_reader"


def methods_of(data: Dataset, url: str) -> Iterator[Method]:
    """Yield the single methods, the product's and the bare table's if it is there; walled cells are asked as READER."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            """SELECT (SELECT space_id FROM imgsearch.space WHERE state = 'active'), to_regrole(%s) IS NOT NULL,
                      to_regclass('bare.image') IS NOT NULL""",
            [READER],
        ).fetchone()
    assert row is not None
    space, walls, bare = row
    role = READER if walls else None
    yield from singles(data, url, space, role)
    yield from products(data, url, role)
    if bare:
        yield from bares(data, url)
