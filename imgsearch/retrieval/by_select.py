"""The caller's own SELECT, extended with `distance` and ordered nearest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Double,
    FromClause,
    Select,
    and_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Query
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.types import NullType

from imgsearch.errors import FilterError, QueryError, UsageError, VectorError
from imgsearch.picture.region import Region
from imgsearch.query import Crop, ImageId, ProductId, Resolved
from imgsearch.retrieval.cte import BitsOf, found
from imgsearch.retrieval.groups import distinct_on, grouped, label
from imgsearch.retrieval.sample import is_image, plain, sampled
from imgsearch.retrieval.template import LARGEST_OFFSET, LARGEST_PAGE, checked_distance
from imgsearch.spaces.space import vector_literal
from imgsearch.sqlalchemy.models import Image

_DIALECT = DefaultDialect()


def nearest(
    statement: Select[Any],
    query: str | Crop | ImageId | ProductId | Sequence[float] | Resolved,
    *,
    limit: int = 10,
    offset: int = 0,
    max_distance: float | None = None,
    per: Any = None,
    explained: bool = False,
) -> Select[Any]:
    """Return `statement` with the column `distance` (cosine, 0 to 2) added, its `limit` (1 to 1000) nearest rows first.

    `statement` is any SELECT that reaches `Image`: entities or columns, joins to the caller's tables, any WHERE. All
    its rows are candidates; the way of searching is chosen when the statement runs, so a page is short only where
    fewer rows match. Equal distances come by image_id. A join that gives a picture several rows gives them all, side
    by side, and each counts towards the limit. Each page is ranked anew, so a picture that one page missed may move the
    next by one; `search(…, after=…)` never repeats one.

    per: what a row stands for: a mapped class or alias of the SELECT (`per=Product`), a column of it, or several. Then
    each is there once, with its nearest picture among the rows, and limit, offset and order are those of groups. Keys
    are compared as text; rows without one (an outer join) are a group. Of several rows of one group and picture, any.
    query: a vector of the active space, a resolved query, an image here, or a text or a Crop of an image asked before
    (`imgsearch.query.resolve` asks for a new one). explained: adds `strategy` (hnsw, bits, exact) and `complete`.

    Raises FilterError when the statement does not reach `Image` or `per`, or is limited, ordered, grouped or distinct
    already, or has a condition that is not boolean; QueryError, VectorError for a query that cannot be part of a
    statement; UsageError for a limit out of range. What only the database can know (a vector of another dimension, a
    text that is not cached) is raised when the statement runs; `imgsearch.db.sqlstate.translate(error.orig)` returns
    the typed error.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise UsageError(f"limit is {limit}, it must be from 1 to {LARGEST_PAGE}; page through more with offset.")
    if not 0 <= offset <= LARGEST_OFFSET:
        raise UsageError(f"offset is {offset}, it must be from 0 to {LARGEST_OFFSET}.")
    _refuse(statement)
    froms = _froms(statement)
    tenant_id, image_id = _keys(froms)
    groups = grouped(per, froms)
    if groups and statement._for_update_arg is not None:  # noqa: SLF001
        raise FilterError("Rows that stand for several cannot be locked; lock them by their keys afterwards.")
    statement = _without_asked(statement, image_id, query)
    candidates = _candidates(statement, tenant_id, image_id, groups)
    pictures = found(
        candidates,
        sampled(statement, froms, candidates, tenant_id, image_id),
        _vector(query),
        repeats=not _only(froms, tenant_id.table),
        names=_names(statement, groups),
        groups=len(groups),
        last=limit + offset,
        max_distance=checked_distance(max_distance),
        space_id=query.space_id if isinstance(query, Resolved) else None,
    )
    columns = [pictures.c.distance, *((pictures.c.strategy, pictures.c.complete) if explained else ())]
    # The second asks the database to search before it joins: what is wrong with a query is said also of an empty table.
    extended = statement.add_columns(*columns).where(
        and_(pictures.c.tenant_id == tenant_id, pictures.c.image_id == image_id),
        select(pictures.c.image_id).correlate(None).exists(),
    )
    order = [pictures.c.distance, pictures.c.image_id]
    if groups:
        order.append(pictures.c.label)
        extended = distinct_on(extended.where(label(groups).is_not_distinct_from(pictures.c.label)), order)
    return extended.order_by(*order).limit(limit).offset(offset or None)


def _refuse(statement: Any) -> None:
    if isinstance(statement, Query):
        raise FilterError(
            "nearest() extends a select(), not a legacy Query: write select(Product, Image).join(…).where(…) in place "
            "of session.query(…), and give what nearest() returns to session.execute()."
        )
    if not isinstance(statement, Select):
        raise FilterError(f"nearest() extends a select(), not a {type(statement).__name__}.")
    # SQLAlchemy has no public way to ask for these.
    own = (statement._limit_clause, statement._offset_clause, statement._fetch_clause, *statement._order_by_clauses)  # noqa: SLF001
    if any(clause is not None for clause in own):
        raise FilterError("The select has an order or a limit of its own; pass limit= to nearest() instead.")
    grouped = (*statement._group_by_clauses, *statement._having_criteria, *statement._distinct_on)  # noqa: SLF001
    if grouped or statement._distinct:  # noqa: SLF001
        raise FilterError("The select is grouped or distinct; pass nearest() one that is not, and group its rows.")
    for condition in statement._where_criteria:  # noqa: SLF001
        if not isinstance(condition.type, Boolean | NullType):
            raise FilterError(f"A condition of the select is neither true nor false: {condition}. Compare it.")


