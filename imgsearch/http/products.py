"""Products that match, without a question: `GET /v1/products`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from imgsearch.http import access, caps, fields, ids, links, reader, requests, responses, service
from imgsearch.http.api import sent
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.listing import Listed
from imgsearch.retrieval.ranking import Ranking

_PLAIN = ("category", "min_price", "max_price", "in_stock")


class ListProducts(BaseModel):
    """Which products to list, and in which order."""

    model_config = ConfigDict(extra="forbid")

    category: Annotated[fields.Text | None, Field(description="Only of this category.")] = None
    min_price: Annotated[fields.Price | None, Field(description="Only from this price on.")] = None
    max_price: Annotated[fields.Price | None, Field(description="Only up to this price.")] = None
    in_stock: Annotated[bool | None, Field(description="Only what is (not) in stock.")] = None
    filters: Annotated[
        str | None,
        Field(
            min_length=2,
            max_length=caps.JSON_BYTES,
            description='All others, as JSON: {"attributes": {"colour": "red"}}; see FilterFields of POST /v1/search.',
        ),
    ] = None
    sort: Annotated[
        fields.Text, Field(description="newest (added last), price or attributes.NAME, with - the other way round.")
    ] = "newest"
    after: Annotated[fields.Cursor | None, Field(description="The `after` of the page before.")] = None
    k: Annotated[int, Field(ge=1, le=caps.K, description="How many.")] = 10
    tenant: Annotated[fields.Text | None, Field(description="Only of this tenant; a key has its own.")] = None


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/v1/products", "v1_products", listed)


def listed() -> Response:
    """Return the products that match."""
    state, asked = app_state(), _asked(reader.query(ListProducts))
    with state.session(access.me().tenant) as connection:
        rows = service.browse(connection, asked)
    found = [_shown(state, row) for row in rows]
    after = found[-1].after if len(found) == asked.k else None
    return sent(responses.Products(products=found, after=after, thumbnails_expire_at=links.expires_at(state)))


def _asked(given: ListProducts) -> SearchRequest:
    """Return what is asked, with ids of the table. Raises Problem."""
    filters = Filters() if given.filters is None else requests.parse_filters(given.filters)
    plain: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(given, name)) is not None}
    tenant = access.tenant_of(given.tenant or filters.tenant)
    asked = SearchRequest(
        filters=replace(filters, **plain, tenant=tenant), ranking=Ranking(sort=given.sort), k=given.k, after=given.after
    )
    return ids.taken_request(asked)


def _shown(state: AppState, row: Listed) -> responses.Product:
    others = [
        responses.OtherPicture(image_id=ids.shown(one), thumbnail=links.thumbnail(state, row.tenant_id, digest))
        for one, digest in row.others
    ]
    return responses.Product(
        image_id=ids.shown(row.image_id),
        product_id=row.product_id,
        tenant_id=row.tenant_id,
        title=row.title,
        category=row.category,
        categories=list(row.categories or ()),
        price=row.price,
        in_stock=row.in_stock,
        attributes=dict(row.attributes),
        thumbnail=links.thumbnail(state, row.tenant_id, row.sha256),
        pictures=row.pictures,
        others=others,
        after=ids.shown_after(row.after) or "",
    )
