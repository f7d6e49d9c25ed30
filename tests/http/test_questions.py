"""What is asked over HTTP and on the page is suggested to others, where the shop keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.ops import api_keys
from imgsearch.retrieval import Filters
from tests.http.conftest import sign_in, with_key

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]
ASKED = "red shoe"


@pytest.fixture
def keeps(connection: Connection, shop: list[int]) -> None:
    connection.execute("SELECT imgsearch.set_shop('acme', keep_questions => true)")


def kept(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT tenant_id, words, asked FROM imgsearch.past_question").fetchall()


def search(client: FlaskClient, key: str, visitor: int = 1, **body: Any) -> None:
    where = {"REMOTE_ADDR": f"192.0.2.{visitor}"}
    answer = client.post("/v1/search", json={"text": ASKED, **body}, headers=with_key(key), environ_base=where)
    assert answer.status_code == 200, answer.get_json()
    answer.close()  # as a server does, once it is sent


def test_what_three_have_asked_is_suggested(
    client: FlaskClient, connection: Connection, key_of: KeyOf, keeps: None
) -> None:
    key = key_of()
    for visitor in (1, 1, 1, 2):
        search(client, key, visitor)
    assert kept(connection) == [("acme", ASKED, 2)], "one who asks again is still one"
    search(client, key, 3)
    found = client.get("/v1/suggest?q=re", headers=with_key(key)).get_json()["suggestions"]
    assert found[0] == {"text": ASKED, "kind": "question", "product_id": None}


def test_the_page_keeps_it_too(app: Flask, connection: Connection, key_of: KeyOf, keeps: None) -> None:
    for visitor in (1, 2, 3):
        browser = app.test_client()
        sign_in(browser, key_of())
        where = {"REMOTE_ADDR": f"192.0.2.{visitor}"}
        browser.get("/?q=red+shoe", environ_base=where).close()
        browser.get("/?q=red+shoe&in_stock=yes", environ_base=where).close()
    assert kept(connection) == [("acme", ASKED, 3)]
    assert ASKED in browser.get("/suggest?q=re").get_json()["suggestions"]


@pytest.mark.parametrize(
    "body", [{"min_price": 1e9}, {"skip": 1}, {"text": None, "vector": [1.0, *[0.0] * 767]}, {"more_like": []}]
)
def test_only_a_text_whose_first_page_finds_something(
    client: FlaskClient, connection: Connection, key_of: KeyOf, keeps: None, shop: list[int], body: dict[str, Any]
) -> None:
    row = connection.execute("SELECT dimension FROM imgsearch.space").fetchone()
    assert row is not None
    if "vector" in body:
        body = {**body, "vector": body["vector"][: row[0]]}
    if "more_like" in body:
        page = client.post("/v1/search", json={"text": ASKED}, headers=with_key(key_of())).get_json()
        body = {"more_like": [page["rows"][0]["image_id"]]}
        connection.execute("DELETE FROM imgsearch.past_question")
    search(client, key_of(), 9, **body)
    assert kept(connection) == []


def test_a_shop_that_keeps_nothing_and_a_key_that_stands_in_browsers(
    client: FlaskClient, connection: Connection, key_of: KeyOf, shop: list[int]
) -> None:
    search(client, key_of())
    assert kept(connection) == []
    connection.execute("SELECT imgsearch.set_shop('bolt', keep_questions => true)")
    filters = Filters(category="shoes")
    search(client, api_keys.create(connection, tenant="bolt", scope="search", filters=filters))
    assert kept(connection) == []
    search(client, key_of("bolt"), 2)
    assert kept(connection) == [("bolt", ASKED, 1)]
