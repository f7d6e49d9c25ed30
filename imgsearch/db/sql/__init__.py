"""The SQL of imgsearch: files of named statements, and the one place that runs them.

A statement in a `.sql` file begins with `-- name: <name>`; the comment lines after it describe it.
Values are bound (`%(value)s`); the few names that vary (the table and column of a space) stand in braces and are
filled in as `psycopg.sql.Identifier`. Nothing from outside is ever pasted into SQL. Files name functions of PostgreSQL
by their bare names; they are sent as `pg_catalog.now()`, for others may make functions in schemas of the search_path.
What a tenant or a product is called is sent in Unicode's composed form (NFC), as rows have it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import RowFactory, dict_row, tuple_row
from psycopg.sql import SQL, Composable, Composed, Identifier

from imgsearch.db.sql.tokens import in_full

_EXPLAIN = SQL("EXPLAIN (ANALYZE, BUFFERS, SETTINGS)\n")
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_CALLED = frozenset({"tenant", "tenant_id", "product", "product_id"})  # values that call something by its name


def text(file: str) -> str:
    """Return the whole text of a `.sql` file of this package."""
    return files(__package__).joinpath(f"{file}.sql").read_text(encoding="utf-8")


@cache
def statements(file: str) -> Mapping[str, str]:
    """Return {name: statement} of a `.sql` file."""
    parts = _NAME.split(text(file))
    return dict(zip(parts[1::2], (in_full(part.strip()) for part in parts[2::2]), strict=True))


def statement(
    file: str, name: str, space_id: int | None = None, names: Mapping[str, Composable] | None = None
) -> Composed:
    """Return a named statement.

    `{embedding}`, `{tail}`, `{region}`, `{bits}` and `{hnsw}` become the names of the space, others those of `names`.
    """
    # The files are part of the package: as trustworthy as a literal in the code.
    template = SQL(statements(file)[name])
    if space_id is None:
        return template.format(**(names or {}))
    number = int(space_id)
    return template.format(
        embedding=Identifier("imgsearch", f"embedding_{number}"),
        bits=Identifier(f"bits_{number}"),
        tail=Identifier("imgsearch", f"embedding_{number}_tail"),
        region=Identifier("imgsearch", f"region_{number}"),
        hnsw=Identifier("imgsearch", f"embedding_{number}_hnsw"),
        **(names or {}),
    )


@cache
def _fixed(file: str, name: str) -> str:
    """Return a statement in which no name varies: psycopg knows the text again that it has read once."""
    return statement(file, name).as_string(None)


def other_space(space_id: int) -> Mapping[str, Identifier]:
    """Return the name of a second space's table, for statements about two: `{other}`."""
    return {"other": Identifier("imgsearch", f"embedding_{int(space_id)}")}


def run(
    connection: Connection[Any],
    file: str,
    name: str,
    values: Mapping[str, Any] | None = None,
    *,
    space_id: int | None = None,
    names: Mapping[str, Composable] | None = None,
    row_factory: RowFactory[Any] = dict_row,
) -> Cursor[Any]:
    """Execute a named statement on the caller's connection, inside the caller's transaction.

    Raises the typed error of imgsearch.errors where the database answers with one of ours.
    """
    from imgsearch.db.sqlstate import translated

    cursor = connection.cursor(row_factory=row_factory)
    query = _fixed(file, name) if space_id is None and not names else statement(file, name, space_id, names)
    with translated():
        cursor.execute(query, _composed(values))
    return cursor


def rows(
    connection: Connection[Any], file: str, name: str, values: Mapping[str, Any] | None = None, **options: Any
) -> Sequence[Any]:
    """Execute a named statement and return its rows as dicts."""
    return run(connection, file, name, values, **options).fetchall()


def plan(connection: Connection[Any], file: str, name: str, values: Mapping[str, Any] | None = None) -> str:
    """Execute a named statement under EXPLAIN ANALYZE and return its plan, with times and buffers."""
    from imgsearch.db.sqlstate import translated

    cursor = connection.cursor(row_factory=tuple_row)
    with translated():
        cursor.execute(_EXPLAIN + statement(file, name), _composed(values))
    return "\n".join(line for (line,) in cursor)


def _composed(values: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if values is None:
        return None
    return {
        name: unicodedata.normalize("NFC", value) if name in _CALLED and isinstance(value, str) else value
        for name, value in values.items()
    }


def value(
    connection: Connection[Any], file: str, name: str, values: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Execute a named statement and return the first column of its first row, or None."""
    row = run(connection, file, name, values, row_factory=tuple_row, **options).fetchone()
    return row[0] if row else None
