"""What a key with filters may see of images that are named by their ids, or that come along with a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.http import access, ids
from imgsearch.http.search_request import SearchRequest
from imgsearch.query import Crop, ImageId, ProductId
from imgsearch.query.resolution import unknown_product
from imgsearch.retrieval import Filters, Hits


def of(connection: Connection[Any], images: Sequence[int]) -> list[int]:
    """Return those of some images that whoever asks may see: all of them, where nothing limits that."""
    within = _filters()
    if within is None or not images:
        return list(images)
    rows = sql.rows(connection, "http", "matching", {"images": list(images), "filters": within})
    found = {row["image_id"] for row in rows}
    return [one for one in images if one in found]


def require_examples(connection: Connection[Any], asked: SearchRequest) -> None:
    """Raise UnknownImage for the first example of a search that must not be seen: as if it were not there."""
    if access.me().limits is None:
        return
    examples = [thing for thing, _ in (*asked.like, *asked.unlike)]
    shown = [one.picture if isinstance(one, Crop) else one for one in examples]
    images = [*asked.more, *asked.less, *(one.image_id for one in shown if isinstance(one, ImageId))]
    seen = set(of(connection, images))
    for one in images:
        if one not in seen:
            raise ids.unknown(one)
    named = [one.product_id for one in examples if isinstance(one, ProductId)]
    here = products(connection, named)
    for product in named:
        if product not in here:
            raise unknown_product(product)


def products(connection: Connection[Any], named: Sequence[str]) -> set[str]:
    """Return those of some products of which whoever asks may see an image."""
    within = _filters()
    if within is None or not named:
        return set(named)
    return set(images_of(connection, named))


def images_of(connection: Connection[Any], named: Sequence[str]) -> dict[str, set[int]]:
    """Return {product: its images} of what whoever asks, with a key that has filters, may see."""
    rows = sql.rows(connection, "http", "matching_of", {"products": list(named), "filters": _filters()})
    return {row["product_id"]: set(row["images"]) for row in rows}


def hide_others(connection: Connection[Any], hits: Hits) -> None:
    """Leave out of a page the pictures that come along with its products and must not be seen; they are not counted."""
    within = _filters()
    products = sorted({hit.product_id for hit in hits if hit.pictures is not None})
    if within is None or not products:
        return
    seen = images_of(connection, products)
    for place, hit in enumerate(hits):
        if hit.pictures is not None:
            here = seen.get(hit.product_id, set())
            hits[place] = replace(hit, others=tuple(one for one in hit.others if one in here), pictures=len(here))


def _filters() -> str | None:
    """Return the limits of whoever asks as JSON, with the tenant; None: there are none."""
    me = access.me()
    return None if me.limits is None else access.within(Filters(tenant=me.tenant)).as_json()
