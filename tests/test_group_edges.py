"""Groups at their edges: pages, distances, walls, what is loaded with them, what is refused, one group that is huge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Text, func, select, text
from sqlalchemy.orm import Mapped, Session, aliased, joinedload, mapped_column

from imgsearch import Image, db, explain, nearest
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import vectors
from tests.alike import BELIEFS, JOINED, Base, Label, Product, Shop, nearest_of_each, seen, session, stocked
from tests.asking import DIMENSION
from tests.shop import Row, fill

__all__ = ["session", "stocked"]  # fixtures


def near(stocked: Shop) -> list[float]:
    return list(stocked.pictures[40].row.vector)


@pytest.mark.parametrize("belief", list(BELIEFS))
def test_pages_neither_repeat_nor_lose_a_group(stocked: Shop, session: Session, belief: str) -> None:
    stocked.believe(BELIEFS[belief])
    for statement, per, named, many in (
        (JOINED.join(Label), [Product.id, Label.name], func.row(Product.id, Label.name).cast(Text), None),
        (JOINED, Product, Product.number, None),
    ):
        pages: list[Any] = []
        asked = statement.with_only_columns(named.label("named"), maintain_column_froms=True)
        while page := session.execute(nearest(asked, near(stocked), limit=60, offset=len(pages), per=per)).all():
            pages += [row.named for row in page]
        every = {row.named for row in session.execute(asked.join(vectors, vectors.c.image_id == Image.image_id))}
        assert len(pages) == len(set(pages)), many
        assert set(pages) == every


@pytest.mark.parametrize("belief", list(BELIEFS))
def test_no_farther_than_asked(stocked: Shop, session: Session, belief: str) -> None:
    stocked.believe(BELIEFS[belief])
    best = nearest_of_each(seen(stocked, 100, near(stocked), lambda _, one: [one.product] if one.product >= 0 else []))
    for edge in (0.05, 0.3, 0.6):
        rows = session.execute(nearest(JOINED, near(stocked), limit=400, per=Product, max_distance=edge)).all()
        true = [d for d in best.values() if d <= edge]
        assert all(row.distance <= edge for row in rows)
        assert abs(len(rows) - len(true)) <= 0.02 * len(true) + 1


def test_deep_pages_compare_everything_and_are_groups_as_well(stocked: Shop, session: Session) -> None:
    best = nearest_of_each(seen(stocked, 100, near(stocked), lambda _, one: [one.product] if one.product >= 0 else []))
    first = session.execute(nearest(JOINED, near(stocked), limit=1000, per=Product)).all()
    deep = session.execute(nearest(JOINED, near(stocked), limit=1000, offset=1500, per=Product)).all()
    few = session.execute(nearest(JOINED, near(stocked), limit=1000, offset=len(best) - 5, per=Product)).all()
    assert (len(first), len(deep), len(few)) == (len(best), 0, 5)


def test_entities_come_with_what_they_load(stocked: Shop, session: Session) -> None:
    eager = nearest(JOINED.options(joinedload(Product.labels)), near(stocked), limit=8, per=Product)
    rows = session.execute(eager).unique().all()
    assert [row.Image.product_id for row in rows] == [row.Product.id for row in rows]
    assert [sorted(one.name for one in row.Product.labels) for row in rows] == [
        sorted(stocked.labels[row.Product.number]) for row in rows
    ]
    plain = session.execute(nearest(JOINED, near(stocked), limit=8, per=Product)).all()
    assert [row.Product.id for row in rows] == [row.Product.id for row in plain]
    held = nearest(JOINED, near(stocked), limit=8, per=Product).subquery()
    assert session.execute(select(func.count()).select_from(held)).scalar_one() == 8, "it is a select like any other"


def test_a_statement_is_compiled_once_for_all_questions(stocked: Shop, session: Session) -> None:
    cache: dict[Any, Any] = {}
    options = {"compiled_cache": cache}
    asked = [
        nearest(JOINED.where(Product.number < n), one.row.vector, limit=n, per=Product)
        for n, one in ((50, stocked.pictures[0]), (60, stocked.pictures[9]))
    ]
    sizes = []
    for statement in asked:
        rows = session.execute(statement, execution_options=options).all()
        assert all(row.Product.number < 60 for row in rows)
        sizes.append(len(cache))
    for per in (Product.number, [Product.id, Product.number], None):
        session.execute(nearest(JOINED.where(Product.number < 50), near(stocked), per=per), execution_options=options)
        sizes.append(len(cache))
    assert sizes == [1, 1, 2, 3, 4]


def test_behind_the_wall_groups_are_those_of_one_tenant(stocked: Shop) -> None:
    stocked.believe(BELIEFS["hnsw"])
    with db.connect(stocked.settings, autocommit=True) as owner:
        owner.execute("GRANT SELECT ON shoe TO imgsearch_reader")
    engine = db.engine(stocked.settings)
    for tenant, many in (("acme", 12), ("bolt", 0)):
        with Session(engine) as walled:
            walled.execute(text("SET LOCAL ROLE imgsearch_reader"))
            walled.execute(text("SELECT set_config('imgsearch.tenant', :tenant, true)"), {"tenant": tenant})
            rows = walled.execute(nearest(JOINED, near(stocked), limit=12, per=Product)).all()
            assert len(rows) == len({row.Product.id for row in rows}) == many
            assert {row.Image.tenant_id for row in rows} <= {tenant}
    engine.dispose()


def test_what_is_no_group_is_refused(session: Session) -> None:
    class Other(Base):
        __tablename__ = "elsewhere"
        id: Mapped[int] = mapped_column(primary_key=True)

    held = select(Image.tenant_id, Image.image_id, Image.price).subquery()
    for statement, per, said in (
        (JOINED, Other, "does not reach"),
        (JOINED, aliased(Product), "does not reach"),
        (JOINED, func.now(), "does not reach"),
        (select(Image), Product.id, "does not reach"),
        (select(held), held.c.image_id + Image.image_id, "does not reach"),
        (JOINED, "product", "mapped class"),
        (JOINED, 7, "mapped class"),
        (JOINED, object(), "mapped class"),
        (JOINED, [Product, None], "mapped class"),
        (JOINED, Product.images, "relationship"),
        (JOINED, [], "0 columns"),
        (JOINED, [Product.id] * 9, "9 columns"),
        (JOINED.with_for_update(), Product, "locked"),
    ):
        with pytest.raises(FilterError, match=said):
            nearest(statement, [1.0] * DIMENSION, per=per)
    through = nearest(select(held), [1.0] * DIMENSION, per=Image.image_id, limit=3)
    assert len(session.execute(through).all()) == 3, "a column of the picture, through a sub-select"


def test_a_product_of_a_thousand_alike_pictures_hides_no_other(stocked: Shop, session: Session) -> None:
    """The pool holds one product, and so does what was walked: it is widened until it holds the page."""
    alike = 3000  # more than are all compared
    rng = np.random.default_rng(5)
    own = rng.normal(size=DIMENSION)
    rows = [Row(vector=(own + 0.02 * rng.normal(size=DIMENSION)).tolist(), tenant="big") for _ in range(alike)]
    rows += [Row(vector=(own + 0.5 * rng.normal(size=DIMENSION)).tolist(), tenant="big") for _ in range(9)]
    ids = fill(stocked.connection, ensure(stocked.connection, FakeEncoder().describe()), rows, first=9000)
    try:
        stocked.connection.execute(
            "UPDATE imgsearch.image SET product_id = 'huge', position = image_id WHERE image_id = ANY (%s)",
            [ids[:alike]],
        )
        for belief in ('{"search": {"pool": 30}}', '{"search": {"pool": 30}, "sample": {"pictures": 50000000}}'):
            stocked.believe(belief)
            asked = select(Image.product_id).where(Image.tenant_id == "big")
            for k, many in ((1, 1), (4, 4), (10, 10), (50, 10)):
                statement = nearest(asked, own.tolist(), limit=k, per=Image.product_id, explained=True)
                found = session.execute(statement).all()
                assert len(found) == len({row.product_id for row in found}) == many
                assert found[0].product_id == "huge"
                told = " ".join(explain(session, statement))
                assert "rounds, each wider" in told or k == 1, told
    finally:
        stocked.connection.execute("DELETE FROM imgsearch.image WHERE tenant_id = 'big'")
