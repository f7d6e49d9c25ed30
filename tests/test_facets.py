"""Counts beside a search: every facet under every combination of filters, against counting in Python."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.spaces.space import ensure
from tests.shop import Row, database, fill

BOUNDS = (0, 10, 25, 50, 100, 250, 500, 1000, 2500)
ROWS = [
    Row(
        vector=[1.0, n / 100, *[0.0] * 46],
        tenant=("acme", "bolt", "coop")[n % 3],
        category=("shoes", "bags", None)[n % 7 % 3],
        price=None if n % 11 == 0 else float(n * 7 % 130),
        in_stock=n % 4 != 0,
        attributes={"colour": ("red", "green")[n % 2], "size": n % 3} if n % 5 else {},
    )
    for n in range(120)
]
FILTERS: dict[str, tuple[Any, ...]] = {
    "tenant": (None, "acme"),
    "categories": (None, ["shoes"], ["shoes", "bags"]),
    "min_price": (None, 20.0),
    "max_price": (None, 99.0),
    "in_stock": (None, True, False),
    "attributes": (None, {"colour": ["red"]}, {"colour": ["red"], "size": [0, 2]}),
}
ASKED = [dict(zip(FILTERS, values, strict=True)) for values in itertools.product(*FILTERS.values())]


@pytest.fixture(scope="module")
def connection(servers: embedded.Servers, template: str) -> Iterator[psycopg.Connection[Any]]:
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as opened:
        fill(opened, ensure(opened, FakeEncoder().describe()), ROWS)
        opened.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, category, price, uri)"
            " VALUES ('acme', 'not embedded yet', 'shoes', 30, 'store:x')"
        )
        yield opened


def passes(row: Row, asked: dict[str, Any], *, but: str = "") -> bool:
    """Return whether a row passes all filters, or all `but` one facet's own."""
    wanted = {name: value for name, value in asked.items() if value is not None}
    price = row.price
    checks = {
        "tenant": lambda: row.tenant == wanted["tenant"],
        "categories": lambda: row.category in wanted["categories"],
        "min_price": lambda: price is not None and price >= wanted["min_price"],
        "max_price": lambda: price is not None and price <= wanted["max_price"],
        "in_stock": lambda: row.in_stock == wanted["in_stock"],
        "attributes": lambda: all(
            row.attributes.get(name) in values for name, values in wanted["attributes"].items() if name != but
        ),
    }
    own = {"price": ("min_price", "max_price"), "category": ("categories",)}.get(but, (but,))
    return all(checks[name]() for name in wanted if name not in own)


def counted(asked: dict[str, Any]) -> dict[str, Counter[Any]]:
    """Return what each facet counts; a facet's own filter does not count against its values."""
    found = {
        "matches": Counter({None: sum(passes(row, asked) for row in ROWS)}),
        "tenant": Counter(row.tenant for row in ROWS if passes(row, asked)),
        "category": Counter(row.category for row in ROWS if row.category and passes(row, asked, but="category")),
        "in_stock": Counter(str(row.in_stock).lower() for row in ROWS if passes(row, asked, but="in_stock")),
        "price": Counter(
            max(low for low in BOUNDS if low <= row.price)
            for row in ROWS
            if row.price is not None and passes(row, asked, but="price")
        ),
    }
    for name in ("colour", "size"):
        kept = (row.attributes[name] for row in ROWS if name in row.attributes and passes(row, asked, but=name))
        found[f"attribute {name}"] = Counter(map(str, kept))
    return found


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_every_facet_counts_what_is_there(connection: psycopg.Connection[Any], asked: dict[str, Any]) -> None:
    rows = connection.execute(
        "SELECT facet, name, value, low, count, approximate FROM imgsearch.facets(imgsearch.filters_of(%s))",
        (json.dumps({"category" if name == "categories" else name: value for name, value in asked.items()}),),
    ).fetchall()
    found: dict[str, Counter[Any]] = {name: Counter() for name in counted(asked)}
    for facet, name, value, low, count, approximate in rows:
        assert not approximate
        found[f"{facet} {name}" if name else facet][low if facet == "price" else value] += count
    assert found == counted(asked)


@pytest.mark.parametrize("asked", ASKED[::7], ids=str)
def test_a_list_of_one_facet_holds_all_its_values(connection: psycopg.Connection[Any], asked: dict[str, Any]) -> None:
    filters = json.dumps({"category" if name == "categories" else name: value for name, value in asked.items()})
    listed = {"tenant": ("tenant", None), "category": ("category", None)}
    listed |= {f"attribute {name}": ("attribute", name) for name in ("colour", "size")}
    for facet, (kind, name) in listed.items():
        rows = connection.execute(
            "SELECT value, count, different FROM imgsearch.choices(%s, %s, imgsearch.filters_of(%s))",
            (kind, name, filters),
        ).fetchall()
        assert {value: count for value, count, _ in rows} == counted(asked)[facet]
        assert all(different == len(rows) for *_, different in rows)


def test_a_list_of_one_facet_is_searched_in_and_bounded(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute(
        "SELECT value, different FROM imgsearch.choices('category', contains => 'AG')"
    ).fetchall()
    assert found == [("bags", 1)]
    assert connection.execute("SELECT value, different FROM imgsearch.choices('category', k => 1)").fetchall() == [
        ("shoes", 2)
    ]
    wrong = [("price", None, 1), ("attribute", None, 1), ("category", "colour", 1), ("category", None, 1001)]
    for arguments in wrong:
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("SELECT * FROM imgsearch.choices(%s, %s, k => %s::integer)", arguments)
        assert refused.value.sqlstate == "IM008"
