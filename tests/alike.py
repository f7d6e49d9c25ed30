"""A shop of products whose pictures look alike, and which of them is nearest, told in plain Python."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from imgsearch import Image, db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import pictures_of
from tests.asking import DIMENSION, distances
from tests.shop import Row, database, fill

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


@contextmanager
def alike_shop(servers: embedded.Servers, template: str) -> Iterator[Shop]:
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


Key = Callable[[Shop, Picture], list[Any]]
"""The groups of a picture: one, or several where a join multiplies."""
JOINED = select(Product, Image).join(Product.images)
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


def a_query(chance: random.Random, pictures: Sequence[Picture]) -> list[float]:
    vector = np.array(chance.choice(pictures).row.vector)
    noise = np.array([chance.gauss(0, 1) for _ in range(DIMENSION)])
    mixed = vector + chance.choice([0.0, 0.5]) * noise
    return (mixed / np.linalg.norm(mixed)).tolist()


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Shop]:
    """The shop, for a module of tests."""
    with alike_shop(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def session(stocked: Shop) -> Iterator[Session]:
    """A session there that commits by itself."""
    engine = db.engine(stocked.settings, isolation_level="AUTOCOMMIT")
    with Session(engine) as opened:
        yield opened
    engine.dispose()
