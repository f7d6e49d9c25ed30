"""Thumbnails, made once by the worker, and pictures as they were added, under addresses that expire.

Nothing is decoded here: of a whole picture the segments are walked that its metadata stands in.
"""

from __future__ import annotations

import time
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, request

from imgsearch.db import sql
from imgsearch.errors import FetchRefused, ObjectMissing, PictureError
from imgsearch.http import access, links
from imgsearch.http.links import Thumbnail
from imgsearch.http.state import AppState, app_state
from imgsearch.picture.bare import bare
from imgsearch.storage.store import uri_of

if TYPE_CHECKING:
    from psycopg import Connection

LARGEST = 8 << 20  # bytes of a picture that is passed on as it was added


def mount(blueprint: Blueprint) -> None:
    """Add the route of thumbnails."""
    blueprint.add_url_rule("/thumbnail/<name>.webp", "thumbnail", access.public(thumbnail))
    blueprint.add_url_rule("/larger/<name>", "larger", access.public(larger))


def thumbnail(name: str) -> Response:
    """Return a thumbnail, or a grey picture while there is none yet; 404 where its tenant does not show it any more."""
    state = app_state()
    asked = links.thumbnail_in(state, name)
    ready = None if asked is None else is_ready(state, asked)
    if asked is None or ready is None:
        abort(404, "Thumbnail not found.")
    try:
        # One that is there before the tenant's own picture was embedded would say that a neighbour has the same.
        found = state.store.get_thumbnail(asked.digest) if ready else b""
    except ObjectMissing:
        found = b""
    made = found[:4] == b"RIFF" and found[8:12] == b"WEBP"  # whatever else got into the store is not for browsers
    return _sent(name, asked, "image/webp", found if made else None)


def larger(name: str) -> Response:
    """Return a picture as it was added, without metadata; its thumbnail where it is not here or not for browsers."""
    state = app_state()
    asked = links.larger_in(state, name) if state.settings.page_larger == "on" else None
    if asked is None or not is_ready(state, asked):
        abort(404, "Picture not found.")
    try:
        found = bare(state.store.get(uri_of(asked.digest), LARGEST))
    except (ObjectMissing, FetchRefused, PictureError):  # one that stands elsewhere, or is too large to pass on
        found = None
    if found is not None:
        return _sent(name, asked, *found)
    try:
        return _sent(name, asked, "image/webp", state.store.get_thumbnail(asked.digest))
    except ObjectMissing:
        return _sent(name, asked, "image/webp", None)


def _sent(name: str, asked: Thumbnail, kind: str, data: bytes | None) -> Response:
    """Return a picture as a response that browsers keep as long as its address lives; None: what stands in for it."""
    response = Response(data or placeholder(), mimetype=kind)
    left = max(0, int(asked.expires - time.time()))
    response.headers["Cache-Control"] = f"private, max-age={left}" if data else "no-store"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # a shop shows it on its own pages
    if data:
        response.set_etag(name)
        response.make_conditional(request)
    return response


def is_ready(state: AppState, asked: Thumbnail) -> bool | None:
    """Return whether the tenant's picture of these bytes was embedded, None where it has none: one trip, one index."""

    def look(connection: Connection[Any]) -> bool | None:
        with connection.pipeline():  # both are one transaction, where the role may be limited to one tenant
            sql.run(connection, "http", "speak_for", {"tenant": asked.tenant})
            found = sql.run(connection, "http", "is_ready", {"tenant": asked.tenant, "digest": asked.digest})
        row = found.fetchone()
        return None if row is None else row["ready"]

    return state.sessions.ask(look)


@cache
def placeholder() -> bytes:
    """Return what stands in for a thumbnail that is not made yet."""
    return files(__package__).joinpath("static/placeholder.webp").read_bytes()
