"""The blueprint of the JSON API, and what happens before and after every request to it and to the page."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

from flask import Blueprint, Response, g, request
from flask_cors import CORS

from imgsearch.http import (
    access,
    api,
    caps,
    catalogue,
    duplicates,
    health,
    merchandise,
    openapi,
    problem,
    products,
    suggestions,
    thumbnails,
    watched,
)
from imgsearch.http.state import app_state
from imgsearch.settings import Settings

NAME = "imgsearch"
POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
}


def make(settings: Settings, prefix: str) -> Blueprint:
    """Return a fresh blueprint: one per app, so that several apps never share state."""
    made = Blueprint(NAME, __name__)
    guard(made, failed)
    _share(made, settings.http_cors, prefix)
    for part in (api, catalogue, duplicates, health, merchandise, openapi, products, suggestions, thumbnails):
        part.mount(made)
    return made


def guard(blueprint: Blueprint, on_error: Callable[[Exception], Response]) -> None:
    """Check who asks before each request of a blueprint, and put the safe headers on each response."""
    blueprint.before_request(before)
    blueprint.after_request(after)
    blueprint.register_error_handler(Exception, on_error)


def before() -> Response | None:
    """Set the limits of the request's body, and check who asks."""
    g.imgsearch_request, g.imgsearch_began = secrets.token_hex(6), time.perf_counter()
    largest = app_state().settings.http_body
    adds = request.endpoint in {
        f"{NAME}.v1_{one}" for one in ("add", "add_upload", "many")
    }  # a thousand images, with their fields
    fields = min(largest, caps.IMAGES_JSON_BYTES if adds else caps.JSON_BYTES)
    request.max_content_length = largest if request.mimetype == "multipart/form-data" else fields
    request.max_form_memory_size = fields
    request.max_form_parts = caps.IMAGES + 1
    return access.admit()


def failed(error: Exception) -> Response:
    """Return an error as a problem document."""
    return problem.response(problem.from_exception(error))


def after(response: Response) -> Response:
    """Put the safe headers on a response; doing it twice changes nothing."""
    done = g.get("imgsearch_answer") is response  # the blueprint has, and now its app would
    if done:
        return response
    g.imgsearch_answer = response
    here = {name.lower() for name in response.headers.keys()}  # noqa: SIM118 - iterating gives pairs
    for name, value in HEADERS.items():
        if name.lower() not in here:
            response.headers.add(name, value)
    state = app_state()
    state.metrics.ended(request.endpoint, response.status_code, g.pop("imgsearch_began", None))
    used: tuple[str, bytes | None] | None = g.pop("imgsearch_used", None)
    if used and state.last_use.is_due(*used):
        response.call_on_close(lambda: state.last_use.note(*used))  # the answer is under way by then
    asked: tuple[str, str] | None = g.pop("imgsearch_question", None)
    if asked:
        response.call_on_close(lambda: state.questions.keep(*asked))
    watched.explained(state, response)
    return response


def _share(blueprint: Blueprint, origins: frozenset[str], prefix: str) -> None:
    """Let pages of these origins read the API, and no others. Every option is given: none is taken from the host."""
    if origins:
        CORS(
            blueprint,
            resources={rf"{re.escape(prefix)}/v1/.*": {}},
            origins=[re.compile(rf"{re.escape(origin)}\Z") for origin in sorted(origins)],
            methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
            supports_credentials=False,
            send_wildcard=False,
            always_send=False,
            vary_header=True,
            max_age=600,
        )
