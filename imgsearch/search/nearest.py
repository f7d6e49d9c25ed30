"""The caller's own SELECT, extended with `distance` and ordered nearest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import ColumnElement, Float, Select, and_, bindparam, cast, func, literal, select

from imgsearch.errors import FilterError, QueryError, UsageError
from imgsearch.query import ImageId, Resolved
from imgsearch.space import vector_literal
from imgsearch.tables import Image, vectors

LARGEST_PAGE = 1000


def nearest(
    statement: Select[Any],
    query: str | ImageId | Sequence[float] | Resolved,
    *,
    limit: int = 10,
    offset: int = 0,
    max_distance: float | None = None,
) -> Select[Any]:
    """Answer `statement` with the column `distance` (cosine, 0 to 2) added, its `limit` (1 to 1000) nearest rows first.

    `statement` is any SELECT that reaches `Image`: entities or columns, joins to the caller's tables, any WHERE.
    query: a vector of the active space, a resolved query, an image here, or a text asked before
    (`imgsearch.query.resolve` asks for a new one).

    Raises FilterError when the statement does not reach `Image`, or is limited or ordered already; QueryError for a
    query that cannot be part of a statement; UsageError for a limit out of range.
    """
    if not 1 <= limit <= LARGEST_PAGE or offset < 0:
        raise UsageError(f"limit is {limit}, it must be from 1 to {LARGEST_PAGE}; page through more with offset.")
    tenant_id, image_id = _keys(statement)
    embedded = vectors.alias()
    distance = embedded.c.embedding.op("<=>", return_type=Float(53))(_vector(query)).label("distance")
    extended = statement.add_columns(distance).where(
        and_(embedded.c.tenant_id == tenant_id, embedded.c.image_id == image_id)
    )
    if max_distance is not None:
        extended = extended.where(distance.element <= max_distance)
    return extended.order_by(distance.element).limit(limit).offset(offset or None)


def _keys(statement: Select[Any]) -> tuple[ColumnElement[str], ColumnElement[int]]:
    """Answer the columns of `statement`'s FROM that hold the picture's key, through joins, aliases and subqueries."""
    if not isinstance(statement, Select):
        raise FilterError(f"nearest() extends a select(), not a {type(statement).__name__}.")
    # SQLAlchemy has no public way to ask for these.
    own = (statement._limit_clause, statement._offset_clause, *statement._order_by_clauses)  # noqa: SLF001
    if any(clause is not None for clause in own):
        raise FilterError("The select has an order or a limit of its own; pass limit= to nearest() instead.")
    table = Image.__table__
    for source in statement.get_final_froms():
        tenant_id = source.corresponding_column(table.c.tenant_id)
        image_id = source.corresponding_column(table.c.image_id)
        if tenant_id is not None and image_id is not None:
            return tenant_id, image_id
    raise FilterError("The select does not reach imgsearch.tables.Image; add it or join it.")


def _vector(query: Any) -> ColumnElement[Any]:
    if isinstance(query, Resolved):
        return cast(bindparam(None, query.vector), HALFVEC)
    if isinstance(query, ImageId):
        return select(func.imgsearch.vec_of(literal(query.image_id))).scalar_subquery()
    if isinstance(query, str):
        return select(func.imgsearch.vec(literal(query))).scalar_subquery()
    try:
        return cast(bindparam(None, vector_literal(query)), HALFVEC)
    except (TypeError, ValueError) as error:
        raise QueryError(
            "The query is neither text, image id nor vector; resolve() turns a picture into one."
        ) from error
