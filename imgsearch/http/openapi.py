"""The OpenAPI 3.1 document of the API, made of the models of requests and responses and one table of operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Blueprint, Response, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from imgsearch import __version__
from imgsearch.http import access, caps, requests, responses
from imgsearch.http.state import app_state
from imgsearch.ops.api_keys import Scope

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row of the table. `file` and `files`: the form that may be sent instead of JSON carries pictures."""

    name: str
    summary: str
    tag: str
    scope: Scope | None = None
    body: type[BaseModel] | None = None
    file: bool = False
    files: type[BaseModel] | None = None
    status: int = 200
    response: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/search", "post"): Operation(
        name="search",
        summary="The nearest images that match.",
        tag="search",
        scope="search",
        body=requests.Search,
        file=True,
        response=responses.Page,
        problems=(404, 413, 415, 422, 504),
    ),
    ("/v1/embed", "post"): Operation(
        name="embed",
        summary="The vector of a text or a picture.",
        tag="search",
        scope="search",
        body=requests.Embed,
        file=True,
        response=responses.Vector,
        problems=(413, 415, 422, 504),
    ),
    ("/v1/images", "post"): Operation(
        name="add_images",
        summary="Add images: all of them or, where one cannot be used, none.",
        tag="images",
        scope="write",
        body=requests.Add,
        files=requests.AddFiles,
        status=202,
        response=responses.Added,
        problems=(413, 415, 422),
    ),
    ("/v1/images/{image_id}", "get"): Operation(
        name="get_image",
        summary="One image: its fields, its state, and why it failed if it did.",
        tag="images",
        scope="search",
        response=responses.Image,
        problems=(404,),
    ),
    ("/v1/images/{image_id}", "delete"): Operation(
        name="delete_image", summary="Delete one image.", tag="images", scope="write", status=204, problems=(404,)
    ),
    ("/v1/status", "get"): Operation(
        name="get_status",
        summary="Counts of the tenant's images by state, and of workers.",
        tag="operation",
        scope="admin",
        response=responses.Status,
    ),
    ("/healthz", "get"): Operation(
        name="get_health", summary="Whether this process is alive.", tag="operation", response=responses.Alive
    ),
    ("/readyz", "get"): Operation(
        name="get_readiness", summary="Whether searches can be served.", tag="operation", response=responses.Ready
    ),
    ("/metrics", "get"): Operation(
        name="get_metrics", summary="The same as status, for Prometheus.", tag="operation", scope="admin"
    ),
}
_WHY = {
    400: "The request is invalid; code, detail and errors say where.",
    401: "Missing or invalid API key.",
    403: "The API key lacks the scope, or reaches another tenant.",
    404: "Image not found.",
    405: "Method not allowed.",
    413: "The request is too large.",
    415: "Unsupported media type: send JSON or a form.",
    422: "A picture cannot be used, or its address must not be fetched.",
    429: "Too many requests; see Retry-After.",
    503: "The database, the store or a model is not available.",
    504: "No worker embedded the query, or the database did not respond, in time.",
}
_IMAGE_ID = {
    "name": "image_id",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": caps.LARGEST_ID},
}
_FILE = {"type": "string", "format": "binary"}


def mount(blueprint: Blueprint) -> None:
    """Add the route of the document."""
    blueprint.add_url_rule("/v1/openapi.json", "v1_openapi", access.public(serve))


def serve() -> Response:
    """Return the document."""
    return jsonify(document(app_state().url_prefix))


def document(prefix: str = "") -> Json:
    """Return the document of an API that is mounted under `prefix`."""
    paths: Json = {}
    for (path, method), operation in OPERATIONS.items():
        paths.setdefault(path, {"parameters": [_IMAGE_ID]} if "{" in path else {})[method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imgsearch",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Image search inside Postgres: pictures in, the nearest images that match filters out. "
            "An API key belongs to one tenant and one scope (search, write, admin); `imgsearch key create` makes one. "
            "`imgsearch serve` on loopback needs no key.",
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in ("search", "images", "operation")],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "imgs_…"}},
        },
    }


@cache
def _schemas() -> Json:
    asked: set[type[BaseModel]] = set()
    sent: set[type[BaseModel]] = {responses.ProblemDocument}
    for operation in OPERATIONS.values():
        asked |= {one for one in (operation.body, operation.files) if one}
        sent |= {operation.response} if operation.response else set()
    modes = [*((one, "validation") for one in asked), *((one, "serialization") for one in sent)]
    ordered = sorted(modes, key=lambda one: one[0].__name__)
    _, found = models_json_schema(ordered, ref_template=_REFERENCE)  # type: ignore[arg-type]
    schemas: Json = found["$defs"]
    return schemas


def _described(operation: Operation) -> Json:
    """Return an operation of the document; the problems common to all are added."""
    problems = {405, 403, *operation.problems}
    if operation.scope:
        problems |= {400, 401, 429, 503}
    sent: Json = {str(operation.status): _good(operation)}
    for code in sorted(problems):
        content = {"application/problem+json": {"schema": _reference(responses.ProblemDocument)}}
        sent[str(code)] = {"description": _WHY[code], "content": content}
    if 429 in problems:
        sent["429"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    if operation.response is responses.Ready:
        sent["503"] = {**_good(operation), "description": "Something is missing."}
    found: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": sent,
    }
    if operation.scope:
        found["description"] = f"Needs an API key of scope {operation.scope}."
    else:
        found["security"] = []
    if operation.body:
        found["requestBody"] = _body(operation, operation.body)
    return found


def _good(operation: Operation) -> Json:
    if operation.response:
        return {"description": "Done.", "content": {"application/json": {"schema": _reference(operation.response)}}}
    if operation.status == 204:
        return {"description": "Done."}
    return {"description": "Done.", "content": {"text/plain": {"schema": {"type": "string"}}}}


def _body(operation: Operation, model: type[BaseModel]) -> Json:
    content: Json = {"application/json": {"schema": _reference(model)}}
    if operation.file or operation.files:
        many = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": caps.IMAGES}
        form = {
            "type": "object",
            "properties": {
                "picture": many if operation.files else _FILE,
                "request": _reference(operation.files or model),
            },
            "required": ["picture", "request"] if operation.files else ["picture"],
            "additionalProperties": False,
        }
        encoding = {"request": {"contentType": "application/json"}}
        content["multipart/form-data"] = {"schema": form, "encoding": encoding}
    return {"required": True, "content": content}


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
