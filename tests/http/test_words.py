"""Over HTTP words alone need no worker and no model, and a reader's wall hides nothing of its own shop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from flask.testing import FlaskClient

from tests.http.conftest import with_key
from tests.words import put

Connection = psycopg.Connection[Any]


def test_a_shop_without_a_worker_is_searched_by_words(
    client: FlaskClient, connection: Connection, key_of: Callable[..., str]
) -> None:
    put(connection, {"p1": "Adidas Samba black 44", "p2": "Adidas Gazelle", "p3": "Nike Dunk"})
    put(connection, {"z": "Adidas Zebra"}, tenant="other")
    key = with_key(key_of())
    asked = {"text": "addidas samba", "look_weight": 0, "k": 1}
    answer = client.post("/v1/search", json=asked, headers=key)
    assert answer.status_code == 200, answer.get_json()
    page = answer.get_json()
    assert page["strategy"] == "words"
    assert [(row["product_id"], row["title"]) for row in page["rows"]] == [("p1", "Adidas Samba black 44")]
    next_page = client.post("/v1/search", json={**asked, "after": page["rows"][0]["after"]}, headers=key)
    assert [row["product_id"] for row in next_page.get_json()["rows"]] == ["p2"]
    assert client.post("/v1/search", json={**asked, "text": "zebra"}, headers=key).get_json()["rows"] == []
    longest = {**asked, "text": " ".join(f"adidas{n}" for n in range(160))}
    assert client.post("/v1/search", json=longest, headers=key).status_code == 200
