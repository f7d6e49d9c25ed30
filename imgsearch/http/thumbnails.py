"""Thumbnails: made once by the worker, served under addresses that never change. Nothing is decoded here."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from flask import Blueprint, Response, abort

from imgsearch.errors import ObjectMissing
from imgsearch.http import access, links
from imgsearch.http.state import app_state

FOR_EVER = "public, max-age=31536000, immutable"


def mount(blueprint: Blueprint) -> None:
    """Add the route of thumbnails."""
    blueprint.add_url_rule("/thumbnail/<name>.webp", "thumbnail", access.public(thumbnail))


def thumbnail(name: str) -> Response:
    """Return a thumbnail, or a grey picture while there is none yet; 404 where the signature is not ours."""
    state = app_state()
    digest = links.digest_in(state, "thumbnail", name)
    if digest is None:
        abort(404, "Thumbnail not found.")
    try:
        found = state.store.get_thumbnail(digest)
    except ObjectMissing:
        found = b""
    made = found[:4] == b"RIFF" and found[8:12] == b"WEBP"  # whatever else got into the store is not for browsers
    response = Response(found if made else placeholder(), mimetype="image/webp")
    response.headers["Cache-Control"] = FOR_EVER if made else "no-store"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # a shop shows it on its own pages
    if made:
        response.set_etag(name)
    return response


@cache
def placeholder() -> bytes:
    """Return what stands in for a thumbnail that is not made yet."""
    return files(__package__).joinpath("static/placeholder.webp").read_bytes()
