"""The product under its public names: `imgsearch.search()` in SQL and in Python, and `nearest()`."""

# ruff: noqa: S608  # statements are put together from this package's own constants; values are bound
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import psycopg
import sqlalchemy
from numpy.typing import NDArray
from sqlalchemy import Select, cast, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from bench.cells import Ask, Cell
from bench.copying import Halfvec
from bench.dataset import Dataset
from bench.filters import Filter
from bench.methods import Answer, Cost, Method, Sessions, Unsupported, explained


def named_attributes(wanted: Filter) -> dict[str, Any]:
    """Return the filter's attributes as search() takes them."""
    found: dict[str, Any] = dict(wanted.equal)
    found |= {name: list(values) for name, values in wanted.one_of}
    found |= {name: {"min": low, "max": high} for name, low, high in wanted.between}
    found |= {name: {"exists": True} for name in wanted.has}
    return found | {name: {"not": value} for name, value in wanted.without}


def named(wanted: Filter) -> dict[str, Any]:
    """Return the filter as named arguments of search(), only those that are given. Raises Unsupported for a join."""
    if wanted.supplier is not None:
        raise Unsupported("search() has no joins; nearest() has")
    arguments = {name: getattr(wanted, name) for name in ("tenant", "min_price", "max_price", "in_stock")}
    arguments["attributes"] = named_attributes(wanted) or None
    arguments["categories"] = list(wanted.categories) or None
    return {name: value for name, value in arguments.items() if value is not None}


def search_sql(columns: str, vector: NDArray[np.float16], wanted: Filter, **more: Any) -> tuple[str, dict[str, Any]]:
    """Return a SELECT of `columns` from the SQL function, and what it binds; `more` are other named arguments."""
    values = named(wanted) | {name: value for name, value in more.items() if value is not None}
    casts = {"attributes": "::jsonb", "categories": "::text[]", "boost": "::jsonb"}
    given = "".join(f", {name} => %({name})s{casts.get(name, '')}" for name in values)
    for name in {"attributes", "boost"} & set(values):
        values[name] = json.dumps(values[name])
    return f"SELECT {columns} FROM imgsearch.search(%(q)s{given})", values | {"q": Halfvec(vector)}


@dataclass
class SearchSql:
    """The SQL function, prepared, with the vector bound in binary form."""

    data: Dataset
    sessions: Sessions
    name: str = "search-sql"
    family: str = "product"

    @cached_property
    def _per(self) -> dict[str, Any]:
        """Pictures are what is judged here; a release before 0.4 knows nothing else."""
        with psycopg.connect(self.sessions.url) as connection:
            knows = "SELECT 1 FROM pg_proc WHERE proname = 'search' AND 'per' = ANY(proargnames)"
            return {"per": "image"} if connection.execute(knows).fetchone() else {}

    def _statement(self, cell: Cell, ask: Ask, k: int) -> tuple[str, dict[str, Any]]:
        vector = self.data.queries(cell.kind)[ask.query]
        return search_sql("image_id, strategy, complete", vector, ask.filter, k=k, **self._per)

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        text, values = self._statement(cell, ask, k)
        statement, cursor = text.encode(), self.sessions.of(cell, ask).cursor(binary=True)

        def run() -> Answer:
            return answer(cursor.execute(statement, values, prepare=True).fetchall())

        return run

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return explained(self.sessions.of(cell, ask), *self._statement(cell, ask, k))

    def spent(self, cell: Cell) -> float:
        return self.sessions.spent(cell)

    def close(self) -> None:
        self.sessions.close()


def answer(rows: list[tuple[Any, ...]]) -> Answer:
    return Answer([row[0] for row in rows], *(rows[0][1:] if rows else ("", None)))


@dataclass
class SearchPython:
    """`imgsearch.search()` as an application calls it, with a vector at hand."""

    data: Dataset
    sessions: Sessions
    name: str = "search"
    family: str = "product"

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        from imgsearch.retrieval import search

        connection, vector = self.sessions.of(cell, ask), self.data.queries(cell.kind)[ask.query].tolist()
        values = named(ask.filter)
        if "categories" in values:
            values["category"] = values.pop("categories")

        def run() -> Answer:
            hits = search(connection, vector, k=k, per="image", **values)
            return Answer([hit.image_id for hit in hits], hits.strategy, hits.complete)

        return run

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return None

    def spent(self, cell: Cell) -> float:
        return self.sessions.spent(cell)

    def close(self) -> None:
        self.sessions.close()


