"""A question is asked though no second connection like the first can be had; else the error says which one it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.errors import DatabaseRights, DatabaseUnreachable
from imgsearch.query import ImageId, resolve
from imgsearch.retrieval import search
from imgsearch.settings import Settings, process_settings
from imgsearch.spaces.space import Space
from tests.answering import answering
from tests.crowd import crowd
from tests.rerank.looking import looking

Connection = psycopg.Connection[Any]


@pytest.fixture
def app(connection: Connection, settings: Settings) -> Iterator[str]:
    """The address of a role that may log in, and search once it has said SET ROLE."""
    connection.execute("DROP ROLE IF EXISTS imgsearch_test_app")
    connection.execute("CREATE ROLE imgsearch_test_app LOGIN NOINHERIT")
    connection.execute("GRANT imgsearch_worker TO imgsearch_test_app")
    yield re.sub(r"//[^@]*@", "//imgsearch_test_app@", settings.database_url)
    connection.execute("DROP OWNED BY imgsearch_test_app; DROP ROLE imgsearch_test_app")


def refuse_logins(connection: Connection) -> None:
    """What a changed password, an ended token or a moved certificate does to a second login."""
    connection.execute("ALTER ROLE imgsearch_test_app NOLOGIN")


@pytest.mark.parametrize("harm", [refuse_logins, lambda _: None], ids=["no second login", "SET ROLE"])
def test_a_connection_in_autocommit_carries_its_question_itself(
    connection: Connection, settings: Settings, space: Space, app: str, harm: Any
) -> None:
    with psycopg.connect(app, autocommit=True) as own, answering(settings, space):
        own.execute("SET ROLE imgsearch_worker")
        harm(connection)
        assert resolve(own, "red shoe", timeout=60).source == "worker"
        assert own.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert own.execute("SELECT count(*) FROM pg_listening_channels()").fetchone() == (0,)


@pytest.mark.parametrize(
    ("harm", "error"),
    [(refuse_logins, DatabaseUnreachable), (lambda _: None, DatabaseRights)],
    ids=["no second login", "SET ROLE"],
)
def test_in_a_transaction_the_error_names_the_connection_and_the_setting_that_helps(
    connection: Connection,
    settings: Settings,
    space: Space,
    app: str,
    harm: Any,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psycopg.connect(app) as own, answering(settings, space):
        own.execute("SET ROLE imgsearch_worker")
        harm(connection)
        with pytest.raises(error, match=r"second connection.*IMGSEARCH_PRIMARY_URL.*autocommit"):
            resolve(own, "red shoe", timeout=60)
        monkeypatch.setenv("IMGSEARCH_PRIMARY_URL", settings.database_url)
        process_settings.cache_clear()
        assert resolve(own, "red shoe", timeout=60).source == "worker"


def test_who_has_a_second_connection_uses_it(connection: Connection, settings: Settings, space: Space) -> None:
    with db.connect(settings, autocommit=True) as own, answering(settings, space):
        assert resolve(own, "red shoe", timeout=60).source == "worker"
        own.execute("SELECT 1")


@pytest.mark.parametrize(("autocommit", "code"), [(True, None), (False, "not_asked")])
def test_a_second_look_is_asked_for_in_the_same_way(
    connection: Connection, settings: Settings, space: Space, app: str, autocommit: bool, code: str | None
) -> None:
    crowd(connection, space, 100)
    row = connection.execute("SELECT min(image_id) FROM imgsearch.image WHERE tenant_id = 'acme'").fetchone()
    assert row
    with psycopg.connect(app, autocommit=autocommit) as own, looking(settings, space):
        own.execute("SET ROLE imgsearch_worker")
        refuse_logins(connection)
        step = {"step": "k_reciprocal", "pool": 20}
        hits = search(own, ImageId(row[0]), tenant="acme", rerank=step, rerank_timeout=60)
        assert hits.reranked is not None
        assert hits.reranked.code == code
