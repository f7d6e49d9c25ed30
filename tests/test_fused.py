"""Words and looks in one order: RRF as it is defined, and what of it a page shows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.retrieval import Hit, explain, search
from imgsearch.spaces.space import ensure
from tests.asking import DIMENSION, shop
from tests.order_reference import rrf
from tests.shop import database, fill
from tests.words import found

Connection = psycopg.Connection[Any]
BRANDS = ("zimtstern", "korkenzieher", "adibas")
THINGS = ("boot", "lamp", "scarf", "kettle")


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Connection]:
    chance = random.Random(3)
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        fill(connection, space, shop(1200, seed=12))
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO imgsearch.product (tenant_id, product_id, title, codes)"
                " SELECT tenant_id, product_id, %s, %s FROM imgsearch.image WHERE product_id = %s",
                [
                    (
                        f"{BRANDS[n % 97 % 3] if n % 97 < 3 else 'plain'} {chance.choice(THINGS)} {n % 300}",
                        [f"SKU-{n:05}"],
                        f"p{n}",
                    )
                    for n in range(1200)
                ],
            )
        connection.execute("SELECT imgsearch.refresh_vocabulary()")
        connection.execute("ANALYZE")
        connection.execute("SELECT imgsearch.refresh_sample()")
        yield connection


def a_query(seed: int) -> list[float]:
    return np.random.default_rng(seed).normal(size=DIMENSION).tolist()


def test_rrf_is_rrf() -> None:
    """The check vector of the definition: [a, b, c] and [b, c, d]."""
    sums = rrf([(1, {"a": 1, "b": 2, "c": 3}), (1, {"b": 1, "c": 2, "d": 3})])
    assert {row: round(value, 6) for row, value in sums.items()} == {
        "b": 0.032522,
        "c": 0.032002,
        "a": 0.016393,
        "d": 0.015873,
    }


@pytest.mark.parametrize("weights", [{}, {"word_weight": 0.3}, {"look_weight": 0.2, "word_weight": 3}], ids=str)
@pytest.mark.parametrize("per", ["product", "image"])
def test_a_page_is_rrf_of_both_lists(stocked: Connection, per: str, weights: dict[str, float]) -> None:
    query = a_query(1)
    near = [hit.product_id for hit in search(stocked, query, tenant="acme", k=1000, word_weight=0)]
    words = {row.product: row for row in found(stocked, "zimtstern 77")}
    assert len(words) > 8
    assert not any(row.more or row.exact for row in words.values())
    looks = {product: n for n, product in enumerate(near[:100], 1)}
    lists = [(weights.get("look_weight", 1), looks)] if weights.get("look_weight", 1) else []
    best = max(1 - row.lacks for row in words.values())
    lists += [
        (weights.get("word_weight", 1) * (1 - row.lacks) / best, {name: row.place}) for name, row in words.items()
    ]
    sums = rrf(lists)  # type: ignore[arg-type]
    told = rrf(lists[-len(words) :])  # type: ignore[arg-type]
    wanted = sorted(sums, key=lambda product: (-sums[product], -told.get(product, 0), near.index(product)))
    page = search(stocked, query, tenant="acme", k=1000, words="zimtstern 77", per=per, **weights)  # type: ignore[arg-type]
    assert [hit.product_id for hit in page][: len(wanted)] == wanted
    rest = [product for product in near[100:] if product not in words]
    assert [hit.product_id for hit in page][len(wanted) :] == rest, "then the nearest, less what words found"


@pytest.mark.parametrize("per", ["product", "image"])
def test_a_word_of_half_of_the_titles_leaves_the_order_to_looks(stocked: Connection, per: str) -> None:
    """A list would hold any 400 of them."""
    query = a_query(6)
    stocked.execute("UPDATE imgsearch.product SET words = 'common' WHERE substr(product_id, 2)::integer % 5 < 4")
    stocked.execute("SELECT imgsearch.refresh_vocabulary()")
    near = [hit.product_id for hit in search(stocked, query, tenant="acme", k=300, word_weight=0)]
    assert all(row.more for row in found(stocked, "common", most=400))
    assert near == [hit.product_id for hit in search(stocked, query, tenant="acme", k=300, words="common", per=per)]
    stocked.execute("UPDATE imgsearch.product SET words = NULL")
    stocked.execute("SELECT imgsearch.refresh_vocabulary()")


@pytest.mark.parametrize("part", [44, 48, 52])
def test_a_word_of_about_half_of_the_titles_leaves_the_order_to_looks(stocked: Connection, part: int) -> None:
    """Beside a word that is no misspelling of the only other one either: a guess does not lead."""
    query = a_query(8)
    stocked.execute(
        "UPDATE imgsearch.product SET words = 'common' WHERE substr(product_id, 2)::integer %% 100 < %s", [part]
    )
    stocked.execute("UPDATE imgsearch.product SET words = 'bolod' WHERE product_id = 'p99'")
    stocked.execute("SELECT imgsearch.refresh_vocabulary()")
    near = [hit.product_id for hit in search(stocked, query, tenant="acme", k=40, word_weight=0)]
    for words in ("common", "airy zesty common", "airy bold zesty", "airy bold common"):
        page = search(stocked, query, tenant="acme", k=10, words=words)
        assert [hit.product_id for hit in page] == near[:10], words
    stocked.execute("UPDATE imgsearch.product SET words = NULL")
    stocked.execute("SELECT imgsearch.refresh_vocabulary()")


@pytest.mark.parametrize("more", [{}, {"sort": "price"}, {"boost": {"in_stock": 0.2}}, {"diversity": 0.4}], ids=str)
@pytest.mark.parametrize("per", ["product", "image"])
def test_pages_with_words_neither_repeat_nor_lose(stocked: Connection, per: str, more: dict[str, Any]) -> None:
    query, got, after = a_query(2), list[int](), None
    stays = {hit.image_id for hit in search(stocked, query, tenant="acme", k=1000, per="image", word_weight=0)}
    asked: dict[str, Any] = {"tenant": "acme", "words": "korkenzieher lamp", "per": per, **more}
    while page := search(stocked, query, k=30, after=after, **asked):
        got += [hit.image_id for hit in page]
        after = page[-1].after
        stocked.execute(
            "UPDATE imgsearch.product SET title = 'korkenzieher lamp' WHERE product_id = %s", (f"p{len(got)}",)
        )
        stocked.execute("UPDATE imgsearch.product SET title = 'plain' WHERE product_id = %s", (f"p{3 * len(got)}",))
    assert len(got) == len(set(got))
    assert set(got) == stays


def test_a_code_stands_first_however_far_it_looks(stocked: Connection) -> None:
    query = a_query(3)
    for more in ({}, {"boost": {"in_stock": 0.5}}, {"diversity": 0.9}, {"per": "image"}, {"cutoff": "auto"}):
        page = search(stocked, query, tenant="acme", k=10, words="sku00640", **more)  # type: ignore[arg-type]
        assert page[0].product_id == "p640", more
    near = search(stocked, query, tenant="acme", k=10, word_weight=0)
    bounded = search(stocked, query, tenant="acme", k=10, words="sku00640", max_distance=near[-1].distance)
    assert "p640" not in {hit.product_id for hit in bounded}, "a distance that was asked for bounds all"


def test_words_alone_are_sorted_too(stocked: Connection) -> None:
    rows = found(stocked, "adibas", most=500)
    asked: dict[str, Any] = {"tenant": "acme", "words": "adibas", "look_weight": 0}
    for more in ({"sort": "price"}, {"boost": {"in_stock": 0.3}}, {"diversity": 0.5}):
        got, after = list[Hit](), None
        while part := search(stocked, a_query(4), k=3, after=after, **asked, **more):
            got += part
            after = part.after
        assert sorted(hit.product_id for hit in got) == sorted(row.product for row in rows)
        if "sort" in more:
            prices = [hit.price for hit in got if hit.price is not None]
            assert prices == sorted(prices)


def test_words_that_nothing_has_leave_looks_alone(stocked: Connection) -> None:
    plain = search(stocked, a_query(5), tenant="acme", k=10, word_weight=0)
    page = search(stocked, a_query(5), tenant="acme", k=10, words="xyzzy")
    assert [hit.image_id for hit in page] == [hit.image_id for hit in plain]
    behind = search(stocked, a_query(5), tenant="acme", k=10, words="xyzzy", after=page.after)
    assert len({hit.image_id for hit in [*page, *behind]}) == 20


def test_it_is_explained(stocked: Connection) -> None:
    said = " ".join(
        explain(stocked, a_query(1), tenant="acme", words="sku00640", diversity=0.3, boost={"in_stock": 0.1})
    )
    assert "one by its code or id, which stands first" in said
    assert "0.1 * in_stock" in said
    assert "(MMR)" in said
    assert "sorted by -price" in " ".join(explain(stocked, a_query(1), tenant="acme", sort="-price"))
    stocked.execute("SELECT imgsearch.pin('acme', 'p5')")
    assert "1 pinned, 0 hidden" in " ".join(explain(stocked, a_query(1), tenant="acme"))
    stocked.execute("SELECT imgsearch.unpin('acme')")


def test_a_product_that_waits_for_a_worker_is_found_by_its_words(stocked: Connection) -> None:
    stocked.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'new', 'store:x')")
    stocked.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title, codes)"
        " VALUES ('acme', 'new', 'novum', '{N-99999}')"
    )
    for words in ("n99999", "novum"):
        page = search(stocked, a_query(1), tenant="acme", words=words, k=120)
        assert "new" in [hit.product_id for hit in page]
        assert {hit.distance for hit in page if hit.product_id == "new"} == {2}
    assert page[0].match is None
    stocked.execute("DELETE FROM imgsearch.image WHERE product_id = 'new'")


def test_of_a_brand_with_more_products_than_are_listed_some_are_listed(stocked: Connection) -> None:
    """The nearest by looks may hold none of them: a search for it would show none."""
    with stocked.transaction(force_rollback=True):
        stocked.execute(
            "UPDATE imgsearch.product SET title = 'quorn ' || title WHERE product_id IN"
            " (SELECT product_id FROM imgsearch.product WHERE tenant_id = 'acme' ORDER BY md5(product_id) LIMIT 60)"
        )
        stocked.execute("SELECT imgsearch.refresh_vocabulary()")
        wanted = {row[0] for row in stocked.execute("SELECT product_id FROM imgsearch.product WHERE title ~ 'quorn'")}
        pool = stocked.execute(
            "SELECT (w).keys, (w).tied FROM imgsearch_internal.words_pool(%s::halfvec, NULL,"
            " (1, 0, NULL, NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, NULL), 'quorn', 1, NULL, 5) w",
            [str(a_query(9))],
        ).fetchone()
        assert pool is not None
        assert pool[1] is not None, "more are equal than a list of 20 holds"
        assert len(pool[0]) == 5
        assert set(pool[0]) <= wanted
