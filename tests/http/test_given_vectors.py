"""Vectors brought along over HTTP: with new pictures, by PATCH, in bulk."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO

import pytest
from flask.testing import FlaskClient

from bench.soak import pictures
from imgsearch.http import caps
from tests.given import WIDE, Connection, counts, drawn
from tests.http.conftest import problem, with_key

URL = "https://shop.example/a.jpg"


@pytest.fixture
def headers(mine: str, key_of: Callable[..., str]) -> dict[str, str]:
    return with_key(key_of(scope="write"))


def nearest(client: FlaskClient, headers: dict[str, str], number: int) -> str:
    answer = client.post("/v1/search", json={"vector": drawn(number)}, headers=headers)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return str(answer.get_json()["rows"][0]["product_id"])


def test_pictures_with_their_vectors_are_found_at_once(
    client: FlaskClient, connection: Connection, headers: dict[str, str]
) -> None:
    ready = client.get("/readyz").get_json()
    assert (ready["model"], ready["query_worker"]) == (True, True), "nobody is needed"
    images = [{"url": URL, "product_id": f"p{n}", "vector": drawn(n), "space": "mine"} for n in range(3)]
    done = client.post("/v1/images", json={"images": images}, headers=headers)
    assert done.status_code == 202, done.get_data(as_text=True)
    assert {one["waits"] for one in done.get_json()["images"]} == {False}
    form = {
        "picture": (BytesIO(pictures.draw(3)), "3.jpg"),
        "request": json.dumps({"images": [{"product_id": "p3", "vector": drawn(3)}]}),
    }
    assert client.post("/v1/images/upload", data=form, headers=headers).status_code == 202
    assert [nearest(client, headers, n) for n in range(4)] == ["p0", "p1", "p2", "p3"]
    assert counts(connection) == (4, 4, 0, 0)
    shown = client.get(done.get_json()["images"][0]["url"], headers=headers).get_json()
    assert shown["state"] == "ready"
    problem(client.post("/v1/search", json={"text": "red"}, headers=headers), 400, "texts_not_understood")


def test_changes_give_vectors(client: FlaskClient, connection: Connection, headers: dict[str, str]) -> None:
    added = client.post("/v1/images", json={"images": [{"url": URL, "product_id": "p0"}]}, headers=headers).get_json()
    url, image = added["images"][0]["url"], added["images"][0]["image_id"]
    assert client.get(url, headers=headers).get_json()["state"] == "missing"
    listed = client.get("/v1/images?state=missing", headers=headers).get_json()["images"]
    assert [one["image_id"] for one in listed] == [image]
    assert client.get("/v1/images?state=pending", headers=headers).get_json()["images"] == []
    done = client.patch(url, json={"vector": drawn(1), "price": 3}, headers=headers).get_json()
    assert (done["state"], done["price"]) == ("ready", 3)
    problem(client.patch(url, json={"vector": drawn(1)[:3]}, headers=headers), 400, "vector_error")
    problem(client.patch(url, json={"vector": [0] * WIDE, "price": 4}, headers=headers), 400, "vector_error")
    problem(client.patch(url, json={"vector": drawn(1), "space": "no"}, headers=headers), 404, "unknown_space")
    problem(client.patch(url, json={"vector": None}, headers=headers), 400, "bad_request")
    problem(client.patch("/v1/products/p0", json={"vector": drawn(1)}, headers=headers), 400, "unknown_field")
    large = [0.1] * (caps.NUMBERS + 1)
    problem(client.patch(url, json={"vector": large}, headers=headers), 400, "bad_request")
    assert client.get(url, headers=headers).get_json()["price"] == 3


def test_lines_give_vectors(client: FlaskClient, connection: Connection, headers: dict[str, str]) -> None:
    lines = [
        {"action": "add", "url": URL, "product_id": "p0", "vector": drawn(0)},
        {"action": "add", "url": URL, "product_id": "p1", "vector": [1, 2]},
        {"action": "add", "url": URL, "product_id": "p2"},
        {"action": "change", "product_id": "p2", "position": 0, "vector": drawn(2)},
        {"action": "change", "product_id": "p2", "vector": drawn(2)},
        {"action": "change", "product_id": "none", "position": 0, "vector": drawn(2)},
    ]
    body = "\n".join(map(json.dumps, lines))
    done = client.post("/v1/images/bulk", data=body, content_type="application/x-ndjson", headers=headers)
    outcomes = [json.loads(line) for line in done.get_data(as_text=True).splitlines()]
    assert [one["outcome"] for one in outcomes] == ["added", "failed", "added", "changed", "failed", "missing"]
    assert outcomes[1]["error"]["code"] == "vector_error"
    assert "of one image" in outcomes[4]["error"]["detail"]
    assert counts(connection) == (2, 2, 0, 0)
    assert nearest(client, headers, 2) == "p2"
