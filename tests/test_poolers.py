"""Through a real PgBouncer in transaction mode: everything answers, and nothing of ours stays in a session."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from imgsearch import db
from imgsearch.db import pooler
from imgsearch.errors import UsageError
from imgsearch.flask import create_app
from imgsearch.ops import maintenance
from imgsearch.query import resolution
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import bouncer
from tests.conftest import with_settings
from tests.processes import WorkerProcess

pytestmark = bouncer.needed
Connection = psycopg.Connection[Any]
SETTINGS = ("statement_timeout", "plan_cache_mode", "idle_in_transaction_session_timeout", "maintenance_work_mem")


@pytest.fixture
def pooled(settings: Settings, folder: Path) -> Iterator[Settings]:
    """The test's settings through a PgBouncer that carries no prepared statements, as versions before 1.21."""
    with bouncer.before(settings.database_url, folder) as url:
        yield with_settings(settings, DATABASE_URL=url)


def left_behind(settings: Settings) -> list[tuple[Any, ...]]:
    """What the sessions of the server hold that somebody did not take away: through the pool, as a shop sees it."""
    found: set[tuple[Any, ...]] = set()
    with ThreadPoolExecutor(8) as pool:
        found.update(pool.map(lambda _: _one(settings.database_url), range(24)))
    return sorted(found)


def _one(url: str) -> tuple[Any, ...]:
    with psycopg.connect(url, prepare_threshold=None) as shop:
        row = shop.execute(
            SQL("SELECT {}, current_setting('imgsearch.tenant', true), array(SELECT pg_listening_channels()), ").format(
                SQL(", ").join(SQL("current_setting({})").format(name) for name in SETTINGS)
            )
            + SQL("(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), current_user, pg_sleep(0.02)::text")
        ).fetchone()
        assert row is not None
        return tuple(tuple(one) if isinstance(one, list) else one or "" for one in row)


def test_a_connection_that_was_lost_makes_no_server_a_pooler(settings: Settings) -> None:
    pooler.forget()
    with db.connect(settings, autocommit=True) as other, db.connect(settings, autocommit=True) as lost:
        other.execute("SELECT pg_terminate_backend(%s)", (lost.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            lost.execute("SELECT 1")
        pooler.forget()
        assert not pooler.is_pooled(lost)
        assert not pooler.is_pooled(other)


def test_a_pooler_is_told_from_a_server(settings: Settings, pooled: Settings) -> None:
    pooler.forget()
    for known, wanted in ((settings, False), (pooled, True)):
        with db.connect(known) as connection:
            assert pooler.is_pooled(connection) is wanted
            assert (connection.prepare_threshold is None) is wanted
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with db.connect(with_settings(pooled, PREPARED_STATEMENTS="on")) as connection:
        assert connection.prepare_threshold is not None
    with db.connect(with_settings(settings, PREPARED_STATEMENTS="off")) as connection:
        assert connection.prepare_threshold is None


def test_everything_answers_and_the_shops_sessions_keep_their_settings(
    pooled: Settings, space: Space, environment: dict[str, str], tmp_path: Path
) -> None:
    """A worker, questions over HTTP from four threads at once, index upkeep: then what other clients find."""
    fresh = left_behind(pooled)
    log = tmp_path / "worker.log"
    with WorkerProcess(pooled, environment | pooled.environment(), log) as worker:
        app = create_app(with_settings(pooled, HTTP_THREADS="32").environment(), allow_anonymous=True)

        def ask(number: int) -> object:
            said = {"text": f"red shoe {number % 10}", "k": 3}
            answer = app.test_client().post("/v1/search", json=said)
            return answer.status_code if answer.status_code == 200 else answer.get_json()["code"]

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(ask, range(80))) == [200] * 80
        app.extensions["imgsearch"].close()
        with db.connect(pooled) as connection:
            connection.execute("SELECT set_config('imgsearch.tenant', 'acme', true)")
            resolution.resolve(connection, "a question of a session", tenant="acme")
        maintenance.build(pooled)
        with pytest.raises(UsageError, match="IMGSEARCH_DIRECT_URL"):
            maintenance.build(pooled, memory="64MB")
        assert left_behind(pooled) == fresh
        assert worker.process.poll() is None
    assert log.read_text().count("no NOTIFY arrives") == 1


def test_upkeep_excludes_upkeep_through_a_pooler_and_lets_go(
    settings: Settings, pooled: Settings, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LOCK_SECONDS", 0.2)
    with maintenance._alone(pooled, None), pytest.raises(UsageError, match="Another index"):
        maintenance.build(settings)
    maintenance.build(settings)
