"""What one row stands for: `per=` of `nearest()`, as columns of the caller's SELECT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Select, Table, Text, cast, collate, inspect, tuple_
from sqlalchemy.exc import ArgumentError, NoInspectionAvailable
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.sql import coercions, roles
from sqlalchemy.sql.functions import FunctionElement

from imgsearch.errors import FilterError
from imgsearch.retrieval.sample import plain

_MOST = 8  # columns that tell one group


def grouped(per: Any, froms: Sequence[FromClause]) -> tuple[ColumnElement[Any], ...]:
    """Return the columns that tell one row from another; none for a row per picture.

    per: a mapped class or an alias of one, a table, a column or a sequence of columns. froms: what the SELECT is from.
    Raises FilterError for anything else, and for what the SELECT does not reach.
    """
    if per is None:
        return ()
    named = tuple(per) if isinstance(per, Sequence) and not isinstance(per, str | bytes) else (per,)
    columns = tuple(column for one in named for column in _columns(one))
    if not 1 <= len(columns) <= _MOST:
        raise FilterError(f"per= is of {len(columns)} columns, it must be from 1 to {_MOST}; name the key.")
    return tuple(_reached(column, froms) for column in columns)


def label(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[str]:
    """Return the group of a row as text, as the shared statement writes it."""
    return collate(cast(columns[0] if len(columns) == 1 else tuple_(*columns), Text), "C")


def distinct_on(statement: Select[Any], columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Return a statement that keeps the first row of each; SQLAlchemy 2.1 has a new way to say so."""
    try:
        from sqlalchemy.dialects.postgresql import distinct_on as extension
    except ImportError:
        return statement.distinct(*columns)
    return statement.ext(extension(*columns))


def _columns(one: Any) -> Sequence[ColumnElement[Any]]:
    try:
        inspected = inspect(one)
    except NoInspectionAvailable:
        inspected = None
    if isinstance(getattr(inspected, "property", None), RelationshipProperty):
        raise FilterError(f"per= is the relationship {one}; name the class that it leads to, and join that.")
    mapper = getattr(inspected, "mapper", None)
    if mapper is not None and (getattr(inspected, "is_mapper", False) or getattr(inspected, "is_aliased_class", False)):
        keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        return [coercions.expect(roles.ColumnArgumentRole, getattr(inspected.entity, key)) for key in keys]
    if isinstance(one, FromClause) and not isinstance(one, FunctionElement):  # which is both
        return list(one.primary_key)
    try:
        column: ColumnElement[Any] = coercions.expect(roles.ColumnArgumentRole, one)
    except ArgumentError as error:
        raise FilterError(
            f"per= is {type(one).__name__}, it must be a mapped class, an alias, a column or a list of columns."
        ) from error
    return [column]


def _reached(column: ColumnElement[Any], froms: Sequence[FromClause]) -> ColumnElement[Any]:
    """Return the column as the SELECT has it, through sub-selects. Another table would be joined to every row."""
    known = {plain(part) for source in froms for part in source._from_objects}  # noqa: SLF001
    sources = {plain(source) for source in column._from_objects}  # noqa: SLF001
    if sources and sources <= known:
        return column
    if isinstance(column, Column) and isinstance(column.table, Table):
        found = next((same for source in froms if (same := source.corresponding_column(column)) is not None), None)
        if found is not None:
            return found
    raise FilterError(f"per= is {column}, which the select does not reach; join its table.")
