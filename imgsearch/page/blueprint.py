"""The blueprint of the page: its views, its static files and its headers."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from flask import Blueprint, Response, request

from imgsearch.errors import ImgsearchError
from imgsearch.http import access, problem
from imgsearch.http.blueprint import guard
from imgsearch.http.problem import Problem
from imgsearch.http.state import app_state
from imgsearch.page import brand, choices, frame, judge, product, sign_in, suggestions, upload_form, views
from imgsearch.page.brand import FOR_EVER

NAME = "imgsearch_page"
# The page loads only its own files and the shop's logo; nothing inline runs, nobody may frame it, no form leads away.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:%s; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def make() -> Blueprint:
    """Return a fresh blueprint; the one of `imgsearch.http` must be registered beside it."""
    made = Blueprint(NAME, __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    guard(made, failed)
    made.after_request(after)
    for part in (views, choices, product, judge, suggestions, brand, upload_form, sign_in):
        part.mount(made)
    return made


def failed(error: Exception) -> Response:
    """Return an error as a page."""
    return frame.failed(problem.from_exception(error))


def failed_anywhere(error: Exception) -> Response:
    """Return an error where no route was found: as a page to a browser, else as a problem document."""
    found = problem.from_exception(error)
    accepts = request.accept_mimetypes
    is_api = request.path.startswith(f"{app_state().url_prefix}/v1/") or request.blueprint == "imgsearch"
    if not is_api and accepts.accept_html and accepts.best != "*/*":
        with suppress(
            Problem, ImgsearchError, psycopg.Error
        ):  # no route, so nobody was asked who they are: their menu stays
            access.admit()
        return after(frame.failed(found, nowhere=True))
    return problem.response(found)


def after(response: Response) -> Response:
    """Put the headers of a page on a response; they come before those of `imgsearch.http`."""
    html = response.mimetype == "text/html"
    if html:
        response.headers.setdefault("Content-Security-Policy", POLICY % brand.logo_origin(app_state().settings))
        response.headers.setdefault("Cache-Control", "private, no-cache")
    if request.endpoint == f"{NAME}.static" and "v" in request.args and response.status_code == 200:
        response.headers["Cache-Control"] = FOR_EVER
    return response
