"""The blueprint: what happens before and after every request, and where its parts are."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response, g, request

from imgsearch.flask import access, api, health, openapi, page, problem, reader, thumbnails
from imgsearch.flask.site import site

NAME = "imgsearch"
# The page loads only its own files; nothing inline runs, nobody may frame it, no form leads elsewhere.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def make() -> Blueprint:
    """Answer a fresh blueprint: one per app, so that several apps never share state."""
    made = Blueprint(NAME, __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    made.before_request(before)
    made.after_request(after)
    made.register_error_handler(Exception, failed)
    for part in (api, health, openapi, thumbnails, page):
        part.mount(made)
    return made


def before() -> Response | None:
    g.imgsearch_request = secrets.token_hex(6)
    largest = site().settings.http_body
    request.max_content_length = largest
    request.max_form_memory_size = largest
    request.max_form_parts = reader.MOST_PARTS
    return access.admit()


def failed(error: Exception) -> Response:
    """Answer an error: as a page to whoever looks at the page, else as a problem document."""
    found = problem.of(error)
    if page.is_page():
        return page.failed(found)
    return problem.response(found)


def after(response: Response) -> Response:
    """Put the safe headers on an answer; doing it twice changes nothing."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    html = response.mimetype == "text/html"
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if html else DATA_POLICY)
    if request.endpoint == f"{NAME}.static" and "v" in request.args and response.status_code == 200:
        response.headers["Cache-Control"] = thumbnails.FOR_EVER
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store" if not html else "private, no-cache"
    return access.share(response)
