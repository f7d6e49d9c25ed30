"""A product of a thousand near-alike pictures is one row among others: right, whichever way, at a bounded cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.query import ProductId
from imgsearch.retrieval import explain, search
from imgsearch.retrieval.recommendation import Strategy, recommend
from imgsearch.spaces.space import ensure
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
MANY = 1000
OTHERS = 300
BELIEFS = ["{}", '{"search": {"pool": 100}}', '{"search": {"ef": 300}, "sample": {"pictures": 50000000}}']


@pytest.fixture(scope="module")
def shop(servers: embedded.Servers, template: str) -> Iterator[Connection]:
    """Two products of a thousand pictures, near to the question, and three hundred of one each, farther away."""
    rng = np.random.default_rng(3)
    base = np.zeros(48)
    base[0] = 1
    rows = [
        Row(vector=(base + 0.02 * rng.normal(size=48)).tolist(), product=product, price=5, attributes={"n": n})
        for product in ("big", "huge")
        for n in range(MANY)
    ]
    rows += [Row(vector=(base + 0.2 * rng.normal(size=48)).tolist(), product=f"p{n}", price=n) for n in range(OTHERS)]
    rows += [Row(vector=base.tolist(), tenant="other", product="big")]
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        fill(connection, ensure(connection, FakeEncoder().describe()), rows)
        connection.execute(
            "INSERT INTO imgsearch.product (tenant_id, product_id, title) SELECT DISTINCT tenant_id, product_id,"
            " CASE WHEN product_id IN ('big', 'huge', 'p7') THEN 'zebrano' ELSE 'lamp' END FROM imgsearch.image"
        )
        connection.execute("SELECT imgsearch.refresh_vocabulary()")
        connection.execute("ANALYZE")
        yield connection


def a_query() -> list[float]:
    return [1.0] + [0.0] * 47


def believe(connection: Connection, belief: str) -> None:
    """Have a search believe other things of the shop, so that it goes another way."""
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute(
        "UPDATE imgsearch.space SET parameters = parameters || jsonb_build_object("
        " 'search', %(told)s::jsonb -> 'search',"
        " 'sample', (parameters -> 'sample') || coalesce(%(told)s::jsonb -> 'sample', '{}'))",
        {"told": belief},
    )


RANKINGS: list[dict[str, Any]] = [
    {},
    {"diversity": 0.5},
    {"boost": {"in_stock": 0.1}},
    {"sort": "price"},
    {"words": "zebrano"},
    {"expand": True},
    {"words": "zebrano", "look_weight": 0, "sort": "-price"},
]


@pytest.mark.parametrize("belief", BELIEFS)
@pytest.mark.parametrize("ranking", RANKINGS, ids=str)
def test_it_is_one_row_and_every_other_follows(shop: Connection, ranking: dict[str, Any], belief: str) -> None:
    believe(shop, belief)
    got, after = list[str | None](), None
    while page := search(shop, a_query(), tenant="acme", k=25, after=after, **ranking):
        began = time.monotonic()
        got += [hit.product_id for hit in page]
        assert len(page) == 25 or page.complete
        for hit in page:
            big = hit.product_id in {"big", "huge"}
            assert hit.pictures == (MANY if big else 1)
            assert len(hit.others or ()) == (4 if big else 0)
            assert hit.image_id not in (hit.others or ())
        after = page[-1].after
        assert time.monotonic() - began < 5
    wanted = {"big", "huge", *(f"p{n}" for n in range(OTHERS))}
    wanted = wanted if ranking.get("look_weight") != 0 else {"big", "huge", "p7"}
    assert len(got) == len(set(got)) == len(wanted)
    assert set(got) == wanted


@pytest.mark.parametrize("belief", BELIEFS)
def test_its_nearest_pictures_stand_beside_it(shop: Connection, belief: str) -> None:
    believe(shop, belief)
    page = search(shop, a_query(), tenant="acme", k=2)
    assert {hit.product_id for hit in page} == {"big", "huge"}
    for hit in page:
        rows = shop.execute(
            "SELECT image_id FROM (SELECT i.image_id, i.position, v.embedding <=> %(q)s::halfvec AS d"
            " FROM imgsearch.image i JOIN imgsearch.vectors v USING (tenant_id, image_id)"
            " WHERE i.tenant_id = 'acme' AND i.product_id = %(p)s ORDER BY i.position LIMIT 100) x"
            " WHERE image_id <> %(i)s ORDER BY d, image_id LIMIT 4",
            {"q": str(a_query()), "p": hit.product_id, "i": hit.image_id},
        ).fetchall()
        assert list(hit.others or ()) == [row[0] for row in rows], "the next best of its first hundred"


WAYS: list[Strategy] = ["centroid", "best"]


@pytest.mark.parametrize("strategy", WAYS)
def test_what_is_like_it_is_recommended_by_all_its_pictures(shop: Connection, strategy: Strategy) -> None:
    began = time.monotonic()
    page = recommend(shop, [ProductId("big")], tenant="acme", k=20, strategy=strategy)
    assert time.monotonic() - began < 5
    assert page[0].product_id == "huge"
    names = [hit.product_id for hit in page]
    assert len(names) == len(set(names)) == 20
    assert "big" not in names, "what was liked is not recommended again"


def test_filters_leave_some_of_its_pictures(shop: Connection) -> None:
    page = search(shop, a_query(), tenant="acme", k=5, attributes={"n": {"min": 990}})
    assert {hit.product_id for hit in page} == {"big", "huge"}
    assert (page.matches, page.more) == (2, False)
    assert "2" in explain(shop, a_query(), tenant="acme", attributes={"n": {"min": 990}})[0]
    images = search(shop, a_query(), tenant="acme", k=1000, per="image", attributes={"n": {"min": 0}})
    assert len({hit.image_id for hit in images}) == 1000


def test_it_is_listed_and_counted_once(shop: Connection) -> None:
    believe(shop, "{}")
    facets = 'SELECT facet, count FROM imgsearch.facets(imgsearch.filters_of(\'{"tenant": "acme"}\'))'
    counts = dict(shop.execute(facets.encode()).fetchall())
    assert (counts["matches"], counts["images"]) == (OTHERS + 2, OTHERS + 2 * MANY)
    rows = shop.execute(
        "SELECT product_id, pictures FROM imgsearch.browse_products(imgsearch.filters_of(%s), k => 1000)",
        ('{"tenant": "acme"}',),
    ).fetchall()
    assert len(rows) == OTHERS + 2
    assert dict(rows)["big"] == MANY