def _froms(statement: Select[Any]) -> Sequence[FromClause]:
    """Return what a SELECT selects from: its get_final_froms(), at a fifth of the price.

    That method compiles the whole statement for the compiler alone, and throws away what it compiled. An empty compiler
    serves as well. Of pictures alone, not even that.
    """
    if not (statement._from_obj or statement._setup_joins):  # noqa: SLF001
        parts = (*statement._raw_columns, *statement._where_criteria)  # noqa: SLF001
        sources = {plain(source) for part in parts for source in part._from_objects}  # noqa: SLF001
        if len(sources) == 1 and all(map(is_image, sources)):
            return list(sources)
    state = statement._compile_state_factory(statement, SQLCompiler(_DIALECT, None))  # noqa: SLF001
    return state._get_display_froms()  # noqa: SLF001


def _keys(froms: Sequence[FromClause]) -> tuple[ColumnElement[str], ColumnElement[int]]:
    """Return the columns of a SELECT's FROM that hold the picture's key, through joins, aliases and subqueries."""
    table = Image.__table__
    for source in froms:
        tenant_id = source.corresponding_column(table.c.tenant_id)
        image_id = source.corresponding_column(table.c.image_id)
        if tenant_id is not None and image_id is not None:
            return tenant_id, image_id
    raise FilterError("The select does not reach imgsearch.Image; add it or join it.")


def _only(froms: Sequence[FromClause], source: FromClause) -> bool:
    """Return whether a SELECT is of the pictures alone: then no picture comes twice."""
    return len(froms) == 1 and froms[0] is source and is_image(source)


def _names(statement: Select[Any], groups: Sequence[ColumnElement[Any]]) -> frozenset[str]:
    """Return the names of the columns that the conditions, and the groups, speak of."""
    conditions = statement._where_criteria  # noqa: SLF001  # whereclause would join them anew
    parts = (part for one in conditions for part in visitors.iterate(one))
    carried = {part.name for one in groups for part in visitors.iterate(one) if isinstance(part, ColumnClause)}
    # The indexes that hold the bits hold product_id as well.
    return frozenset({part.name for part in parts if isinstance(part, ColumnClause)} | (carried - {"product_id"}))


def _candidates(
    statement: Select[Any],
    tenant_id: ColumnElement[str],
    image_id: ColumnElement[int],
    groups: Sequence[ColumnElement[Any]],
) -> Select[Any]:
    """Return the statement's pictures: their keys and bits, and the groups they are of."""
    pictures = tenant_id.table
    reduced: Select[Any] = statement
    if not is_image(pictures):  # a sub-select: its rows have lost their bits
        pictures = Image.__table__.alias()
        reduced = statement.where(and_(pictures.c.tenant_id == tenant_id, pictures.c.image_id == image_id))
    bits = BitsOf(pictures.c.image_id).label("bits")
    carried = (column.label(f"group{n}") for n, column in enumerate(groups))
    reduced = reduced.with_only_columns(
        tenant_id.label("tenant_id"), image_id.label("image_id"), bits, *carried, maintain_column_froms=True
    )
    reduced._for_update_arg = None  # noqa: SLF001  # a lock on all candidates would be meant for the page alone
    return reduced


def _without_asked(statement: Select[Any], image_id: ColumnElement[int], query: Any) -> Select[Any]:
    """Return the SELECT without images that were rejected and products that are asked by."""
    if isinstance(query, Resolved) and query.rejected:
        statement = statement.where(image_id.not_in(query.rejected))
    products = query.products if isinstance(query, Resolved) else ()
    if isinstance(query, ProductId):
        products = (query.product_id,)
    if products:
        statement = statement.where(image_id.not_in(select(Image.image_id).where(Image.product_id.in_(products))))
    return statement


def _vector(query: Any) -> ColumnElement[Any]:
    if isinstance(query, Resolved):
        return func.imgsearch_internal.as_vector(bindparam(None, query.vector))
    if isinstance(query, ImageId):
        return select(func.imgsearch.vec_of(literal(query.image_id))).scalar_subquery()
    if isinstance(query, Crop) and isinstance(query.picture, ImageId):
        region = literal(list(Region.of(query.region).numbers), ARRAY(Double))
        return select(func.imgsearch.vec_of(literal(query.picture.image_id), region)).scalar_subquery()
    if isinstance(query, ProductId):
        asked = func.imgsearch.vec_of_product(literal(query.product_id), literal(query.tenant))
        return select(asked).scalar_subquery()
    if isinstance(query, str):
        return select(func.imgsearch.vec(literal(query))).scalar_subquery()
    try:
        written = vector_literal(query)
    except (TypeError, ValueError) as error:
        raise QueryError(
            "The query is neither text, image id nor vector; resolve() turns a picture into one."
        ) from error
    if "n" in written:  # nan, inf
        raise VectorError("The query vector holds a number that is not finite; embed it again.")
    return func.imgsearch_internal.as_vector(bindparam(None, written))
