"""Every argument of every public SQL function × hostile values: only errors of ours come out, and no row changes then.

Which values meet is drawn with a fresh seed each time; a failure names it: HOSTILE_SEED=… draws the same again.
"""

from __future__ import annotations

import os
import random
from typing import Any

import psycopg
import pytest

from imgsearch.settings import Settings
from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]
SEED = int(os.environ.get("HOSTILE_SEED", random.SystemRandom().randrange(10**6)))
CALLS = 25  # of each function
FUNCTIONS = """
SELECT p.proname, p.prokind = 'p', array(SELECT format_type(t, NULL) FROM unnest(p.proargtypes::oid[]) t),
    coalesce(p.proargnames, '{}'), p.pronargs, p.pronargdefaults
FROM pg_proc p
WHERE p.pronamespace = 'imgsearch'::regnamespace AND p.prorettype <> 'trigger'::regtype ORDER BY p.oid"""
WORDS = (
    *(
        "''",
        "' '",
        "'a'",
        "'acme'",
        "'e'||U&'\\0301'",
        "repeat('x',3000)",
        "repeat('x',2000000)",
        "E'\\x01'",
        "'%s'",
        "'{'",
    ),
    *("'NaN'", "'1'", "'-1'", "'fakeencoder'", "'*'", "E'a\\nb'", "'\U0001f642'", "'german'", "'keep'", "'pg_class'"),
)
WHOLE = ("0", "1", "-1", "10", "1001")
REALS = ("0", "1", "-1", "'NaN'", "'Infinity'", "'-Infinity'", "1e30", "0.5")
FILTERS = (
    "imgsearch.filters_of('{}')",
    "ROW('acme',NULL,'NaN','NaN',NULL,'[]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{1}',NULL)::imgsearch.filters",
    "ROW('acme','{{a},{b}}',NULL,NULL,NULL,NULL,'{NULL}','{{a}}','{1}',NULL,NULL,'{}',NULL,NULL,NULL,NULL)::imgsearch.filters",
)
VALUES: dict[str, tuple[str, ...]] = {
    "text": WORDS,
    "integer": (*WHOLE, "2147483647", "-2147483648"),
    "smallint": ("0", "-1", "32767"),
    "bigint": (*WHOLE, "9223372036854775807", "42"),
    "double precision": (*REALS, "1e308", "1e-320"),
    "real": REALS,
    "boolean": ("true", "false"),
    "jsonb": (
        *("'{}'", "'[]'", "'null'", "'1'", "'\"a\"'", "'{\"a\": null}'", '\'{"tenant": "acme"}\''),
        *('\'{"max_price": "x"}\'', '\'{"attributes": {"a": {"min": {}}}}\'', "'{\"any\": 1}'"),
        "'{\"all\": [{}]}'",
        *("('{\"a\":'||repeat('[',5000)||repeat(']',5000)||'}')", "'{\"near\": [1,2]}'", "'{\"attributes.x\": 1}'"),
    ),
    "text[]": (
        "'{}'",
        "'{NULL}'",
        "'{a,b}'",
        "ARRAY[repeat('x',3000)]",
        "array_fill('a'::text,ARRAY[2000])",
        "'{{a,b},{c,d}}'",
    ),
    "bigint[]": ("'{}'", "'{NULL}'", "'{1,2}'", "array_fill(1::bigint,ARRAY[2000])", "'{{1,2},{3,4}}'"),
    "integer[]": ("'{}'", "'{NULL}'", "'{1,2}'"),
    "double precision[]": (
        "'{}'",
        "'{NULL}'",
        "'{1,2,3}'",
        "'{NaN,0,1}'",
        "'{Infinity,0,1}'",
        "'{91,0,1}'",
        "'{{1},{2}}'",
    ),
    "real[]": ("'{}'", "'{NULL}'", "'{0,0,1,1}'", "'{NaN,0,1,1}'"),
    "timestamp with time zone": ("now()", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-01-01'"),
    "interval": ("'0'", "'-1 day'", "'100000 years'", "'1 day'"),
    "halfvec": (
        "'[1]'",
        "('['||repeat('0,',47)||'0]')",
        "('['||repeat('1,',47)||'1]')",
        "('['||repeat('1,',3999)||'1]')",
    ),
    "halfvec[]": ("'{}'", "ARRAY[('['||repeat('1,',47)||'1]')::halfvec]", "ARRAY[NULL::halfvec]"),
    "bytea": ("''", "'\\x00'", "sha256('x')"),
    "uuid": ("gen_random_uuid()",),
    "regclass": ("'pg_class'", "'imgsearch.image'", "0::oid"),
    "date": ("'2020-01-01'", "'infinity'"),
    "imgsearch.filters": FILTERS,
    "imgsearch.ranking": ("imgsearch.ranking_of('{}')", 'imgsearch.ranking_of(\'{"per": "image", "words": ""}\')'),
}
# Arithmetic that is PostgreSQL's and pgvector's own, inlined into the caller's statement: it says what is wrong.
ARITHMETIC = {"distance": {"22000"}, "distance_km": {"22003"}}
WAITS = {"57014"}  # nobody answers here: a procedure that waits for a worker is ended by the timeout


@pytest.fixture
def few(settings: Settings, connection: Connection, space: Space) -> Connection:
    connection.execute("SET statement_timeout = '2s'")
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) SELECT 'acme', 'p' || n, 'store:' || n"
        " FROM generate_series(1, 20) n"
    )
    return connection


def test_only_errors_of_ours_come_out(few: Connection, record_property: Any) -> None:
    draw, tried, raw = random.Random(SEED), 0, []
    for name, procedure, types, names, many, defaults in few.execute(FUNCTIONS).fetchall():
        for _ in range(CALLS):
            given = [
                f'"{argument}" => ({_value(draw, kind)})::{kind}'
                for place, (argument, kind) in enumerate(zip(names[:many], types, strict=False))
                if place < many - defaults or draw.random() < 0.5
            ]
            call = f"imgsearch.{name}({', '.join(given)})"
            tried += 1
            code = _refused(few, f"CALL {call}" if procedure else f"SELECT * FROM {call}", procedure)  # noqa: S608
            known = code is None or code.startswith("IM") or code in ARITHMETIC.get(name, set()) | WAITS
            if not known:
                raw.append(f"{code}: {call[:1000]}")
    record_property("tried", tried)
    assert raw == [], f"HOSTILE_SEED={SEED}"
    assert tried > 1000


def _value(draw: random.Random, kind: str) -> str:
    """Return a value of a type as SQL; a type that nobody thought of fails here."""
    values = VALUES[kind.removeprefix("public.").replace("public.", "")]
    return "NULL" if draw.random() < 0.1 else draw.choice(values)


def _refused(connection: Connection, statement: str, procedure: bool) -> str | None:
    """Try a call and take back what it did; return the SQLSTATE of its refusal."""
    try:
        if procedure:  # it commits by itself
            connection.execute(statement.encode())
        else:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return None
