"""An upgrade changes what has to change, once; what others built stays; interrupted, it leaves things as they were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DatabaseError, UsageError
from imgsearch.schema import migrate, source
from imgsearch.schema.source import Step
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from tests.conftest import behind
from tests.schema.catalogue import catalogue
from tests.words import found, products, put

Connection = psycopg.Connection[Any]


@pytest.fixture
def roles(connection: Connection) -> Iterator[None]:
    """A role of the shop's own, which roles of the server outlive a test's database by."""
    connection.execute("DROP ROLE IF EXISTS analyst")
    connection.execute("CREATE ROLE analyst")
    yield
    connection.execute("DROP OWNED BY analyst")
    connection.execute("DROP ROLE analyst")


def written(connection: Connection) -> list[Any]:
    """Return which version each function, view and right is: what was not written keeps its own."""
    return connection.execute(
        "SELECT 'f', oid, xmin::text FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^imgsearch'"
        " UNION ALL SELECT 'c', oid, xmin::text FROM pg_class WHERE relnamespace::regnamespace::text ~ '^imgsearch'"
        " UNION ALL SELECT 'p', oid, xmin::text FROM pg_policy ORDER BY 1, 2"
    ).fetchall()


def test_a_second_upgrade_writes_nothing(connection: Connection, space: Space) -> None:
    before = written(connection)
    assert migrate.upgrade(connection) == migrate.head()
    assert written(connection) == before


def test_functions_of_another_day_are_replaced_and_the_schema_is_as_a_fresh_one(
    settings: Settings, connection: Connection, space: Space
) -> None:
    """Whatever stood there: other signatures, columns and rights, a type and a function nobody knows."""
    fresh = catalogue(connection)
    connection.execute("DROP FUNCTION imgsearch.requeue(text, text, bigint, text)")
    connection.execute("CREATE FUNCTION imgsearch.requeue(other integer) RETURNS text LANGUAGE sql RETURN 'x'")
    connection.execute("CREATE FUNCTION imgsearch_internal.forgotten() RETURNS text LANGUAGE sql RETURN 'x'")
    connection.execute("CREATE TYPE imgsearch_internal.forgotten_type AS (a integer)")
    connection.execute("DROP VIEW imgsearch.failures")
    connection.execute("CREATE VIEW imgsearch.failures AS SELECT 1 AS other")
    connection.execute("GRANT SELECT ON imgsearch.api_key, imgsearch.failures TO imgsearch_worker, PUBLIC")
    connection.execute("ALTER TABLE imgsearch.image DISABLE ROW LEVEL SECURITY")
    connection.execute(
        "CREATE OR REPLACE VIEW imgsearch.vectors AS SELECT tenant_id, image_id, sha256,"
        " NULL::halfvec AS embedding, 7 AS space_id FROM imgsearch.image"
    )
    behind(settings)
    migrate.upgrade(connection)
    after = catalogue(connection)
    for name, rows in fresh.items():
        assert after[name] == rows, name


def test_what_others_built_on_it_and_were_granted_stays(
    settings: Settings, connection: Connection, space: Space, roles: None
) -> None:
    connection.execute("CREATE VIEW cheap AS SELECT product_id, embedding FROM imgsearch.images WHERE price < 5")
    connection.execute("GRANT SELECT ON imgsearch.status TO analyst WITH GRANT OPTION")
    connection.execute("GRANT SELECT (product_id) ON imgsearch.failures TO analyst")
    connection.execute("GRANT EXECUTE ON FUNCTION imgsearch.requeue TO analyst")
    behind(settings)
    migrate.upgrade(connection)
    assert connection.execute("SELECT count(*) FROM cheap").fetchone() == (0,)
    assert connection.execute(
        "SELECT has_table_privilege('analyst', 'imgsearch.status', 'SELECT WITH GRANT OPTION'),"
        " has_column_privilege('analyst', 'imgsearch.failures', 'product_id', 'SELECT'),"
        " has_column_privilege('analyst', 'imgsearch.failures', 'uri', 'SELECT'),"
        " has_function_privilege('analyst', 'imgsearch.requeue(text, text, bigint, text)', 'EXECUTE')"
    ).fetchone() == (True, True, False, True)


def test_a_type_that_somebody_uses_is_named_where_it_must_be_another(
    settings: Settings, connection: Connection
) -> None:
    connection.execute(
        "CREATE FUNCTION public.mine(f imgsearch.filters) RETURNS text LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN f::text; END $$"
    )
    behind(settings)
    migrate.upgrade(connection)  # it is as it was: nobody minds
    connection.execute("ALTER TYPE imgsearch.filters RENAME ATTRIBUTE tenant TO shop")
    behind(settings)
    with pytest.raises(UsageError, match=r"used by function public.mine\(imgsearch.filters\)"):
        migrate.upgrade(connection)
    connection.execute("DROP FUNCTION public.mine")
    migrate.upgrade(connection)


def test_an_interrupted_upgrade_leaves_things_as_they_were_and_can_be_repeated(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalogue(connection)
    two = Step("9999_more", "CREATE TABLE imgsearch.more (a integer); SELECT 1 / 0;")
    monkeypatch.setattr(source, "steps", lambda: (*STEPS, two))
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.upgrade(connection)
    assert catalogue(connection) == before
    mended = Step("9999_more", "CREATE TABLE imgsearch.more (a integer);")
    monkeypatch.setattr(source, "steps", lambda: (*STEPS, mended))
    assert migrate.upgrade(connection) == "9999_more"
    assert migrate.current(connection) == "9999_more"


STEPS = source.steps()


def test_a_step_that_was_changed_after_it_was_applied_is_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Step(STEPS[0].name, STEPS[0].text + "-- changed")
    monkeypatch.setattr(source, "steps", lambda: (changed,))
    before = written(connection)
    with pytest.raises(DatabaseError, match=r"0001_baseline was applied here with another text.*pg_dump.*db remove"):
        migrate.upgrade(connection)
    assert written(connection) == before
    migrate.remove(connection)
    assert migrate.upgrade(connection) == STEPS[0].name, "the cure that it names"


def test_the_callers_transaction_keeps_its_settings_and_may_take_the_upgrade_back(
    settings: Settings, connection: Connection
) -> None:
    behind(settings)
    names = ("search_path", "lock_timeout", "check_function_bodies")
    mine = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = shop, public")
        connection.execute("SET LOCAL lock_timeout = '17s'")
        before = connection.execute(mine.encode()).fetchone()
        migrate.upgrade(connection)
        assert connection.execute(mine.encode()).fetchone() == before
        migrate.check(connection)
    with pytest.raises(DatabaseError, match="imgsearch db upgrade"):
        migrate.check(connection)


def test_a_space_made_before_an_upgrade_is_searched_after_it(settings: Settings, connection: Connection) -> None:
    made = ensure(connection, FakeEncoder().describe())
    behind(settings)
    migrate.upgrade(connection)
    [(body,)] = connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'image_replaced'").fetchall()
    assert f"embedding_{made.space_id}" in body
    assert (
        connection.execute("SELECT pg_get_viewdef('imgsearch.vectors'::regclass)")
        .fetchone()[0]
        .count(  # type: ignore[index]
            f"embedding_{made.space_id}"
        )
    )


def test_words_that_another_version_wrote_are_mended_and_found(settings: Settings, connection: Connection) -> None:
    put(connection, {"p1": "zimtstern boot", "p2": "korkenzieher"})
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    kept = connection.execute("SELECT word, pieces FROM imgsearch.vocabulary ORDER BY word").fetchall()
    connection.execute("UPDATE imgsearch.vocabulary SET pieces = pieces[1:2]")
    assert products(found(connection, "zimstern", tenant=None)) == []
    behind(settings)
    migrate.upgrade(connection)
    assert connection.execute("SELECT word, pieces FROM imgsearch.vocabulary ORDER BY word").fetchall() == kept
    assert products(found(connection, "zimstern", tenant=None)) == ["p1"]
    before = connection.execute("SELECT ctid FROM imgsearch.vocabulary").fetchall()
    behind(settings)
    migrate.upgrade(connection)
    assert connection.execute("SELECT ctid FROM imgsearch.vocabulary").fetchall() == before, "nothing is written twice"
