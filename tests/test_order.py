"""sort, boost and diversity against plain numpy: over all pages no row repeated, none lost, each where it belongs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as some
from numpy.typing import NDArray

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.retrieval import search
from imgsearch.spaces.space import ensure
from tests import order_reference as reference
from tests.asking import DIMENSION, shop
from tests.order_reference import Item
from tests.shop import database, fill


@dataclass(frozen=True)
class Stocked:
    connection: psycopg.Connection[Any]

    def items(self, query: list[float], tenant: str) -> list[Item]:
        rows = self.connection.execute(
            "SELECT i.image_id, (v.embedding <=> %s::halfvec) + 0, v.embedding::text, i.price, i.in_stock, i.attributes"
            " FROM imgsearch.image i JOIN imgsearch.vectors v USING (tenant_id, image_id) WHERE i.tenant_id = %s",
            (str(query), tenant),
        ).fetchall()
        return [Item(key, away, _unit(text), *rest) for key, away, text, *rest in rows]

    def pages(self, query: list[float], size: int, **asked: Any) -> list[int]:
        found: list[int] = []
        after = None
        while page := search(self.connection, query, k=size, after=after, **asked):
            found += [hit.image_id for hit in page]
            assert len(page) == size or page.complete
            after = page.after
        return found


def _unit(text: str) -> NDArray[np.float64]:
    vector = np.array(text.strip("[]").split(","), dtype=np.float64)
    return vector / np.linalg.norm(vector)


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Stocked]:
    chance = random.Random(5)
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        rows = shop(2200, seed=11)
        for row in rows:
            row.attributes["popularity"] = chance.choice([0.0, 0.25, 0.5, 1, 3, -2, None, "high", True])
            row.attributes["brand"] = chance.choice(["adibas", "zimt", "kork", 7, 3.5, True, False, None, ["a"]])
        fill(connection, space, rows)
        connection.execute("ANALYZE imgsearch.image")
        connection.execute("SELECT imgsearch.refresh_sample()")
        yield Stocked(connection)


def a_query(seed: int) -> list[float]:
    return np.random.default_rng(seed).normal(size=DIMENSION).tolist()


@pytest.mark.parametrize("per", ["product", "image"])
@pytest.mark.parametrize("sort", ["price", "-price", "attributes.brand", "-attributes.brand", "attributes.none such"])
def test_sorted_pages_are_the_windows_sorted(stocked: Stocked, sort: str, per: str) -> None:
    query = a_query(len(sort))
    wanted = reference.in_windows(
        stocked.items(query, "acme"), 900, lambda window: sorted(window, key=reference.sort_key(sort))
    )
    assert len(wanted) > 1000
    assert stocked.pages(query, 170, tenant="acme", sort=sort, per=per) == wanted


def test_newest_first_and_last(stocked: Stocked) -> None:
    stocked.connection.execute("UPDATE imgsearch.image SET created_at = now() - image_id * interval '1 minute'")
    query = a_query(3)
    for sort, turn in (("newest", 1), ("-newest", -1)):
        wanted = reference.in_windows(
            stocked.items(query, "bolt"),
            900,
            lambda window, turn=turn: sorted(window, key=lambda item: turn * item.key),  # type: ignore[misc]
        )
        assert stocked.pages(query, 300, tenant="bolt", sort=sort) == wanted


@pytest.mark.parametrize("per", ["product", "image"])
@pytest.mark.parametrize("boost", [{"in_stock": 0.05, "attributes.popularity": 0.1}, {"attributes.brand": -0.5}])
def test_a_boost_shifts_the_score(stocked: Stocked, boost: dict[str, float], per: str) -> None:
    query = a_query(8)
    wanted = reference.in_windows(
        stocked.items(query, "acme"),
        200,
        lambda window: sorted(window, key=lambda item: (-reference.score(item, boost), item.distance, item.key)),
    )
    assert stocked.pages(query, 70, tenant="acme", boost=boost, per=per) == wanted


@pytest.mark.parametrize("boost", [None, {"attributes.popularity": 0.3}])
@pytest.mark.parametrize("diversity", [0.3, 1.0])
def test_diversity_is_mmr(stocked: Stocked, diversity: float, boost: dict[str, float] | None) -> None:
    query = a_query(9)
    found = stocked.pages(query, 30, tenant="bolt", diversity=diversity, boost=boost)
    items = {item.key: item for item in stocked.items(query, "bolt")}
    near = sorted(items, key=lambda key: (items[key].distance, key))
    for n in range(0, len(near), 100):
        assert sorted(found[n : n + 100]) == sorted(near[n : n + 100]), "a window holds the next nearest"
        window = [items[key] for key in found[n : n + 100]]
        assert reference.worst_mmr_step(window, diversity, boost or {}) < 1e-3
    assert len(found) == len(items)


@pytest.mark.parametrize(
    "ranking", [{"sort": "price"}, {"boost": {"attributes.popularity": 0.4}}, {"diversity": 0.5}], ids=str
)
def test_pages_of_any_size_and_skips_are_parts_of_one_order(stocked: Stocked, ranking: dict[str, Any]) -> None:
    query, chance = a_query(4), random.Random(6)
    whole = stocked.pages(query, 1000, tenant="bolt", **ranking)
    assert len(whole) == len(set(whole)) == len(stocked.items(query, "bolt"))
    found: list[int] = []
    after = None
    while page := search(
        stocked.connection, query, k=chance.choice([1, 7, 40, 333]), after=after, tenant="bolt", **ranking
    ):
        found += [hit.image_id for hit in page]
        after = chance.choice([page.after, page[-1].after])
    assert found == whole
    for skip, k in ((0, 5), (95, 10), (350, 20), (len(whole) - 3, 10), (999, 5)):
        if skip <= 1000:
            page = search(stocked.connection, query, k=k, skip=skip, tenant="bolt", **ranking)
            assert [hit.image_id for hit in page] == whole[skip : skip + k]
    middle = search(stocked.connection, query, k=50, tenant="bolt", **ranking)
    behind = search(stocked.connection, query, k=5, after=middle[20].after, tenant="bolt", **ranking)
    assert [hit.image_id for hit in behind] == whole[21:26]


@pytest.mark.parametrize(
    "ranking", [{"boost": {"attributes.popularity": 0.4}}, {"diversity": 0.5}, {"sort": "price"}], ids=str
)
def test_pages_hold_while_others_write(stocked: Stocked, ranking: dict[str, Any]) -> None:
    """What stays is shown once, though others come and go between two pages."""
    query, chance = a_query(14), random.Random(1)
    space = ensure(stocked.connection, FakeEncoder().describe())
    stays = {item.key for item in stocked.items(query, "acme")}
    number, added = 10000, list[int]()
    found: list[int] = []
    after = None
    while page := search(stocked.connection, query, k=40, after=after, tenant="acme", **ranking):
        found += [hit.image_id for hit in page]
        after = page.after
        rows = [
            replace(row, vector=(np.array(query) + np.random.default_rng(number + n).normal(size=DIMENSION)).tolist())
            for n, row in enumerate([row for row in shop(20, seed=number) if row.tenant == "acme"][:3])
        ]
        added += fill(stocked.connection, space, rows, first=number)
        number += 20
        if added and chance.random() < 0.7:
            gone = added.pop(chance.randrange(len(added)))
            stocked.connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", [gone])
    stocked.connection.execute("DELETE FROM imgsearch.image WHERE image_id = ANY(%s)", [added])
    assert len(found) == len(set(found))
    assert stays <= set(found)


def test_a_sort_that_no_row_has_goes_by_distance(stocked: Stocked) -> None:
    query = a_query(2)
    plain = [hit.image_id for hit in search(stocked.connection, query, tenant="acme", k=50)]
    page = search(stocked.connection, query, tenant="acme", k=50, sort="attributes.none such")
    assert [hit.image_id for hit in page] == plain


def test_only_what_passes_the_cut_is_sorted(stocked: Stocked) -> None:
    query = a_query(2)
    near = search(stocked.connection, query, tenant="acme", k=40)
    found = search(stocked.connection, query, tenant="acme", k=100, sort="price", max_distance=near[-1].distance)
    assert {hit.image_id for hit in found} == {hit.image_id for hit in near}
    prices = [hit.price for hit in found if hit.price is not None]
    assert prices == sorted(prices)
    assert found[-1].price is None or len(prices) == len(found)


WRONG = [
    ({"sort": "colour"}, "no order"),
    ({"sort": ""}, "no order"),
    ({"sort": "attributes."}, "no order"),
    ({"sort": f"attributes.{'x' * 101}"}, "no order"),
    ({"boost": {"in_stock": 0.6}}, "weight of in_stock"),
    ({"boost": {"in_stock": "much"}}, "boost is 'much'"),
    ({"boost": {"in_stock": None}}, "boost is None"),
    ({"boost": {"price": 0.1}}, "boosted by"),
    ({"boost": {f"attributes.{n}": 0.1 for n in range(11)}}, "more than 10"),
    ({"boost": [0.1]}, "boost is a mapping"),
    ({"boost": {"in_stock": float("nan")}}, "finite"),
    ({"boost": {"in_stock": float("inf")}}, "finite"),
    ({"diversity": float("nan")}, "finite"),
    ({"diversity": -0.1}, "outside of 0 to 1"),
    ({"word_weight": float("nan")}, "finite"),
    ({"look_weight": -1}, "from 0 to 100"),
    ({"sort": "price", "skip": 1001}, "at most 1000"),
]


@pytest.mark.parametrize(("asked", "said"), WRONG, ids=[f"{one} {said}" for one, said in WRONG])
def test_what_is_out_of_bounds_is_refused(stocked: Stocked, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(FilterError, match=said):
        search(stocked.connection, a_query(1), tenant="acme", **asked)


@pytest.mark.parametrize("argument", ["boost => '{\"in_stock\": 1e400}'", "diversity => 'NaN'", "word_weight => 'NaN'"])
def test_sql_refuses_the_same(stocked: Stocked, argument: str) -> None:
    with pytest.raises(psycopg.Error) as raised:
        stocked.connection.execute(
            f"SELECT * FROM imgsearch.search(%s::halfvec, {argument})",  # type: ignore[arg-type]  # noqa: S608
            (str(a_query(1)),),
        )
    assert raised.value.sqlstate == "IM008"


@pytest.mark.parametrize("largest", [{"boost": {f"attributes.{'x' * 90}{n}": 0.5 for n in range(10)}}, {"skip": 1000}])
def test_the_largest_is_answered(stocked: Stocked, largest: dict[str, Any]) -> None:
    assert len(search(stocked.connection, a_query(1), **{"diversity": 0.1, **largest})) == 10


@given_settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=some.data())
def test_a_cursor_that_was_tampered_with_is_refused(stocked: Stocked, data: some.DataObject) -> None:
    """Any letter changed, taken out or put in: refused, or rows of the same tenant."""
    ranking = data.draw(some.sampled_from([{"sort": "attributes.brand"}, {"boost": {"in_stock": 0.1}}]))
    after = search(stocked.connection, a_query(5), tenant="acme", k=20, **ranking)[-1].after or ""
    at = data.draw(some.integers(0, len(after) - 1))
    letters = data.draw(some.text("0123456789abcdefinpstwx.,_-eE+ \x00é", max_size=4))
    changed = after[:at] + letters + after[at + data.draw(some.integers(0, 3)) :]
    if changed == after:
        return
    try:
        page = search(stocked.connection, a_query(5), tenant="acme", k=5, after=changed, **ranking)
    except FilterError:
        return
    assert {hit.tenant_id for hit in page} <= {"acme"}
    ids = "".join(part for part in after.split(",")[1] + "." + after.split(",")[4])
    assert ids != changed, "only the ids of images are not summed up"


def test_a_place_by_hand_belongs_to_no_window(stocked: Stocked) -> None:
    with pytest.raises(FilterError, match="of no page that was ranked this way"):
        search(stocked.connection, a_query(5), tenant="acme", after="0.25,42", sort="price")
