"""The one SQL statement of a search, as a person types it at a SQL console. It is shown, never run from here.

Where ids are scrambled (`http.ids`) they are not those of the table: they stand there as variables of psql to be set.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from psycopg.sql import Literal

from imgsearch.http import access, ids
from imgsearch.http.search_request import SearchRequest
from imgsearch.page.urls import attributes, categories
from imgsearch.query import cache
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.rerank import Rerank


def statement_of(asked: SearchRequest) -> str:
    """Return the statement: what it finds is what the page shows, in the same order unless that was ranked anew."""
    arguments = [_query(asked)] if asked.likes else []
    arguments += _named(asked.filters) if asked.likes else _packed(asked.filters)
    if asked.likes and asked.less:
        arguments.append(f"exclude_image_ids => ARRAY[{', '.join(map(_id, asked.less))}]")
    if asked.products:
        named = ", ".join(_literal(one.product_id) for one in asked.products)
        arguments.append(f"exclude_product_ids => ARRAY[{named}]")
    ranking = asked.ranking if asked.likes else replace(asked.ranking, regions=None)
    arguments += [f"{name} => {_literal(value)}" for name, value in ranking.given().items()]
    arguments.append(f"k => {asked.k}")
    if asked.after is not None:
        arguments.append(f"after => {_literal(asked.after) if _sees_table() else ':after'}")
    written = ",\n    ".join(arguments)
    found = f"SELECT *\nFROM imgsearch.{'search' if asked.likes else 'browse_products'}(\n    {written}\n);"
    return (
        found
        if asked.rerank is None
        else f"{found}\n-- then ranked anew: CALL imgsearch.rerank(images, {_steps(asked.rerank)}, …);"
    )


def on_one_line(statement: str) -> str:
    """Return a statement without its line breaks."""
    return re.sub(r"\s*\n\s*", " ", statement).replace("( ", "(").replace(" )", ")")


def _query(asked: SearchRequest) -> str:
    if asked.text and asked.examples == 0 and not asked.like:
        return _literal(asked.text)
    near = [f"imgsearch.vec({_literal(asked.text)})"] if asked.text else []
    near += [f"imgsearch.vec_of({_id(image_id)})" for image_id in asked.more]
    tenant = asked.filters.tenant
    whose = f", {_literal(tenant)}" if tenant is not None else ""
    near += [f"imgsearch.vec_of_product({_literal(one.product_id)}{whose})" for one in asked.products]
    if asked.photo is not None:
        near.append(
            "(SELECT embedding FROM imgsearch.query_vector WHERE tenant_id = coalesce(imgsearch.current_tenant(), '')"
            " AND space_id = imgsearch_internal.active_space()"
            f" AND kind = 'picture' AND key = '\\x{cache.key_of(asked.photo, asked.region).hex()}')"
        )
    far = [f"imgsearch.vec_of({_id(image_id)})" for image_id in asked.less]
    if len(near) == 1 and not far:
        return near[0]
    vectors = ",\n        ".join([*near, *far])
    weights = ", ".join(["1"] * len(near) + ["-1"] * len(far))
    return f"imgsearch.combine(ARRAY[\n        {vectors}\n    ], ARRAY[{weights}])"


def _packed(filters: Filters) -> list[str]:
    """Return the filters as one value, where there are any."""
    return [f"filters => imgsearch.filters_of({_literal(filters.as_json())})"] if filters.given() else []


def _named(filters: Filters) -> list[str]:
    """Return the named arguments, each only where it says something."""
    named = filters.given()
    if "category" in named:
        named = {("categories" if name == "category" else name): value for name, value in named.items()}
        named["categories"] = categories(filters)
    if "attributes" in named:
        named["attributes"] = json.dumps(_plain(filters), ensure_ascii=False)
    return [f"{name} => {_literal(value)}" for name, value in named.items()]


def _plain(filters: Filters) -> dict[str, Any]:
    """{"in": ["red"]} is the same as "red", which people would write."""
    return {
        name: asked["in"][0] if isinstance(asked, dict) and list(asked) == ["in"] and len(asked["in"]) == 1 else asked
        for name, asked in attributes(filters).items()
    }


def _steps(rerank: Rerank) -> str:
    return _literal(json.dumps([one.name for one in rerank.steps]))


def _sees_table() -> bool:
    return access.me().tenant is None


def _id(image_id: int) -> str:
    return str(image_id) if _sees_table() else f":image_{ids.shown(image_id)}"


def _literal(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    return Literal(value).as_string(None)
