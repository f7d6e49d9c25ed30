"""One row per product: every random question gets min(k, matching products) rows, as plain numpy says."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from imgsearch import Hits, db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.retrieval import search
from imgsearch.spaces.space import ensure
from tests.asking import Product, asked, distances, nearest_of_products, shop_of_products
from tests.shop import database, fill
from tests.test_search_properties import BELIEFS, CLOSE, Shop, a_query

QUERIES = int(os.environ.get("SEARCH_QUERIES", "300"))


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Shop]:
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        rows = shop_of_products(300, seed=7)
        found = dict(zip(fill(connection, space, rows), rows, strict=True))
        ids = list(found)
        for image in ids[::17]:  # replaced: waits for its new bytes, and must not be found by its old ones
            connection.execute("UPDATE imgsearch.image SET uri = 'store:y' WHERE image_id = %s", [image])
            del found[image]
        yield Shop(settings, connection, space, found)


def check(hits: Hits, true: dict[Product, tuple[float, int]], k: int, skip: int = 0) -> int:
    """Check one page against all products that match, and return how many of its rows belong there."""
    products = [(hit.tenant_id, hit.product_id) for hit in hits]
    assert len(set(products)) == len(products) == max(0, min(k, len(true) - skip))
    assert set(products) <= true.keys()
    away = [hit.distance for hit in hits]
    assert [(hit.distance, hit.image_id) for hit in hits] == sorted((hit.distance, hit.image_id) for hit in hits)
    if not products:
        return 0
    edge = sorted(distance for distance, _ in true.values())[min(k + skip, len(true)) - 1] + CLOSE
    if hits.strategy == "exact":
        assert away == pytest.approx([true[product][0] for product in products], abs=CLOSE)
        assert not hits.more
        assert hits.matches == len(true)
    return sum(true[product][0] <= edge for product in products)


@pytest.mark.parametrize("belief", list(BELIEFS))
def test_as_many_products_as_match_each_by_its_nearest_picture(stocked: Shop, belief: str) -> None:
    stocked.believe(belief)
    chance = random.Random(belief)
    found = possible = right = 0
    strategies = set()
    for _ in range(QUERIES // 3):
        filters, query = asked(chance), a_query(chance, stocked.rows)
        k, skip = chance.choice([1, 10, 10, 30, 1000]), chance.choice([0, 0, 0, 5])
        rows = {image: row for image, row in stocked.rows.items() if filters.keep(row)}
        true = nearest_of_products(rows, query)
        hits = search(stocked.connection, query, k=k, skip=skip, **filters.arguments)
        assert hits.complete
        strategies.add(hits.strategy)
        found += check(hits, true, k, skip)
        possible += len(hits)
        right += sum(abs(hit.distance - true[hit.tenant_id, hit.product_id][0]) <= CLOSE for hit in hits)
        if not hits.more:
            assert (hits.matches, hits.matching_images) == (len(true), len(rows)), filters.arguments
        else:
            assert hits.matches <= len(true)
            assert hits.matching_images <= len(rows)
    assert found >= 0.99 * possible
    assert right >= 0.99 * possible, "the picture that stands for a product is its nearest that matches"
    assert strategies & {"as it is": {"exact"}, "huge": {"hnsw"}, "few kept": {"bits"}}[belief]


@pytest.mark.parametrize("belief", list(BELIEFS))
@pytest.mark.parametrize("by_hand", [False, True])
def test_pages_neither_repeat_nor_lose_a_product(stocked: Shop, belief: str, by_hand: bool) -> None:
    stocked.believe(belief)
    chance = random.Random(belief)
    for _ in range(max(2, QUERIES // 60)):
        filters, query = asked(chance), a_query(chance, stocked.rows)
        true = nearest_of_products({n: row for n, row in stocked.rows.items() if filters.keep(row)}, query)
        size = chance.choice([7, 50])
        seen: list[Product] = []
        after = None
        while page := search(stocked.connection, query, k=size, after=after, **filters.arguments):
            seen += [(hit.tenant_id, hit.product_id) for hit in page]
            after = f"{page[-1].distance!r},{page[-1].image_id}" if by_hand else page.after
            assert len(page) == size or len(seen) >= 0.99 * len(true), "a short page is the last one"
        assert len(seen) == len(set(seen))
        # With a third of the usual pool, a picture that its bits misjudge may be on none of the pages.
        assert len(set(seen) ^ true.keys()) <= (0.01 * len(true) if belief == "few kept" else 0), filters.arguments


@pytest.mark.parametrize("belief", list(BELIEFS))
def test_max_distance_keeps_whole_products(stocked: Shop, belief: str) -> None:
    stocked.believe(belief)
    chance = random.Random(belief)
    for _ in range(QUERIES // 10):
        filters, query = asked(chance), a_query(chance, stocked.rows)
        true = nearest_of_products({n: row for n, row in stocked.rows.items() if filters.keep(row)}, query)
        if not true:
            continue
        within = chance.choice(sorted(distance for distance, _ in true.values())[:60]) + 2 * CLOSE
        hits = search(stocked.connection, query, k=30, max_distance=within, **filters.arguments)
        inside = [product for product, (distance, _) in true.items() if distance <= within - CLOSE]
        reached = [product for product, (distance, _) in true.items() if distance <= within + CLOSE]
        got = {(hit.tenant_id, hit.product_id) for hit in hits}
        assert got <= set(reached)
        assert len(hits) <= min(30, len(reached))
        if hits.complete:
            assert len(hits) >= min(30, len(inside))


def test_a_products_row_tells_its_other_pictures(stocked: Shop) -> None:
    stocked.believe("as it is")
    query = a_query(random.Random(1), stocked.rows)
    for hit in search(stocked.connection, query, k=50):
        own = {
            n: row for n, row in stocked.rows.items() if (row.tenant, row.product) == (hit.tenant_id, hit.product_id)
        }
        assert hit.pictures == len(own)
        assert hit.image_id not in hit.others
        assert len(hit.others) == min(4, len(own) - 1)
        away = dict(zip(own, distances(list(own.values()), query).tolist(), strict=True))
        assert [away[image] for image in hit.others] == pytest.approx(
            sorted(d for image, d in away.items() if image != hit.image_id)[:4], abs=CLOSE
        )
