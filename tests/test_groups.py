"""`nearest(select(Product, Image).join(…), query, per=Product)`: one row per entity, complete, against plain Python."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import ForeignKey, Select, Text, and_, cast, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, joinedload, mapped_column, relationship

from imgsearch import Image, db, explain, nearest
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import pictures_of, vectors
from tests.asking import DIMENSION, distances
from tests.shop import Row, database, fill

QUERIES = int(os.environ.get("SEARCH_QUERIES", "300"))
CLOSE = 2e-3  # what float16 does to a distance


class Base(DeclarativeBase):
    """The shop's own tables."""


class Product(Base):
    __tablename__ = "shoe"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    code: Mapped[uuid.UUID]
    brand: Mapped[str | None]
    images: Mapped[list[Image]] = pictures_of(lambda: Product.id, tenant=lambda: "acme")
    labels: Mapped[list[Label]] = relationship()


class Label(Base):
    """Zero to three of each product: a join to them multiplies rows."""

    __tablename__ = "label"
    product: Mapped[str] = mapped_column(ForeignKey("shoe.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


@dataclass(frozen=True)
class Picture:
    image_id: int
    row: Row
    product: int  # its number; of every twentieth picture there is no such product


@dataclass(frozen=True)
class Shop:
    settings: Settings
    connection: psycopg.Connection[Any]
    pictures: Sequence[Picture]
    brands: Sequence[str | None]
    labels: Sequence[Sequence[str]]
    codes: Sequence[uuid.UUID]

    def believe(self, parameters: str) -> None:
        self.connection.execute("SELECT imgsearch.refresh_sample()")
        self.connection.execute(
            "UPDATE imgsearch.space SET parameters = parameters || jsonb_build_object("
            "'search', %(told)s::jsonb -> 'search', 'sample',"
            " (parameters -> 'sample') || coalesce(%(told)s::jsonb -> 'sample', '{}'))",
            {"told": parameters},
        )


BELIEFS = {
    "exact": '{"search": {"pool": 1000}}',
    "hnsw": '{"search": {"ef": 400}, "sample": {"pictures": 50000000}}',
    "bits": '{"search": {"pool": 60}}',
}


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Shop]:
    """About 300 products of 1 to 20 pictures that look alike, in ten clusters."""
    chance, rng = random.Random(3), np.random.default_rng(3)
    centres = rng.normal(size=(10, DIMENSION))
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        rows, owners = list[Row](), list[int]()
        for number in range(300):
            own = centres[number % 10] + 0.5 * rng.normal(size=DIMENSION)
            for _ in range(chance.choice([1, 1, 2, 5, 20])):
                vector = own + chance.choice([0.0, 0.1, 0.25]) * rng.normal(size=DIMENSION)
                rows.append(Row(vector=vector.tolist(), price=float(chance.randrange(100)), category=f"c{number % 3}"))
                owners.append(number)
        ids = fill(connection, space, rows)
        cursor = connection.cursor()
        cursor.executemany(
            "UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s",
            [
                (f"s-{owner}" if n % 20 else f"gone-{owner}", n, image)
                for n, (image, owner) in enumerate(zip(ids, owners, strict=True))
            ],
        )
        brands = [chance.choice(["a, b", 'a"', "a", "", None]) for _ in range(300)]
        labels = [chance.sample(["new", "sale", "rare"], chance.randrange(4)) for _ in range(300)]
        codes = [uuid.UUID(int=chance.getrandbits(128)) for _ in range(300)]
        engine = db.engine(settings)
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            for n in range(300):
                session.add(Product(id=f"s-{n}", number=n, code=codes[n], brand=brands[n]))
            session.flush()
            session.add_all([Label(product=f"s-{n}", name=name) for n in range(300) for name in labels[n]])
            session.commit()
        engine.dispose()
        connection.execute("ANALYZE")
        made = [
            Picture(i, row, owner if n % 20 else -1)
            for n, (i, row, owner) in enumerate(zip(ids, rows, owners, strict=True))
        ]
        yield Shop(settings, connection, made, brands, labels, codes)


@pytest.fixture(scope="module")
def session(stocked: Shop) -> Iterator[Session]:
    engine = db.engine(stocked.settings, isolation_level="AUTOCOMMIT")
    with Session(engine) as opened:
        yield opened
    engine.dispose()


Key = Callable[[Shop, Picture], list[Any]]
"""The groups of a picture: one, or several where a join multiplies."""
Form = tuple[Select[Any], Any, Any, Key]
JOINED = select(Product, Image).join(Product.images)


def forms() -> dict[str, Form]:
    """Return (statement, per, what names a row's group, the same in Python)."""
    other = aliased(Product)
    here = and_(cast(other.id, Text) == Image.product_id, Image.tenant_id == "acme")
    own = lambda shop, one: [] if one.product < 0 else [one.product]  # noqa: E731
    return {
        "class": (JOINED, Product, Product.number, own),
        "alias": (select(other, Image).join(other, here), other, other.number, own),
        "table": (JOINED, Product.__table__, Product.number, own),
        "column": (JOINED, Product.number, Product.number, own),
        "uuid": (JOINED, Product.code, Product.code, lambda s, one: [s.codes[n] for n in own(s, one)]),
        "two columns": (
            JOINED,
            [Product.brand, Image.category],
            func.row(Product.brand, Image.category).cast(Text),
            lambda s, one: [(s.brands[n], one.row.category) for n in own(s, one)],
        ),
        "few": (JOINED, Image.category, Image.category, lambda s, one: [one.row.category for _ in own(s, one)]),
        "outer join": (
            select(Image, Product.number).outerjoin(Product, cast(Product.id, Text) == Image.product_id),
            Product,
            Product.number,
            lambda s, one: own(s, one) or [None],
        ),
        "multiplied": (
            JOINED.join(Label),
            Product,
            Product.number,
            lambda s, one: [n for n in own(s, one) if s.labels[n]],
        ),
        "several of a picture": (
            JOINED.join(Label),
            Label.name,
            Label.name,
            lambda s, one: [name for n in own(s, one) for name in s.labels[n]],
        ),
        "pictures alone": (
            select(Image.image_id, Image.product_id),
            [Image.tenant_id, Image.product_id],
            Image.product_id,
            lambda s, one: [one.product if one.product >= 0 else ("gone", one.image_id)],
        ),
        "expression": (
            JOINED,
            func.coalesce(Product.brand, ""),
            func.coalesce(Product.brand, ""),
            lambda s, one: [s.brands[n] or "" for n in own(s, one)],
        ),
    }


FORMS = forms()


def a_query(chance: random.Random, pictures: Sequence[Picture]) -> list[float]:
    vector = np.array(chance.choice(pictures).row.vector)
    noise = np.array([chance.gauss(0, 1) for _ in range(DIMENSION)])
    mixed = vector + chance.choice([0.0, 0.5]) * noise
    return (mixed / np.linalg.norm(mixed)).tolist()


Seen = dict[int, tuple[float, list[Any]]]
"""By image_id: how far a picture is, and the groups it is of."""


def seen(shop: Shop, high: float, query: Sequence[float], groups_of: Key) -> Seen:
    kept = [one for one in shop.pictures if (one.row.price or 0) < high]
    away = distances([one.row for one in kept], query) if kept else []
    return {one.image_id: (float(d), groups_of(shop, one)) for one, d in zip(kept, away, strict=True)}


def nearest_of_each(near: Seen) -> dict[Any, float]:
    best: dict[Any, float] = {}
    for distance, groups in near.values():
        for group in groups:
            best[group] = min(best.get(group, 9.0), distance)
    return best


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("belief", list(BELIEFS))
def test_each_group_once_with_its_nearest_picture(stocked: Shop, session: Session, belief: str, form: str) -> None:
    stocked.believe(BELIEFS[belief])
    statement, per, named, groups_of = FORMS[form]
    chance = random.Random(f"{belief} {form}")
    found = possible = 0
    strategies = set()
    for _ in range(max(8, QUERIES // 30)):
        high, k = chance.choice([100, 50, 5, -1]), chance.choice([1, 5, 10, 10, 50, 400])
        query, offset = a_query(chance, stocked.pictures), chance.choice([0, 0, 3])
        near = seen(stocked, high, query, groups_of)
        best = nearest_of_each(near)
        asked = statement.where(Image.price < high).add_columns(named.label("named"), Image.image_id.label("shown"))
        rows = session.execute(nearest(asked, query, limit=k, offset=offset, per=per, explained=True)).all()
        assert len(rows) == max(0, min(k, len(best) - offset)), (high, k, offset)
        assert len({row.named for row in rows}) == len(rows)
        assert all(row.complete for row in rows)
        order = [(row.distance, row.shown) for row in rows]
        assert order == sorted(order)
        strategies |= {row.strategy for row in rows}
        true = sorted(best.values())[offset : offset + k]
        for row in rows:
            distance, groups = near[row.shown]
            assert abs(distance - row.distance) < CLOSE
            found += distance <= true[-1] + CLOSE and any(distance <= best[group] + CLOSE for group in groups)
        possible += len(true)
    assert found >= 0.99 * possible
    assert belief in strategies or form not in {"class", "uuid", "multiplied"}


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
    rng = np.random.default_rng(5)
    own = rng.normal(size=DIMENSION)
    rows = [Row(vector=(own + 0.02 * rng.normal(size=DIMENSION)).tolist(), tenant="big") for _ in range(1000)]
    rows += [Row(vector=(own + 0.5 * rng.normal(size=DIMENSION)).tolist(), tenant="big") for _ in range(9)]
    ids = fill(stocked.connection, ensure(stocked.connection, FakeEncoder().describe()), rows, first=9000)
    try:
        stocked.connection.execute(
            "UPDATE imgsearch.image SET product_id = 'huge', position = image_id WHERE image_id = ANY (%s)",
            [ids[:1000]],
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