@dataclass
class Nearest:
    """`nearest()` over a SELECT that the application wrote, executed by SQLAlchemy."""

    data: Dataset
    sessions: Sessions
    name: str = "nearest"
    family: str = "product"

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        connection, vector = self.sessions.of(cell, ask), self.data.queries(cell.kind)[ask.query].tolist()
        statement, session = selected(ask.filter), self._session(connection)

        def run() -> Answer:
            return Answer([row[0] for row in session.execute(self._ordered(statement, vector, k)).all()])

        return run

    def _ordered(self, statement: Select[Any], vector: list[float], k: int) -> Select[Any]:
        from imgsearch.retrieval import nearest

        return nearest(statement, vector, limit=k)

    def _session(self, connection: Any) -> Session:
        if connection not in self._made:
            # One connection for ever: the pool must neither open another nor roll back its settings.
            engine = sqlalchemy.create_engine(
                "postgresql+psycopg://",
                creator=lambda: connection,
                poolclass=sqlalchemy.StaticPool,
                isolation_level="AUTOCOMMIT",
            )
            self._made[connection] = Session(engine)
        return self._made[connection]

    def __post_init__(self) -> None:
        self._made: dict[Any, Session] = {}

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return None

    def spent(self, cell: Cell) -> float:
        return self.sessions.spent(cell)

    def close(self) -> None:
        for session in self._made.values():
            session.close()
        self.sessions.close()


@dataclass
class ByHand(Nearest):
    """What an application would write in SQLAlchemy without nearest(): its own exact comparison. No oracle either."""

    name: str = "by-hand"
    family: str = "reference"

    def _ordered(self, statement: Select[Any], vector: list[float], k: int) -> Select[Any]:
        from pgvector.sqlalchemy import HALFVEC

        from imgsearch.sqlalchemy.models import Image

        columns: list[sqlalchemy.ColumnClause[Any]] = [sqlalchemy.column(name) for name in ("tenant_id", "image_id")]
        vectors = sqlalchemy.table("vectors", *columns, sqlalchemy.column("embedding", HALFVEC), schema="imgsearch")
        same = (vectors.c.tenant_id == Image.tenant_id) & (vectors.c.image_id == Image.image_id)
        # + 0: else the HNSW answers, and may answer short.
        distance = vectors.c.embedding.cosine_distance(vector) + 0
        return statement.join(vectors, same).order_by(distance).limit(k)


_PRODUCTS = sqlalchemy.table(
    "product",
    sqlalchemy.column("product_id", sqlalchemy.Text),
    sqlalchemy.column("supplier", sqlalchemy.Integer),
    schema="shop",
)


def selected(wanted: Filter) -> Select[Any]:
    """Return the SELECT an application would write for this filter."""
    from imgsearch.sqlalchemy.models import Image

    statement = select(Image.image_id)
    if wanted.supplier is not None:
        joined = _PRODUCTS.c.product_id == Image.product_id
        statement = statement.join(_PRODUCTS, joined).where(_PRODUCTS.c.supplier == wanted.supplier)
    plain: Mapping[Any, Any] = {Image.tenant_id: wanted.tenant, Image.in_stock: wanted.in_stock}
    statement = statement.where(*(column == value for column, value in plain.items() if value is not None))
    if wanted.categories:
        one = len(wanted.categories) == 1
        statement = statement.where(
            Image.category == wanted.categories[0] if one else Image.category.in_(wanted.categories)
        )
    if wanted.min_price is not None:
        statement = statement.where(Image.price >= wanted.min_price)
    if wanted.max_price is not None:
        statement = statement.where(Image.price <= wanted.max_price)
    return statement.where(*_attributes(wanted))


def _attributes(wanted: Filter) -> Iterator[Any]:
    from imgsearch.sqlalchemy.models import Image

    attributes = cast(Image.attributes, postgresql.JSONB)
    if wanted.equal:
        yield attributes.contains(dict(wanted.equal))
    for name, values in wanted.one_of:
        yield attributes[name].astext.in_(values)
    for name, low, high in wanted.between:
        yield attributes[name].astext.cast(sqlalchemy.Float).between(low, high)
    for name in wanted.has:
        yield attributes.has_key(name)
    for name, value in wanted.without:
        yield ~attributes.contains({name: value})


def products(data: Dataset, url: str, role: str | None) -> Iterator[Method]:
    """Yield the product's ways to search, with no setting of ours on their connections."""
    for made in (SearchSql, SearchPython, Nearest, ByHand):
        yield made(data, Sessions(url, {}, role))
