"""Signing in: a browser keeps a session, never the key; it ends when it should; where TLS is, TLS alone carries it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from imgsearch_workers.process import tasks
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from imgsearch.flask import ImageSearch, create_app
from imgsearch.http import cookie
from imgsearch.ops import api_keys as keys
from imgsearch.ops import page_sessions
from imgsearch.settings import Settings

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]
HTML = {"Accept": "text/html"}


def enter(client: FlaskClient, key: str, **options: Any) -> str:
    """Sign in and return the cookie as it was set."""
    entered = client.post("/sign-in", data={"key": key}, **options)
    assert entered.status_code == 303, entered.get_data(as_text=True)
    return entered.headers["Set-Cookie"]


def token_in(set_cookie: str) -> str:
    return set_cookie.partition("=")[2].partition(";")[0]


def age(connection: Connection, hours: float) -> None:
    """Let time pass for every session."""
    connection.execute(
        "UPDATE imgsearch.page_session SET created_at = created_at - %(passed)s, expires_at = expires_at - %(passed)s",
        {"passed": timedelta(hours=hours)},
    )


def look(client: FlaskClient) -> int:
    """Open the page and read it to its end."""
    with client.get("/", headers=HTML) as answer:
        return answer.status_code


def sessions(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM imgsearch.page_session").fetchone()[0])  # type: ignore[index]


def test_the_cookie_holds_a_session_and_no_key(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    key = key_of("acme")
    found = enter(client, key)
    assert re.fullmatch(r"imgsearch_session=[\w-]{43}; HttpOnly; Path=/; SameSite=Lax", found), found
    assert key.split("_", 2)[2] not in found
    [(row,)] = connection.execute("SELECT s::text FROM imgsearch.page_session s").fetchall()
    assert token_in(found) not in row
    assert keys.handle_of(key) in row
    assert look(client) == 200
    stolen = client.application.test_client()
    stolen.set_cookie("imgsearch_session", key)
    assert look(stolen) == 401, "a key is no session"
    bearer = {"Authorization": f"Bearer {token_in(found)}"}
    assert stolen.get("/v1/images/1", headers=bearer).status_code == 401, "and a session is no key"


def test_signing_out_ends_the_session_wherever_its_token_was_kept(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    first = token_in(enter(client, key_of("acme")))
    second = token_in(enter(client, key_of("acme")))
    assert first != second
    assert sessions(connection) == 1, "signing in again ends the session before"
    kept = client.application.test_client()
    kept.set_cookie("imgsearch_session", second)
    assert look(kept) == 200
    left = client.post("/sign-out")
    assert "Max-Age=0" in left.headers["Set-Cookie"]
    assert [look(client), look(kept)] == [401, 401]
    assert sessions(connection) == 0


@pytest.mark.parametrize("how", ["revoked", "expired", "rotated"])
def test_a_session_ends_with_its_key(
    how: str, client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    key, other = key_of("acme"), client.application.test_client()
    enter(client, key)
    enter(other, key_of("acme"))
    if how == "revoked":
        keys.revoke(connection, key)
    elif how == "expired":
        connection.execute("UPDATE imgsearch.api_key SET expires_at = now() WHERE handle = %s", (keys.handle_of(key),))
    else:
        keys.rotate(connection, key, grace=timedelta(hours=1))
        assert look(client) == 200, "while the grace lasts"
        connection.execute("UPDATE imgsearch.api_key SET expires_at = now() WHERE replaced_by IS NOT NULL")
    ended = client.get("/?q=red+shoe", headers=HTML)
    assert ended.status_code == 401
    assert "Your session has ended; sign in again." in ended.get_data(as_text=True)
    assert "Max-Age=0" in ended.headers["Set-Cookie"]
    assert look(other) == 200
    assert page_sessions.sweep(connection) == 1


def test_a_session_lasts_while_it_is_used_and_a_week_at_most(
    settings: Settings, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    """Each process moves the end on at most once a minute, and the database at most once an hour."""

    def fresh(token: str = "") -> FlaskClient:
        apps.append(create_app(settings.environment()))
        client = apps[-1].test_client()
        if token:
            client.set_cookie("imgsearch_session", token)
        return client

    apps: list[Flask] = []
    token = token_in(enter(fresh(), key_of("acme")))
    written = "SELECT xmin::text, expires_at FROM imgsearch.page_session"
    before = connection.execute(written).fetchone()
    assert look(fresh(token)) == 200
    assert connection.execute(written).fetchone() == before, "nothing is written in the first hour"
    for _ in range(15):
        age(connection, 11)
        assert look(fresh(token)) == 200
    assert look(fresh(token)) == 200
    age(connection, 11)
    assert look(fresh(token)) == 401, "a week is over"
    token = token_in(enter(fresh(), key_of("acme")))
    age(connection, 12.01)
    assert look(fresh(token)) == 401, "twelve hours without use"
    for app in apps:
        app.extensions["imgsearch"].close()


def test_the_sweep_deletes_what_ended(
    client: FlaskClient,
    connection: Connection,
    settings: Settings,
    shop: list[int],
    key_of: KeyOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(client, key_of("acme"))
    age(connection, 13)
    enter(client.application.test_client(), key_of("acme"))
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    tasks.sweep()
    assert sessions(connection) == 1
    connection.execute("SET ROLE imgsearch_worker")
    assert page_sessions.sweep(connection) == 0, "a worker may, and sees none of them"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM imgsearch.page_session")


def test_no_role_of_a_web_process_reads_digests_or_makes_sessions_without_a_key(
    connection: Connection, key_of: KeyOf
) -> None:
    key = key_of("acme", "admin")
    connection.execute("SET ROLE imgsearch_writer")
    for table in ("api_key", "page_session"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT digest FROM imgsearch.{table}".encode())  # noqa: S608
    assert page_sessions.begin(connection, f"imgs_{keys.handle_of(key)}_{'A' * 43}") is None
    token = page_sessions.begin(connection, key)
    assert token is not None
    assert page_sessions.find(connection, token) == keys.check(connection, key)


def test_by_tls_the_cookie_is_for_tls_alone_and_nobody_plants_one(
    client: FlaskClient, settings: Settings, shop: list[int], key_of: KeyOf
) -> None:
    tls = "https://search.example"
    found = enter(client, key_of("acme"), base_url=tls)
    assert re.fullmatch(r"__Host-imgsearch_session=[\w-]{43}; Secure; HttpOnly; Path=/; SameSite=Lax", found), found
    assert client.get("/", base_url=tls).status_code == 200
    planted = client.application.test_client()
    planted.set_cookie("imgsearch_session", token_in(found), domain="search.example")
    assert planted.get("/", base_url=tls).status_code == 401, "a name that a neighbouring host can set"
    left = client.post("/sign-out", base_url=tls).headers["Set-Cookie"]
    assert left.startswith("__Host-imgsearch_session=;")
    assert "Secure" in left
    host = Flask("host")
    host.config.update(settings.environment())
    ImageSearch(host, url_prefix="/images")
    entered = host.test_client().post("/images/sign-in", data={"key": key_of("acme")}, base_url=tls)
    below = entered.headers["Set-Cookie"]
    assert below.startswith("__Secure-imgsearch_session=")
    assert "Path=/images;" in below
    host.extensions["imgsearch"].close()


@pytest.mark.parametrize(("prefix", "path"), [("", "/shop/"), ("/images", "/shop/images")])
def test_signing_in_works_where_the_app_is_mounted_below_another(
    prefix: str, path: str, settings: Settings, shop: list[int], key_of: KeyOf
) -> None:
    host = Flask("host")
    host.config.update(settings.environment())
    ImageSearch(host, url_prefix=prefix)
    browser = Client(DispatcherMiddleware(NotFound(), {"/shop": host.wsgi_app}))
    wanted = f"/shop{prefix}/?q=red+shoe"
    form = browser.get(wanted, headers=HTML).get_data(as_text=True)
    [onward] = re.findall(r'name="next" value="([^"]+)"', form)
    entered = browser.post(f"/shop{prefix}/sign-in", data={"key": key_of("acme"), "next": onward})
    assert f"Path={path};" in f"{entered.headers['Set-Cookie']};"
    assert entered.headers["Location"] == wanted
    there = browser.get(entered.headers["Location"], headers=HTML)
    assert there.status_code == 200
    assert 'class="card"' in there.get_data(as_text=True)
    for outside in ("/elsewhere", f"{prefix}/?q=red+shoe", "//evil.example/shop/"):
        again = browser.post(f"/shop{prefix}/sign-in", data={"key": key_of("acme"), "next": outside})
        assert again.headers["Location"] == f"/shop{prefix}/"
    tls = browser.post(f"/shop{prefix}/sign-in", data={"key": key_of("acme")}, base_url="https://search.example")
    assert tls.headers["Set-Cookie"].startswith(f"__Secure-{cookie.NAME}="), "__Host- would need the path /"
    browser.post(f"/shop{prefix}/sign-out")
    assert browser.get(wanted, headers=HTML).status_code == 401
    host.extensions["imgsearch"].close()


@pytest.fixture
def served(environment: dict[str, str], settings: Settings) -> Iterator[Callable[..., str]]:
    """Start `imgsearch serve` with keys; return where it is."""
    started: list[subprocess.Popen[str]] = []

    def serve(**given: str) -> str:
        command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
        values = {f"IMGSEARCH_{name}": value for name, value in {"HTTP_KEYS": "required", **given}.items()}
        process = subprocess.Popen(command, env=environment | values, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]  # type: ignore[index]

    yield serve
    for process in started:
        process.terminate()
        process.wait(20)


def test_a_trusted_proxy_says_whether_it_was_tls_and_who_asked(
    served: Callable[..., str], shop: list[int], key_of: KeyOf
) -> None:
    """Over real HTTP: each server has its own mind about these headers."""
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
    form = {"key": key_of("acme")}
    for proxies, name in (("1", f"__Host-{cookie.NAME}"), ("0", cookie.NAME)):
        url = served(TRUSTED_PROXIES=proxies, HTTP_RATE="1")
        entered = httpx.post(f"{url}/sign-in", data=form, headers=forwarded)
        assert entered.status_code == 303
        assert entered.headers["Set-Cookie"].startswith(f"{name}=")
        assert ("Secure" in entered.headers["Set-Cookie"]) is (proxies == "1")
        asked = [
            httpx.get(f"{url}/", headers={"X-Forwarded-For": f"6.6.6.6, 198.51.100.{n}"}).status_code for n in range(4)
        ]
        # A slow machine asks fewer than four within the second that the rate counts.
        assert set(asked) == ({401} if proxies == "1" else {401, 429}), "each address by itself, or the proxy's"
        same = [
            httpx.get(f"{url}/", headers={"X-Forwarded-For": f"6.6.6.{n}, 198.51.100.99"}).status_code for n in range(4)
        ]
        assert 429 in same, "what a client wrote before the proxy's word is not believed"


def test_an_open_site_that_a_proxy_reaches_refuses(served: Callable[..., str], shop: list[int]) -> None:
    url = served(HTTP_KEYS="auto")
    assert httpx.get(f"{url}/").status_code == 200
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via"):
        refused = httpx.get(f"{url}/", headers={header: "1.2.3.4"})
        assert (refused.status_code, header) == (403, header)
    assert httpx.get(f"{url}/?q=red+shoe", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
