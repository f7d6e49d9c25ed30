# ruff: noqa: S608  # conditions of ours
"""A picture of several categories is found by each of them, everywhere; a shop that has none asks as before."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from imgsearch import Filters, search
from imgsearch.db.psycopg_connection import Connectable
from imgsearch.spaces.space import Space
from tests.attach.conftest import Connection
from tests.shop import Row, fill

NAMES = ["shoes", "sale", "hats", "bags"]


def shop(connection: Connection, space: Space, many: int) -> None:
    """Pictures with one category, several, both or none; each a product of its own."""
    drawn = random.Random(3)
    rows = [
        Row(
            vector=[1.0, *(drawn.random() for _ in range(47))],
            category=drawn.choice([*NAMES, None]),
            price=n,
            product=f"p{n}",
        )
        for n in range(many)
    ]
    fill(connection, space, rows)
    connection.execute(
        "UPDATE imgsearch.image SET categories = CASE image_id % 4 WHEN 0 THEN ARRAY['sale', 'hats']"
        " WHEN 1 THEN ARRAY['bags'] END"
    )
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute("ANALYZE imgsearch.image")


def found(connection: Connectable, **filters: Any) -> set[str]:
    hits = search(connection, [1.0, *[0.5] * 47], filters=Filters(**filters), k=1000)
    return {hit.product_id for hit in hits}


def expected(connection: Connection, condition: str) -> set[str]:
    query = (
        "SELECT product_id FROM imgsearch.image, LATERAL (SELECT array_append(categories, category)) a (them)"
        f" WHERE {condition}"
    )
    return {row[0] for row in connection.execute(query.encode()).fetchall()}


@pytest.mark.parametrize("many", [300, 900])
def test_every_filter_finds_a_picture_by_each_of_its_categories(
    connection: Connection, space: Space, many: int
) -> None:
    shop(connection, space, many)
    sale, either = "'sale' = ANY (them)", "them && ARRAY['sale', 'bags']"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"category": "sale"}, sale),
        ({"category": ["sale", "bags"]}, either),
        ({"category": "sale", "tenant": "acme", "max_price": 200}, f"{sale} AND price <= 200"),
        ({"condition": {"category": "sale"}}, sale),
        ({"condition": {"category": ["sale", "bags"]}}, either),
        ({"condition": {"not": {"category": "sale"}}}, f"({sale}) IS NOT TRUE"),
        ({"condition": {"category": {"not_in": ["sale", "bags"]}}}, f"({either}) IS NOT TRUE"),
        ({"condition": {"category": {"not": "hats"}}}, "('hats' = ANY (them)) IS NOT TRUE"),
        ({"condition": {"any": [{"category": "shoes"}, {"price": {"max": 5}}]}}, "'shoes' = ANY (them) OR price <= 5"),
        ({"condition": {"category": {"exists": False}}}, "category IS NULL AND categories IS NULL"),
        ({"condition": {"category": None}}, "category IS NULL AND categories IS NULL"),
    ]
    for filters, condition in cases:
        assert found(connection, **filters) == expected(connection, condition), filters


def test_facets_and_lists_count_each_category(connection: Connection, space: Space) -> None:
    shop(connection, space, 300)
    right = dict(
        connection.execute(
            "SELECT c, count(*) FROM imgsearch.image,"
            " LATERAL (SELECT DISTINCT unnest(array_append(categories, category))) x (c)"
            " WHERE c IS NOT NULL GROUP BY 1"
        ).fetchall()
    )
    facets = connection.execute("SELECT value, count FROM imgsearch.facets() WHERE facet = 'category'").fetchall()
    assert dict(facets) == right
    listed = connection.execute("SELECT value, count FROM imgsearch.choices('category')").fetchall()
    assert dict(listed) == right
    asked = 'imgsearch.filters_of(\'{"category": ["sale"]}\')'
    inside = f"SELECT value, count FROM imgsearch.facets({asked}) WHERE facet = 'matches'"
    assert connection.execute(inside.encode()).fetchone() == (None, right["sale"])


def test_rows_tell_all_their_categories(connection: Connection, space: Space) -> None:
    shop(connection, space, 8)
    hits = search(connection, [1.0, *[0.5] * 47], k=8, category="hats")
    assert {tuple(hit.categories or ()) for hit in hits} >= {("sale", "hats")}


def test_a_shop_without_them_asks_as_before(connection: Connection, space: Space) -> None:
    fill(connection, space, [Row(vector=[1.0, n / 600, *[0.1] * 46], category="shoes", price=n) for n in range(600)])
    text = 'SELECT (imgsearch_internal.filter_sql(imgsearch.filters_of(\'{"category": ["shoes"]}\'))).*'
    [row] = connection.execute(text.encode()).fetchall()
    assert row[0] == " AND i.category = ANY (($2).category)"
    assert row[4] is False, "out of the index, not out of rows"
    fill(connection, space, [Row(vector=[1.0, *[0.1] * 47], tenant="other", product=f"o{n}") for n in range(600)])
    connection.execute("UPDATE imgsearch.image SET categories = ARRAY['c' || image_id % 50] WHERE tenant_id = 'other'")
    connection.execute("ANALYZE imgsearch.image")
    named = text.replace('{"category"', '{"tenant": "acme", "category"')
    [row] = connection.execute(named.encode()).fetchall()
    assert "i.categories" not in row[0], "what another tenant has costs this one nothing"
    assert row[4] is False
    query = connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'has_categories'").fetchall()[0][0]
    look = re.search(r"SELECT i\.tenant_id.*?LIMIT 1", query, re.DOTALL)
    assert look
    for tenant in ("acme", "other", "zoo", ""):
        plan = connection.execute(
            f"EXPLAIN {look[0].replace('has_categories.tenant', repr(tenant))}".encode()
        ).fetchall()
        assert "image_with_categories" in str(plan), plan
    connection.execute("UPDATE imgsearch.image SET categories = '{sale}' WHERE price = 5")
    [row] = connection.execute(named.encode()).fetchall()
    assert "i.categories && ($2).category" in row[0]
    [row] = connection.execute(text.encode()).fetchall()
    assert "i.categories && ($2).category" in row[0]
    plan = connection.execute(
        "EXPLAIN SELECT 1 FROM imgsearch.image i WHERE (i.category = ANY ('{rare}') OR i.categories && '{sale}')"
    ).fetchall()
    assert "image_by_categories" in str(plan), plan
