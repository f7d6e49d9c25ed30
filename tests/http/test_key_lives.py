"""A key's life: when it expires, what takes its place, when it was last used; and what the terminal shows of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch import db
from imgsearch.errors import KeyEnded, UnknownKey, UsageError
from imgsearch.flask import create_app
from imgsearch.http.limiter import GUESSES
from imgsearch.ops import api_keys as keys
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import problem, with_key
from tests.http.wire import through_proxy
from tests.terminal import Run

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]
pytestmark = pytest.mark.usefixtures("still_clock")
ASKED = {"text": "red shoe"}


def age(connection: Connection, seconds: float, column: str = "expires_at") -> None:
    """Let time pass: every key's moment lies this much earlier."""
    connection.execute(
        f"UPDATE imgsearch.api_key SET {column} = {column} - %s * interval '1 second'".encode(),  # noqa: S608
        (seconds,),
    )


def last_uses(connection: Connection) -> list[datetime | None]:
    return [key.last_used_at for key in keys.listed(connection)]


def search(client: FlaskClient, key: str) -> int:
    """Ask, and read the answer to its end, as a browser or program does."""
    with client.post("/v1/search", json=ASKED, headers=with_key(key)) as answer:
        return answer.status_code


def test_an_expired_key_is_told_so_and_nobody_else_is(
    client: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    key = keys.create(connection, tenant="acme", scope="search", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert search(client, key) == 200
    age(connection, 3601)
    told = client.post("/v1/search", json=ASKED, headers=with_key(key))
    assert "expired at" in problem(told, 401, "key_expired")["detail"]
    assert told.headers["WWW-Authenticate"] == "Bearer"
    wrong = f"imgs_{keys.handle_of(key)}_{'A' * 43}"
    refused = problem(client.post("/v1/search", json=ASKED, headers=with_key(wrong)), 401, "unauthorized")
    unknown = with_key(f"imgs_{'0' * 12}_{'A' * 43}")
    assert (
        refused["detail"]
        == problem(client.post("/v1/search", json=ASKED, headers=unknown), 401, "unauthorized")["detail"]
    )
    keys.revoke(connection, key)
    problem(client.post("/v1/search", json=ASKED, headers=with_key(key)), 401, "unauthorized")


def test_what_no_longer_works_stops_costing_look_ups_and_shuts_out_nobody_else(
    settings: Settings, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    """A program that goes on with its revoked key, and a browser whose session has ended."""
    revoked, late = key_of("acme"), key_of("acme")
    with through_proxy(settings.database_url) as wire:
        app = create_app(with_settings(settings, DATABASE_URL=wire.url, HTTP_RATE="100").environment())
        program, browser = app.test_client(), app.test_client()
        assert search(program, revoked) == 200
        assert browser.post("/sign-in", data={"key": revoked}).status_code == 303
        cookie = browser.get_cookie("imgsearch_session")
        assert cookie

        def look() -> int:
            browser.set_cookie("imgsearch_session", cookie.value)  # which the page takes away once the session is over
            return browser.get("/?q=red+shoe").status_code

        assert look() == 200
        keys.revoke(connection, revoked)
        for ask in (lambda: search(program, revoked), look):
            assert [ask() for _ in range(GUESSES + 3)] == [401] * GUESSES + [429] * 3
            before = wire.trips
            assert {ask() for _ in range(20)} == {429}
            assert wire.trips == before, "refused before the database was asked"
        assert search(program, late) == 200, "another key from the same address, never seen before"
        app.extensions["imgsearch"].close()


def test_a_key_expires_at_a_time_to_come(connection: Connection) -> None:
    for moment in (datetime.now(UTC) - timedelta(seconds=1), datetime.now()):  # noqa: DTZ005
        with pytest.raises(UsageError, match=r"time to come|time zone"):
            keys.create(connection, tenant="acme", scope="search", expires_at=moment)
    keys.create(connection, tenant="acme", scope="search")
    assert [key.expires_at for key in keys.listed(connection)] == [None]


def test_a_rotated_key_works_until_the_grace_is_over(
    client: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    old = keys.create(
        connection, tenant="acme", scope="write", name="shop", expires_at=datetime.now(UTC) + timedelta(days=90)
    )
    new = keys.rotate(connection, old, grace=timedelta(hours=2))
    before, after = keys.listed(connection)
    assert (before.state, before.replaced_by, after.state) == ("replaced", after.handle, "active")
    assert (after.tenant_id, after.scope, after.name) == ("acme", "write", "shop")
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert timedelta(hours=1.9) < before.expires_at - after.created_at <= timedelta(hours=2)
    assert after.expires_at - after.created_at > timedelta(days=89), "as long a life as the old one was to have"
    assert (search(client, old), search(client, new)) == (200, 200)
    age(connection, 7201)
    problem(client.post("/v1/search", json=ASKED, headers=with_key(old)), 401, "key_expired")
    assert search(client, new) == 200
    again = keys.rotate(connection, new, grace=timedelta())
    assert search(client, again) == 200
    problem(client.post("/v1/search", json=ASKED, headers=with_key(new)), 401, "key_expired")


def test_what_does_not_work_is_not_rotated(connection: Connection, key_of: KeyOf) -> None:
    with pytest.raises(UnknownKey, match="no key 'nobody'"):
        keys.rotate(connection, "nobody")
    old = key_of()
    new = keys.rotate(connection, old)
    with pytest.raises(KeyEnded, match=f"replaced by {keys.handle_of(new)} already"):
        keys.rotate(connection, keys.handle_of(old))
    keys.revoke(connection, new)
    with pytest.raises(KeyEnded, match="is revoked"):
        keys.rotate(connection, new)
    with pytest.raises(UsageError, match="time to come"):
        keys.rotate(connection, key_of(), grace=timedelta(seconds=-1))
    assert len(keys.listed(connection)) == 3


def test_the_last_use_is_written_once_a_minute_for_all_processes_together(
    settings: Settings, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    key = key_of("acme")
    apps = [create_app({**settings.environment(), "HTTP_RATE": "0"}) for _ in range(2)]
    assert last_uses(connection) == [None]
    versions = set()
    for _ in range(3):
        for app in apps:
            assert search(app.test_client(), key) == 200
            versions.add(connection.execute("SELECT xmin::text FROM imgsearch.api_key").fetchone())
    assert len(versions) == 1
    [used] = last_uses(connection)
    assert used is not None
    age(connection, 61, "last_used_at")
    fresh = create_app({**settings.environment(), "HTTP_RATE": "0"})
    for app in (*apps, fresh):
        search(app.test_client(), key)
        app.extensions["imgsearch"].close()
    [later] = last_uses(connection)
    assert later is not None
    assert later >= used, "noted anew by whoever has not just looked"
    wrong = f"imgs_{keys.handle_of(key)}_{'A' * 43}"
    age(connection, 61, "last_used_at")
    again = create_app({**settings.environment(), "HTTP_RATE": "0"})
    assert search(again.test_client(), wrong) == 401
    again.extensions["imgsearch"].close()
    assert last_uses(connection) == [later - timedelta(seconds=61)], "an attempt is no use"


def test_noting_a_use_is_in_nobodys_way(
    settings: Settings, client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    """The row is locked by somebody else; then the database only reads, as a standby does."""
    key = key_of("acme", "write")
    with db.connect(settings) as other:
        other.execute("SELECT handle FROM imgsearch.api_key FOR UPDATE")
        connection.execute("SET lock_timeout = '1s'")
        assert search(client, key) == 200
    assert last_uses(connection) == [None]
    reading = f"{settings.database_url}&options=-c%20default_transaction_read_only%3Don"
    app = create_app({**with_settings(settings, DATABASE_URL=reading).environment(), "HTTP_RATE": "0"})
    assert search(app.test_client(), key) == 200
    refused = app.test_client().post("/sign-in", data={"key": key}, headers={"Accept": "text/html"})
    assert refused.status_code == 503, "a session has to be written somewhere"
    app.extensions["imgsearch"].close()
    assert last_uses(connection) == [None]


def test_the_answer_is_under_way_before_the_use_is_written(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    with client.post("/v1/search", json=ASKED, headers=with_key(key_of("acme"))) as answer:
        assert answer.get_json()["rows"]
        assert last_uses(connection) == [None]
    assert last_uses(connection) != [None]


def test_a_terminal_makes_rotates_lists_and_ends_keys(run: Run, connection: Connection) -> None:
    made = run("key", "create", "--tenant", "acme", "--scope", "write", "--name", "shop", "--expires", "90d")
    grant = keys.check(connection, made.out.strip())
    assert grant is not None
    assert (grant.tenant_id, grant.scope, grant.name) == ("acme", "write", "shop")
    assert "It expires at 20" in made.err
    assert "never expires" in run("key", "create", "--tenant", "bolt").err
    shown = run("key", "list", "--tenant", "acme").out
    assert re.search(rf"{grant.handle} +acme +write +shop +active +20[\d-]+ [\d:]+ +20[\d-]+ [\d:]+ +–", shown), shown
    assert made.out.strip().split("_", 2)[2] not in shown
    rotated = run("key", "rotate", grant.handle, "--grace", "1h")
    assert "works until 20" in rotated.err
    new = keys.handle_of(rotated.out.strip())
    assert f"replaced by {new}" in run("key", "list").out
    document = run("key", "rotate", new, "--grace", "0h", "--expires", "2999-01-31", "--json").document
    assert document["expires_at"].startswith("2999-01-31 00:00")
    assert document["replaced"] == new
    states = {one["handle"]: one["state"] for one in run("key", "list", "--tenant", "acme", "--json").document}
    assert states == {grant.handle: "replaced", new: "expired", document["handle"]: "active"}
    assert run("key", "revoke", document["handle"]).out.strip() == "Revoked."
    assert keys.check(connection, document["key"]) is None
    for code, arguments in (
        (4, ("revoke", "nobody")),
        (4, ("rotate", "nobody")),
        (2, ("rotate", document["handle"])),
        (2, ("rotate", grant.handle, "--grace", "soon")),
        (2, ("create", "--tenant", "acme", "--expires", "yesterday")),
        (2, ("create", "--tenant", "acme", "--expires", "2020-01-01")),
    ):
        refused = run("key", *arguments)
        assert refused.code == code, (arguments, refused)
        assert refused.err.startswith("imgsearch: ")
