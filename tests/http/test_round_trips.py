"""How often a request waits for the database, counted on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

import pytest
from flask import Flask

from imgsearch.flask import create_app
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import Connection, problem, with_key
from tests.http.wire import Wire, through_proxy
from tests.loops import activate_another


@pytest.fixture
def wire(settings: Settings) -> Iterator[Wire]:
    with through_proxy(settings.database_url) as found:
        yield found


@pytest.fixture
def far(settings: Settings, wire: Wire) -> Iterator[Flask]:
    """An app with keys whose database is reached through the proxy."""
    made = create_app({**with_settings(settings, DATABASE_URL=wire.url).environment(), "IMGSEARCH_HTTP_RATE": "0"})
    yield made
    made.extensions["imgsearch"].close()


def test_a_remembered_text_query_waits_twice_for_the_database(
    far: Flask, wire: Wire, shop: list[int], key_of: Callable[..., str]
) -> None:
    asked = {"text": "red shoe", "category": "shoes", "max_price": 100, "k": 5}
    client, headers = far.test_client(), with_key(key_of("acme"))
    for _ in range(16):  # on each of two connections, statements are prepared after the fifth time
        assert client.post("/v1/search", json=asked, headers=headers).get_json()["rows"]
    before = wire.trips
    for _ in range(10):
        assert client.post("/v1/search", json=asked, headers=headers).get_json()["rows"]
    assert (wire.trips - before) / 10 <= 2  # for the key; then the transaction with its search
    before = wire.trips
    for _ in range(10):
        answer = client.post("/v1/search", json={**asked, "facets": {"category": True}}, headers=headers).get_json()
        assert answer["rows"]
        assert answer["facets"]["category"]
    assert (wire.trips - before) / 10 <= 2.5  # counts go with the search; their statement is prepared on the way


def test_a_remembered_vector_is_no_answer_once_another_model_is_searched(
    far: Flask, shop: list[int], key_of: Callable[..., str], connection: Connection
) -> None:
    client, headers = far.test_client(), with_key(key_of("acme"))
    for _ in range(2):
        assert client.post("/v1/search", json={"text": "red shoe"}, headers=headers).get_json()["rows"]
    activate_another(connection)
    # Nobody has embedded the text with that model, and nobody is there who would.
    problem(client.post("/v1/search", json={"text": "red shoe"}, headers=headers), 503, "no_query_worker")


def test_a_signed_in_browser_waits_once_more_than_anybody_on_an_open_page(
    far: Flask, settings: Settings, wire: Wire, shop: list[int], key_of: Callable[..., str]
) -> None:
    """The session is one look-up, as a key is: what the page asks beside it does not grow."""
    open_page = create_app(with_settings(settings, DATABASE_URL=wire.url).environment(), allow_anonymous=True)
    cost = []
    for app in (open_page, far):
        client = app.test_client()
        client.post("/sign-in", data={"key": key_of("acme")})
        trips = []
        for _ in range(15):
            before = wire.trips
            with client.get("/?q=red+shoe&tenant=acme") as answer:
                assert answer.status_code == 200
            trips.append(wire.trips - before)
        cost.append(median(trips))  # the first are dearer: statements are prepared, the use of the key is noted
    open_page.extensions["imgsearch"].close()
    assert cost[1] == cost[0] + 1


def test_a_restarted_database_costs_no_request(
    far: Flask, wire: Wire, shop: list[int], key_of: Callable[..., str]
) -> None:
    """No connection is tried before it is used; one that turns out to be dead is replaced."""
    client, headers = far.test_client(), with_key(key_of("acme"))
    for _ in range(3):
        assert client.post("/v1/search", json={"text": "red shoe"}, headers=headers).status_code == 200
        wire.cut()
    assert client.post("/v1/search", json={"text": "red shoe"}, headers=headers).status_code == 200
