"""SQLAlchemy: a shop's own models, sync and async sessions, and every form a SELECT can have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, Float, ForeignKey, Text, cast, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column, selectinload

from imgsearch import Image, ImageId, add, attach, db, nearest, resolve
from imgsearch.errors import FilterError, SettingsError, UsageError
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.sqlalchemy.models import pictures_of
from imgsearch.storage import open_store
from tests.drawn import encoded, scene
from tests.shop import embed

PICTURE = encoded(scene(), "JPEG")


class Base(DeclarativeBase):
    """The shop's own tables."""


class Store(Base):
    __tablename__ = "store"
    id: Mapped[str] = mapped_column(primary_key=True)
    city: Mapped[str]


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    store: Mapped[str] = mapped_column(ForeignKey("store.id"))
    price: Mapped[float] = mapped_column(Float(53))
    photo: Mapped[str | None]
    image: Mapped[str | None]  # a column of that name is no picture of ours
    images: Mapped[list[Image]] = pictures_of(lambda: Product.id, tenant=lambda: Product.store)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = db.engine(settings)
    yield made
    made.dispose()


@pytest.fixture
def shop(engine: Engine, connection: psycopg.Connection[Any], space: Space) -> list[int]:
    """Twenty products of two stores, attached; product n is n steps away from direction(0). Answers their image ids."""
    Base.metadata.create_all(engine)
    attach(connection, "product", key="id", image="photo", tenant="store", price="price")
    with Session(engine) as session:
        session.add_all([Store(id="acme", city="Bern"), Store(id="bolt", city="Linz")])
        session.flush()
        for n in range(20):
            store = ("acme", "bolt")[n % 2]
            session.add(Product(id=n, store=store, price=n, photo=f"https://x.example/{n}"))
        session.commit()
    rows = connection.execute("SELECT tenant_id, image_id, product_id::int FROM imgsearch.image ORDER BY 3").fetchall()
    with connection.cursor() as cursor:
        embed(cursor, space, [(tenant, image, bytes(32), direction(n)) for tenant, image, n in rows])
        cursor.execute("UPDATE imgsearch.image SET sha256 = %s", (bytes(32),))
    return [image for _, image, _ in rows]


def direction(n: int) -> list[float]:
    return [1.0, n / 20, *[0.0] * 46]


def test_a_product_has_its_pictures(engine: Engine, shop: list[int]) -> None:
    with Session(engine) as session:
        product = session.get_one(Product, 3)
        assert [image.image_id for image in product.images] == [shop[3]], "lazily"
        eager = session.scalars(select(Product).options(selectinload(Product.images)).order_by(Product.id)).all()
        assert [product.images[0].image_id for product in eager] == shop
        dear = select(Product.id).join(Product.images).where(Image.price > 17).order_by(Product.id)
        assert session.scalars(dear).all() == [18, 19]


def test_nearest_extends_every_form_of_select(engine: Engine, shop: list[int]) -> None:
    city = Store.city == "Bern"
    with Session(engine) as session:
        entities = select(Product, Image).join(Product.images).join(Store).where(city, Product.price > 3)
        rows = session.execute(nearest(entities, direction(0), limit=2)).all()
        assert [row.Product.id for row in rows] == [4, 6]
        assert rows[0].distance < rows[1].distance
        cheap = select(Image.tenant_id, Image.image_id, Image.price).where(Image.price < 9).cte("cheap")
        picture_ = aliased(Image)
        core = Image.__table__
        wanted = select(Product.price).where(Product.id == 15).scalar_subquery()
        for statement, expected in (
            (select(cheap), shop[8]),
            (select(select(Image).where(Image.price < 5).subquery()), shop[4]),
            (select(core.c.image_id).where(core.c.tenant_id == "bolt"), shop[19]),
            (select(picture_).where(picture_.price < 12), shop[11]),
            (select(Image).where(Image.product_id.in_(select(cast(Product.id, Text)))), shop[19]),
            (select(Image).where(Image.price < wanted), shop[14]),
        ):
            row = session.execute(nearest(statement, direction(19), limit=1)).one()
            found = row.image_id if "image_id" in row._fields else row[0].image_id
            assert found == expected
        assert session.execute(nearest(select(Image.image_id), ImageId(shop[5]), limit=1)).scalar_one() == shop[5]


def test_adding_and_asking_belong_to_the_callers_transaction(
    engine: Engine, shop: list[int], settings: Settings
) -> None:
    store = open_store(settings.storage_url)
    with Session(engine) as session:
        added = add(session, PICTURE, product_id="mine", tenant="acme", store=store)
        session.execute(text("UPDATE product SET price = 1000"))
        assert session.get(Image, ("acme", added.image_id)) is not None
        dear = nearest(select(Image.image_id).where(Image.price == 1000), direction(0), limit=50)
        assert len(session.execute(dear).all()) == 20, "the search sees what this transaction changed"
        session.rollback()
        assert session.get(Image, ("acme", added.image_id)) is None
        assert session.execute(dear).all() == []


def test_asynchronous_sessions_do_the_same(settings: Settings, shop: list[int]) -> None:
    store = open_store(settings.storage_url)

    async def ask() -> None:
        engine = create_async_engine(
            "postgresql+psycopg_async://", async_creator=lambda: psycopg.AsyncConnection.connect(settings.database_url)
        )
        async with AsyncSession(engine) as session:
            query = await session.run_sync(resolve, direction(2))
            statement = nearest(select(Image).where(Image.tenant_id == "acme"), query, limit=3)
            rows = (await session.execute(statement)).all()
            assert {row.Image.image_id for row in rows} == {shop[0], shop[2], shop[4]}
            hits = await session.run_sync(search, query, tenant="acme", k=3)
            assert [hit.image_id for hit in hits] == [row.Image.image_id for row in rows]
            assert [hit.distance for hit in hits] == pytest.approx([row.distance for row in rows])
            added = await session.run_sync(add, PICTURE, product_id="mine", tenant="acme", store=store)
            assert await session.get(Image, ("acme", added.image_id)) is not None
            await session.rollback()
            assert await session.get(Image, ("acme", added.image_id)) is None
            with pytest.raises(UsageError, match="run_sync"):
                add(await session.connection(), PICTURE, product_id="mine")
        await engine.dispose()

    asyncio.run(ask())


def test_a_legacy_query_says_what_to_write(engine: Engine, shop: list[int]) -> None:
    with Session(engine) as session, pytest.raises(FilterError, match=r"select\(Product, Image\)"):
        nearest(session.query(Product), direction(0))  # type: ignore[arg-type]


def test_an_engine_on_another_driver_is_refused(settings: Settings) -> None:
    other = create_engine("sqlite://")
    with Session(other) as session, pytest.raises(SettingsError, match="psycopg"):
        search(session, direction(0))
