"""Whatever orders an answer: its pages joined repeat nothing, hold all that matches, and are the same asked again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as some

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.retrieval import Hit, search
from imgsearch.spaces.space import ensure
from tests.asking import DIMENSION, Asked, asked, shop_of_products
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
Product = tuple[str, str]
WORDS = ("zimtstern", "korkenzieher", "lamp", "boot")
BELIEFS = [
    "{}",
    '{"search": {"pool": 100}}',
    '{"search": {"ef": 300}, "sample": {"pictures": 50000000}}',
]


@dataclass(frozen=True)
class Shop:
    """rows: what can be found, by image; titles: of products."""

    connection: Connection
    rows: dict[int, Row]
    titles: dict[Product, str]

    def matching(self, filters: Asked, ranking: dict[str, Any]) -> set[Product] | set[int]:
        found = {image: row for image, row in self.rows.items() if filters.keep(row)}
        if ranking.get("look_weight") == 0:
            said = set(ranking["words"].split())
            found = {i: row for i, row in found.items() if said & set(self.titles[_product(row)].split())}
        return set(found) if ranking["per"] == "image" else {_product(row) for row in found.values()}


def _product(row: Row) -> Product:
    assert row.product
    return row.tenant, row.product


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Shop]:
    chance = random.Random(2)
    rows = shop_of_products(150, 6)
    titles = {_product(row): " ".join(chance.sample(WORDS, chance.choice([1, 1, 2]))) for row in rows}
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        ids = fill(connection, ensure(connection, FakeEncoder().describe()), rows)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO imgsearch.product (tenant_id, product_id, title) VALUES (%s, %s, %s)",
                [(*product, title) for product, title in titles.items()],
            )
        connection.execute("SELECT imgsearch.refresh_vocabulary()")
        connection.execute("ANALYZE")
        yield Shop(connection, dict(zip(ids, rows, strict=True)), titles)


def believe(connection: Connection, belief: str) -> None:
    """Have a search believe other things of the shop, so that it goes another way."""
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute(
        "UPDATE imgsearch.space SET parameters = parameters || jsonb_build_object("
        " 'search', %(told)s::jsonb -> 'search',"
        " 'sample', (parameters -> 'sample') || coalesce(%(told)s::jsonb -> 'sample', '{}'))",
        {"told": belief},
    )


@some.composite
def rankings(draw: some.DrawFn) -> dict[str, Any]:
    def maybe(**ways: Any) -> dict[str, Any]:
        return {name: draw(way) for name, way in ways.items() if draw(some.booleans())}

    ranking = maybe(
        sort=some.sampled_from(["price", "-price", "newest", "attributes.size", "-attributes.colour"]),
        boost=some.sampled_from([{"in_stock": 0.2}, {"attributes.size": -0.5, "newest": 0.1}]),
        diversity=some.sampled_from([0.3, 1.0]),
        words=some.sampled_from(["zimtstern", "korkenzieher lamp", "boot zimtstern lamp", "nowhere"]),
        expand=some.booleans(),
    )
    if ranking.get("words", "nowhere") != "nowhere":
        ranking |= maybe(look_weight=some.sampled_from([0, 0.2]))
    return {"per": draw(some.sampled_from(["product", "image"])), **ranking}


@pytest.mark.parametrize("belief", BELIEFS, ids=["as it is", "few kept", "huge"])
@given_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=some.integers(0, 10_000), size=some.sampled_from([23, 90, 400]), ranking=rankings())
def test_pages_joined_are_all_that_matches(
    stocked: Shop, belief: str, seed: int, size: int, ranking: dict[str, Any]
) -> None:
    believe(stocked.connection, belief)
    filters = asked(random.Random(seed))
    query = np.random.default_rng(seed).normal(size=DIMENSION).tolist()
    wanted = stocked.matching(filters, ranking)
    got, after, again = list[Hit](), None, None
    while page := search(stocked.connection, query, k=size, after=after, **filters.arguments, **ranking):
        if again is None or len(got) == size:
            again = search(stocked.connection, query, k=size, after=after, **filters.arguments, **ranking)
            assert [(hit.image_id, hit.after) for hit in again] == [(hit.image_id, hit.after) for hit in page]
        got += page
        assert len(page) == size or len(got) == len(wanted), "no page is short but the last"
        after = page[-1].after
    keys = [hit.image_id if ranking["per"] == "image" else (hit.tenant_id, hit.product_id) for hit in got]
    assert len(keys) == len(set(keys)), "nothing twice"
    assert set(keys) == wanted
