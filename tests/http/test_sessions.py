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
