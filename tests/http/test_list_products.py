"""GET /v1/products: what a shop has, page by page, without a question."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.ops import api_keys as keys
from imgsearch.retrieval.filters import Filters
from tests.http.conftest import Connection, problem, with_key

KeyOf = Callable[..., str]


@pytest.fixture
def headers(connection: Connection, shop: list[int], key_of: KeyOf) -> dict[str, str]:
    """Acme's key. Its ten pictures are q0 of three, q1 of three, q2 of three and q3 of one; prices rise by 15."""
    for n, image in enumerate(shop[::3]):
        of = (f"q{n // 3}", n % 3, image)
        connection.execute("UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s", of)
    return with_key(key_of("acme"))


def listed(client: FlaskClient, headers: dict[str, str], **asked: Any) -> list[dict[str, Any]]:
    """Return all pages."""
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get("/v1/products", query_string=asked, headers=headers)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        page = answer.get_json()
        found += page["products"]
        if page["after"] is None:
            return found
        assert page["after"] == page["products"][-1]["after"]
        asked["after"] = page["after"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("newest", "3210"), ("-newest", "0123"), ("price", "0123"), ("-price", "3210"), ("attributes.size", "0123")],
)
@pytest.mark.parametrize("k", [1, 3, 100])
def test_every_product_once_in_the_order_asked_for(
    client: FlaskClient, headers: dict[str, str], sort: str, order: str, k: int
) -> None:
    found = listed(client, headers, sort=sort, k=k)
    assert [one["product_id"] for one in found] == [f"q{n}" for n in order]
    assert {one["product_id"]: one["pictures"] for one in found} == {"q0": 3, "q1": 3, "q2": 3, "q3": 1}
    assert {one["tenant_id"] for one in found} == {"acme"}


def test_filters_in_the_address_and_as_json(client: FlaskClient, headers: dict[str, str]) -> None:
    def names(**asked: Any) -> list[str]:
        return [one["product_id"] for one in listed(client, headers, sort="price", **asked)]

    assert names(min_price=50) == ["q1", "q2", "q3"]
    assert names(max_price=14, in_stock="false") == ["q0"]
    assert names(category="nothing") == []
    assert names(filters=json.dumps({"attributes": {"size": {"min": 20}}}), category="bags") == ["q2", "q3"]
    first = listed(client, headers, sort="price", k=1)[0]
    without = names(filters=json.dumps({"exclude_image_ids": [first["image_id"]], "product_ids": ["q0"]}))
    assert without == ["q0"], "its other pictures still match"


def test_an_image_of_the_list_can_be_asked_for(client: FlaskClient, headers: dict[str, str]) -> None:
    for one in listed(client, headers):
        shown = client.get(f"/v1/images/{one['image_id']}", headers=headers).get_json()
        assert (shown["product_id"], shown["position"]) == (one["product_id"], 0)


def test_a_key_with_filters_sees_what_is_within(
    client: FlaskClient, connection: Connection, headers: dict[str, str]
) -> None:
    key = keys.create(
        connection, tenant="acme", scope="search", name="browser", filters=Filters(max_price=50, in_stock=True)
    )
    found = listed(client, with_key(key), sort="price")
    assert [(one["product_id"], one["pictures"], len(one["others"])) for one in found] == [("q0", 2, 1), ("q1", 1, 0)]
    assert listed(client, with_key(key), min_price=51) == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"sort": "colour"}, "filter_error"),
        ({"sort": "attributes."}, "filter_error"),
        ({"k": 0}, "bad_request"),
        ({"k": 1001}, "bad_request"),
        ({"min_price": "nan"}, "bad_request"),
        ({"min_price": "inf"}, "bad_request"),
        ({"after": "1,2"}, "filter_error"),
        ({"after": "0.5,1,3,0,,5d41402a"}, "filter_error"),
        ({"after": "nonsense"}, "filter_error"),
        ({"filters": "[]"}, "not_json"),
        ({"filters": "{}}"}, "not_json"),
        ({"filters": '{"colour": "red"}'}, "unknown_field"),
        ({"filters": '{"condition": {"image_id": 1}}'}, "filter_error"),
        ({"colour": "red"}, "unknown_field"),
        ({"category": "a\0b"}, "bad_request"),
        ({"tenant": "bolt"}, "other_tenant"),
        ({"filters": '{"tenant": "bolt"}'}, "other_tenant"),
    ],
)
def test_what_makes_no_sense_is_said(client: FlaskClient, headers: dict[str, str], asked: Any, code: str) -> None:
    answer = client.get("/v1/products", query_string=asked, headers=headers)
    problem(answer, 403 if code == "other_tenant" else 400, code)


def test_a_cursor_of_another_list_or_tampered_with_is_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    after = client.get("/v1/products?sort=price&k=1", headers=headers).get_json()["after"]
    for asked in ({"sort": "-price"}, {"sort": "price", "category": "bags"}):
        problem(
            client.get("/v1/products", query_string={**asked, "after": after}, headers=headers), 400, "filter_error"
        )
    *rest, check = after.split(",")
    for wrong in (",".join([*rest, check[::-1]]), ",".join(rest), after + "0", after.replace(",0,", ",9,")):
        answer = client.get("/v1/products", query_string={"sort": "price", "after": wrong}, headers=headers)
        problem(answer, 400, "filter_error")
