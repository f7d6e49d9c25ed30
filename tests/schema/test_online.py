"""An upgrade beside a shop: nobody waits long, who is in its way is named, and it goes on where it was ended."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import SchemaBusy
from imgsearch.schema import migrate, online
from imgsearch.schema.step import Part, Step
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import behind
from tests.schema.catalogue import catalogue
from tests.schema.rehearsal import done, stepped

Connection = psycopg.Connection[Any]
COLUMN = Step(
    "9999_column",
    "ALTER TABLE imgsearch.image ADD COLUMN IF NOT EXISTS more integer;"
    "ALTER TABLE imgsearch.image_sample ADD COLUMN IF NOT EXISTS more integer;",
    (Part("brief", {"imgsearch.image": "ACCESS EXCLUSIVE"}),),
    online=True,
)


@pytest.fixture
def busy(settings: Settings) -> Iterator[Connection]:
    """A transaction of the shop that has read images, and goes on."""
    with db.connect(settings) as shop:
        shop.execute("SELECT count(*) FROM imgsearch.image")
        yield shop


def test_a_step_in_parts_is_applied_beside_others_and_the_same_inside_a_transaction(
    rehearsal: Connection, settings: Settings
) -> None:
    said: list[str] = []
    migrate.upgrade(rehearsal, say=said.append)
    assert [line.split(":")[0] for line in said[:5]] == [f"9000_rehearsal, part {n} of 5" for n in range(1, 6)]
    assert done(rehearsal) == (0, True, True)
    assert migrate.current(rehearsal) == "9000_rehearsal"
    migrate.check(rehearsal)
    rehearsal.execute("DROP INDEX imgsearch.image_rehearsed")
    rehearsal.execute("ALTER TABLE imgsearch.image DROP COLUMN rehearsed")
    rehearsal.execute("DELETE FROM imgsearch.schema_version WHERE step ~ '^9'")
    with db.connect(settings) as host, host.transaction():
        migrate.upgrade(host)  # as a migration of a host's does
        assert done(host) == (0, True, True)


def test_whoever_is_in_the_way_is_named_and_keeps_nobody_waiting(
    connection: Connection, busy: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped(monkeypatch, COLUMN)
    longest, stop = [0.0], threading.Event()

    def shop() -> None:
        with db.connect(settings, autocommit=True) as other:
            while not stop.wait(0.01):
                began = time.monotonic()
                other.execute("SELECT count(*) FROM imgsearch.image")
                longest[0] = max(longest[0], time.monotonic() - began)

    thread = threading.Thread(target=shop)
    thread.start()
    said: list[str] = []
    try:
        with pytest.raises(SchemaBusy) as refused:
            migrate.upgrade(connection, patience=4, say=said.append)
    finally:
        stop.set()
        thread.join()
    pid = busy.info.backend_pid
    assert f"process {pid} of postgres (idle in transaction" in str(refused.value)
    assert "SELECT count(*) FROM imgsearch.image" in str(refused.value)
    assert f"pg_terminate_backend({pid})" in str(refused.value)
    assert "tries within 4 s" in str(refused.value)
    assert refused.value.exit_code == 5
    assert any(str(pid) in line for line in said), "and said at once that it waits"
    assert longest[0] < 2, "behind a lock that is waited for one would wait four seconds"
    assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)
    busy.rollback()
    migrate.upgrade(connection)
    connection.execute("SELECT more FROM imgsearch.image")


def test_functions_change_beside_a_transaction_that_searched(
    connection: Connection, settings: Settings, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views that are as they were are not touched; one that is another waits for its moment."""
    monkeypatch.setattr(online, "_OTHERS_SECONDS", 0.1)
    with db.connect(settings) as shop:
        shop.execute("SELECT FROM imgsearch.images, imgsearch.vectors, imgsearch.status")
        behind(settings)
        migrate.upgrade(connection, patience=0)
        shop.rollback()
        connection.execute("ALTER VIEW imgsearch.images SET (security_barrier = true)")
        shop.execute("SELECT FROM imgsearch.images")
        behind(settings)
        with pytest.raises(SchemaBusy, match=f"process {shop.info.backend_pid}"):
            migrate.upgrade(connection, patience=0)


