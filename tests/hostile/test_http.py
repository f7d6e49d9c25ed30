"""Every field and parameter of every HTTP operation × every hostile value: answers below 500, refusals as documents."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.flask import create_app
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import with_settings
from tests.hostile.table import JSONS, TEXTS
from tests.shop import Row, fill

Connection = psycopg.Connection[Any]
LONG = {"1 MB", "12 kB"}  # longer than an address may be: one of them is enough there
BODIES: dict[str, dict[str, Any]] = {
    "/v1/search": {"text": "x", "look_weight": 0},
    "/v1/images": {"images": [{"product_id": "p", "url": "https://h/a.jpg"}]},
    "/v1/choices": {"facet": "category"},
    "/v1/embed": {"vector": [1.0]},
}
WAITS = {"look_weight", "text", "picture_url", "region", "rerank"}  # where a good value waits for a worker


@pytest.fixture
def client(settings: Settings, connection: Connection, space: Space) -> Iterator[FlaskClient]:
    vectors = [[float(n == at) for at in range(space.dimension)] for n in range(3)]
    fill(connection, space, [Row(vector=vector, tenant="default") for vector in vectors])
    app = create_app(with_settings(settings, QUERY_TIMEOUT="0.05").environment(), allow_anonymous=True)
    yield app.test_client()
    app.extensions["imgsearch"].close()


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        schema = document["components"][kind][name]
    return schema


def names_of(document: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    schema = resolved(document, schema)
    parts = [schema, *(resolved(document, one) for one in schema.get("anyOf", []) + schema.get("oneOf", []))]
    return list(dict.fromkeys(name for part in parts for name in part.get("properties", {})))


def tried(document: dict[str, Any]) -> Iterator[tuple[str, str, str, str, Any]]:
    """Yield (method, path, place, name, values) of each field and parameter."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method not in {"get", "post", "put", "patch", "delete"}:
                continue
            for parameter in (*methods.get("parameters", []), *operation.get("parameters", [])):
                parameter = resolved(document, parameter)
                yield method, path, parameter["in"], parameter["name"], TEXTS
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for name in names_of(document, body["schema"]) if body else ():
                yield method, path, "body", name, JSONS
                if name == "images":
                    item = resolved(document, resolved(document, body["schema"])["properties"]["images"])["items"]
                    for field in names_of(document, item):
                        yield method, path, "image", field, JSONS


def send(client: FlaskClient, method: str, path: str, place: str, name: str, value: Any) -> Any:
    shown = path
    for part in ("image_id", "product_id", "digest", "handle", "id"):
        shown = shown.replace(
            f"{{{part}}}",
            quote(str(value).encode("utf-8", "replace"), safe="") if part == name and place == "path" else "1",
        )
    if place == "query":
        return client.open(
            shown, method=method.upper(), query_string={name: str(value).encode("utf-8", "replace")[:3000]}
        )
    if place not in {"body", "image"}:
        return client.open(shown[:5000], method=method.upper())
    body = json.loads(json.dumps(BODIES.get(path, {})))
    if place == "image":
        body["images"][0][name] = value
    else:
        body[name] = value
    try:
        text = json.dumps(body)
    except (ValueError, RecursionError):
        text = "{" + f'"{name}": ' + "[" * 900 + "]" * 900 + "}"
    return client.open(shown, method=method.upper(), data=text, content_type="application/json")


def test_no_field_makes_the_server_fail(client: FlaskClient, connection: Connection) -> None:
    document = client.get("/v1/openapi.json").get_json()
    bad: list[str] = []
    count = 0
    for method, path, place, name, values in tried(document):
        for called, value in values.items():
            if isinstance(value, float) and not math.isfinite(value) and place != "body":
                continue
            count += 1
            answer = send(client, method, path, place, name, value)
            status, kind = answer.status_code, answer.content_type or ""
            where = f"{method} {path} {place} {name} = {called}: {status}"
            if status >= 500 and status not in {503, 504}:
                bad.append(f"{where} {answer.text[:200]}")
            elif status >= 400 and "problem+json" not in kind:
                bad.append(f"{where} {kind}")
            elif (
                status in {503, 504} and place in {"body", "image"} and name not in WAITS | {"space", "like", "unlike"}
            ):
                bad.append(f"{where} {answer.text[:200]}")
    print(f"HTTP: {count} tried, {len(bad)} bad")
    assert bad == []
    assert count > 3000


BAD_LINES = [
    "nonsense", "[1]", "", '{"action": "add"}', '{"action": "fly", "product_id": "x"}', '{"action": "delete"}',
    *(
        f'{{"action": "add", "product_id": "bad", "url": "https://h/a.jpg", {bad}}}'
        for bad in (
            '"position": Infinity', '"position": 2.7', '"position": -1', '"price": NaN', '"price": "1"', '"tenant": 7',
            '"category": "a\\u0000"', '"category": "a\\u001b[31m"', '"category": "\\ud800"', '"title": 1',
            f'"category": "{"c" * 12_000}"', '"attributes": {"a": NaN}', '"attributes": {"a\\n": 1}', '"x": 1',
            '"attributes": {"a": "\\udfff"}', '"codes": [1.5]', '"vector": [0]', '"in_stock": 2', '"words": []',
        )
    ),
]  # fmt: skip


def test_a_bad_line_of_a_bulk_request_costs_itself(client: FlaskClient, connection: Connection) -> None:
    good = '{{"action": "add", "product_id": "good-{}", "url": "https://h/a.jpg"}}'
    lines = [good.format("first")]
    for number, bad in enumerate(BAD_LINES):
        lines += [bad, good.format(number)]
    answer = client.post("/v1/images/bulk", data="\n".join(lines), content_type="application/x-ndjson")
    assert answer.status_code == 200, answer.text
    outcomes = (
        [json.loads(line) for line in answer.text.splitlines()]
        if "ndjson" in answer.content_type
        else answer.get_json()
    )
    rows = outcomes if isinstance(outcomes, list) else outcomes["outcomes"]
    failed = {row["line"] for row in rows if row["outcome"] == "failed"}
    wanted = {2 + 2 * number for number, bad in enumerate(BAD_LINES) if bad}
    assert failed == wanted
    added = connection.execute("SELECT count(*) FROM imgsearch.image WHERE product_id LIKE 'good-%'").fetchone()
    assert added == (len(BAD_LINES) + 1,)
