"""What stands first in a shop's answers, and what never does: `/v1/merchandise`."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from imgsearch.http import access, fields, reader, responses
from imgsearch.http.api import sent
from imgsearch.http.requests import Body
from imgsearch.http.state import app_state
from imgsearch.ops import merchandise

PATH = "/v1/merchandise"
PLACES = 25


class Merchandise(Body):
    """A product that is pinned or hidden: for a text, for a category, or whatever is asked."""

    product_id: fields.Text
    place: Annotated[
        Annotated[int, Field(ge=1, le=PLACES)] | None, Field(description="Where it stands, 1 first; null hides it.")
    ] = 1
    query: Annotated[fields.Text | None, Field(description="For this text alone.")] = None
    category: Annotated[fields.Text | None, Field(description="Where this category alone is asked for.")] = None
    tenant: Annotated[fields.Text | None, Field(description="Whose answers; a key has its own.")] = None


class MerchandiseRow(responses.Sent):
    """A product that is pinned at a place, or hidden where that is null; query and category null: any."""

    product_id: str
    place: int | None
    query: str | None
    category: str | None
    tenant: str


class Merchandised(responses.Sent):
    """What is pinned and what is hidden, by what it is for."""

    merchandise: list[MerchandiseRow]


class OfTenant(BaseModel):
    """Whose answers."""

    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[fields.Text | None, Field(description="Whose answers; a key has its own.")] = None


class TakenBack(OfTenant):
    """Of which product, for which text and category; what is left out is any."""

    product_id: Annotated[fields.Text | None, Field(description="Only of this product.")] = None
    query: Annotated[fields.Text | None, Field(description="Only for this text.")] = None
    category: Annotated[fields.Text | None, Field(description="Only for this category.")] = None


def mount(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule(PATH, "v1_merchandise", listed)
    blueprint.add_url_rule(PATH, "v1_set_merchandise", put, methods=["POST"])
    blueprint.add_url_rule(PATH, "v1_clear_merchandise", clear, methods=["DELETE"])


@access.needs("write")
def listed() -> Response:
    """Return what is pinned and hidden."""
    tenant = access.tenant_of(reader.query(OfTenant).tenant)
    return sent(_list(tenant))


@access.needs("write")
def put() -> Response:
    """Pin a product, or hide it."""
    asked = reader.body(Merchandise)
    whose = access.tenant_of(asked.tenant) or "default"
    where = {"product_id": asked.product_id, "query": asked.query or "", "category": asked.category or ""}
    with app_state().session(access.me().tenant, writes=True) as connection:
        if asked.place is None:
            merchandise.hide(connection, tenant=whose, **where)
        else:
            merchandise.pin(connection, tenant=whose, place=asked.place, **where)
    return Response(status=204)


@access.needs("write")
def clear() -> Response:
    """Take back what was pinned or hidden."""
    asked = reader.query(TakenBack)
    whose = access.tenant_of(asked.tenant) or "default"
    with app_state().session(access.me().tenant, writes=True) as connection:
        merchandise.unpin(
            connection, tenant=whose, product_id=asked.product_id, query=asked.query, category=asked.category
        )
    return Response(status=204)


def _list(tenant: str | None) -> Merchandised:
    with app_state().session(access.me().tenant) as connection:
        found = merchandise.listed(connection, tenant)
    rows = [
        MerchandiseRow(
            product_id=one.product_id,
            place=one.place,
            query=one.query or None,
            category=one.category or None,
            tenant=one.tenant_id,
        )
        for one in found
    ]
    return Merchandised(merchandise=rows)
