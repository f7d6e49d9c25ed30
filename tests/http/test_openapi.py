"""The OpenAPI document is true: what it allows is understood, what comes back is described, and nothing breaks."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from imgsearch.flask import create_app
from imgsearch.http import caps, examples, openapi
from imgsearch.http.changes import LINES
from imgsearch.http.operations import OPERATIONS, Form, Lines
from imgsearch.retrieval import filters
from imgsearch.settings import Settings
from tests.conftest import with_settings

EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))  # of each operation


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    """Send a text as it is: OpenAPI 3.1 cannot say that its lines are JSON."""
    return str(value).encode("utf-8", "surrogatepass")


@pytest.fixture
def hasty(settings: Settings, shop: list[int]) -> Any:
    """An app that does not wait for workers that are not there."""
    made = create_app(with_settings(settings, QUERY_TIMEOUT="0.05").environment(), allow_anonymous=True)
    yield made
    made.extensions["imgsearch"].close()


def test_every_route_of_the_api_is_described(open_app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in open_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/v1/", "/healthz", "/readyz", "/metrics")) and rule.endpoint != "imgsearch.v1_openapi"
    }
    paths = openapi.document()["paths"]
    described = {(path, method) for path, has in paths.items() for method in has if method != "parameters"}
    assert routes == described


def test_the_document_is_served_to_anybody_and_knows_where_it_is_mounted(client: FlaskClient) -> None:
    found = client.get("/v1/openapi.json")
    assert found.status_code == 200
    assert found.get_json()["openapi"] == "3.1.0"
    assert openapi.document("/imgsearch")["servers"] == [{"url": "/imgsearch"}]


@pytest.mark.slow
def test_whatever_it_allows_is_answered_as_described(hasty: Flask) -> None:
    """schemathesis draws requests from the document; no answer is a 5xx but the two that say who is missing."""
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", hasty)
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    tried: dict[str, Counter[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case: Any) -> None:
            answer = case.call()
            tried.setdefault(case.operation.label, Counter())[answer.status_code] += 1
            assert answer.status_code < 500 or answer.status_code in {503, 504}, answer.text
            case.validate_response(answer, checks=checks)

        attempt()
    print(tried)
    assert {"POST /v1/search", "POST /v1/images/upload", "GET /healthz"} <= set(tried)
    assert 200 in tried["GET /healthz"]


def test_the_caps_of_requests_stand_in_the_document() -> None:
    schemas = openapi.document()["components"]["schemas"]
    search = schemas["Search"]["properties"]
    assert search["k"]["maximum"] == caps.K
    assert search["more_like"]["maxItems"] == caps.EXAMPLES
    first = {name: search[name]["anyOf"][0] for name in search if "anyOf" in search[name]}
    assert first["text"]["maxLength"] == caps.TEXT
    assert schemas["AttributeFilters"]["maxProperties"] == caps.ATTRIBUTES
    assert first["product_ids"]["maxItems"] == first["exclude_image_ids"]["maxItems"] == caps.IDS
    assert schemas["Add"]["properties"]["images"]["maxItems"] == caps.IMAGES
    assert schemas["ImagesForm"]["properties"]["picture"]["maxItems"] == caps.IMAGES
    assert schemas["Cursor"]["maxLength"] == caps.CURSOR
    assert set(filters.NAMES) < set(search), "every filter can be asked for"


def test_every_operation_can_be_generated_from() -> None:
    """One media type each, files as binary, a scope as a role of the key, headers and problems declared."""
    document = openapi.document()
    scheme = document["components"]["securitySchemes"]["key"]
    for (path, method), operation in OPERATIONS.items():
        found = document["paths"][path][method]
        assert found["operationId"] == operation.name
        assert found["tags"][0] in {tag["name"] for tag in document["tags"]}
        assert found["security"] == ([{"key": [operation.scope]}] if operation.scope else [])
        assert operation.scope is None or operation.scope in scheme["x-scopes"]
        assert len(found.get("requestBody", {"content": ["none"]})["content"]) == 1
        for status, answer in found["responses"].items():
            said = {"application/problem+json"} if int(status) >= 400 and path != "/readyz" else set()
            assert said <= set(answer.get("content", {}))
            assert status != "429" or answer["headers"]["Retry-After"]["required"]
    assert not [name for name in document["components"]["schemas"] if "-" in name], "one name, two models"
    names = [operation.name for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))


def test_the_examples_are_true() -> None:
    for operation in OPERATIONS.values():
        body = operation.body
        model = body.request if isinstance(body, Form) else body
        assert (model is None) == (operation.name not in examples.REQUESTS)
        if isinstance(body, Lines):
            for one, line in zip(body.each, examples.REQUESTS[operation.name], strict=True):
                assert type(LINES.validate_json(json.dumps(line))) is one
        elif model:
            model.model_validate_json(json.dumps(examples.REQUESTS[operation.name]))
        if operation.response:
            answers = examples.RESPONSES[operation.name]
            for answer in answers if operation.lines else [answers]:
                operation.response.model_validate_json(json.dumps(answer))


def test_a_thousand_files_are_accepted_as_promised(anyone: FlaskClient) -> None:
    """They are refused as pictures, each by name: the form was read, with nearly all the JSON that is allowed."""

    def send(files: int, note: int) -> Any:
        listed = [{"product_id": str(n), "attributes": {"note": "y" * note}} for n in range(files)]
        assert len(json.dumps({"images": listed})) > caps.IMAGES_JSON_BYTES * 0.9
        return anyone.post(
            "/v1/images/upload",
            data={
                "picture": [(io.BytesIO(b"x"), f"{n}.jpg") for n in range(files)],
                "request": json.dumps({"images": listed}),
            },
        )

    answer = send(caps.IMAGES, 4000)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "bad_pictures")
    assert len(answer.get_json()["errors"]) == caps.IMAGES
    assert send(caps.IMAGES, 4200).status_code == 413
    assert send(caps.IMAGES + 1, 4000).status_code == 413


def test_json_has_a_limit_of_its_own(anyone: FlaskClient) -> None:
    answer = anyone.post("/v1/search", data=b"[" + b"[]," * 350_000 + b"[]]", content_type="application/json")
    assert answer.status_code == 413
