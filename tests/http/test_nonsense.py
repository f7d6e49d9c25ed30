"""What makes no sense is a problem document with a code, never a trace."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.flask import create_app
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import problem


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"category": "x"}
    for _ in range(levels):
        found = {"not": found}
    return found


NONSENSE: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "query_error"),
    ({"text": ""}, 400, "bad_request"),
    ({"text": "?!"}, 400, "query_error"),
    ({"text": "a\0b"}, 400, "bad_request"),
    ({"text": "\ud800"}, 400, "not_json"),
    ({"text": "x" * 3000}, 400, "bad_request"),
    ({"text": 7}, 400, "bad_request"),
    ({"text": "red shoe", "k": 0}, 400, "bad_request"),
    ({"text": "red shoe", "k": 1001}, 400, "bad_request"),
    ({"text": "red shoe", "k": True}, 400, "bad_request"),
    ({"text": "red shoe", "colour": "red"}, 400, "unknown_field"),
    ({"text": "red shoe", "min_price": "5"}, 400, "bad_request"),
    ({"text": "red shoe", "min_price": -1}, 400, "bad_request"),
    ({"text": "red shoe", "in_stock": "yes"}, 400, "bad_request"),
    ({"text": "red shoe", "attributes": {"size": {"almost": 3}}}, 400, "filter_error"),
    ({"text": "red shoe", "attributes": {"size": [1e300, 10**200]}}, 400, "bad_request"),
    ({"text": "red shoe", "attributes": ["red"]}, 400, "bad_request"),
    ({"text": "red shoe", "after": {"distance": 0.5}}, 400, "bad_request"),
    ({"text": "red shoe", "after": "0.5"}, 400, "filter_error"),
    ({"text": "red shoe", "skip": -1}, 400, "bad_request"),
    ({"text": "red shoe", "category": ["x"] * 1001}, 400, "bad_request"),
    ({"text": "red shoe", "product_ids": ["x"] * 1001}, 400, "bad_request"),
    ({"text": "red shoe", "created_after": "yesterday"}, 400, "bad_request"),
    ({"text": "red shoe", "attributes": {"colour": ["x"] * 101}}, 400, "bad_request"),
    ({"text": "red shoe", "attributes": {"colour": {"not_in": ["x"] * 101}}}, 400, "bad_request"),
    ({"text": "red shoe", "attributes": {str(n): n for n in range(21)}}, 400, "bad_request"),
    ({"text": "red shoe", "condition": {"any": [{"category": "x"}] * 51}}, 400, "bad_request"),
    ({"text": "red shoe", "condition": deep(6)}, 400, "bad_request"),
    ({"vector": [1.0, 2.0]}, 400, "vector_error"),
    ({"vector": [0.0] * 48}, 400, "vector_error"),
    ({"vector": []}, 400, "bad_request"),
    ({"image_id": 10**9}, 404, "unknown_image"),
    ({"image_id": 2**70}, 400, "bad_request"),
    ({"less_like": [1]}, 400, "query_error"),
    ({"picture_url": "file:///etc/passwd"}, 400, "bad_request"),
    ({"picture_url": "http://127.0.0.1:9/x.jpg"}, 422, "fetch_refused"),
    ({"picture_url": "http://169.254.169.254/latest"}, 422, "fetch_refused"),
    ({"text": "nobody asked this"}, 503, "no_query_worker"),
]
BODIES = [
    (b"{", "application/json", 400, "not_json"),
    (b"[1]", "application/json", 400, "not_json"),
    (b'{"vector": [NaN]}', "application/json", 400, "bad_request"),
    (b'{"text": "x", "attributes": {"a": NaN}}', "application/json", 400, "bad_request"),
    (b'{"text": "x", "attributes": ' + b'{"a": ' * 17 + b"1" + b"}" * 18, "application/json", 400, "bad_request"),
    (b"[" * 10_000, "application/json", 400, "not_json"),
    (b"[" * 100_000, "application/json", 400, "bad_request"),
    (b"\xff\xfe", "application/json", 400, "not_json"),
    (b"text=red", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    (b"x" * 200_000, "application/json", 413, "request_entity_too_large"),
    (b"--x\r\n", "multipart/form-data; boundary=x", 415, "unsupported_media_type"),
]
_PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\ny\r\n--x--\r\n'
FORMS = [
    (b"{}", "application/json", 415, "unsupported_media_type"),
    (b"--x\r\n", "multipart/form-data; boundary=x", 400, "bad_request"),
    (_PART % (b"picture", b""), "multipart/form-data; boundary=x", 400, "unknown_field"),
    (_PART % (b"colour", b""), "multipart/form-data; boundary=x", 400, "unknown_field"),
    (_PART % (b"request", b'; filename="y"'), "multipart/form-data; boundary=x", 400, "not_json"),
    (_PART % (b"picture", b'; filename="y"'), "multipart/form-data; boundary=x", 422, "not_a_picture"),
]


def test_what_cannot_be_asked_is_a_problem_with_a_code(settings: Settings, shop: list[int]) -> None:
    app = create_app(with_settings(settings, QUERY_TIMEOUT="0.2").environment(), allow_anonymous=True)
    for sent, status, code in NONSENSE:
        problem(app.test_client().post("/v1/search", json=sent), status, code)
    app.extensions["imgsearch"].close()


def test_a_body_that_makes_no_sense_is_a_problem(settings: Settings) -> None:
    app = create_app(with_settings(settings, HTTP_BODY="150000").environment(), allow_anonymous=True)
    for path, bodies in (("/v1/search", BODIES), ("/v1/search/upload", FORMS)):
        for body, kind, status, code in bodies:
            problem(app.test_client().post(path, data=body, content_type=kind), status, code)
    app.extensions["imgsearch"].close()


@pytest.mark.parametrize("path", ["/v1/search/upload", "/v1/embed/upload", "/v1/images/upload"])
def test_a_form_may_send_its_json_as_a_part_with_a_file_name(path: str, anyone: FlaskClient) -> None:
    """As FormData with a Blob does, curl with `;filename=`, and clients that are generated."""

    def sent(*parts: bytes) -> Any:
        data = {"request": [(io.BytesIO(part), "blob", "application/json") for part in parts]}
        return anyone.post(path, data={**data, "picture": (io.BytesIO(b"no picture"), "x.jpg")})

    assert "unknown_name" in problem(sent(b'{"unknown_name": 1}'), 400, "unknown_field")["detail"]
    assert "once" in problem(sent(b"{}", b"{}"), 400, "bad_request")["detail"]
    plain = b"{}" if "images" not in path else b'{"images": [{"product_id": "p"}]}'
    problem(sent(plain), 422, "not_a_picture")
