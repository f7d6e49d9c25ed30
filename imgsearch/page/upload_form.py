"""Pictures added through the page: a form, and a view that shows them become searchable."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage

from imgsearch.db import sql
from imgsearch.errors import PictureError
from imgsearch.http import access, caps, ids, links, service, values
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.ingest import upload
from imgsearch.ingest.upload import Inspected
from imgsearch.page import titles, urls
from imgsearch.page.frame import frame
from imgsearch.page.wording import wording

MOST_AT_ONCE = 50


def mount(blueprint: Blueprint) -> None:
    """Add the routes."""

    @access.needs("write")
    def form() -> Response:
        return Response(render_template("imgsearch/add.html", **frame(app_state()), problem=None, given={}))

    @access.needs("write")
    def take() -> Any:
        state = app_state()
        try:
            added = add(state)
        except Problem as problem:
            html = render_template("imgsearch/add.html", **frame(state), problem=problem, given=request.form)
            return Response(html, problem.status)
        return redirect(url_for("imgsearch_page.added", id=[ids.shown(one) for one in added]), 303)

    def watch() -> Response:
        state = app_state()
        return Response(render_template("imgsearch/added.html", **frame(state), **states(state)))

    blueprint.add_url_rule("/add", "add", form)
    blueprint.add_url_rule("/add", "add_post", take, methods=["POST"])
    blueprint.add_url_rule("/added", "added", watch)


def add(state: AppState) -> list[int]:
    """Add the pictures of the form, all or none, and return their ids. Raises Problem."""
    files = [file for file in request.files.getlist("picture") if file.filename]
    if not 1 <= len(files) <= MOST_AT_ONCE:
        raise bad_request(f"Choose 1 to {MOST_AT_ONCE} pictures.", "no_picture")
    fields = _fields(files[0], wording(state.settings).marks)
    tenant = access.tenant_of(_text("tenant")) or "default"
    pictures = _read(files)
    with state.session(access.me().tenant, writes=True) as connection:
        added = [
            upload.add(connection, data, tenant=tenant, position=position, settings=state.settings, **fields)
            for position, data in enumerate(pictures)
        ]
    return [one.image_id for one in added]


def states(state: AppState) -> dict[str, Any]:
    """Return how the pictures of the address are."""
    written = request.args.getlist("id")[:MOST_AT_ONCE]
    wanted = [ids.taken(values.whole("id", one, 1, caps.LARGEST_ID)) for one in written]
    tenant = access.me().tenant
    with state.session(tenant) as connection:
        rows = service.images(connection, wanted, tenant)
        named = {"products": [row["product_id"] for row in rows], "tenant": tenant}
        said = {
            (row["tenant_id"], row["product_id"]): row["title"] for row in sql.rows(connection, "page", "titles", named)
        }
        workers = sql.rows(connection, "http", "workers")[0]["images"]
    shown = [
        {
            "image_id": ids.shown(row["image_id"]),
            "title": titles.title_of(
                row["product_id"], said.get((row["tenant_id"], row["product_id"])), row["attributes"]
            ),
            "state": row["state"],
            "error": row["error"],
            "thumbnail": links.thumbnail(state, row["tenant_id"], row["sha256"]) if row["state"] == "ready" else None,
            "more": urls.url_of(state, SearchRequest(more=(row["image_id"],))),
        }
        for row in rows
    ]
    return {
        "pictures": shown,
        "settled": all(one["state"] in {"ready", "failed", "missing"} for one in shown),
        "ready": any(one["state"] == "ready" for one in shown),
        "workers": workers,
        "here": url_for("imgsearch_page.added", id=written),
    }


def _read(files: list[FileStorage]) -> list[Inspected]:
    pictures, bad = [], []
    for file in files:
        try:
            pictures.append(upload.inspected(file.read()))
        except PictureError as error:
            bad.append({"name": (file.filename or "")[:100], "code": error.code, "detail": str(error)})
    if bad:
        detail = f"{len(bad)} of {len(files)} files cannot be used, so none was added."
        raise Problem(422, str(bad[0]["code"]) if len(bad) == 1 else "bad_pictures", detail, more={"errors": bad})
    return pictures


def _fields(first: FileStorage, marks: tuple[str, str]) -> dict[str, Any]:
    price, title = _text("price"), _text("title")
    stem = PurePosixPath((first.filename or "").replace("\\", "/")).stem
    return {
        "product_id": _text("product_id") or values.text("The file's name", stem or "picture"),
        "category": _text("category"),
        "price": None if price is None else values.number("price", price, 0, caps.PRICE, marks),
        "in_stock": request.form.get("in_stock") == "yes",
        "title": title,
    }


def _text(name: str) -> str | None:
    value = request.form.get(name, "").strip()
    return values.text(name, value) if value else None
