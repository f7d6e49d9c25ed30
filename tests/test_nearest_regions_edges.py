"""nearest(…, regions=w) at its edges: no weight, walls, shops without parts, what is refused, how it is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, literal, select, text, update
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.orm import Session

from imgsearch import Image, ImageId, db, explain, nearest
from imgsearch.errors import FilterError
from imgsearch.query import Resolved
from imgsearch.retrieval import search
from imgsearch.retrieval.template import Slot, pieces
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.test_nearest_built import SHAPES, Shoe
from tests.test_search_regions_edges import BAG, BOOT, BOX, LAMP, street

__all__ = ["street"]  # a fixture

Connection = psycopg.Connection[Any]
NAMED = select(Image.product_id, Image.tenant_id)


@pytest.fixture
def session(settings: Settings, street: dict[str, int]) -> Iterator[Session]:
    engine = db.engine(settings)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_a_part_brings_its_picture_to_the_front(session: Session, connection: Connection) -> None:
    ours = NAMED.where(Image.tenant_id == "a")
    whole = session.execute(nearest(ours, BAG, boxed=True)).all()
    assert [(row.product_id, row.box, row.label) for row in whole] == [
        (n, None, None) for n in ("bag", "street", "lamp")
    ]
    found = session.execute(nearest(ours, BAG, regions=1, boxed=True)).all()
    assert [row.product_id for row in found] == ["street", "bag", "lamp"]
    assert (found[0].box, found[0].label) == (list(BOX), "handbag")
    assert [(row.box, row.label) for row in found[1:]] == [(None, None)] * 2, "the whole is the nearer"
    for weight in (1, 0.5, 0.25, None):
        rows = session.execute(nearest(ours, BAG, regions=weight)).all()
        hits = search(connection, BAG, tenant="a", regions=weight)
        assert [row.product_id for row in rows] == [hit.product_id for hit in hits]
        assert [row.distance for row in rows] == [hit.distance for hit in hits], "to the last bit"
    paged = [session.execute(nearest(ours, BAG, regions=1, limit=1, offset=n)).all() for n in range(4)]
    assert [[row.product_id for row in page] for page in paged] == [["street"], ["bag"], ["lamp"], []]
    every = session.execute(nearest(ours, BAG, regions=1, limit=10, offset=5000)).all()
    assert every == [], "so deep that no walk is tried"


def test_one_row_per_product_takes_the_best_part_of_its_pictures(session: Session, street: dict[str, int]) -> None:
    session.execute(update(Image).values(product_id=func.concat(Image.tenant_id, "s"), position=Image.image_id))
    per = [Image.tenant_id, Image.product_id]
    rows = session.execute(nearest(select(Image), BAG, per=per, regions=1, boxed=True)).all()
    assert [(row.Image.tenant_id, row.Image.image_id, row.label) for row in rows] == [
        ("a", street["street"], "handbag"),
        ("b", street["street"] + 3, "theirs"),
    ]


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
def test_a_role_of_one_tenant_meets_only_its_own_parts(session: Session, connection: Connection, role: str) -> None:
    session.execute(text(f"SET LOCAL ROLE {role}"))
    session.execute(text("SELECT set_config('imgsearch.tenant', 'a', true)"))
    asked = nearest(NAMED, BAG, regions=1, boxed=True)
    before = session.execute(asked).all()
    assert [(row.tenant_id, row.product_id, row.label) for row in before] == [
        ("a", "street", "handbag"),
        ("a", "bag", None),
        ("a", "lamp", None),
    ]
    theirs = "UPDATE imgsearch.region_1 SET embedding = l2_normalize(%s::halfvec) WHERE tenant_id = 'b'"
    connection.execute(theirs, [str(LAMP)])
    assert session.execute(asked).all() == before, "another tenant's part moves nothing"
    other = session.execute(text("SELECT max(image_id) FROM imgsearch.image")).scalar_one()
    told = "SELECT imgsearch_internal.part_of(:image, imgsearch_internal.as_vector(:query))"
    for image in range(other, other + 4):
        assert session.execute(text(told), {"image": image, "query": str(BAG)}).scalar_one() is None
    session.execute(text("SELECT set_config('imgsearch.tenant', 'nobody', true)"))
    assert session.execute(asked).all() == []


def test_a_shop_without_parts_is_ranked_by_whole_pictures(session: Session, connection: Connection) -> None:
    connection.execute("DELETE FROM imgsearch.region_1")
    rows = session.execute(nearest(NAMED, BAG, regions=1, boxed=True)).all()
    wanted = session.execute(nearest(NAMED, BAG)).all()
    assert [tuple(row[:3]) for row in rows] == [tuple(row) for row in wanted]
    assert {row.box for row in rows} == {None}


def test_questions_of_every_kind_and_what_follows(session: Session, street: dict[str, int]) -> None:
    image = session.execute(nearest(NAMED, ImageId(street["bag"]), regions=1, boxed=True, limit=6)).all()
    assert image[0].product_id == "bag"
    resolved = Resolved(vector=str(BAG), space_id=1, source="given", kind="vector", took_ms=0)
    rows = session.execute(nearest(NAMED, resolved, regions=1, boxed=True, limit=2)).all()
    assert {row.label for row in rows} == {"handbag", "theirs"}
    held = nearest(NAMED, BAG, regions=1, boxed=True).subquery()
    counted = select(func.count(), func.count(held.c.label)).select_from(held)
    assert session.execute(counted).one() == (6, 2), "it is a select like any other"
    moved = Resolved(vector=str(BAG), space_id=2, source="given", kind="vector", took_ms=0)
    with pytest.raises(Exception, match="space 2"):
        session.execute(nearest(NAMED, moved, regions=1))


@pytest.mark.parametrize("weight", [2, -0.1, math.nan, math.inf, "much", [1]])
def test_a_weight_beyond_its_limits_is_refused(weight: Any) -> None:
    with pytest.raises(FilterError, match="must be from 0"):
        nearest(NAMED, BAG, regions=weight)


def test_a_select_that_cannot_be_ranked_so_says_what_to_write() -> None:
    boxed: dict[str, Any] = {"regions": 1, "boxed": True}
    with pytest.raises(FilterError, match=r"column box .* call it otherwise"):
        nearest(select(Image, literal(1).label("box")), BAG, **boxed)
    with pytest.raises(FilterError, match="column label"):
        nearest(select(Image.image_id, Image.product_id.label("label")), BAG, regions=0, boxed=True)
    assert nearest(select(Image.image_id.label("box")), BAG, regions=1) is not None, "nobody asked for boxes"
    with pytest.raises(FilterError, match="grouped or distinct"):
        nearest(NAMED.distinct(), BAG, **boxed)
    with pytest.raises(FilterError, match="locked"):
        nearest(NAMED.with_for_update(), BAG, per=Image.product_id, **boxed)
    with pytest.raises(FilterError, match="does not reach"):
        nearest(select(Shoe), BAG, **boxed)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_compiled_once_and_without_a_weight_as_ever(shape: str) -> None:
    cache: dict[Any, Any] = {}
    dialect = dialects.dialect()
    for n, weight, query in ((5, 1, BAG), (7, 0.5, BOOT)):
        statement = nearest(SHAPES[shape](n), query, limit=n, regions=weight, boxed=True)
        statement._compile_w_cache(dialect, compiled_cache=cache, column_keys=[])
    assert len(cache) == 1
    said = [str(nearest(SHAPES[shape](5), BAG, **more).compile(dialect=dialect)) for more in ({}, {"regions": 0})]
    assert said[0] == said[1]
    assert "region" not in said[0]
    for more in ({}, {"regions": 0}, {"regions": 0.0}):
        statement = nearest(SHAPES[shape](5), BAG, **more)
        statement._compile_w_cache(dialect, compiled_cache=cache, column_keys=[])
    assert len(cache) == 2


# The statement of whole pictures, as it was before parts could weigh. Whoever means to change it renews these.
TEXTS = {
    (10, False, 0): "9f3d2781e0a9",
    (10, True, 0): "61362ad3ec84",
    (10, False, 2): "e17cf7698eaf",
    (10, True, 1): "cddc6a9ac045",
    (None, True, 0): "24e59c7ba7ab",
    (None, True, 1): "3444f4e5f5ed",
}


@pytest.mark.parametrize("form", TEXTS)
def test_the_statement_of_whole_pictures_is_what_it_was(form: tuple[int | None, bool, int]) -> None:
    last, repeats, groups = form
    given = pieces(last=last, repeats=repeats, names=frozenset(), groups=groups)
    said = "".join(f"{{{piece.name}}}" if isinstance(piece, Slot) else piece for piece in given)
    assert sha256(said.encode()).hexdigest()[:12] == TEXTS[form]


def test_it_is_explained_from_its_plan(session: Session, space: Space) -> None:
    lines = explain(session, nearest(NAMED, BAG, regions=1))
    assert "The HNSW was not walked: comparing all that match costs less than two walks." in lines, lines
    assert "exact: compared what matches with all its parts, 6 rows." in lines
