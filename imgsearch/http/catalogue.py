"""The API of whoever keeps a catalogue: lists of images, changes without the pictures, whole products, many at once."""

from __future__ import annotations

from flask import Blueprint, Response

from imgsearch.db import sql
from imgsearch.errors import UnknownImage
from imgsearch.http import access, bulk, caps, ids, reader, responses, service
from imgsearch.http.api import sent
from imgsearch.http.bulk import checked
from imgsearch.http.changes import ImageChanges, ListImages, OfTenant, ProductChanges
from imgsearch.http.state import app_state
from imgsearch.http.values import text, whole
from imgsearch.ingest import changes, upload


def mount(blueprint: Blueprint) -> None:
    """Add the routes."""
    for rule, view, method in (
        ("/v1/images", listed, "GET"),
        ("/v1/images/bulk", many, "POST"),
        ("/v1/images/<image_id>", change_image, "PATCH"),
        ("/v1/products/<path:product_id>", change_product, "PATCH"),
        ("/v1/products/<path:product_id>", remove_product, "DELETE"),
    ):
        # A product may be called a//b.
        blueprint.add_url_rule(rule, f"v1_{view.__name__}", view, methods=[method], merge_slashes=False)


@access.needs("write")
def listed() -> Response:
    """Return images and their states, in the order they were added."""
    asked = reader.query(ListImages)
    tenant = access.tenant_of(asked.tenant)
    after = None if asked.after is None else ids.taken(whole("after", asked.after, 1, caps.LARGEST_ID))
    values = {"tenant": tenant, "product_id": asked.product_id, "state": asked.state, "after": after, "k": asked.k}
    state = app_state()
    with state.session(access.me().tenant) as connection:
        rows = sql.rows(connection, "http", "list", values)
    found = [service.image(state, row) for row in rows]
    return sent(responses.Images(images=found, after=str(found[-1].image_id) if len(found) == asked.k else None))


@access.needs("write")
def change_image(image_id: str) -> Response:
    """Change what is stored beside one picture; it is not embedded again."""
    given, number = reader.changes(ImageChanges), ids.named(image_id)
    state, tenant = app_state(), access.me().tenant
    with state.session(tenant, writes=True) as connection:
        rows = service.images(connection, [number], tenant)
        for row in rows:
            checked(changes.change(connection, tenant=row["tenant_id"], image_id=number, **given))
        rows = service.images(connection, [number], tenant)
    if not rows:
        raise ids.not_found(image_id)
    return sent(service.image(state, rows[0]))


@access.needs("write")
def change_product(product_id: str) -> Response:
    """Change what is stored beside a product's pictures, and what it is called; nothing is embedded again."""
    given, product, tenant = reader.changes(ProductChanges), _product(product_id), _tenant()
    with app_state().session(access.me().tenant, writes=True) as connection:
        found = checked(changes.change(connection, tenant=tenant, product_id=product, **given))
    if not found.images:
        raise _unknown(product)
    return sent(
        responses.ChangedProduct(
            product_id=product, images=len(found.images), changed=len(found.changed), words=found.words
        )
    )


@access.needs("write")
def remove_product(product_id: str) -> Response:
    """Delete all images of a product."""
    product, tenant = _product(product_id), _tenant()
    with app_state().session(access.me().tenant, writes=True) as connection:
        gone = upload.remove(connection, tenant=tenant, product_id=product)
    if not gone:
        raise _unknown(product)
    return Response(status=204)


@access.needs("write")
def many() -> Response:
    """Add, change and delete: one outcome for each line, whatever becomes of the others."""
    body = "".join(one.model_dump_json() + "\n" for one in bulk.outcomes(app_state(), reader.lines()))
    return Response(body, content_type=reader.NDJSON)


def _product(product_id: str) -> str:
    return text("product_id", product_id)


def _tenant() -> str:
    return access.tenant_of(reader.query(OfTenant).tenant) or "default"


def _unknown(product: str) -> UnknownImage:
    return UnknownImage(f"Product {product[:40]!r} has no images; GET /v1/images lists what there is.")
