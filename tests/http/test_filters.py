"""Every filter means over HTTP what it means in Python, and the largest allowed request is a small one."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.http import caps
from imgsearch.retrieval import filters, search
from imgsearch.retrieval.filters import Filters

Connection = psycopg.Connection[Any]
ASKED: list[dict[str, Any]] = [
    {"tenant": "bolt"},
    {"category": "shoes"},
    {"category": ["bags"]},
    {"min_price": 50, "max_price": 120},
    {"in_stock": False},
    {"attributes": {"colour": "blue", "size": {"min": 4}}},
    {"product_ids": ["p3", "p4", "p5"]},
    {"exclude_product_ids": ["p3", "p4", "p5"]},
    {"exclude_image_ids": [1, 2, 3]},
    {"created_after": "2020-01-01T00:00:00+01:00"},
    {"created_before": "2020-01-01T00:00:00Z"},
    {"duplicates": False},
    {"condition": {"any": [{"category": "shoes"}, {"attributes.colour": ["blue"]}]}},
    {"taken_after": "2020-01-01T00:00:00Z", "taken_before": "2025-01-01T00:00:00Z"},
    {"near": [48.14, 11.58, 20.5]},
]
TAKEN = """INSERT INTO imgsearch.capture
    SELECT tenant_id, image_id, sha256, '2024-06-30Z', true, 48, 11.5 + image_id * 0.05 FROM imgsearch.image"""


def test_each_filter_is_among_these() -> None:
    assert {name for asked in ASKED for name in asked} == set(filters.NAMES)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: "-".join(asked))
def test_a_filter_means_what_it_means_in_python(
    asked: dict[str, Any], anyone: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    connection.execute("UPDATE imgsearch.image SET sha256 = coalesce(sha256, sha256('x'))")
    connection.execute(TAKEN)
    answer = anyone.post("/v1/search", json={"text": "red shoe", "k": 30, **asked})
    assert answer.status_code == 200, answer.get_json()
    python = {
        name: datetime.fromisoformat(value) if name.endswith(("_after", "_before")) else value
        for name, value in asked.items()
    }
    hits = search(connection, "red shoe", k=30, filters=Filters.from_mapping(python))
    assert [row["image_id"] for row in answer.get_json()["rows"]] == [hit.image_id for hit in hits]
    assert 0 < len(hits) < len(shop) or set(asked) & {"created_after", "created_before", "taken_after", "duplicates"}


LARGEST: list[dict[str, Any]] = [
    {"attributes": {f"name{n}": [f"value {n} {m}" for m in range(caps.VALUES)] for n in range(caps.ATTRIBUTES)}},
    {"attributes": {f"name{n}": {"not_in": [str(m) for m in range(caps.VALUES)]} for n in range(caps.ATTRIBUTES)}},
    {"category": [f"category {n}" for n in range(caps.CATEGORIES)]},
    {name: [str(n) for n in range(caps.IDS)] for name in ("product_ids", "exclude_product_ids")},
    {"exclude_image_ids": list(range(1, caps.IDS + 1))},
    {
        "condition": {
            "any": [{f"attributes.name{n}": [str(m) for m in range(caps.VALUES)]} for n in range(caps.CONDITIONS)]
        }
    },
]


@pytest.mark.parametrize("asked", LARGEST, ids=lambda asked: "-".join(asked))
def test_the_largest_allowed_request_costs_little(asked: dict[str, Any], anyone: FlaskClient, shop: list[int]) -> None:
    anyone.post("/v1/search", json={"text": "red shoe"})
    began = time.perf_counter()
    answer = anyone.post("/v1/search", json={"text": "red shoe", **asked})
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.get_json()
    assert took < 5, "one second on a quiet machine"
