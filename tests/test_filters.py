"""Filters as one value: what each of them keeps, what is refused, and that lists are bound, never written out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from imgsearch import Filters, db, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.retrieval.filters import NAMES
from imgsearch.spaces.space import Space, ensure
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
MANY = 60
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def row(n: int) -> Row:
    return Row(
        vector=[1.0, n / MANY] + [0.0] * 46,
        tenant="acme" if n % 3 else "bolt",
        category=["shoes", "hats", None][n % 3],
        price=None if n % 7 == 0 else float(n),
        in_stock=n % 2 == 0,
        attributes={"colour": ["red", "blue", "green", None][n % 4], "size": n, "tags": ["new"] if n % 5 == 0 else []},
    )


ROWS = [row(n) for n in range(MANY)]


@pytest.fixture(scope="module")
def connection(servers: embedded.Servers, template: str) -> Iterator[Connection]:
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as opened:
        space: Space = ensure(opened, FakeEncoder().describe())
        ids = fill(opened, space, [Row(**{**vars(r), "vector": _wide(r.vector, space)}) for r in ROWS])
        assert ids == list(range(1, MANY + 1))
        for image_id in ids:
            opened.execute(
                "UPDATE imgsearch.image SET created_at = %s WHERE image_id = %s", (START + image_id * DAY, image_id)
            )
        yield opened


def _wide(vector: Any, space: Space) -> list[float]:
    return [*vector, *[0.0] * space.dimension][: space.dimension]


CASES: list[tuple[dict[str, Any], Callable[[int, Row], bool]]] = [
    ({"product_ids": ["p3", "p5", "p59", "none"]}, lambda n, r: n in {3, 5, 59}),
    ({"product_ids": []}, lambda n, r: False),
    ({"exclude_product_ids": ["p3", "p5"]}, lambda n, r: n not in {3, 5}),
    ({"exclude_image_ids": [1, 2, 999]}, lambda n, r: n not in {0, 1}),
    ({"created_after": START + 40 * DAY}, lambda n, r: n + 1 >= 40),
    ({"created_before": START + 40 * DAY}, lambda n, r: n + 1 < 40),
    ({"created_after": START + 10 * DAY, "created_before": START + 12 * DAY}, lambda n, r: n in {9, 10}),
    ({"category": "shoes", "exclude_product_ids": ["p0"]}, lambda n, r: r.category == "shoes" and n != 0),
    ({"category": ["shoes", "hats"]}, lambda n, r: r.category is not None),
    ({"attributes": {"colour": ["red", "blue"]}}, lambda n, r: r.attributes["colour"] in {"red", "blue"}),
    ({"attributes": {"colour": []}}, lambda n, r: False),
    ({"attributes": {"colour": {"not_in": ["red"]}}}, lambda n, r: r.attributes["colour"] != "red"),
    ({"attributes": {"tags": {"has": "new"}}}, lambda n, r: n % 5 == 0),
    ({"condition": {}}, lambda n, r: True),
    ({"condition": {"any": []}}, lambda n, r: False),
    ({"condition": {"all": []}}, lambda n, r: True),
    ({"condition": {"category": "shoes"}}, lambda n, r: r.category == "shoes"),
    ({"condition": {"category": None}}, lambda n, r: r.category is None),
    ({"condition": {"not": {"category": "shoes"}}}, lambda n, r: r.category != "shoes"),
    ({"condition": {"category": {"exists": False}}}, lambda n, r: r.category is None),
    ({"condition": {"price": {"min": 10, "below": 20}}}, lambda n, r: r.price is not None and 10 <= r.price < 20),
    ({"condition": {"not": {"price": {"above": 10}}}}, lambda n, r: r.price is None or r.price <= 10),
    ({"condition": {"product_id": {"not_in": ["p1"]}}}, lambda n, r: n != 1),
    ({"condition": {"in_stock": True, "image_id": {"max": 10}}}, lambda n, r: r.in_stock and n < 10),
    ({"condition": {"created_at": {"above": "2026-02-01T00:00:00Z"}}}, lambda n, r: n + 1 > 31),
    (
        {
            "tenant": "acme",
            "condition": {
                "any": [{"attributes.colour": "red"}, {"all": [{"attributes.size": {"min": 50}}, {"in_stock": False}]}]
            },
        },
        lambda n, r: r.tenant == "acme" and (r.attributes["colour"] == "red" or (n >= 50 and not r.in_stock)),
    ),
    (
        {"condition": {"not": {"any": [{"attributes.colour": ["red", "blue"]}, {"category": "hats"}]}}},
        lambda n, r: r.attributes["colour"] not in {"red", "blue"} and r.category != "hats",
    ),
]


@pytest.mark.parametrize(("filters", "keep"), CASES, ids=[json.dumps(f, default=str) for f, _ in CASES])
def test_a_filter_keeps_what_it_says(
    connection: Connection, filters: dict[str, Any], keep: Callable[[int, Row], bool]
) -> None:
    hits = search(connection, _query(connection), k=MANY, filters=Filters(**filters))
    assert sorted(hit.image_id - 1 for hit in hits) == [n for n, r in enumerate(ROWS) if keep(n, r)]
    assert hits.complete
    counted = connection.execute(
        "SELECT count FROM imgsearch.facets(imgsearch.filters_of(%s)) WHERE facet = 'matches'",
        (Filters(**filters).as_json(),),
    ).fetchone()
    assert counted == (len(hits),)
    newest = connection.execute(
        "SELECT array_agg(b.image_id) FROM imgsearch.browse_products(imgsearch.filters_of(%s), k => 1000) b",
        (Filters(**filters).as_json(),),
    ).fetchone()
    assert newest is not None
    assert sorted(newest[0] or []) == sorted(hit.image_id for hit in hits)


def _query(connection: Connection) -> list[float]:
    found = connection.execute("SELECT dimension FROM imgsearch.space WHERE state = 'active'").fetchone()
    assert found is not None
    return [1.0] + [0.0] * (found[0] - 1)


def nested(levels: int) -> dict[str, Any]:
    return {"in_stock": True} if levels == 1 else {"not": nested(levels - 1)}


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"category": [f"x{n}" for n in range(1001)]}, "more than 1000"),
        ({"product_ids": ["x"] * 1001}, "more than 1000"),
        ({"exclude_product_ids": ["x"] * 1001}, "more than 1000"),
        ({"exclude_image_ids": [1] * 1001}, "more than 1000"),
        ({"attributes": {f"a{n}": 1 for n in range(21)}}, "more than 20"),
        ({"attributes": {"colour": ["x"] * 101}}, "more than 100"),
        ({"condition": nested(7)}, "nested deeper than 5"),
        ({"condition": {"any": [{"in_stock": True}] * 51}}, "not more than 50"),
        ({"condition": {"any": [{"all": [{"in_stock": True}] * 26}] * 2}}, "more than 50 parts"),
        ({"condition": {"image_id": {"in": [1.5]}}}, "whole numbers"),
        ({"condition": {"password": "x"}}, "cannot speak of"),
        ({"condition": {"category": 5}}, "it is of type string"),
        ({"condition": {"price": {"max": "cheap"}}}, "it is of type number"),
        ({"condition": {"any": {"category": "x"}}}, "wants a list"),
        ({"condition": {"any": ["x"]}}, "is a JSON object"),
        ({"condition": {"attributes.colour": {"like": "r%"}}}, "is no operator"),
        ({"condition": {"created_at": {"above": "yesterday-ish"}}}, "yesterday-ish"),
        ({"min_price": "cheap"}, "a number from"),
    ],
)
def test_what_is_too_much_or_senseless_is_refused_with_words(
    connection: Connection, filters: dict[str, Any], says: str
) -> None:
    with pytest.raises(FilterError, match=says):
        search(connection, _query(connection), filters=Filters(**filters))
    assert len(search(connection, _query(connection), k=5)) == 5  # and nothing is broken beside it


@pytest.mark.parametrize(
    "filters",
    [
        {"category": ["x"] * 999 + ["shoes"]},
        {"product_ids": [f"p{n}" for n in range(1000)]},
        {"exclude_product_ids": [f"q{n}" for n in range(1000)]},
        {"exclude_image_ids": list(range(10_000, 11_000))},
        {"attributes": {f"a{n}": {"not_in": ["x"] * 100} for n in range(20)}},
        {"condition": {"any": [{"price": {"min": n}} for n in range(50)]}},
    ],
    ids=lambda filters: next(iter(filters)),
)
def test_the_largest_that_is_allowed_is_answered(connection: Connection, filters: dict[str, Any]) -> None:
    assert len(search(connection, _query(connection), k=5, filters=Filters(**filters))) == 5


def test_the_text_of_a_filter_does_not_grow_with_its_values(connection: Connection) -> None:
    def text(filters: Filters) -> str:
        found = connection.execute(
            "SELECT (imgsearch_internal.filter_sql(imgsearch.filters_of(%s))).condition", (filters.as_json(),)
        ).fetchone()
        assert found is not None
        return str(found[0])

    for one, many in (
        (Filters(attributes={"colour": ["a"]}), Filters(attributes={"colour": [str(n) for n in range(10)]})),
        (
            Filters(attributes={"colour": [str(n) for n in range(11)]}),  # more are not looked up in the index
            Filters(attributes={"colour": [str(n) for n in range(100)]}),
        ),
        (Filters(product_ids=["a"]), Filters(product_ids=[str(n) for n in range(1000)])),
        (Filters(category=["a"]), Filters(category=[str(n) for n in range(100)])),
    ):
        assert text(one) == text(many)


def test_names_that_are_no_filters_are_refused_in_python_and_in_sql(connection: Connection) -> None:
    with pytest.raises(FilterError, match="no filter 'colour'"):
        Filters.from_mapping({"colour": "red"})
    with pytest.raises(psycopg.Error, match="no filter colour"):
        connection.execute('SELECT imgsearch.filters_of(\'{"colour": "red"}\')')


def test_the_names_are_the_same_in_python_and_in_sql(connection: Connection) -> None:
    found = connection.execute(
        "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = 'imgsearch.filters'::regclass"
    ).fetchone()
    assert found is not None
    assert tuple(found[0]) == NAMES
