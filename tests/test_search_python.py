"""search() and nearest(): what they answer, in which order, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, select
from sqlalchemy.orm import Session, aliased

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, NoSpace, UsageError, VectorError
from imgsearch.query import ImageId, resolve
from imgsearch.retrieval import nearest, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import Image
from tests.shop import Row, database, fill

products = Table("product", MetaData(), Column("sku", Text, primary_key=True), Column("stars", Integer))


def direction(angle: float) -> list[float]:
    """A vector at an angle (radians) from the first axis."""
    return [float(np.cos(angle)), float(np.sin(angle)), *[0.0] * 46]


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(connection: psycopg.Connection[Any]) -> list[int]:
    """Ten pictures, ever further from direction(0)."""
    space = ensure(connection, FakeEncoder().describe())
    rows = [
        Row(
            vector=direction(0.1 * n),
            tenant="acme" if n % 2 == 0 else "bolt",
            category="shoes" if n < 5 else None,
            price=10.0 * n if n else None,
            in_stock=n != 4,
            attributes={"colour": "red" if n < 3 else "blue", "size": n, "title": f"Picture {n}"},
        )
        for n in range(10)
    ]
    return fill(connection, space, rows)


@pytest.fixture
def session(settings: Settings, shop: list[int]) -> Iterator[Session]:
    engine = db.engine(settings)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_search_answers_nearest_first_with_what_a_page_shows(
    connection: psycopg.Connection[Any], shop: list[int]
) -> None:
    hits = search(connection, direction(0), k=3)
    assert [hit.image_id for hit in hits] == shop[:3]
    assert [hit.distance for hit in hits] == pytest.approx([0, 1 - np.cos(0.1), 1 - np.cos(0.2)], abs=2e-3)
    assert (hits[1].tenant_id, hits[1].product_id, hits[1].title) == ("bolt", "p1", "Picture 1")
    assert hits.complete
    assert hits.matches > 0


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"tenant": "acme"}, [0, 2, 4, 6, 8]),
        ({"category": "shoes"}, [0, 1, 2, 3, 4]),
        ({"category": ["shoes", "hats"]}, [0, 1, 2, 3, 4]),
        ({"category": []}, []),
        ({"min_price": 20, "max_price": 40}, [2, 3, 4]),
        ({"in_stock": False}, [4]),
        ({"attributes": {"colour": "red"}}, [0, 1, 2]),
        ({"attributes": {"colour": ["red", "green"]}}, [0, 1, 2]),
        ({"attributes": {"colour": {"not": "red"}, "size": {"below": 5}}}, [3, 4]),
        ({"attributes": {"size": {"min": 3, "max": 4}}}, [3, 4]),
        ({"attributes": {"size": {"exists": False}}}, []),
        ({"tenant": "nobody"}, []),
        ({"max_distance": 1 - float(np.cos(0.25))}, [0, 1, 2]),
        ({"skip": 8}, [8, 9]),
        ({"skip": 80}, []),
    ],
)
def test_search_obeys_every_filter(
    connection: psycopg.Connection[Any], shop: list[int], filters: dict[str, Any], expected: list[int]
) -> None:
    hits = search(connection, direction(0), k=100, **filters)
    assert [shop.index(hit.image_id) for hit in hits] == expected
    assert hits.complete


def test_pages_by_key_meet_without_gap_or_repeat(connection: psycopg.Connection[Any], shop: list[int]) -> None:
    seen: list[int] = []
    after = None
    while hits := search(connection, direction(0), k=3, after=after):
        seen += [hit.image_id for hit in hits]
        after = hits.after
    assert seen == shop


def test_like_this_image(connection: psycopg.Connection[Any], shop: list[int]) -> None:
    assert search(connection, ImageId(shop[5]), k=1)[0].image_id == shop[5]


def test_searching_before_any_worker_says_so(servers: embedded.Servers, template: str) -> None:
    with database(servers, template) as empty, db.connect(empty) as opened, pytest.raises(NoSpace):
        search(opened, direction(0))


@pytest.mark.parametrize("k", [0, -1, 1001, 10**9])
def test_k_out_of_range_is_refused(connection: psycopg.Connection[Any], shop: list[int], k: int) -> None:
    with pytest.raises(FilterError, match="from 1 to 1000"):
        search(connection, direction(0), k=k)


@pytest.mark.parametrize("vector", [[1.0, 2.0], [0.0] * 48, [float("nan")] * 48])
def test_an_unusable_vector_is_refused(
    connection: psycopg.Connection[Any], shop: list[int], vector: list[float]
) -> None:
    with pytest.raises(VectorError):
        search(connection, vector)


@pytest.mark.parametrize(
    "attributes", [{"size": {"almost": 3}}, {"size": {"min": [1]}}, {"size": {"in": 3}}, {"size": {"exists": "yes"}}]
)
def test_an_attribute_condition_that_makes_no_sense_is_refused(
    connection: psycopg.Connection[Any], shop: list[int], attributes: dict[str, Any]
) -> None:
    with pytest.raises(FilterError):
        search(connection, direction(0), attributes=attributes)


def test_nearest_extends_an_entity_select(session: Session, shop: list[int]) -> None:
    statement = nearest(select(Image).where(Image.tenant_id == "acme", Image.price < 70), direction(0), limit=2)
    rows = session.execute(statement).all()
    assert [row.Image.image_id for row in rows] == [shop[2], shop[4]]
    assert rows[0].distance == pytest.approx(1 - np.cos(0.2), abs=2e-3)


def test_nearest_extends_columns_joins_aliases_and_threshold(session: Session, shop: list[int]) -> None:
    products.create(session.connection())
    session.execute(products.insert(), [{"sku": f"p{n}", "stars": n % 3} for n in range(10)])
    joined = select(Image.image_id, products.c.stars).join(products, products.c.sku == Image.product_id)
    rows = session.execute(nearest(joined.where(products.c.stars == 2), direction(0))).all()
    assert [shop.index(row.image_id) for row in rows] == [2, 5, 8]
    picture = aliased(Image)
    aliased_rows = session.execute(nearest(select(picture).where(picture.price > 50), direction(0), limit=2)).all()
    assert [shop.index(row[0].image_id) for row in aliased_rows] == [6, 7]
    core = select(Image.__table__.c.image_id)
    inner = select(Image.tenant_id, Image.image_id).where(Image.price > 30).subquery()
    assert [shop.index(row.image_id) for row in session.execute(nearest(select(inner), direction(0), limit=1))] == [4]
    near = session.execute(nearest(core, direction(0), max_distance=0.01)).all()
    assert [shop.index(row.image_id) for row in near] == [0, 1]


def test_nearest_takes_what_a_query_can_be(session: Session, shop: list[int]) -> None:
    for query in (direction(0), np.asarray(direction(0)), resolve(session, direction(0)), ImageId(shop[0])):
        statement = nearest(select(Image.image_id), query, limit=1)
        assert session.execute(statement).scalar_one() == shop[0]


def test_a_join_that_repeats_pictures_gives_all_their_rows(session: Session, shop: list[int]) -> None:
    tags = Table("tag", MetaData(), Column("sku", Text), Column("word", Text))
    tags.create(session.connection())
    session.execute(tags.insert(), [{"sku": f"p{n}", "word": word} for n in range(10) for word in ("new", "sale", "x")])
    joined = select(Image.image_id, tags.c.word).join(tags, tags.c.sku == Image.product_id)
    rows = session.execute(nearest(joined.where(tags.c.word != "x"), direction(0), limit=5, explained=True)).all()
    assert [shop.index(row.image_id) for row in rows] == [0, 0, 1, 1, 2]
    assert {row.strategy for row in rows} == {"exact"}
    assert all(row.complete for row in rows)
    session.rollback()


def test_nearest_takes_ctes_locks_and_deep_pages(session: Session, shop: list[int]) -> None:
    cheap = select(Image.tenant_id, Image.image_id).where(Image.price < 60).cte("imgsearch_asked_too")
    inside = select(Image).join(cheap, Image.image_id == cheap.c.image_id).where(Image.in_stock)
    rows = session.execute(nearest(inside, direction(0), limit=9, offset=1)).all()
    assert [shop.index(row.Image.image_id) for row in rows] == [2, 3, 5]
    locked = session.execute(nearest(select(Image).with_for_update(of=Image), direction(0), limit=1)).one()
    assert locked.Image.image_id == shop[0]
    assert session.execute(nearest(select(Image), direction(0), limit=1000, offset=1500)).all() == []
    assert session.execute(nearest(select(Image), direction(0), limit=1, offset=9)).one().Image.image_id == shop[9]
    session.rollback()


def test_nearest_refuses_what_it_cannot_extend(session: Session) -> None:
    with pytest.raises(FilterError, match="does not reach"):
        nearest(select(products), direction(0))
    with pytest.raises(FilterError, match="of its own"):
        nearest(select(Image).limit(3), direction(0))
    with pytest.raises(UsageError, match="from 1 to 1000"):
        nearest(select(Image), direction(0), limit=0)
    with pytest.raises(FilterError, match="extends a select"):
        nearest(func.now(), direction(0))  # type: ignore[arg-type]
