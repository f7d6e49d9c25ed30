"""The caller's SELECT over the sample: how many of a few hundred random pictures it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    ClauseElement,
    Column,
    ColumnElement,
    FromClause,
    MetaData,
    Select,
    Subquery,
    Table,
    Text,
    and_,
    select,
)
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause, TextClause
from sqlalchemy.sql.selectable import Alias

from imgsearch.sqlalchemy.models import SCHEMA, Image

_SAMPLE = Table(
    "image_sample",
    MetaData(schema=SCHEMA),
    *(Column(column.name, column.type) for column in Image.__table__.c),
    Column("bits", Text),
).alias("imgsearch_sample")  # one for all statements: an alias of its own costs each of them 0.15 ms


def sampled(
    statement: Select[Any],
    froms: Sequence[FromClause],
    candidates: Select[Any],
    tenant_id: ColumnElement[str],
    image_id: ColumnElement[int],
) -> Select[tuple[int, str]]:
    """Return (image_id, bits) of the sampled pictures among a statement's `candidates`. froms: what it selects from.

    Where the statement selects from image itself, the sample stands in its place, as it has the same columns: 0.1 ms,
    where looking up every sampled picture takes 2. Else it is joined, also where SQL written by hand may name the
    table, or the table is there twice.
    """
    pictures, sample = tenant_id.table, _SAMPLE
    parts = [*froms, *statement._where_criteria]  # noqa: SLF001  # whereclause would join them anew
    if is_image(pictures) and not any(map(_handwritten, parts)) and _images(parts) <= {plain(pictures)}:
        put = [_over(part, pictures, sample) for part in parts]
        many = len(froms)
        return select(sample.c.image_id, sample.c.bits).select_from(*put[:many]).where(*put[many:])
    found = candidates.subquery()
    joined = and_(sample.c.tenant_id == found.c.tenant_id, sample.c.image_id == found.c.image_id)
    return select(sample.c.image_id, sample.c.bits).join_from(sample, found, joined)


def is_image(source: FromClause) -> bool:
    """Return whether this is the table of pictures, or an alias of it."""
    plain = source.element if isinstance(source, Alias) else source
    return isinstance(plain, Table) and (plain.schema, plain.name) == (SCHEMA, Image.__tablename__)


def _handwritten(part: ClauseElement) -> bool:
    """Return whether there is SQL, or a column, that could not be told to be the sample's."""
    if isinstance(part, FromClause) and is_image(part):
        return False  # a table of its own: nothing to look through
    return any(
        isinstance(one, TextClause)
        or (
            isinstance(one, ColumnClause)
            and (one.is_literal or (one.table is not None and is_image(one.table) and one.name not in _SAMPLE.c))
        )
        for one in visitors.iterate(part)
    )


def _images(parts: Iterable[ClauseElement]) -> set[FromClause]:
    """Return the table of pictures and its aliases, those whose columns are named."""
    columns = (one for part in parts for one in visitors.iterate(part) if isinstance(one, ColumnClause))
    return {plain(column.table) for column in columns if column.table is not None and is_image(column.table)}


def _over(part: ClauseElement, pictures: FromClause, sample: FromClause) -> Any:
    """Return the part of a statement with `sample` in the place of `pictures`; CTEs and sub-selects stay theirs."""

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, ColumnClause) and element.table is not None and plain(element.table) is plain(pictures):
            return sample.c[element.name]
        if isinstance(element, FromClause) and plain(element) is plain(pictures):
            return sample
        return element if isinstance(element, CTE | Subquery) else None

    anything: Any = part
    return visitors.replacement_traverse(anything, {}, replace)


def plain(source: FromClause) -> FromClause:
    """Return a table or alias without what the ORM notes on its copies, so that copies are the same."""
    return source._deannotate()  # noqa: SLF001
