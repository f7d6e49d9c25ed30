"""Several categories of an image over HTTP: added, changed, listed, at most a hundred."""

from __future__ import annotations

from flask.testing import FlaskClient

from imgsearch.http import caps
from tests.http.conftest import Connection
from tests.http.test_catalogue import Headers, headers, lines, stored

__all__ = ["headers"]


def test_several_categories_are_added_changed_and_shown(
    client: FlaskClient, connection: Connection, headers: Headers
) -> None:
    most = [f"{n:0200}" for n in range(caps.SEVERAL)]
    answer = client.patch("/v1/products/q0", json={"categories": most}, headers=headers)
    assert answer.get_json()["changed"] == 3
    image = {"product_id": "new", "url": "https://x.example/1.jpg", "categories": ["sale", "boots"]}
    added = client.post("/v1/images", json={"images": [image]}, headers=headers)
    assert added.status_code == 202, added.get_data(as_text=True)
    shown = client.get(added.get_json()["images"][0]["url"], headers=headers).get_json()
    assert shown["categories"] == ["boots", "sale"]
    listed = client.get("/v1/images", query_string={"product_id": "q0"}, headers=headers).get_json()["images"]
    assert [one["categories"] for one in listed] == [most] * 3
    [found] = client.get("/v1/products", query_string={"category": most[-1]}, headers=headers).get_json()["products"]
    assert (found["product_id"], found["categories"]) == ("q0", most)
    assert (
        lines(client, headers, {"action": "change", "product_id": "q0", "categories": None})[0]["outcome"] == "changed"
    )
    assert stored(connection, "categories") == [None] * 3
    for wrong in ([*most, "more"], ["x" * 201], [""], "sale"):
        assert client.patch("/v1/products/q0", json={"categories": wrong}, headers=headers).status_code == 400
