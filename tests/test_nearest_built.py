"""What nearest() costs before anything is sent: it compiles nothing itself, and SQLAlchemy compiles once per shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import BigInteger, ForeignKey, Select, exists, select
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.sql.compiler import SQLCompiler

from imgsearch import Image, ImageId, nearest
from imgsearch.retrieval import by_select


class Base(DeclarativeBase):
    """A shop's tables; none of them is ever made."""


class Maker(Base):
    __tablename__ = "maker"
    id: Mapped[int] = mapped_column(primary_key=True)


class Shoe(Base):
    __tablename__ = "shoe"
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(BigInteger)
    maker_id: Mapped[int] = mapped_column(ForeignKey("maker.id"))
    maker: Mapped[Maker] = relationship()


def _joined() -> Select[Any]:
    return select(Shoe, Image).join(Image, Image.image_id == Shoe.image_id)


def _aliased(n: int) -> Select[Any]:
    picture = aliased(Image)
    return select(Shoe, picture).join(picture, picture.image_id == Shoe.image_id).where(picture.price < n)


def _subquery(n: int) -> Select[Any]:
    held = select(Image.tenant_id, Image.image_id).where(Image.price < n).subquery()
    return select(held, Shoe).join(Shoe, Shoe.image_id == held.c.image_id)


def _cte(n: int) -> Select[Any]:
    held = select(Shoe.image_id).where(Shoe.id < n).cte()
    return select(Image).join(held, held.c.image_id == Image.image_id)


def _lateral(n: int) -> Select[Any]:
    held = select(Shoe.id).where(Shoe.image_id == Image.image_id, Shoe.id < n).lateral()
    return select(Image, held.c.id).join(held, Image.price > n)


SHAPES: dict[str, Callable[[int], Select[Any]]] = {
    "pictures": lambda n: select(Image).where(Image.price < n),
    "joined": lambda n: _joined().where(Shoe.id < n),
    "outer": lambda n: select(Image).outerjoin(Shoe, Image.image_id == Shoe.image_id).where(Image.price < n),
    "comma": lambda n: select(Shoe.__table__, Image).where(Shoe.image_id == Image.image_id, Shoe.id < n),
    "relationship": lambda n: _joined().join(Shoe.maker).where(Maker.id < n),
    "eager": lambda n: _joined().options(joinedload(Shoe.maker)).where(Shoe.id < n),
    "criteria": lambda n: _joined().options(with_loader_criteria(Shoe, Shoe.id < n)),
    "aliased": _aliased,
    "subquery": _subquery,
    "cte": _cte,
    "lateral": _lateral,
    "exists": lambda n: select(Image).where(exists().where(Shoe.image_id == Image.image_id, Shoe.id < n)),
    "listed": lambda n: _joined().where(Shoe.id.in_(range(n))),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_select_is_of_is_what_sqlalchemy_says(shape: str) -> None:
    statement = SHAPES[shape](5)
    ours, theirs = by_select._froms(statement), statement.get_final_froms()
    assert len(ours) == len(theirs)
    assert all(one.compare(other) for one, other in zip(ours, theirs, strict=True))
    assert [str(one) for one in ours] == [str(one) for one in theirs]


@pytest.mark.parametrize("shape", SHAPES)
def test_building_compiles_nothing(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: Any, **__: Any) -> str:
        pytest.fail("nearest() compiled a SELECT, half a millisecond that is thrown away")

    statement = SHAPES[shape](5)
    monkeypatch.setattr(SQLCompiler, "visit_select", compiled)
    nearest(statement, ImageId(1))


QUESTIONS: dict[str, tuple[Any, Any]] = {
    "vector": ([0.5, 0.5], [0.25, 0.75]),
    "text": ("red", "blue"),
    "image": (ImageId(1), ImageId(2)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", QUESTIONS)
def test_each_shape_is_compiled_once_whatever_its_values(shape: str, kind: str) -> None:
    cache: dict[Any, Any] = {}
    dialect = psycopg.dialect()
    for query, n, limit, farthest in zip(QUESTIONS[kind], (5, 7), (10, 24), (0.5, None), strict=True):
        statement = nearest(SHAPES[shape](n), query, limit=limit, offset=limit, max_distance=farthest)
        statement._compile_w_cache(dialect, compiled_cache=cache, column_keys=[])
    assert len(cache) == 1