def test_what_is_as_it_was_is_left_alone(connection: Connection, settings: Settings, space: Space) -> None:
    connection.execute(
        "CREATE OR REPLACE FUNCTION imgsearch.current_tenant() RETURNS text LANGUAGE sql STABLE RETURN 'x'"
    )
    versions = (
        "SELECT oid::regprocedure::text, xmin::text FROM pg_proc WHERE pronamespace = 'imgsearch'::regnamespace"
        " AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.rights r WHERE r.object = proname AND r.kind = 'function')"
    )
    views = (
        "SELECT c.oid::regclass::text, w.xmin::text FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid"
        " WHERE c.relnamespace = 'imgsearch'::regnamespace ORDER BY 1"
    )
    before, seen = dict(connection.execute(versions).fetchall()), connection.execute(views).fetchall()
    behind(settings)
    migrate.upgrade(connection)
    after = dict(connection.execute(versions).fetchall())
    assert {name for name in after if after[name] != before.get(name)} == {"imgsearch.current_tenant()"}
    assert connection.execute(views).fetchall() == seen
    assert connection.execute("SELECT imgsearch.current_tenant()").fetchone() == (None,)


def test_what_went_stays_until_those_who_may_be_in_it_have_ended(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another signature, it is told apart from the new one; with an argument that may be left out it is not."""
    connection.execute("CREATE FUNCTION imgsearch_internal.pool_of(a integer) RETURNS text LANGUAGE sql RETURN 'x'")
    connection.execute(
        "CREATE FUNCTION imgsearch.vec_of(a bigint, b integer DEFAULT 1) RETURNS text LANGUAGE sql RETURN 'x'"
    )
    there = (
        "SELECT to_regprocedure('imgsearch_internal.pool_of(integer)') IS NOT NULL,"
        " to_regprocedure('imgsearch.vec_of(bigint, integer)') IS NOT NULL"
    )
    seen = []

    def outlived(lent: Connection) -> None:
        seen.append(lent.execute(there).fetchone())

    monkeypatch.setattr("imgsearch.schema.online._outlive_others", outlived)
    behind(settings)
    migrate.upgrade(connection)
    assert seen == [(True, False)]
    assert connection.execute(there).fetchone() == (False, False)


def test_it_waits_for_those_who_may_be_in_a_function_of_before(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.connect(settings) as shop:
        shop.execute("SELECT 1")
        began = time.monotonic()
        threading.Timer(1.0, shop.rollback).start()
        online._outlive_others(connection)
        assert 0.9 < time.monotonic() - began < 4.9
    monkeypatch.setattr(online, "_OTHERS_SECONDS", 0.3)
    with db.connect(settings) as shop:
        shop.execute("SELECT 1")
        online._outlive_others(connection)  # not for ever


def test_killed_anywhere_the_next_try_goes_on(rehearsal: Connection, settings: Settings) -> None:
    fresh = {name: rows for name, rows in catalogue(rehearsal).items() if name in ("functions", "views", "triggers")}
    rehearsal.execute("CREATE FUNCTION imgsearch_internal.went() RETURNS text LANGUAGE sql RETURN 'x'")
    rehearsal.execute("DELETE FROM imgsearch.applied_object WHERE object ~ 's'")
    behind(settings)
    points, killed = random.Random(3), 0
    for _ in range(12):
        if not die_at(settings, points.randrange(10, 120)):
            break
        killed += 1
        assert rehearsal.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (2000,)
    else:
        migrate.upgrade(rehearsal)
    assert killed >= 3
    assert done(rehearsal) == (0, True, True)
    assert rehearsal.execute("SELECT to_regproc('imgsearch_internal.went')").fetchone() == (None,)
    after = catalogue(rehearsal)
    assert {name: after[name] for name in fresh} == fresh


def die_at(settings: Settings, statement: int) -> bool:
    """Upgrade in a process that kills itself at its n-th statement; return whether it died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    try:
        counted = iter(range(statement))
        real: Callable[..., Any] = sql.run

        def run(*arguments: Any, **named: Any) -> Any:
            if next(counted, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        sql.run = run  # type: ignore[assignment]  # this process ends with it
        with db.connect(settings, autocommit=True) as own:
            migrate.upgrade(own)
    except BaseException:  # noqa: BLE001 - nothing of pytest's may run here
        os._exit(1)
    os._exit(0)


def test_several_at_once_take_turns(rehearsal: Connection, settings: Settings) -> None:
    behind(settings)
    reached: list[str] = []

    def upgrade() -> None:
        with db.connect(settings, autocommit=True) as own:
            reached.append(migrate.upgrade(own))

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reached == ["9000_rehearsal"] * 4
    assert done(rehearsal) == (0, True, True)
    migrate.check(rehearsal)
