"""What one key may take of a server, and what a server says of where it is mounted."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from imgsearch.errors import Busy
from imgsearch.flask import Identity, create_app
from imgsearch.http.sessions import CONNECTIONS
from imgsearch.http.shares import SLOW, Shares
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import with_key
from tests.http.wire import through_proxy

KeyOf = Callable[..., str]
pytestmark = pytest.mark.usefixtures("still_clock")


def test_the_document_says_where_the_app_is_mounted(anyone: FlaskClient) -> None:
    found = anyone.get("/v1/openapi.json", environ_overrides={"SCRIPT_NAME": "/shop"})
    assert found.get_json()["servers"] == [{"url": "/shop"}]
    assert anyone.get("/v1/openapi.json").get_json()["servers"] == [{"url": "/"}]


def test_a_proxy_may_take_a_prefix_away_and_say_so(settings: Settings, shop: list[int], key_of: KeyOf) -> None:
    app = create_app(with_settings(settings, TRUSTED_PROXIES="1").environment())
    said = {"X-Forwarded-Prefix": "/find", "X-Forwarded-For": "198.51.100.7", **with_key(key_of("acme"))}
    client = app.test_client()
    assert client.get("/v1/openapi.json", headers=said).get_json()["servers"] == [{"url": "/find"}]
    assert 'action="/find/"' in client.get("/", headers=said).get_data(as_text=True)
    app.extensions["imgsearch"].close()


@pytest.mark.parametrize(
    "prefix", ["//evil.com", "https://evil.com", "/a//evil.com", "evil", "/a b", "/a?b", "/a, //b"]
)
def test_a_prefix_that_is_no_path_is_not_believed(prefix: str, settings: Settings) -> None:
    app = create_app(with_settings(settings, TRUSTED_PROXIES="1").environment())
    answer = app.test_client().get("/", headers={"X-Forwarded-Prefix": prefix})
    assert 'action="/sign-in' in answer.text
    assert "evil" not in str(answer.headers) + answer.text
    app.extensions["imgsearch"].close()


def test_nobody_is_believed_who_is_no_proxy(app: Flask) -> None:
    found = app.test_client().get("/v1/openapi.json", headers={"X-Forwarded-Prefix": "/find"})
    assert found.get_json()["servers"] == [{"url": "/"}]


def test_a_key_that_asks_too_often_is_looked_up_no_more(settings: Settings, first: int, key_of: KeyOf) -> None:
    with through_proxy(settings.database_url) as wire:
        app = create_app(with_settings(settings, DATABASE_URL=wire.url, HTTP_RATE="1").environment())
        key, client = with_key(key_of("acme")), app.test_client()
        codes = [client.get(f"/v1/images/{first}", headers=key).status_code for _ in range(3)]
        assert codes == [200, 200, 429], "each request counts once"
        before = wire.trips
        assert {client.get(f"/v1/images/{first}", headers=key).status_code for _ in range(20)} == {429}
        assert wire.trips == before
        app.extensions["imgsearch"].close()


def test_searches_of_one_key_leave_connections_to_others(app: Flask) -> None:
    state = app.extensions["imgsearch"]

    def lend(stack: ExitStack, who: str) -> Any:
        g.imgsearch_identity = Identity(name=who, tenant="acme")
        return stack.enter_context(state.session("acme"))

    with app.test_request_context(), ExitStack() as held:
        for _ in range(CONNECTIONS * 3 // 4):
            lend(held, "greedy")
        began = time.monotonic()
        with pytest.raises(Busy):
            lend(held, "greedy")
        assert time.monotonic() - began < SLOW + 5, "once all of them are slow"
        began = time.monotonic()
        with pytest.raises(Busy):
            lend(held, "greedy")
        assert time.monotonic() - began < SLOW / 2, "at once"
        with ExitStack() as others:
            assert lend(others, "modest").execute("SELECT 1").fetchone() == (1,)
    with app.test_request_context(), ExitStack() as held:
        assert lend(held, "greedy"), "what was held is given back"


def test_many_quick_ones_wait_for_their_turn() -> None:
    from concurrent.futures import ThreadPoolExecutor

    shares, most = Shares(4), []

    def work(_: int) -> None:
        with shares.of(["a"], 5.0):
            most.append(shares.taken("a"))
            time.sleep(0.01)

    with ThreadPoolExecutor(30) as pool:
        list(pool.map(work, range(60)))
    assert len(most) == 60
    assert max(most) == 3
    assert shares.taken("a") == 0
