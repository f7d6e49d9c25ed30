"""Visitors who share a key that stands in a browser: one of them takes nothing away from the others."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.flask import create_app
from imgsearch.http.access import TEXTS_AT_ONCE
from imgsearch.http.limiter import NEW_TEXTS
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import Address, Connection, on_a_socket, problem, with_key
from tests.http.test_search_keys import ask
from tests.http.test_search_keys import key as key
from tests.processes import eventually


def search(place: Address, visitor: str, key: str, text: str) -> tuple[int, str]:
    """Ask from an address of one's own; return status and code."""
    connection = http.client.HTTPConnection(*place, timeout=60, source_address=(visitor, 0))
    headers = {"Content-Type": "application/json", **with_key(key)}
    connection.request("POST", "/v1/search", json.dumps({"text": text}), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()).get("code", "")


@pytest.mark.usefixtures("seen_worker")
def test_who_asks_much_is_told_to_come_again_and_his_neighbours_wait_for_a_worker(
    settings: Settings, key: str, key_of: Callable[..., str]
) -> None:
    values = {"HTTP_RATE": "0", "QUERY_TIMEOUT": "10", "HTTP_THREADS": "16"}
    app = create_app(with_settings(settings, **values).environment())
    with on_a_socket(app, threads=16) as place, ThreadPoolExecutor(30) as pool:

        def waits(visitor: str, key: str, searches: int) -> Callable[[], bool]:
            sent: list[Future[Any]] = [
                pool.submit(search, place, visitor, key, f"{visitor} {key[5:9]} {n}") for n in range(10)
            ]
            return lambda: [one.done() for one in sent].count(False) == searches

        eventually(waits("127.0.0.1", key, 4), 10, "four searches of the first visitor wait for a worker")
        eventually(waits("127.0.0.2", key, 2), 10, "two of the second, which is all that this key has left")
        eventually(waits("127.0.0.1", key_of("bolt"), 2), 10, "and two of another shop")
    app.extensions["imgsearch"].close()


@pytest.mark.usefixtures("seen_worker")
def test_a_search_with_a_browsers_key_brings_few_new_texts(client: FlaskClient, key: str, key_of: Any) -> None:
    client.application.extensions["imgsearch"].waiting._timeout = 0.1
    texts = [{"text": f"new {n}"} for n in range(TEXTS_AT_ONCE + 1)]
    refused = problem(ask(client, key, text=None, like=texts), 400, "bad_request")
    assert f"may bring {TEXTS_AT_ONCE}" in refused["detail"]
    problem(ask(client, key, text=None, like=texts[1:]), 504, "query_timeout")
    problem(ask(client, key_of("acme"), text=None, like=texts), 504, "query_timeout")
    assert ask(client, key).status_code == 200, "a text that was asked before"


@pytest.mark.usefixtures("seen_worker", "still_clock")
def test_new_texts_of_a_visitor_are_counted_by_the_minute(settings: Settings, key: str, connection: Connection) -> None:
    app = create_app(with_settings(settings, HTTP_RATE="1000", QUERY_TIMEOUT="0.01").environment())
    client = app.test_client()

    def texts(visitor: str, n: int) -> Any:
        like = [{"text": f"{visitor} {n} {place}"} for place in range(TEXTS_AT_ONCE)]
        body = {"like": like, "k": 1}
        return client.post("/v1/search", json=body, headers=with_key(key), environ_base={"REMOTE_ADDR": visitor})

    for n in range(NEW_TEXTS // TEXTS_AT_ONCE):
        assert texts("127.0.0.1", n).status_code in {503, 504}
    problem(texts("127.0.0.1", 1000), 429, "too_many_requests")
    assert texts("127.0.0.2", 0).status_code in {503, 504}
    assert ask(client, key).status_code == 200, "a text that was asked before is not counted"
    rows = connection.execute("SELECT count(*) FROM imgsearch.query_vector WHERE query LIKE '127.0.0.1 %'").fetchone()
    assert rows is not None
    assert rows[0] <= NEW_TEXTS
    app.extensions["imgsearch"].close()
