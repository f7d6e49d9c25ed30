"""What the HTTP API takes and answers, as an OpenAPI 3.1 document: served at /v1/openapi.json, held true by a test."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from flask import Blueprint, jsonify

from imgsearch.http import access, schemas
from imgsearch.http.schemas import reference
from imgsearch.http.state import app_state

Operation = dict[str, Any]
_SHOW = "One picture: its fields, its state, and why it failed if it did."
_TAKE = "Take pictures: all of them or, where one cannot be used, none."


def mount(blueprint: Blueprint) -> None:
    """Add the route of the document."""
    blueprint.add_url_rule("/v1/openapi.json", "v1_openapi", access.open_to_strangers(serve))


def serve() -> Any:
    """Answer the document."""
    return jsonify(document(app_state().url_prefix))


def document(prefix: str = "") -> dict[str, Any]:
    """Answer the document of an API that is mounted under `prefix`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imgsearch",
            "version": version("imgsearch"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Image search inside Postgres: pictures in, nearest pictures that match filters out. "
            "A key belongs to one tenant and one scope (search, write, admin); `imgsearch key create` makes one. "
            "On a machine of one's own (`imgsearch serve` on loopback) no key is needed.",
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"key": []}, {}],
        "paths": _paths(),
        "components": {
            "schemas": schemas.SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "imgs_…"}},
        },
    }


def _paths() -> dict[str, Any]:
    image_id = {
        "name": "image_id",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
    }
    return {
        "/v1/search": {"post": _search()},
        "/v1/embed": {"post": _embed()},
        "/v1/images": {"post": _add()},
        "/v1/images/{image_id}": {
            "parameters": [image_id],
            "get": _operation(
                "show",
                _SHOW,
                "search",
                200,
                "Picture",
                404,
            ),
            "delete": _operation("remove", "Delete one picture.", "write", 204, None, 404),
        },
        "/v1/status": {"get": _operation("status", "How the key's pictures are; who works.", "admin", 200, "Status")},
        "/healthz": {"get": _open(_operation("alive", "This process answers.", None, 200, "Alive"))},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
    }


def _search() -> Operation:
    made = _operation("search", "The nearest pictures that match.", "search", 200, "Page", 404, 422, 504)
    made["description"] = (
        "Ask with text, image_id, more_like, vector, picture_url, or the file `picture` of a form; several together "
        "make one query, less_like leads away. `complete` is false only where max_distance cut the page."
    )
    made["requestBody"] = _body("Search", one_file=True)
    return made


def _embed() -> Operation:
    made = _operation("embed", "The vector of a text or a picture.", "search", 200, "Vector", 422, 504)
    made["requestBody"] = _body("Embed", one_file=True)
    return made


def _add() -> Operation:
    made = _operation("add", _TAKE, "write", 202, "Taken", 422)
    made["description"] = "JSON with addresses, or a form with as many files `picture` as `request` describes."
    made["requestBody"] = _body("Add", form="AddFiles", one_file=False)
    return made


def _ready() -> Operation:
    made = _open(_operation("ready", "A search would be answered now.", None, 200, "Ready"))
    made["responses"]["503"] = _answer("Something is missing; see which.", "Ready")
    return made


def _metrics() -> Operation:
    made = _operation("metrics", "The same as status, for Prometheus.", "admin", 200, None)
    made["responses"]["200"] = {
        "description": "Gauges.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return made


def _operation(name: str, summary: str, scope: str | None, status: int, answers: str | None, *more: int) -> Operation:
    """Describe an operation; what every operation may answer comes by itself."""
    problems = {400, 401, 403, 405, 429, 503, *more} if scope else {403, 405}
    if name in {"search", "embed", "add"}:
        problems |= {413, 415}
    responses = {str(code): _problem(code) for code in sorted(problems)}
    good = {"description": "Done."} if answers is None else _answer("Found.", answers)
    made: Operation = {"operationId": name, "summary": summary, "responses": {str(status): good, **responses}}
    if scope is not None:
        made["description"] = f"Needs a key of scope {scope}."
    return made


def _open(operation: Operation) -> Operation:
    return {**operation, "security": []}


def _body(schema: str, *, form: str | None = None, one_file: bool) -> dict[str, Any]:
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    parts = {
        "type": "object",
        "properties": {
            "picture": file if one_file else {"type": "array", "items": file, "minItems": 1},
            "request": reference(form or schema),
        },
        "required": ["picture"] if one_file else ["picture", "request"],
        "additionalProperties": False,
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": reference(schema)},
            "multipart/form-data": {"schema": parts, "encoding": {"request": {"contentType": "application/json"}}},
        },
    }


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": reference(schema)}}}


_WHY = {
    400: "The request makes no sense; the code and the sentence say where.",
    401: "No key, or one that does not work.",
    403: "The key may not do this, or reaches another tenant.",
    404: "There is no such picture here.",
    405: "This address takes other methods.",
    413: "The request is too large.",
    415: "Neither JSON nor a form.",
    422: "A picture cannot be used, or its address must not be fetched.",
    429: "The key asks too often; see Retry-After.",
    503: "The database, the store or a model is missing.",
    504: "Nobody embedded the query, or the database did not answer, in time.",
}


def _problem(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": reference("Problem")}}
    return {"description": _WHY[status], "content": content}
