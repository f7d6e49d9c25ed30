"""A connection that somebody's refused request was answered on answers the next one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import psycopg
import pytest

from imgsearch.http.sessions import Sessions
from imgsearch.settings import Settings

Connection = psycopg.Connection[Any]


@pytest.fixture
def sessions(settings: Settings, connection: Connection) -> Iterator[Sessions]:
    made = Sessions(lambda: settings.database_url)
    yield made
    made.close()


def send(connection: Connection, divisor: int) -> Sequence[Any]:
    return [connection.execute("SELECT 1 / %s", (divisor,)), connection.execute("SELECT %s::integer", (divisor,))]


@pytest.mark.parametrize("good", range(8))
def test_a_statement_behind_a_refused_one_is_prepared_all_the_same(sessions: Sessions, good: int) -> None:
    """Whichever time it is: psycopg prepares a statement when it meets it for the sixth time."""
    for _ in range(good):
        sessions.together(None, lambda connection: send(connection, 1))
    with pytest.raises(psycopg.errors.DivisionByZero):
        sessions.together(None, lambda connection: send(connection, 0))
    for tenant, _ in product((None, "acme"), range(3)):
        assert sessions.together(tenant, lambda connection: send(connection, 1)) == [[(1,)], [(1,)]]
    asked = "SELECT current_user = session_user, coalesce(current_setting('imgsearch.tenant', true), '')"
    assert sessions.ask(lambda connection: connection.execute(asked).fetchone()) == (True, "")


def test_a_process_that_began_while_a_wall_was_down_is_behind_it_later(
    settings: Settings, connection: Connection
) -> None:
    """As in an upgrade: it makes tables, and walls them a moment later."""
    connection.execute("ALTER TABLE imgsearch.capture DISABLE ROW LEVEL SECURITY")
    patient, sessions = (Sessions(lambda: settings.database_url, again=again) for again in (60, 0))
    try:
        for one in (patient, sessions):
            with one.session("acme", writes=False) as lent:
                assert lent.execute("SELECT current_user = session_user").fetchone() == (True,)
        connection.execute("ALTER TABLE imgsearch.capture ENABLE ROW LEVEL SECURITY")
        for one, role in ((patient, "postgres"), (sessions, "imgsearch_reader")):
            with one.session("acme", writes=False) as lent:
                assert lent.execute("SELECT current_user::text").fetchone() == (role,)
    finally:
        patient.close()
        sessions.close()
