"""Searching by parts at its edges: shops without regions, walls, other orders, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from imgsearch.errors import FilterError
from imgsearch.query import ImageId
from imgsearch.retrieval import explain, search
from imgsearch.retrieval.recommendation import recommend
from imgsearch.spaces.space import Space
from tests import parts
from tests.asking import DIMENSION, shop
from tests.parts import Part
from tests.shop import Row, fill
from tests.test_walls import As, acting

__all__ = ["acting"]

Connection = psycopg.Connection[Any]
BAG = [1.0, *[0.0] * (DIMENSION - 1)]
BOOT = [0.0, 1.0, *[0.0] * (DIMENSION - 2)]
LAMP = [*[0.0] * (DIMENSION - 1), 1.0]
BOX = (0.5, 0.25, 0.5, 0.5)


def mixed(first: list[float], second: list[float], share: float) -> list[float]:
    return [share * a + (1 - share) * b for a, b in zip(first, second, strict=True)]


@pytest.fixture
def street(connection: Connection, space: Space) -> dict[str, int]:
    """A street that shows a bag at its side, a bag alone that is none quite, a lamp; each of both tenants."""
    rows = {"street": mixed(BAG, LAMP, 0.2), "bag": mixed(BAG, BOOT, 0.6), "lamp": LAMP}
    ids = fill(connection, space, [Row(vector=v, tenant=t, product=name) for t in "ab" for name, v in rows.items()])
    for tenant, image in (("a", ids[0]), ("b", ids[3])):
        label = "handbag" if tenant == "a" else "theirs"
        parts.store(connection, space, {(tenant, image): [Part(vector=BOOT), Part(vector=BAG, box=BOX, label=label)]})
    connection.execute("SELECT imgsearch.refresh_sample()")
    return dict(zip(rows, ids, strict=False))


def test_a_part_brings_its_picture_to_the_front(connection: Connection, street: dict[str, int]) -> None:
    whole = search(connection, BAG, tenant="a")
    assert [hit.product_id for hit in whole] == ["bag", "street", "lamp"]
    assert {hit.box for hit in whole} == {None}
    found = search(connection, BAG, tenant="a", regions=1)
    assert [hit.product_id for hit in found] == ["street", "bag", "lamp"]
    assert (found[0].box, found[0].label) == (BOX, "handbag")
    assert found[0].distance == pytest.approx(0, abs=1e-3)
    assert [(hit.box, hit.label) for hit in found[1:]] == [(None, None)] * 2, "the whole is the nearer"
    half = search(connection, BAG, tenant="a", regions=0.5)
    assert half[0].distance != found[0].distance
    rows = connection.execute(
        "SELECT product_id, box, label, strategy, matches"
        " FROM imgsearch.search(%s::halfvec, tenant => 'a', regions => 1)",
        [str(BAG)],
    ).fetchall()
    assert rows[0] == ("street", list(BOX), "handbag", "exact", 3)
    assert rows[1][1:3] == (None, None)
    [said] = connection.execute(
        "SELECT figures, explanation FROM imgsearch.explain_search(%s::halfvec, imgsearch.filters_of(%s),"
        " ranking => imgsearch.ranking_of(%s)) WHERE subject = 'regions'",
        [str(BAG), '{"tenant": "a"}', '{"regions": 1}'],
    ).fetchall()
    assert said[0] | {"regions": 0} == {"weight": 1, "regions": 0, "rows": 1}
    assert "a region was the nearer in 1 of 3 rows" in said[1]


@pytest.mark.parametrize("weight", [None, 0, 0.0])
def test_no_weight_is_whole_pictures(connection: Connection, street: dict[str, int], weight: float | None) -> None:
    found = search(connection, BAG, tenant="a", regions=weight)
    assert found == [*search(connection, BAG, tenant="a")] or weight == 0
    assert [(hit.product_id, hit.distance, hit.box) for hit in found] == [
        (hit.product_id, hit.distance, None) for hit in search(connection, BAG, tenant="a")
    ]


def test_a_shop_without_regions_is_ranked_by_whole_pictures_and_told_so(connection: Connection, space: Space) -> None:
    ids = fill(connection, space, [replace(row, tenant="acme") for row in shop(60, seed=3)])
    theirs = fill(connection, space, [Row(vector=BAG, tenant="other")], first=60)
    parts.store(connection, space, {("other", theirs[0]): [Part(vector=BOOT)]})
    query = ImageId(ids[1])
    found = search(connection, query, tenant="acme", regions=1)
    assert [(h.image_id, h.distance, h.box) for h in found] == [
        (h.image_id, h.distance, None) for h in search(connection, query, tenant="acme")
    ]
    lines = explain(connection, query, tenant="acme", regions=1)
    assert "Regions: no picture here has any, so whole pictures were ranked." in lines
    assert not [line for line in explain(connection, query, tenant="acme") if line.startswith("Regions")]


def test_a_role_of_one_tenant_meets_only_its_own_parts(
    connection: Connection, street: dict[str, int], acting: As
) -> None:
    here = acting("imgsearch_reader", options="-c imgsearch.tenant=a")
    for tenant in (None, "a"):
        found = search(here, BAG, tenant=tenant, regions=1)
        assert [(h.tenant_id, h.product_id) for h in found] == [("a", "street"), ("a", "bag"), ("a", "lamp")]
        assert {h.label for h in found} == {"handbag", None}
        assert found.matches == 3
    assert search(here, BAG, tenant="b", regions=1) == []
    assert search(acting("imgsearch_reader"), BAG, regions=1) == []
    connection.execute(
        "UPDATE imgsearch.region_1 SET embedding = l2_normalize(%s::halfvec) WHERE tenant_id = 'b'", [str(LAMP)]
    )
    again = search(here, BAG, regions=1)
    assert [h.distance for h in again] == [h.distance for h in search(here, BAG, tenant="a", regions=1)]
    connection.execute("DELETE FROM imgsearch.region_1 WHERE tenant_id = 'a'")
    assert [h.product_id for h in search(here, BAG, regions=1)] == ["bag", "street", "lamp"]


def test_words_sort_diversity_cut_and_a_second_page_keep_their_parts(
    connection: Connection, street: dict[str, int]
) -> None:
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title)"
        " VALUES ('a', 'street', 'zebrano'), ('a', 'lamp', 'lamp')"
    )
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    given: dict[str, Any] = {"tenant": "a", "regions": 1}
    orders: list[dict[str, Any]] = [
        {"words": "zebrano"},
        {"diversity": 0.1},
        {"sort": "price"},
        {"boost": {"in_stock": 0.1}},
    ]
    for order in [*orders, {"cutoff": "auto"}, {"expand": True}, {"max_distance": 0.9}, {"per": "image"}]:
        boxes = {hit.product_id: hit.box for hit in search(connection, BAG, **given, **order)}
        assert boxes["street"] == BOX, order
        assert not any(box for name, box in boxes.items() if name != "street"), order
    first = search(connection, BAG, k=1, **given)
    second = search(connection, BAG, k=1, after=first.after, **given)
    assert [hit.product_id for hit in (*first, *second)] == ["street", "bag"]
    with pytest.raises(FilterError, match="another question"):
        search(connection, BAG, tenant="a", k=1, after=first.after)


@pytest.mark.parametrize("weight", [2, -0.1, math.nan, math.inf, "much", [1]])
def test_a_weight_beyond_its_limits_is_refused(connection: Connection, street: dict[str, int], weight: Any) -> None:
    with pytest.raises(FilterError, match=r"regions|ranking"):
        search(connection, BAG, tenant="a", regions=weight)
    with pytest.raises(psycopg.Error) as told:
        connection.execute(
            "SELECT * FROM imgsearch.search(%s::halfvec, regions => %s::text::double precision)",
            [str(BAG), str(weight)],
        )
    assert told.value.sqlstate == ("22P02" if isinstance(weight, str | list) else "IM008")


@pytest.mark.parametrize("beside", [{"look_weight": 0, "words": "bag"}])
def test_what_ranks_no_parts_is_refused(connection: Connection, street: dict[str, int], beside: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        search(connection, BAG, tenant="a", regions=1, **beside)


def test_the_best_of_several_takes_no_parts(connection: Connection, street: dict[str, int]) -> None:
    likes = [(ImageId(street["bag"]), 1.0), (ImageId(street["lamp"]), 1.0)]
    with pytest.raises(FilterError, match=r"regions|strategy best"):
        recommend(connection, likes, [], strategy="best", regions=1)
    assert recommend(connection, likes, [], regions=1)
