"""Counts out of a sample are within the error that they state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.spaces.space import ensure
from tests.shop import database

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def many(servers: embedded.Servers, template: str) -> Iterator[Connection]:
    """6,000 pictures of 2,500 products, some of many pictures, as if they were 200,000."""
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        connection.execute(
            f"""INSERT INTO imgsearch.image
                (tenant_id, product_id, position, category, price, attributes, uri, bits_{space.space_id})
            SELECT 'shop ' || p % 7, 'product ' || p, n, 'category ' || floor(40 * (p % 101 / 101.0) ^ 3), p % 400,
                   jsonb_build_object('size', (p + n) % 10, 'rare', p * p % 11), 'store:' || p || n,
                   repeat('0', {space.dimension})::bit({space.dimension})
            FROM generate_series(1, 2500) p, LATERAL generate_series(1, 1 + p % 5 * (p % 3)) n""".encode()  # noqa: S608
        )
        connection.execute("SELECT imgsearch.refresh_sample()")
        connection.execute(
            "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '200000')"
        )
        yield connection


@pytest.mark.parametrize("per", ["product", "image"])
def test_a_sampled_count_is_within_its_error(many: Connection, per: str) -> None:
    """Of some hundred counts 95 in 100 at least; which products are drawn hangs on their names: no matter of luck."""
    asks = """SELECT facet, name, value, low, count, approximate, error
    FROM imgsearch.facets(NULL, 300, %s, attributes => '{size, rare}', exact => %s)"""
    exact = {found[:4]: found[4] for found in many.execute(asks, (per, True)).fetchall()}
    rows = many.execute(asks, (per, False)).fetchall()
    sampled = [row for row in rows if row[5]]
    within = [abs(count - exact.get(tuple(which), 0)) <= error for *which, count, _, error in sampled]
    assert len(within) > (12 if per == "image" else 60)
    assert sum(within) / len(within) >= 0.95
    assert all(error == 0 for *_, about, error in rows if not about)
    tight = [error / count for facet, *_, count, _, error in sampled if facet in ("matches", "images")]
    assert all(one < 0.2 for one in tight), "an error that is no help is none"
