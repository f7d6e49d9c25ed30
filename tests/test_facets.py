"""Counts beside a search: every facet under every combination of filters, against counting in Python."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, astuple
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL

from imgsearch import db, facets
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.spaces.space import ensure
from tests.shop import Row, database, fill
from tests.terminal import Run

OF_ONE = 9  # rows after one another are of one product; of each tenant three
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
        ids = fill(opened, ensure(opened, FakeEncoder().describe()), ROWS)
        for n, image in enumerate(ids):
            of = (f"product {n // OF_ONE}", n % OF_ONE, image)
            opened.execute("UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s", of)
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


def values(facet: str, row: Row) -> str | float | None:
    """Return what a facet counts a row under; None: not at all."""
    if facet == "price":
        return None if row.price is None else max(low for low in BOUNDS if low <= row.price)
    if facet in ("colour", "size"):
        return str(row.attributes[facet]) if facet in row.attributes else None
    return {"tenant": row.tenant, "category": row.category, "in_stock": str(row.in_stock).lower()}[facet]


def counted(asked: dict[str, Any], per: str = "product") -> dict[str, Counter[Any]]:
    """Return what each facet counts; a facet's own filter does not count against its values."""

    def unit(n: int, row: Row) -> Any:
        return (row.tenant, n // OF_ONE) if per == "product" else n

    matching = [(n, row) for n, row in enumerate(ROWS) if passes(row, asked)]
    found: dict[str, Counter[Any]] = {
        "matches": Counter({None: len({unit(n, row) for n, row in matching})}),
        "images": Counter({None: len(matching)}),
    }
    for facet in ("tenant", "category", "in_stock", "price", "colour", "size"):
        but = "" if facet == "tenant" else facet
        kept = [(values(facet, row), unit(n, row)) for n, row in enumerate(ROWS) if passes(row, asked, but=but)]
        units = {one for one in kept if one[0] is not None}
        name = f"attribute {facet}" if facet in ("colour", "size") else facet
        found[name] = Counter(value for value, _ in units)
    return found


def as_filters(asked: dict[str, Any]) -> str:
    return json.dumps({"category" if name == "categories" else name: value for name, value in asked.items()})


def of_database(
    connection: psycopg.Connection[Any], asked: dict[str, Any], more: LiteralString = ""
) -> dict[str, Counter[Any]]:
    """Return what facets() counts, as `counted` does; nothing of so few is approximate."""
    asks = SQL("SELECT facet, name, value, low, count, approximate FROM imgsearch.facets(imgsearch.filters_of(%s)")
    rows = connection.execute(asks + SQL(more) + SQL(")"), (as_filters(asked),)).fetchall()
    found: dict[str, Counter[Any]] = {}
    for facet, name, value, low, count, approximate in rows:
        assert not approximate
        found.setdefault(f"{facet} {name}" if name else facet, Counter())[low if facet == "price" else value] += count
    return found


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_every_facet_counts_the_products_that_are_there(
    connection: psycopg.Connection[Any], asked: dict[str, Any]
) -> None:
    wanted = counted(asked)
    assert {**{name: Counter() for name in wanted}, **of_database(connection, asked)} == wanted


@pytest.mark.parametrize("asked", ASKED[::5], ids=str)
def test_every_facet_counts_the_images_that_are_there(
    connection: psycopg.Connection[Any], asked: dict[str, Any]
) -> None:
    wanted = counted(asked, per="image")
    assert {**{name: Counter() for name in wanted}, **of_database(connection, asked, ", per => 'image'")} == wanted


def test_prices_and_attributes_are_counted_as_asked(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.test_facets.BOUNDS", (0, 30, 60))
    found = of_database(connection, {}, ", prices => '{0, 30, 60}', attributes => '{size}'")
    wanted = counted({})
    assert found["price"] == wanted["price"]
    assert {name for name in found if name.startswith("attribute")} == {"attribute size"}
    assert found["attribute size"] == wanted["attribute size"]
    assert not any(name.startswith("attribute") for name in of_database(connection, {}, ", attributes => '{}'"))
    for wrong in (
        "per => 'shop'",
        "per => NULL",
        "prices => '{}'",
        "prices => '{10, 5}'",
        "prices => '{5, 5}'",
        "prices => '{NaN}'",
        "prices => '{0, Infinity}'",
        "prices => '{-1, 5}'",
        "prices => '{0, NULL, 5}'",
        "prices => ARRAY(SELECT generate_series(0, 50)::float8)",
        "attributes => '{a, NULL}'",
        "attributes => ARRAY(SELECT 'a' || n FROM generate_series(0, 20) n)",
    ):
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(SQL("SELECT * FROM imgsearch.facets(") + SQL(wrong) + SQL(")"))
        assert refused.value.sqlstate == "IM008", wrong
        assert refused.value.diag.message_hint


def test_of_very_many_products_some_are_counted_and_that_is_said(connection: psycopg.Connection[Any]) -> None:
    """As if 120 images were 120,000: one product in four stands for four, with all of its images."""
    connection.execute("SELECT imgsearch.refresh_sample()")
    kept = connection.execute("SELECT parameters FROM imgsearch.space").fetchone()
    assert kept is not None
    connection.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '120000')")
    rows = connection.execute("SELECT facet, name, value, count, approximate FROM imgsearch.facets()").fetchall()
    counts = {(facet, value): count for facet, name, value, count, _ in rows}
    ids = {f"product {n // OF_ONE}" for n in range(len(ROWS))}
    draws = "SELECT hashtextextended(%s, hashtext(%s)) & 3"
    drawn = {
        (tenant, one)
        for tenant in ("acme", "bolt", "coop")
        for one in ids
        if connection.execute(draws, (one, tenant)).fetchone() == (0,)
    }
    assert {about for facet, *_, about in rows if facet != "attribute"} == {True}
    assert counts["matches", None] == 4 * len(drawn)
    assert counts["images", None] == 4 * sum(
        (row.tenant, f"product {n // OF_ONE}") in drawn for n, row in enumerate(ROWS)
    )
    exact = of_database(connection, {}, ", exact => true")
    assert exact == counted({}), "all were counted"
    listed = connection.execute("SELECT value, count, approximate FROM imgsearch.choices('category')").fetchall()
    assert {value for value, *_ in listed} == {"shoes", "bags"}, "the list is of all of them"
    assert all(about for *_, about in listed)
    few = "SELECT count, approximate FROM imgsearch.facets(imgsearch.filters_of(%s)) WHERE facet = 'matches'"
    assert connection.execute(few, (as_filters({"tenant": "acme"}),)).fetchone() == (14, False), (
        "40,000 of them, as it seems: counted all"
    )
    connection.execute("UPDATE imgsearch.space SET parameters = %s", (json.dumps(kept[0]),))


@pytest.mark.parametrize("asked", ASKED[::7], ids=str)
@pytest.mark.parametrize("per", ["product", "image"])
def test_a_list_of_one_facet_holds_all_its_values(
    connection: psycopg.Connection[Any], asked: dict[str, Any], per: str
) -> None:
    listed = {"tenant": ("tenant", None), "category": ("category", None)}
    listed |= {f"attribute {name}": ("attribute", name) for name in ("colour", "size")}
    for facet, (kind, name) in listed.items():
        rows = connection.execute(
            "SELECT value, count, different, approximate"
            " FROM imgsearch.choices(%s, %s, imgsearch.filters_of(%s), per => %s)",
            (kind, name, as_filters(asked), per),
        ).fetchall()
        assert {value: count for value, count, *_ in rows} == counted(asked, per)[facet]
        assert all((different, about) == (len(rows), False) for *_, different, about in rows)


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


def test_python_and_the_command_line_count_the_same(connection: psycopg.Connection[Any], run: Run) -> None:
    rows = connection.execute("""SELECT facet, name, value, low, high, count, approximate, error FROM imgsearch.facets(
        imgsearch.filters_of('{"max_price": 60}'), prices => '{0,30}', attributes => '{colour}')""").fetchall()
    found = facets(connection, max_price=60, prices=[0, 30], attribute_names=["colour"])
    assert [astuple(one) for one in found] == rows
    options = ("--max-price", "60", "--prices", "0,30", "--attribute-name", "colour")
    around = {"IMGSEARCH_DATABASE_URL": url_of(connection)}
    assert run("facets", *options, "--json", **around).document == [asdict(one) for one in found]
    assert "0 to 30" in run("facets", *options, **around).out
    assert run("facets", "--prices", "cheap", **around).code == 2
    assert run("facets", "--per", "shop", **around).code == 2
    with pytest.raises(FilterError):
        facets(connection, prices=[30, 0])


def url_of(connection: psycopg.Connection[Any]) -> str:
    info = connection.info
    return f"postgresql://{info.user}@/{info.dbname}?host={info.host}&port={info.port}"
