"""Whose fault it is: an address that a user gave is never called the operator's store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from imgsearch.flask import create_app
from imgsearch.picture import DEFAULT_LIMITS
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.faulty_http import Asked, serving
from tests.http.conftest import problem, with_key

KeyOf = Callable[..., str]


def misbehave(asked: Asked) -> None:
    """Each path is a fault."""
    if asked.path == "/large":
        asked.send(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % (DEFAULT_LIMITS.max_bytes + 1))
    elif asked.path == "/busy":
        asked.answer(503, {"Retry-After": "7"})
    elif asked.path != "/gone":
        asked.answer(int(asked.path[1:]), {}, b"no picture")


@pytest.fixture
def faulty(settings: Settings) -> Iterator[tuple[FlaskClient, str]]:
    with serving(misbehave) as server:
        app = create_app(with_settings(settings, FETCH_ALLOW=f"127.0.0.1:{server.port}").environment())
        yield app.test_client(), f"http://127.0.0.1:{server.port}"
        app.extensions["imgsearch"].close()


@pytest.mark.parametrize("where", ["/v1/search", "/v1/embed"])
def test_what_is_wrong_with_an_address_is_its_owners_fault(
    faulty: tuple[FlaskClient, str], where: str, key_of: KeyOf, shop: list[int]
) -> None:
    client, host = faulty
    key = with_key(key_of("acme"))

    def ask(url: str, status: int, code: str) -> str:
        answer = client.post(where, json={"picture_url": url}, headers=key)
        detail = str(problem(answer, status, code)["detail"])
        assert "IMGSEARCH" not in detail
        assert "store" not in detail
        return detail

    for path in ("/500", "/404", "/403", "/gone", "/busy"):
        ask(host + path, 424, "fetch_failed")
    ask(f"{host.rpartition(':')[0]}:1/x.jpg", 422, "fetch_refused")  # a port that is not allowed
    ask("http://no-such-name.invalid/x.jpg", 424, "fetch_failed")
    ask(host + "/large", 422, "fetch_refused")
    ask(host + "/204", 422, "fetch_refused")
    ask(host + "/200", 422, "not_a_picture")
    answer = client.post(where, json={"picture_url": host + "/busy"}, headers=key)
    assert answer.headers["Retry-After"] == "7"


def test_what_to_set_is_for_the_operator_to_read(
    faulty: tuple[FlaskClient, str], anyone: FlaskClient, key_of: KeyOf, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = faulty
    asked = {"picture_url": "http://10.1.2.3/x.jpg"}
    with caplog.at_level(logging.WARNING, "imgsearch.http"):
        for scope in ("search", "admin"):
            answer = client.post("/v1/embed", json=asked, headers=with_key(key_of("acme", scope)))
            assert "IMGSEARCH" not in problem(answer, 422, "fetch_refused")["detail"]
    assert caplog.text.count("IMGSEARCH_FETCH_ALLOW") == 2
    found = problem(anyone.post("/v1/embed", json=asked), 422, "fetch_refused")
    assert "IMGSEARCH_FETCH_ALLOW" in found["detail"], "whoever sits at the machine is its operator"
