"""A list without a question: complete, one row per product, in the order that was asked for."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.order_reference import Item, sort_key
from tests.test_order import Stocked, a_query, stocked

__all__ = ["stocked"]  # a fixture


def pages(shop: Stocked, size: int, sort: str, filters: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    after = None
    while page := shop.connection.execute(
        "SELECT image_id, product_id, pictures, after_this"
        " FROM imgsearch.browse_products(imgsearch.filters_of(%s::jsonb), k => %s, sort => %s, after => %s)",
        (filters, size, sort, after),
    ).fetchall():
        found += page
        after = page[-1][-1]
    return found


@pytest.mark.parametrize("sort", ["price", "-price", "attributes.brand", "-attributes.brand", "attributes.none such"])
def test_pages_are_all_that_matches_in_order(stocked: Stocked, sort: str) -> None:
    items = [item for item in stocked.items(a_query(1), "bolt") if item.in_stock]
    alike = [Item(i.key, 0, i.vector, i.price, i.in_stock, i.attributes) for i in items]
    wanted = [item.key for item in sorted(alike, key=sort_key(sort))]
    found = pages(stocked, 130, sort, '{"tenant": "bolt", "in_stock": true}')
    assert [row[0] for row in found] == wanted


def test_a_product_of_several_pictures_stands_once(stocked: Stocked) -> None:
    connection = stocked.connection
    with connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE imgsearch.image SET product_id = 'p' || image_id / 4, position = image_id WHERE tenant_id = 'acme'"
        )
        found = pages(stocked, 100, "price", '{"tenant": "acme"}')
        prices = dict(
            connection.execute(
                "SELECT product_id, min(price) FROM imgsearch.image WHERE tenant_id = 'acme' GROUP BY 1"
            ).fetchall()
        )
    assert sorted(row[1] for row in found) == sorted(prices)
    got = [prices[row[1]] for row in found if prices[row[1]] is not None]
    assert got == sorted(got)


@pytest.mark.parametrize(
    "arguments", ["after => '1,2'", "after => 'x'", "after => '1,9,0,'", "sort => 'colour'", "k => 0", "k => 1001"]
)
def test_what_is_refused(stocked: Stocked, arguments: str) -> None:
    with pytest.raises(psycopg.Error) as raised:
        stocked.connection.execute(f"SELECT * FROM imgsearch.browse_products({arguments})".encode())  # noqa: S608 - arguments of ours
    assert raised.value.sqlstate == "IM008"


def test_a_cursor_of_another_list_is_refused(stocked: Stocked) -> None:
    said = "SELECT after_this FROM imgsearch.browse_products(k => 1, sort => 'price')"
    [after] = stocked.connection.execute(said).fetchone() or (None,)
    with pytest.raises(psycopg.Error, match="another list"):
        stocked.connection.execute("SELECT * FROM imgsearch.browse_products(sort => '-price', after => %s)", [after])


@pytest.mark.parametrize("sort", ["newest", "-newest", "price", "-price"])
def test_pictures_of_a_product_far_apart_stand_where_the_first_does(stocked: Stocked, sort: str) -> None:
    connection = stocked.connection
    with connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE imgsearch.image SET product_id = 'p' || image_id % 50, position = image_id,"
            " price = CASE WHEN image_id % 3 = 0 OR image_id % 50 < 5 THEN NULL ELSE price END WHERE tenant_id = 'acme'"
        )
        rows = connection.execute(
            "SELECT product_id, image_id, price FROM imgsearch.image WHERE tenant_id = 'acme'"
        ).fetchall()
        for size in (1, 7, 60):
            found = pages(stocked, size, sort, '{"tenant": "acme"}')
            assert [row[1] for row in found] == _in_order(rows, sort)
            assert [row[2] for row in found] == [sum(r[0] == row[1] for r in rows) for row in found]


def _in_order(rows: list[tuple[str, int, float | None]], sort: str) -> list[str]:
    """Return the products, each where its first picture stands; those without a price last."""
    turn = -1 if sort.startswith("-") else 1

    def key(row: tuple[str, int, float | None]) -> tuple[float, ...]:
        if sort.endswith("newest"):
            return (-turn * row[1],)
        return (1.0, float(row[1])) if row[2] is None else (0.0, turn * row[2], float(row[1]))

    return list(dict.fromkeys(row[0] for row in sorted(rows, key=key)))
