"""One product with all its pictures: a page of its own, which a script shows above the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, render_template, request, url_for

from imgsearch.db import sql
from imgsearch.http import access, caps, ids, links, service, values, visible
from imgsearch.http.problem import Problem
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.page import urls
from imgsearch.page.frame import frame
from imgsearch.page.titles import title_of
from imgsearch.page_settings import web_address
from imgsearch.query import ProductId
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.hits import named_categories
from imgsearch.settings import Settings

MOST = 100  # pictures shown of one product
_ATTRIBUTE = "attributes."


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a product; `place` counts from 1."""

    image_id: int
    place: int
    thumbnail: str
    larger: str
    view: str


@dataclass(frozen=True, kw_only=True)
class Product:
    """What the page shows of a product; `count` is how many pictures it has, `pictures` the first of them."""

    title: str
    category: str | None
    price: float | None
    in_stock: bool
    tenant: str
    link: str | None
    similar: str
    count: int
    pictures: tuple[Picture, ...]


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/product", "product", show)


def show() -> Response:
    """Return the page of a product, with the picture that is asked for shown large."""
    state = app_state()
    image_id = ids.taken(values.whole("image", request.args.get("image", ""), 1, caps.LARGEST_ID))
    with state.session(access.me().tenant) as connection:
        found = service.images(connection, [image_id], access.me().tenant)
        if not found or found[0]["state"] != "ready":
            raise Problem(404, "not_found", "This product is not here any more.")
        row = found[0]
        given = {"tenant": row["tenant_id"], "product": row["product_id"], "image": image_id, "k": MOST}
        rows = sql.rows(connection, "page", "product_pictures", given)
        seen = set(visible.of(connection, [one["image_id"] for one in rows]))
    if access.me().limits is not None:  # what a key must not see is not counted either
        rows = [one for one in rows if one["image_id"] in seen]
        rows = [{**one, "place": place, "count": len(rows)} for place, one in enumerate(rows, 1)]
    product = made(state, row, rows)
    at = next((n for n, one in enumerate(product.pictures) if one.image_id == ids.shown(image_id)), 0)
    around = {"before": product.pictures[at - 1], "after": product.pictures[(at + 1) % len(product.pictures)]}
    html = render_template(
        "imgsearch/product.html", **frame(state), product=product, shown=product.pictures[at], **around
    )
    return Response(html)


def made(state: AppState, row: Mapping[str, Any], pictures: Sequence[Mapping[str, Any]]) -> Product:
    """Return the product that a picture (`row`) belongs to."""
    tenant = row["tenant_id"]
    return Product(
        title=title_of(row["product_id"], pictures[0]["product_title"], row["attributes"]),
        category=named_categories(row["category"], row["categories"]),
        price=row["price"],
        in_stock=row["in_stock"],
        tenant=tenant,
        link=link(state.settings, row["product_id"], row["attributes"]),
        similar=similar(state, tenant if access.me().tenant is None else None, row["product_id"]),
        count=pictures[0]["count"],
        pictures=tuple(
            Picture(
                image_id=ids.shown(one["image_id"]),
                place=one["place"],
                thumbnail=links.thumbnail(state, tenant, one["sha256"]) or "",
                larger=links.larger(state, tenant, one["sha256"]) or "",
                view=view_of(one["image_id"]),
            )
            for one in pictures
        ),
    )


def view_of(image_id: int) -> str:
    """Return the address of the view of the product that a picture belongs to."""
    return url_for("imgsearch_page.product", image=ids.shown(image_id))


def similar(state: AppState, tenant: str | None, product_id: str) -> str:
    """Return the address of the search for what looks like a product, by all its pictures, and for nothing else."""
    return urls.url_of(state, SearchRequest(like=((ProductId(product_id), 1.0),), filters=Filters(tenant=tenant)))


def link(settings: Settings, product_id: str, attributes: Mapping[str, Any]) -> str | None:
    """Return where the shop has the product; None where it says none, or something that no link may lead to."""
    template = settings.page_product_url
    if template.startswith(_ATTRIBUTE):
        given = attributes.get(template.removeprefix(_ATTRIBUTE))
        return web_address(given) if isinstance(given, str) and len(given) <= caps.URL else None
    # "." and ".." alone would be steps to another folder, and a browser reads %2e like a dot.
    if not template or product_id in {".", ".."}:
        return None
    return template.replace("{product_id}", quote(product_id, safe=""))
