"""The OpenAPI 3.1 document of the API, made of the models of requests and responses and the table of operations."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from imgsearch import __version__
from imgsearch.http import access, caps, examples, responses
from imgsearch.http.operations import OPERATIONS, WHY, Form, Lines, Operation
from imgsearch.http.reader import NDJSON
from imgsearch.http.state import app_state
from imgsearch.picture.formats import ACCEPTED
from imgsearch.picture.limits import STATED

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"
_PLACES: dict[str, Json] = {
    "image_id": {"schema": {"type": "integer", "minimum": 1, "maximum": caps.LARGEST_ID}, "example": 42},
    "product_id": {"schema": {"type": "string", "minLength": 1, "maxLength": caps.NAME}, "example": "sku-1"},
}
_FILE = {  # binary: what every generator takes for a file
    "type": "string",
    "format": "binary",
    "minLength": 1,
    "description": f"A picture: {ACCEPTED}. {STATED}.",
}
_SCOPES = {
    "search": "search, embed, and look at images",
    "write": "what search may, and list, add, change and delete images",
    "admin": "what write may, and read status and metrics",
}
_TAGS = {
    "search": "Words, pictures, images that are here, and vectors to search by.",
    "images": "Images and products in and out, and what is stored beside them.",
    "operation": "Health, status and metrics.",
}
_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer."}},
    424: {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds, where known."}},
    429: {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds.", "required": True}},
    503: {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds, where known."}},
}


class _Schemas(GenerateJsonSchema):
    """Says in words what a field is that is left out.

    `default: null` is no value of every type, and generators for TypeScript make a field with a default a required one.
    """

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = dict(super().default_schema(schema))
        if default := json.dumps(made.pop("default", None)).replace("null", "").replace("[]", ""):
            made["description"] = f"{made.get('description', '')} Left out: {default}.".strip()
        return made


def mount(blueprint: Blueprint) -> None:
    """Add the route of the document."""
    blueprint.add_url_rule("/v1/openapi.json", "v1_openapi", access.public(serve))


def serve() -> Response:
    """Return the document."""
    return jsonify(document(request.script_root + app_state().url_prefix))


def document(prefix: str = "") -> Json:
    """Return the document of an API that is reached under `prefix`."""
    paths: Json = {}
    for (path, method), operation in OPERATIONS.items():
        paths.setdefault(path, _places(path))[method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imgsearch",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Image search inside Postgres: pictures in, the nearest images that match filters out. "
            "An API key belongs to one tenant and one scope (search, write, admin); `imgsearch key create` makes one. "
            "`imgsearch serve` on loopback needs no key. "
            f"A JSON body has at most {caps.JSON_BYTES:,} bytes and {caps.JSON_VALUES:,} values, one that adds images "
            f"{caps.IMAGES_JSON_BYTES:,} and {caps.IMAGES_JSON_VALUES:,}; a form as many bytes as "
            "IMGSEARCH_HTTP_BODY says.",
        },
        "servers": [{"url": prefix or "/"}],
        "tags": [{"name": name, "description": what} for name, what in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {"key": _security_scheme()}},
    }


def _places(path: str) -> Json:
    """Return what stands within the path itself."""
    found = [
        {"name": name, "in": "path", "required": True, **of} for name, of in _PLACES.items() if f"{{{name}}}" in path
    ]
    return {"parameters": found} if found else {}


def _query(model: type[BaseModel]) -> list[Json]:
    """Return what may stand behind the ?, each left out or given once."""
    whole, found = model.model_json_schema(), []
    for name, said in whole["properties"].items():
        options = [one for one in said.get("anyOf", [said]) if one.get("type") != "null"]
        known = [whole["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in options]
        schema = {key: value for key, value in known[0].items() if key not in {"title", "description", "default"}}
        required = {"required": True} if name in whole.get("required", ()) else {}
        found.append({"name": name, "in": "query", **required, "description": said["description"], "schema": schema})
    return found


@cache
def _schemas() -> Json:
    asked: set[type[BaseModel]] = set()
    sent: set[type[BaseModel]] = {responses.ProblemDocument}
    forms: Json = {}
    for operation in OPERATIONS.values():
        if isinstance(operation.body, Form):
            forms[operation.body.name] = _form(operation.body, examples.REQUESTS.get(operation.name))
        asked |= set(_models(operation.body))
        sent |= {operation.response} if operation.response else set()
    modes = [*((one, "validation") for one in asked), *((one, "serialization") for one in sent)]
    ordered = sorted(modes, key=lambda one: one[0].__name__)
    _, found = models_json_schema(ordered, ref_template=_REFERENCE, schema_generator=_Schemas)  # type: ignore[arg-type]
    return dict(sorted({**found["$defs"], **forms}.items()))


def _models(body: type[BaseModel] | Form | Lines | None) -> tuple[type[BaseModel], ...]:
    if isinstance(body, Lines):
        return body.each
    model = body.request if isinstance(body, Form) else body
    return (model,) if model else ()


def _form(form: Form, example: Any) -> Json:
    many = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": caps.IMAGES}
    properties: Json = {"picture": many if form.several else _FILE}
    if form.request:
        properties["request"] = {**_reference(form.request), "examples": [example]}
    return {
        "title": form.name,
        "type": "object",
        "properties": properties,
        "required": [*properties] if form.several else ["picture"],
        "additionalProperties": False,
    }


def _security_scheme() -> Json:
    said = "; ".join(f"{scope}: {what}" for scope, what in _SCOPES.items())
    return {
        "type": "http",
        "scheme": "bearer",
        "description": f"imgs_… A key has one scope. {said}. An operation's `security` names the least that it needs.",
        "x-scopes": _SCOPES,
    }


def _described(operation: Operation) -> Json:
    """Return an operation of the document; the problems common to all are added."""
    problems = {405, 403, *operation.problems}
    if operation.scope:
        problems |= {400, 401, 429, 503}
    sent: Json = {str(operation.status): _good(operation)}
    for code in sorted(problems):
        content = {"application/problem+json": {"schema": _reference(responses.ProblemDocument)}}
        sent[str(code)] = {"description": WHY[code], "content": content}
        if code in _HEADERS:
            sent[str(code)]["headers"] = _HEADERS[code]
    if operation.response is responses.Ready:
        sent["503"] = {**_good(operation), "description": "Something is missing."}
    found: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [{"key": [operation.scope]}] if operation.scope else [],
        "responses": sent,
    }
    if operation.scope:
        found["description"] = f"Needs an API key of scope {operation.scope}."
    if operation.query:
        found["parameters"] = _query(operation.query)
    if operation.body:
        found["requestBody"] = {"required": True, "content": _body(operation, operation.body)}
    return found


def _good(operation: Operation) -> Json:
    if operation.status == 204:
        return {"description": "Done."}
    example = examples.RESPONSES[operation.name]
    if operation.response is None:
        return {"description": "Done.", "content": {"text/plain": {"schema": {"type": "string"}, "example": example}}}
    if operation.lines:
        said = f"On each line one object {operation.response.__name__}, in the order of what was sent."
        return {"description": said, "content": _lines(example, (operation.response,))}
    content = {"application/json": {"schema": _reference(operation.response), "example": example}}
    return {"description": "Done.", "content": content}


def _lines(example: list[Any], each: tuple[type[BaseModel], ...]) -> Json:
    """Return the description of NDJSON. OpenAPI 3.1 has no word for it: its lines are referred to beside a text."""
    schema = {
        "type": "string",
        "format": "binary",
        "description": f"NDJSON: {' or '.join(one.__name__ for one in each)} on each line.",
    }
    written = "".join(json.dumps(one) + "\n" for one in example)
    return {NDJSON: {"schema": schema, "x-lines": [_reference(one) for one in each], "example": written}}


def _body(operation: Operation, body: type[BaseModel] | Form | Lines) -> Json:
    if isinstance(body, Lines):
        return _lines(examples.REQUESTS[operation.name], body.each)
    if not isinstance(body, Form):
        example = examples.REQUESTS[operation.name]
        return {"application/json": {"schema": _reference(body), "examples": {"one": {"value": example}}}}
    form: Json = {"schema": {"$ref": _REFERENCE.format(model=body.name)}}
    if body.request:
        form["encoding"] = {"request": {"contentType": "application/json"}}
    return {"multipart/form-data": form}


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
