"""The JSON documents of the HTTP API, as JSON Schema; limits are those that `reader` and `values` hold."""

from __future__ import annotations

from typing import Any

from imgsearch.http.reader import LARGEST_PRICE, LONGEST_URL, MOST_NUMBERS, MOST_PARTS
from imgsearch.http.search_request import LARGEST_PAGE, MOST_CATEGORIES, MOST_EXAMPLES
from imgsearch.http.values import LARGEST_ID
from imgsearch.query.resolution import MAX_TEXT

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """Answer a reference to one of these schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: Schema, most: int, least: int = 0) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\u0000]+$"}
_WORDS: Schema = {**_TEXT, "maxLength": MAX_TEXT}
_ID: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
_IDS = _list(_ID, MOST_EXAMPLES)
_PRICE: Schema = {"type": "number", "minimum": 0, "maximum": LARGEST_PRICE}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_BOOLEAN: Schema = {"type": "boolean"}
_ANY_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_URL: Schema = {"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\u0000]*$", "maxLength": LONGEST_URL}
_FILTERS: dict[str, Schema] = {
    "tenant": {**_or_null(_TEXT), "description": "May repeat the key's tenant; never another."},
    "category": {"oneOf": [_TEXT, _list(_TEXT, MOST_CATEGORIES), {"type": "null"}]},
    "min_price": _or_null(_PRICE),
    "max_price": _or_null(_PRICE),
    "in_stock": _or_null(_BOOLEAN),
    "attributes": {
        **_or_null(_OBJECT),
        "description": "name → value, [one, of], or {operator: value} with is, not, in, not_in, has, min, max, above, "
        'below, exists. For example {"colour": "red", "size": {"min": 38}}.',
    },
}
_AFTER = _object(["distance", "image_id"], distance=_NUMBER, image_id=_ID)
_FIELDS: dict[str, Schema] = {
    "product_id": _TEXT,
    "position": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "category": _or_null(_TEXT),
    "price": _or_null(_PRICE),
    "in_stock": _BOOLEAN,
    "attributes": _or_null(_OBJECT),
    "tenant": _or_null(_TEXT),
}
_MATCH: Schema = _object(
    ["image_id", "product_id", "tenant", "distance", "category", "price", "in_stock", "attributes", "thumbnail"],
    image_id=_ID,
    product_id=_ANY_TEXT,
    tenant=_ANY_TEXT,
    distance={**_NUMBER, "description": "Cosine distance, from 0 (the same) to 2."},
    title=_or_null(_ANY_TEXT),
    category=_or_null(_ANY_TEXT),
    price=_or_null(_NUMBER),
    in_stock=_BOOLEAN,
    attributes=_OBJECT,
    thumbnail={**_or_null(_ANY_TEXT), "description": "Address of a WebP of at most 320 pixels; never changes."},
)

SCHEMAS: dict[str, Schema] = {
    "Search": _object(
        [],
        text=_or_null(_WORDS),
        image_id=_or_null(_ID),
        more_like=_IDS,
        less_like=_IDS,
        vector=_or_null(_list(_NUMBER, MOST_NUMBERS, 1)),
        picture_url=_or_null(_URL),
        k={"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": 10},
        after={"oneOf": [_AFTER, {"type": "null"}]},
        max_distance=_or_null({**_NUMBER, "minimum": 0, "maximum": 2}),
        **_FILTERS,
    ),
    "Embed": _object([], text=_or_null(_WORDS), picture_url=_or_null(_URL)),
    "Add": _object(["images"], images=_list(_object(["product_id", "url"], url=_URL, **_FIELDS), MOST_PARTS, 1)),
    "AddFiles": _object(["images"], images=_list(_object(["product_id"], **_FIELDS), MOST_PARTS, 1)),
    "Match": _MATCH,
    "Page": _object(
        ["strategy", "complete", "matches", "more", "took_ms", "resolved", "after", "rows"],
        strategy={"enum": ["hnsw", "bits", "exact"]},
        complete=_BOOLEAN,
        matches={**_COUNT, "description": "Pictures that match the filters; more than that where `more` is true."},
        more=_BOOLEAN,
        took_ms=_object(["resolve", "sql"], resolve=_NUMBER, sql=_NUMBER),
        resolved=_object(["kind", "source"], kind=_ANY_TEXT, source=_ANY_TEXT),
        after={"oneOf": [_AFTER, {"type": "null"}], "description": "Send it as `after` for the next page."},
        rows=_list(reference("Match"), LARGEST_PAGE),
    ),
    "Vector": _object(
        ["vector", "dimension", "model", "source", "took_ms"],
        vector={"type": "array", "items": _NUMBER},
        dimension=_COUNT,
        model=_ANY_TEXT,
        source=_ANY_TEXT,
        took_ms=_NUMBER,
    ),
    "Taken": _object(
        ["images"],
        images=_list(
            _object(
                ["image_id", "outcome", "waits", "url"],
                image_id=_ID,
                outcome={"enum": ["added", "replaced", "changed", "unchanged"]},
                waits=_BOOLEAN,
                url=_ANY_TEXT,
            ),
            MOST_PARTS,
        ),
    ),
    "Picture": _object(
        ["image_id", "product_id", "tenant", "position", "in_stock", "attributes", "state", "error"],
        image_id=_ID,
        product_id=_ANY_TEXT,
        tenant=_ANY_TEXT,
        position=_COUNT,
        category=_or_null(_ANY_TEXT),
        price=_or_null(_NUMBER),
        in_stock=_BOOLEAN,
        attributes=_OBJECT,
        state={"enum": ["pending", "leased", "failed", "skipped", "ready"]},
        attempts=_COUNT,
        error={"oneOf": [_object(["code", "detail"], code=_ANY_TEXT, detail=_or_null(_ANY_TEXT)), {"type": "null"}]},
        created_at={**_ANY_TEXT, "format": "date-time"},
        updated_at={**_ANY_TEXT, "format": "date-time"},
        thumbnail=_or_null(_ANY_TEXT),
    ),
    "Status": _object(
        ["images", "pending", "leased", "failed", "skipped", "workers"],
        **dict.fromkeys(("images", "pending", "leased", "failed", "skipped", "workers"), _COUNT),
        oldest_waiting=_or_null(_NUMBER),
        model=_or_null(_ANY_TEXT),
        dimension=_or_null(_COUNT),
    ),
    "Alive": _object(["alive"], alive=_BOOLEAN),
    "Ready": _object(
        ["ready"],
        **dict.fromkeys(("ready", "database", "schema", "model", "query_worker", "store"), _BOOLEAN),
    ),
    "Problem": {
        "type": "object",
        "properties": {
            "type": _ANY_TEXT,
            "title": _ANY_TEXT,
            "status": {"type": "integer"},
            "code": {**_ANY_TEXT, "description": "For programs."},
            "detail": {**_ANY_TEXT, "description": "One sentence with a cure, for people."},
            "instance": _ANY_TEXT,
            "errors": {"type": "array", "items": _OBJECT},
        },
        "required": ["type", "title", "status", "code", "detail"],
    },
}
