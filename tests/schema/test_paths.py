"""No schema that others may create in stands in a path of ours: what runs is what the files say, whoever runs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

import imgsearch
from imgsearch.db import sql
from imgsearch.db.sql.tokens import SYNTAX, in_full, tokens
from imgsearch.schema import pgvector, source
from imgsearch.spaces.space import Space
from tests.traps import calls

Connection = psycopg.Connection[Any]
PINNED = "search_path=pg_catalog, pg_temp"

# Reached from outside and yet without a path of its own; each names in full what it calls. Why:
LOOSE = {
    # the planner inlines them, so that indexes answer or a row costs nothing
    **dict.fromkeys(("apart", "as_vector", "as_vectors", "bits_of", "differ", "distance", "distance_km"), "inlined"),
    **dict.fromkeys(("key_escaped", "key_part", "pack_key", "searched_space", "vector_from"), "inlined"),
    "current_tenant": "inlined, in conditions on each row",
    # what somebody typed is looked for in his path, and given to a function that has ours
    **dict.fromkeys(
        ("attach", "attach_query", "backfill_step", "detach", "drift", "refresh", "repair"), "a name typed"
    ),
    "table_called": "a name typed",
    # a procedure that commits may not have a path: it sets it first, and after each COMMIT
    **dict.fromkeys(("backfill", "embed", "require_autocommit", "rerank"), "commits"),
}


OURS = re.compile(r"\bimgsearch(?:_internal)?\.(\w+)")


def reached() -> set[str]:
    """Return what statements and code name, rather too much than too little."""
    package = Path(imgsearch.__file__).parent
    paths = [path for kind in ("*.sql", "*.py") for path in package.rglob(kind) if "schema" not in path.parts]
    return {name for path in paths for name in OURS.findall(path.read_text(encoding="utf-8"))}


def test_every_function_has_our_path_or_is_called_where_there_is_one(connection: Connection, space: Space) -> None:
    loose = connection.execute(
        "SELECT p.proname, p.prosrc, p.prosecdef, n.nspname = 'imgsearch' OR l.lanname <> 'sql' OR EXISTS ("
        "  SELECT FROM pg_depend d WHERE d.refobjid = p.oid"
        "  AND d.classid <> ALL (ARRAY['pg_proc', 'pg_trigger']::regclass[]))"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " JOIN pg_language l ON l.oid = p.prolang WHERE n.nspname ~ '^imgsearch'"
        " AND NOT coalesce(%s = ANY (p.proconfig), false)",
        (PINNED,),
    ).fetchall()
    assert not [name for name, _, definer, _ in loose if definer]
    statements = reached()
    outside = {name: text for name, text, _, seen in loose if seen or name in statements}
    assert set(outside) == set(LOOSE)
    typed = {"attach", "attach_query", "backfill", "embed", "rerank"}
    for name in set(outside) - typed:
        assert in_full(outside[name]) == outside[name], f"{name} calls by a bare name"


def test_no_path_holds_another_schema(connection: Connection, space: Space) -> None:
    paths = connection.execute(
        "SELECT DISTINCT c FROM pg_proc, unnest(proconfig) c"
        " WHERE pronamespace::regnamespace::text ~ '^imgsearch' AND c LIKE 'search_path=%'"
    ).fetchall()
    assert paths == [(PINNED,)]


@pytest.mark.parametrize("file", sorted(path.stem for path in Path(sql.__file__).parent.glob("*.sql")))
def test_statements_name_functions_in_full(connection: Connection, file: str) -> None:
    known = {row[0] for row in connection.execute("SELECT proname FROM pg_proc WHERE pronamespace = 11")}
    for name, text in sql.statements(file).items():
        bare = set(calls(text)) & known - SYNTAX
        assert bare <= {"unnest"}, f"{file}, {name}: {bare}"  # of several arrays it is syntax


def test_tokens_are_the_text() -> None:
    for text in (*source.functions(), *source.views(), source.text("grants")):
        assert "".join(part for _, part in tokens(text)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("SELECT now(), x.now(), 'now()' -- now()", "SELECT pg_catalog.now(), x.now(), 'now()' -- now()"),
        ("unnest(a, b) x (k), unnest(f(a, b))", "unnest(a, b) x (k), pg_catalog.unnest(pg_catalog.f(a, b))"),
        ("coalesce(a, 'it''s f()') /* f( /* g( */ */", "coalesce(a, 'it''s f()') /* f( /* g( */ */"),
        ("DO $a$ BEGIN f(); END $a$", "DO $a$ BEGIN pg_catalog.f(); END $a$"),
        ('"F"(1)', 'pg_catalog."F"(1)'),
    ],
)
def test_calls_are_told_from_what_looks_like_them(text: str, written: str) -> None:
    assert in_full(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a <=> b::halfvec", "a OPERATOR(v.<=>) b::v.halfvec"),
        ("'[1]'::vector, x.vector AS vector", "'[1]'::v.vector, x.vector AS vector"),
        ("EXECUTE 'x <~> y' || $f$ l2_norm(e) $f$", "EXECUTE 'x OPERATOR(v.<~>) y' || $f$ v.l2_norm(e) $f$"),
        ("COMMENT ON FUNCTION f(halfvec) IS 'a <=> b'", "COMMENT ON FUNCTION f(v.halfvec) IS 'a <=> b'"),
        ("@extschema:vector@.avg(x) -- <=>", "v.avg(x) -- <=>"),
    ],
)
def test_what_is_pgvectors_is_named_in_full(text: str, written: str) -> None:
    assert pgvector.in_full(text, "v") == written
