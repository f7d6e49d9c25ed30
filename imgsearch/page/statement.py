"""The one SQL statement of a search, as a person types it at a SQL console. It is shown, never run from here."""

from __future__ import annotations

import json
import re
from typing import Any

from psycopg.sql import Literal

from imgsearch.http.search_request import Filters, SearchRequest


def of(asked: SearchRequest, before: int | None = None) -> str:
    """Answer the statement: what it finds is what the page shows, in the same order."""
    arguments = [_query(asked)] if asked.likes else []
    arguments += [*_filters(asked.filters), f"k => {asked.k}"]
    if asked.likes and asked.after is not None:
        arguments += [f"after_distance => {asked.after[0]!r}", f"after_image => {asked.after[1]}"]
    if not asked.likes and before is not None:
        arguments.append(f"before_image => {before}")
    written = ",\n    ".join(arguments)
    return f"SELECT *\nFROM imgsearch.{'search' if asked.likes else 'browse'}(\n    {written}\n);"


def on_one_line(statement: str) -> str:
    """Answer a statement without its line breaks."""
    return re.sub(r"\s*\n\s*", " ", statement).replace("( ", "(").replace(" )", ")")


def _query(asked: SearchRequest) -> str:
    if asked.text and asked.examples == 0:
        return _literal(asked.text)
    near = [f"imgsearch.vec({_literal(asked.text)})"] if asked.text else []
    near += [f"imgsearch.vec_of({image_id})" for image_id in asked.more]
    if asked.photo is not None:
        near.append(
            "(SELECT embedding FROM imgsearch.query_vector WHERE space_id = imgsearch.active_space()"
            f" AND kind = 'picture' AND key = '\\x{asked.photo.hex()}')"
        )
    far = [f"imgsearch.vec_of({image_id})" for image_id in asked.less]
    if len(near) == 1 and not far:
        return near[0]
    lines = "\n        + ".join(near) + "".join(f"\n        - {one}" for one in far)
    return f"l2_normalize(\n        {lines}\n    )"


def _filters(filters: Filters) -> list[str]:
    """Answer the named arguments, each only where it says something."""
    named: dict[str, Any] = {
        "tenant": filters.tenant,
        "categories": None if filters.categories is None else list(filters.categories),
        "min_price": filters.min_price,
        "max_price": filters.max_price,
        "in_stock": filters.in_stock,
        "attributes": json.dumps(_plain(filters), ensure_ascii=False) if filters.attributes else None,
    }
    return [f"{name} => {_literal(value)}" for name, value in named.items() if value is not None]


def _plain(filters: Filters) -> dict[str, Any]:
    """{"in": ["red"]} is the same as "red", which people would write."""
    return {
        name: asked["in"][0] if isinstance(asked, dict) and list(asked) == ["in"] and len(asked["in"]) == 1 else asked
        for name, asked in filters.attributes.items()
    }


def _literal(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    return Literal(value).as_string(None)
