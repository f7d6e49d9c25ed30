"""A schema full of traps: an overload with exact types for each function and operator of PostgreSQL that we use.

PostgreSQL prefers exact types to polymorphic ones and to casts, whichever schema comes first. Each trap notes who it
was run by.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

import imgsearch
from imgsearch.db.sql.tokens import tokens
from imgsearch.schema import pgvector

Connection = psycopg.Connection[Any]
ROOT = Path(imgsearch.__file__).parent
NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
ARRAYS = (
    "text[]",
    "smallint[]",
    "integer[]",
    "bigint[]",
    "real[]",
    "double precision[]",
    "bytea[]",
    "boolean[]",
    "name[]",
)
ELEMENTS = ("text", "bytea", "boolean", "name", "jsonb", "timestamptz", "uuid", *NUMBERS)
OPERANDS = (
    *ELEMENTS,
    *ARRAYS,
    "varchar",
    "interval",
    "regclass",
    "oid",
    '"char"',
    "bit",
    "varbit",
    "json",
    "regnamespace",
)
LIKE = {**dict.fromkeys(NUMBERS, NUMBERS), "text": ("text", "varchar", "name"), "bit": ("bit", "varbit")}
SYMBOLS = (
    *("=", "<>", "<", ">", "<=", ">=", "||", "+", "-", "*", "/", "%", "^", "&", "|", "<<", ">>", "->", "->>"),
    *("#>", "#>>", "@>", "<@", "&&", "?", "~", "!~", "~*", "~~", "!~~", "~~*"),
)
# pgvector's, which lies in public as well.
VECTORS = ("<=>", "<~>", "<#>", "<->", "<+>", "+", "-", "*", "=", "<>")
LISTS = ("halfvec", "vector", "sparsevec", "bit", "varbit", "real[]", "double precision[]", "integer[]", "numeric[]")
# Where a trap would catch PostgreSQL's own parser or the test itself, or the catalogue has the type under this name.
NEVER = {"count", "float8", "int4", "int8", "bit", "text", "name", "numeric", "varchar", "regclass", "timestamptz"}


def calls(text: str) -> Iterator[str]:
    """Yield the bare names that are called in SQL, also in the SQL that stands in its strings."""
    before = name = ""
    for kind, part in tokens(text):
        if name and part == "(":
            yield name
        if kind == "dollar" or (kind == "string" and part[0] == "'"):
            yield from calls(part.strip("$") if kind == "dollar" else part[1:-1])
        name = part if kind == "name" and before != "." else ""
        if kind != "space":
            before = part


def called() -> set[str]:
    """Return every bare name that a file of SQL of ours calls."""
    return {name for path in ROOT.rglob("*.sql") for name in calls(path.read_text(encoding="utf-8"))}


def plant(connection: Connection) -> int:
    """Make the traps in public; return how many."""
    connection.execute((Path(__file__).parent / "traps.sql").read_bytes())
    functions = connection.execute(
        "SELECT proname, array_agg(format_type(t, NULL) ORDER BY n) FILTER (WHERE n > 0), provariadic <> 0"
        " FROM pg_proc LEFT JOIN LATERAL unnest(proargtypes::oid[]) WITH ORDINALITY u (t, n) ON true"
        " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%s) GROUP BY pg_proc.oid",
        (sorted(called() - NEVER),),
    ).fetchall()
    wanted = {
        (name, types, "pg_catalog") for name, kinds, more in functions for types in _exact(kinds or [], variadic=more)
    }
    wanted |= {(name, (kind,), "public") for name in (*pgvector.NAMES, "avg", "sum") for kind in LISTS}
    pairs = [
        *itertools.product(SYMBOLS, OPERANDS, OPERANDS, ["pg_catalog"]),
        *itertools.product(VECTORS, LISTS, LISTS, ["public"]),
    ]
    with connection.transaction():
        made = connection.execute(
            "SELECT count(*) FILTER (WHERE public.set_trap(x.name, string_to_array(x.types, ';'), x.home))"
            " FROM unnest(%s::text[], %s::text[], %s::text[]) x (name, types, home)",
            tuple(list(column) for column in zip(*((n, ";".join(t), h) for n, t, h in wanted), strict=True)),
        ).fetchone()
        more = connection.execute(
            "SELECT count(*) FILTER (WHERE public.set_operator_trap(x.s, x.l, x.r, x.home))"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) x (s, l, r, home)",
            tuple(list(column) for column in zip(*pairs, strict=True)),
        ).fetchone()
    assert made is not None
    assert more is not None
    connection.execute("DELETE FROM public.caught")  # what was set later catches what sets it
    return int(made[0]) + int(more[0])


def _exact(kinds: list[str], *, variadic: bool) -> Iterator[tuple[str, ...]]:
    """Yield exact types in the place of those of a function that are polymorphic, or that others are cast to."""
    if variadic:
        for count in (1, 2, 3):
            yield from (
                (*kinds[:-1], *some)
                for some in itertools.product(("text", "integer", "bigint", "name", "regclass"), repeat=count)
            )
        return
    same = any(kind.startswith("any") for kind in kinds)
    for array, element in (
        zip(
            ARRAYS,
            ("text", "smallint", "integer", "bigint", "real", "double precision", "bytea", "boolean", "name"),
            strict=True,
        )
        if same
        else [("", "")]
    ):
        fixed = [
            array
            if kind in {"anyarray", "anycompatiblearray"}
            else element
            if kind in {"anyelement", "anynonarray", "anycompatible"}
            else kind
            for kind in kinds
        ]
        choices = [LIKE.get(kind, ELEMENTS if kind == '"any"' else (kind,)) for kind in fixed]
        yield from itertools.islice(itertools.product(*choices), 150)
