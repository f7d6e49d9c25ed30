"""What stands first and what never does, over HTTP: as SQL, Python and the command line say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from flask.testing import FlaskClient

from imgsearch.ops import merchandise
from tests.http.conftest import Teach, problem, with_key

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


def test_a_product_is_pinned_hidden_and_taken_back(
    client: FlaskClient, connection: Connection, shop: list[int], teach: Teach, key_of: KeyOf
) -> None:
    teach("red shoe")
    key = with_key(key_of("acme", "write"))

    def page() -> list[str]:
        found = client.post("/v1/search", json={"text": "red shoe", "k": 5}, headers=key).get_json()
        return [row["product_id"] for row in found["rows"]]

    before = page()
    done = client.post("/v1/merchandise", json={"product_id": before[3], "query": "Red shoe!"}, headers=key)
    assert (done.status_code, done.data) == (204, b"")
    assert client.post("/v1/merchandise", json={"product_id": before[0], "place": None}, headers=key).status_code == 204
    assert page()[0] == before[3]
    assert before[0] not in page()
    listed = client.get("/v1/merchandise", headers=key).get_json()["merchandise"]
    assert listed == [
        {"product_id": before[0], "place": None, "query": None, "category": None, "tenant": "acme"},
        {"product_id": before[3], "place": 1, "query": "red shoe", "category": None, "tenant": "acme"},
    ]
    assert [one.product_id for one in merchandise.listed(connection, "acme")] == [before[0], before[3]]
    assert client.delete(f"/v1/merchandise?product_id={before[0]}", headers=key).status_code == 204
    assert client.delete("/v1/merchandise?query=red+shoe", headers=key).status_code == 204
    assert client.get("/v1/merchandise", headers=key).get_json() == {"merchandise": []}
    assert page() == before


def test_nobody_pins_for_another(client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf) -> None:
    merchandise.pin(connection, tenant="bolt", product_id="theirs")
    key = with_key(key_of("acme", "write"))
    assert client.get("/v1/merchandise", headers=key).get_json() == {"merchandise": []}
    wanted = {"product_id": "1", "tenant": "bolt"}
    problem(client.post("/v1/merchandise", json=wanted, headers=key), 403, "other_tenant")
    problem(client.delete("/v1/merchandise?tenant=bolt", headers=key), 403, "other_tenant")
    assert client.delete("/v1/merchandise", headers=key).status_code == 204
    assert len(merchandise.listed(connection, "bolt")) == 1
    search = with_key(key_of("acme", "search"))
    problem(client.post("/v1/merchandise", json={"product_id": "1"}, headers=search), 403, "forbidden")


def test_what_makes_no_sense_is_refused(client: FlaskClient, shop: list[int], key_of: KeyOf) -> None:
    key = with_key(key_of("acme", "write"))
    wrong: list[Any] = [
        {},
        {"product_id": ""},
        {"product_id": "1", "place": 0},
        {"product_id": "1", "place": 26},
        [],
        "x",
    ]
    for body in [*wrong, {"product_id": "1", "query": ""}, {"product_id": "1", "plaec": 1}]:
        assert client.post("/v1/merchandise", json=body, headers=key).status_code == 400, body
    for number in range(25):
        done = client.post("/v1/merchandise", json={"product_id": f"p{number}", "place": 25}, headers=key)
        assert done.status_code == 204
    problem(client.post("/v1/merchandise", json={"product_id": "p25"}, headers=key), 400, "filter_error")
