"""The JSON API under /v1, as `openapi` describes it; a test compares the two."""

from __future__ import annotations

import json

from flask import Blueprint, Response, url_for
from pydantic import BaseModel

from imgsearch.errors import PictureError
from imgsearch.http import access, counts, ids, one_trip, reader, responses, second_look, service
from imgsearch.http.problem import Problem
from imgsearch.http.reader import NewPicture
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import app_state
from imgsearch.ingest import upload
from imgsearch.ingest.upload import Inspected
from imgsearch.spaces import space


def mount(blueprint: Blueprint) -> None:
    """Add the routes of the API."""
    for rule, view, method in (
        ("/v1/search", search, "POST"),
        ("/v1/search/upload", search_upload, "POST"),
        ("/v1/choices", choices, "POST"),
        ("/v1/embed", embed, "POST"),
        ("/v1/embed/upload", embed_upload, "POST"),
        ("/v1/images", add, "POST"),
        ("/v1/images/upload", add_upload, "POST"),
        ("/v1/images/<image_id>", show, "GET"),
        ("/v1/images/<image_id>", remove, "DELETE"),
    ):
        blueprint.add_url_rule(rule, f"v1_{view.__name__}", view, methods=[method])


def search() -> Response:
    """Return the nearest pictures that match."""
    return _searched(reader.search())


def search_upload() -> Response:
    """Return the nearest pictures to a file that match."""
    return _searched(reader.search_upload())


def _searched(asked: SearchRequest) -> Response:
    state = app_state()
    asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    if asked.rerank is not None:
        found, counted = second_look.search(state, asked, asked.rerank)
        return sent(service.page(state, found, *counted))
    if (at_once := one_trip.search(state, asked)) is not None:
        found, counted = at_once
        return sent(service.page(state, found, *counted))
    with service.session(state, asked) as (connection, given):
        found = service.search(connection, asked, given)
        facets = counts.facets(state, connection, asked)
    return sent(service.page(state, found, *facets))


def choices() -> Response:
    """Return the values of one facet that contain a text."""
    given, asked = reader.choices()
    asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    with app_state().session(access.me().tenant) as connection:
        return sent(counts.choices(connection, given, asked))


def embed() -> Response:
    """Return the vector of a text or a picture."""
    return _embedded(reader.embed())


def embed_upload() -> Response:
    """Return the vector of a file."""
    return _embedded(reader.embed_upload())


def _embedded(asked: SearchRequest) -> Response:
    state, asked = app_state(), asked.of_tenant(access.me().tenant)
    with service.session(state, asked) as (connection, given):
        resolved = service.vector_of(connection, asked, given)
        made_by = space.require(connection)
    return sent(
        responses.Vector(
            vector=json.loads(resolved.vector),
            dimension=made_by.dimension,
            model=made_by.model,
            source=resolved.source,
            took_ms=round(resolved.took_ms, 3),
        )
    )


@access.needs("write")
def add() -> Response:
    """Add images by their addresses: all of them, or none."""
    return _added(reader.images())


@access.needs("write")
def add_upload() -> Response:
    """Add images as files: all of them or, where one cannot be used, none."""
    return _added(reader.images_upload())


def _added(given: list[NewPicture]) -> Response:
    state = app_state()
    tenants = [access.tenant_of(one.tenant) or "default" for one in given]
    inspected = _inspect(given)
    added = []
    with state.session(access.me().tenant, writes=True) as connection:
        for one, picture, tenant in zip(given, inspected, tenants, strict=True):
            found = upload.add(connection, picture, tenant=tenant, settings=state.settings, **one.fields)
            image_id = ids.shown(found.image_id)
            url = url_for("imgsearch.v1_show", image_id=image_id)
            added.append(responses.AddedImage(image_id=image_id, outcome=found.outcome, waits=found.waits, url=url))
    return sent(responses.Added(images=added), 202)


def show(image_id: str) -> Response:
    """Return one picture: its fields, its state, and why it failed if it did."""
    state, tenant = app_state(), access.me().tenant
    number = ids.named(image_id)
    with state.session(tenant) as connection:
        rows = service.images(connection, [number], tenant)
    if not rows:
        raise ids.not_found(image_id)
    return sent(service.image(state, rows[0]))


@access.needs("write")
def remove(image_id: str) -> Response:
    """Delete one picture."""
    state, tenant = app_state(), access.me().tenant
    number = ids.named(image_id)
    with state.session(tenant, writes=True) as connection:
        rows = service.images(connection, [number], tenant)
        gone = bool(rows) and upload.remove(connection, tenant=rows[0]["tenant_id"], image_id=number)
    if not gone:
        raise ids.not_found(image_id)
    return Response(status=204)


def sent(found: BaseModel, status: int = 200) -> Response:
    """Return a model as a JSON response."""
    return Response(found.model_dump_json(by_alias=True) + "\n", status, content_type="application/json")


def _inspect(images: list[NewPicture]) -> list[str | Inspected]:
    """Refuse a whole request because of its bad pictures, and name each of them; addresses are not fetched here."""
    good: list[str | Inspected] = []
    bad = []
    for place, image in enumerate(images):
        try:
            good.append(upload.inspected(image.picture) if isinstance(image.picture, bytes) else image.picture)
        except PictureError as error:
            bad.append({"index": place, "code": error.code, "detail": str(error)})
    if len(bad) == 1 and len(images) == 1:
        raise Problem(422, str(bad[0]["code"]), str(bad[0]["detail"]), more={"errors": bad})
    if bad:
        detail = f"{len(bad)} of {len(images)} pictures cannot be used, so none was added; see errors."
        raise Problem(422, "bad_pictures", detail, more={"errors": bad})
    return good
