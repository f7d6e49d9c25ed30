"""How often a key, a user of the host's app, and an address with wrong keys may ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread

import psycopg
import pytest
from flask import Flask

from imgsearch.errors import SettingsError, UsageError
from imgsearch.flask import Identity, ImageSearch, create_app
from imgsearch.http.limiter import GUESSES, Limiter, origin
from imgsearch.http.recent import Recent
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import problem, with_key
from tests.http.wire import through_proxy

KeyOf = Callable[..., str]
pytestmark = pytest.mark.usefixtures("still_clock")


def test_a_key_that_asks_too_often_must_wait(settings: Settings, first: int, key_of: KeyOf) -> None:
    app = create_app(with_settings(settings, HTTP_RATE="2").environment())
    one, other = with_key(key_of("acme")), with_key(key_of("acme"))
    codes = [app.test_client().get(f"/v1/images/{first}", headers=one).status_code for _ in range(8)]
    assert codes[:4] == [200] * 4
    assert 429 in codes
    refused = app.test_client().get(f"/v1/images/{first}", headers=one)
    problem(refused, 429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) >= 1
    assert app.test_client().get(f"/v1/images/{first}", headers=other).status_code == 200
    app.extensions["imgsearch"].close()


def test_each_user_of_the_host_has_a_limit_of_their_own(settings: Settings, first: int) -> None:
    who = [Identity(name="ann", tenant="acme")]
    app = Flask("shop")
    app.config.update(with_settings(settings, HTTP_RATE="1").environment())
    ImageSearch(app, identify=lambda: who[0])
    client = app.test_client()
    assert 429 in [client.get(f"/imgsearch/v1/images/{first}").status_code for _ in range(5)]
    who[0] = Identity(name="bob", tenant="acme")
    assert client.get(f"/imgsearch/v1/images/{first}").status_code == 200
    with pytest.raises(UsageError, match="needs a name"):
        Identity(name="", tenant="acme")
    app.extensions["imgsearch"].close()


def test_wrong_keys_stop_costing_look_ups_and_shut_out_nobody_else(
    settings: Settings, first: int, key_of: KeyOf
) -> None:
    good, late = key_of("acme"), key_of("acme")
    with through_proxy(settings.database_url) as wire:
        app = create_app(with_settings(settings, DATABASE_URL=wire.url).environment())
        client = app.test_client()

        def ask(key: str) -> int:
            return client.get(f"/v1/images/{first}", headers=with_key(key)).status_code

        assert ask(good) == 200
        assert ask("nonsense") == 401
        codes = [ask(f"imgs_{n:012x}_{'A' * 43}") for n in range(GUESSES + 5)]
        assert codes[: GUESSES - 1] == [401] * (GUESSES - 1)
        assert codes[-1] == 429
        before = wire.trips
        assert {ask(f"imgs_{n:012x}_{'B' * 43}") for n in range(20)} == {429}
        assert wire.trips == before, "refused before the database was asked"
        assert ask(good) == 200, "a key that worked before goes on"
        assert ask(late) == 429, "an unknown one waits, from this address"
        other = client.get(f"/v1/images/{first}", headers=with_key(late), environ_base={"REMOTE_ADDR": "10.0.0.9"})
        assert other.status_code == 200
        assert client.post("/sign-in", data={"key": f"imgs_{1:012x}_{'C' * 43}"}).status_code == 429
        app.extensions["imgsearch"].close()


def test_what_could_not_be_a_key_is_not_looked_up_and_counts_all_the_same(settings: Settings, shop: list[int]) -> None:
    with through_proxy(settings.database_url) as wire:
        app = create_app(with_settings(settings, DATABASE_URL=wire.url, HTTP_RATE="3").environment())
        client = app.test_client()
        keys_ = (with_key(f"nonsense{n}") for n in range(GUESSES + 5))
        codes = [client.get("/v1/status", headers=key).status_code for key in keys_]
        assert codes == [401] * GUESSES + [429] * 5
        codes = [client.get("/v1/status", environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code for _ in range(9)]
        assert codes == [401] * 6 + [429] * 3, "no key at all: twice the rate of a key in one go"
        visitor = {"environ_base": {"REMOTE_ADDR": "10.0.0.2"}, "headers": {"Accept": "text/html"}}
        codes = [client.get("/", **visitor).status_code for _ in range(9)]  # type: ignore[arg-type]
        assert codes == [401] * 6 + [429] * 3, "the page too"
        client.set_cookie("imgsearch_session", "nonsense")
        other = {**visitor, "environ_base": {"REMOTE_ADDR": "10.0.0.3"}}
        assert client.get("/", **other).status_code == 401  # type: ignore[arg-type]
        assert wire.trips == 0
        app.extensions["imgsearch"].close()


def test_guessed_sessions_stop_costing_look_ups(settings: Settings, shop: list[int]) -> None:
    with through_proxy(settings.database_url) as wire:
        app = create_app(with_settings(settings, DATABASE_URL=wire.url).environment())
        codes = []
        for n in range(GUESSES + 3):
            client = app.test_client()
            client.set_cookie("imgsearch_session", f"{n:043d}")
            codes.append(client.get("/").status_code)
        assert codes == [401] * GUESSES + [429] * 3
        before = wire.trips
        client.set_cookie("imgsearch_session", "A" * 43)
        assert client.get("/").status_code == 429
        client.post("/sign-out")
        assert wire.trips == before
        app.extensions["imgsearch"].close()


def test_an_ipv6_customer_is_one_address() -> None:
    assert origin("2001:db8::1:2:3:4") == origin("2001:db8::ffff:1:2:3") != origin("2001:db8:0:1::1")
    assert origin("::ffff:192.0.2.1") == origin("192.0.2.1") == "192.0.2.1"
    assert origin("fe80::1%eth0") == "fe80::"
    for given, counted in (("192.0.2.1:80", "192.0.2.1"), ("unknown", "unknown"), ("a::b::c", "a::b::c"), ("", "")):
        assert origin(given) == counted


def test_addresses_of_one_customer_are_counted_together(settings: Settings) -> None:
    app = create_app(with_settings(settings, HTTP_RATE="1").environment())
    client = app.test_client()

    def ask(address: str) -> int:
        return client.get("/v1/status", environ_base={"REMOTE_ADDR": address}).status_code

    assert [ask(f"2001:db8::{n}") for n in range(1, 4)] == [401, 401, 429], "the network that one customer has"
    assert ask("2001:db8:0:1::1") == 401
    assert [ask("::ffff:10.0.0.9"), ask("10.0.0.9"), ask("10.0.0.9")] == [401, 401, 429]
    assert ask("") == 401


def test_readiness_costs_one_look_a_second_whoever_asks(settings: Settings, shop: list[int]) -> None:
    with through_proxy(settings.database_url) as wire:
        app = create_app(with_settings(settings, DATABASE_URL=wire.url, HTTP_RATE="20").environment())

        def ask(address: str) -> int:
            return app.test_client().get("/readyz", environ_base={"REMOTE_ADDR": address}).status_code

        assert ask("10.0.0.1") in {200, 503}
        app.extensions["imgsearch"].readiness = Recent(60.0)
        ask("10.0.0.1")
        before = wire.trips
        codes = [ask("10.0.0.1") for _ in range(50)]
        assert 429 in codes
        assert ask("10.0.0.2") != 429
        assert wire.trips - before < 15, "twenty were answered; the pool may have opened connections meanwhile"
        app.extensions["imgsearch"].close()


def test_while_one_looks_the_others_are_told_what_was_seen_last() -> None:
    looks: list[int] = []
    going, ended = Event(), Event()
    recent: Recent[int] = Recent(0.0)

    def slowly() -> int:
        going.set()
        assert ended.wait(30)
        looks.append(2)
        return 2

    assert recent.get(lambda: 1) == 1
    slow = Thread(target=recent.get, args=(slowly,))
    slow.start()
    assert going.wait(30)
    assert recent.get(lambda: looks.append(3) or 3) == 1
    ended.set()
    slow.join()
    assert looks == [2]
    with pytest.raises(ZeroDivisionError):
        recent.get(lambda: 1 // 0)
    assert recent.get(lambda: 4) == 4, "a look that failed holds nobody up"


def test_a_limit_is_shared_through_redis_and_outlives_its_failure(settings: Settings) -> None:
    who = f"someone/{time.time_ns()}"
    one, other = (Limiter(1, lambda: settings.redis_url) for _ in range(2))
    assert [one.take(who), other.take(who)] == [0.0, 0.0]
    assert other.take(who) > 0
    assert one.take(who) > 0
    assert Limiter(1).take(who) == 0, "in memory each counts by itself"
    alone = Limiter(1, lambda: "redis://127.0.0.1:1/0")
    began = time.monotonic()
    assert [alone.take(who) > 0 for _ in range(3)] == [False, False, True]
    assert time.monotonic() - began < 8
    with pytest.raises(SettingsError, match="IMGSEARCH_HTTP_RATE_STORE=memory"):
        Limiter(1, lambda: "amqp://broker.example").take(who)


def test_no_rate_means_no_limit(settings: Settings, connection: psycopg.Connection[object]) -> None:
    free = Limiter(0)
    assert {free.take("a") for _ in range(1000)} == {0.0}
    for _ in range(GUESSES * 2):
        free.tried("10.0.0.1", "wrong", None)
    assert free.may_try("10.0.0.1", "wrong") == 0
