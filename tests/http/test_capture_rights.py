"""Where a product's pictures were taken is not told by circles that a browser's key draws (near, taken_after, …)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.http.access import LEAST_KILOMETRES
from imgsearch.ops import api_keys as keys
from imgsearch.retrieval import Filters
from tests.http.conftest import Connection, problem, with_key
from tests.http.test_search_keys import key as key

CIRCLE = [48.14, 11.58, 20]
CAPTURES: list[dict[str, Any]] = [
    {"near": CIRCLE},
    {"taken_after": "2020-01-01T00:00:00Z"},
    {"taken_before": "2030-01-01T00:00:00Z"},
    {"condition": {"near": CIRCLE}},
    {"condition": {"near": {"exists": True}}},
    {"condition": {"taken_at": {"min": "2020-01-01T00:00:00Z"}}},
    {"condition": {"any": [{"category": "shoes"}, {"not": {"all": [{"near": CIRCLE}]}}]}},
    {"condition": {"not": {"taken_at": {"exists": True}}}},
]
ASKS: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "search": lambda filters: ("/v1/search", {"text": "red shoe", **filters}),
    "counts": lambda filters: ("/v1/search", {"text": "red shoe", "facets": {"category": True}, **filters}),
}


@pytest.mark.parametrize("way", ASKS)
@pytest.mark.parametrize("filters", CAPTURES, ids=[f"{n}" for n in range(len(CAPTURES))])
def test_a_key_with_filters_asks_nothing_of_time_and_place(
    client: FlaskClient, key: str, key_of: Callable[..., str], filters: dict[str, Any], way: str
) -> None:
    path, body = ASKS[way](filters)
    refused = problem(client.post(path, json=body, headers=with_key(key)), 403, "forbidden")
    assert "key without filters" in refused["detail"]
    assert client.post(path, json=body, headers=with_key(key_of("acme"))).status_code == 200


def test_a_key_whose_own_filters_name_a_place_may_ask_for_places(
    client: FlaskClient, connection: Connection, key: str
) -> None:
    of_munich = keys.create(connection, tenant="acme", scope="search", filters=Filters(near=[48.14, 11.58, 300]))
    for filters in CAPTURES:
        answer = client.post("/v1/search", json={"text": "red shoe", **filters}, headers=with_key(of_munich))
        assert answer.status_code == 200, answer.get_json()


@pytest.mark.parametrize(
    "filters",
    [
        {"near": [48.14, 11.58, LEAST_KILOMETRES / 2]},
        {"condition": {"near": [48.14, 11.58, 0.01]}},
        {"condition": {"any": [{"near": {"in": [48.14, 11.58, 0.999]}}, {"category": "shoes"}]}},
    ],
)
def test_no_key_for_searching_draws_small_circles(
    client: FlaskClient, shop: list[int], key_of: Callable[..., str], filters: dict[str, Any]
) -> None:
    body = {"text": "red shoe", **filters}
    refused = problem(client.post("/v1/search", json=body, headers=with_key(key_of("acme"))), 400, "bad_request")
    assert "widen near" in refused["detail"]
    assert client.post("/v1/search", json=body, headers=with_key(key_of("acme", "write"))).status_code == 200
