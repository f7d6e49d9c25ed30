"""Examples with weights over HTTP: like, unlike, product_id, strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.query import ImageId, ProductId
from imgsearch.retrieval.recommendation import recommend
from tests.http.conftest import Teach, problem, shown_to, with_key

Connection = psycopg.Connection[Any]


def test_similar_products_leave_the_product_out(anyone: FlaskClient, connection: Connection, shop: list[int]) -> None:
    [(product, tenant)] = connection.execute(
        "SELECT product_id, tenant_id FROM imgsearch.image WHERE image_id = %s", (shop[4],)
    ).fetchall()
    found = anyone.post("/v1/search", json={"product_id": product, "tenant": tenant, "k": 5}).get_json()
    by_image = anyone.post("/v1/search", json={"image_id": shop[4], "tenant": tenant, "k": 6}).get_json()
    assert [row["product_id"] for row in by_image["rows"]] == [product, *(r["product_id"] for r in found["rows"])]
    problem(anyone.post("/v1/search", json={"product_id": "nothing"}), 404, "unknown_image")


@pytest.mark.parametrize("strategy", ["centroid", "best"])
def test_likes_are_those_of_python(
    anyone: FlaskClient, connection: Connection, shop: list[int], teach: Teach, strategy: Any
) -> None:
    vector = teach("blue hat")
    teach("red shoe")
    given = {
        "like": [{"text": "red shoe", "weight": 0.5}, {"image_id": shop[4]}, {"vector": vector, "weight": 2}],
        "unlike": [{"text": "blue hat", "weight": 0.3}, {"image_id": shop[9]}],
        "strategy": strategy,
        "k": 7,
    }
    first = anyone.post("/v1/search", json=given).get_json()
    second = anyone.post("/v1/search", json=given | {"after": first["after"]}).get_json()
    wanted = recommend(
        connection,
        [("red shoe", 0.5), ImageId(shop[4]), (vector, 2)],
        [("blue hat", 0.3), ImageId(shop[9])],
        strategy=strategy,
        k=14,
    )
    assert [row["image_id"] for page in (first, second) for row in page["rows"]] == [hit.image_id for hit in wanted]
    assert first["resolved"]["kind"] == "vector"


def test_ids_are_those_of_whoever_asks(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: Callable[..., str]
) -> None:
    [(mine, product)] = connection.execute(
        "SELECT image_id, product_id FROM imgsearch.image WHERE tenant_id = 'acme' ORDER BY 1 LIMIT 1"
    ).fetchall()
    key = with_key(key_of("acme"))
    body: dict[str, Any] = {"like": [{"image_id": shown_to(connection, "acme", mine)}], "strategy": "best", "k": 3}
    found = client.post("/v1/search", json=body, headers=key).get_json()
    wanted = recommend(connection, [ImageId(mine)], strategy="best", tenant="acme", k=3)
    assert [r["product_id"] for r in found["rows"]] == [hit.product_id for hit in wanted]
    assert product not in {r["product_id"] for r in found["rows"]}
    again = client.post("/v1/search", json=body | {"after": found["after"]}, headers=key).get_json()
    assert not {r["product_id"] for r in again["rows"]} & {r["product_id"] for r in found["rows"]}
    for foreign in ({"image_id": mine}, {"product_id": "nobodys"}):
        problem(client.post("/v1/search", json={"like": [foreign]}, headers=key), 404, "unknown_image")
    similar = client.post("/v1/search", json={"product_id": product, "k": 3}, headers=key).get_json()
    wanted = recommend(connection, [ProductId(product, "acme")], tenant="acme", k=3)
    assert [r["product_id"] for r in similar["rows"]] == [hit.product_id for hit in wanted]


@pytest.mark.parametrize(
    "body",
    [
        {"like": [{}]},
        {"like": [{"weight": 1}]},
        {"like": [{"image_id": 1, "text": "red"}]},
        {"like": [{"image_id": 1, "weight": 0}]},
        {"like": [{"image_id": 1, "weight": -1}]},
        {"like": [{"image_id": 1, "weight": 1e7}]},
        {"like": [{"image_id": 1, "weight": "1"}]},
        {"unlike": [{"image_id": 1}]},
        {"like": [{"image_id": 1}] * 65},
        {"like": [{"image_id": 1, "colour": "red"}]},
        {"like": [{"vector": [1.0]}]},
        {"like": [{"image_id": 1}], "strategy": "worst"},
        {"like": [{"image_id": 1}], "strategy": "best", "sort": "price"},
        {"product_id": ""},
    ],
)
def test_what_makes_no_sense_is_refused(anyone: FlaskClient, shop: list[int], body: dict[str, Any]) -> None:
    sent = str(body).replace("'image_id': 1", f"'image_id': {shop[0]}").replace("'", '"')
    answered = anyone.post("/v1/search", data=sent, content_type="application/json")
    assert answered.status_code == 400, answered.get_json()
    assert answered.get_json()["detail"]


def test_weights_that_are_no_numbers_are_no_json(anyone: FlaskClient, shop: list[int]) -> None:
    for weight in ("NaN", "Infinity", "1e999", "null"):
        sent = f'{{"like": [{{"image_id": {shop[0]}, "weight": {weight}}}]}}'
        assert anyone.post("/v1/search", data=sent, content_type="application/json").status_code == 400


def test_sixty_four_examples_are_taken_and_not_one_more(anyone: FlaskClient, shop: list[int]) -> None:
    like = [{"image_id": one} for one in shop[:20]] * 3
    unlike = [{"image_id": one} for one in shop[20:24]]
    for strategy in ("centroid", "best"):
        body = {"like": like, "unlike": unlike, "strategy": strategy, "per": "image"}
        assert anyone.post("/v1/search", json=body).status_code == 200
        problem(anyone.post("/v1/search", json=body | {"text": "red shoe"}), 400, "query_error")
