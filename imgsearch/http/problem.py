"""What goes wrong, as an RFC 9457 problem document: a typed code for programs, and what to do for people.

Below 500 the sentence is the error's own. From 500 on it is the sentence of the error's type: the message itself may
name hosts, folders or buckets, which stay in the log beside the request's number.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

import psycopg
from flask import Response, g
from werkzeug.exceptions import HTTPException

from imgsearch.db.sqlstate import translate
from imgsearch.errors import Busy, ImgsearchError, NoSpace, PictureError, QueryTimeout, UnknownSpace
from imgsearch.http import metrics
from imgsearch.http.identity import Identity

log = logging.getLogger("imgsearch.http")
CONTENT_TYPE = "application/problem+json"
_SPEAKS_TO_STRANGERS = (QueryTimeout, NoSpace, Busy)  # 5xx whose messages name nothing of ours
_OVERRUN = "The database did not respond in time; ask for fewer rows or a narrower filter, or try again later."
_CONFLICT = "Somebody else changed the same images meanwhile; send it again."
_REFUSED = (
    "The database rejected a value of this request; send plain text without control characters, and numbers in range."
)
_STANDARD = {
    405: "Method not allowed; see the header Allow.",
    413: "The request is too large.",
}
_INTERNAL = "Internal error; give the operator the request id in `instance`."


class Problem(Exception):
    """A response other than success."""

    def __init__(self, status: int, code: str, detail: str, *, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.more = dict(more or {})
        self.headers: dict[str, str] = {}


class Unauthorized(Problem):
    """Missing or invalid API key."""

    def __init__(self, detail: str, code: str = "unauthorized") -> None:
        super().__init__(401, code, detail)
        self.headers["WWW-Authenticate"] = "Bearer"


class TooMany(Problem):
    """More requests than allowed; `seconds` until the next is welcome."""

    def __init__(self, seconds: float, reason: str = "Too many requests") -> None:
        super().__init__(429, "too_many_requests", f"{reason}; wait {seconds:.2f} s.")
        self.headers["Retry-After"] = str(max(1, round(seconds + 0.5)))


def bad_request(detail: str, code: str = "bad_request") -> Problem:
    """Return the problem of an invalid request."""
    return Problem(400, code, detail)


def from_exception(error: BaseException) -> Problem:
    """Return the problem document of an error, and count it; an unforeseen one goes to the log, whole."""
    found = _understood(error)
    metrics.refused(found.code)
    return found


def code_of(error: ImgsearchError) -> str:
    """Return what programs call an error of ours."""
    return error.code if isinstance(error, PictureError) else _snake(type(error).__name__)


def _understood(error: BaseException) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, psycopg.Error):
        error = _of_database(error)
        if isinstance(error, Problem):
            return error
    if isinstance(error, ImgsearchError):
        return _typed(error)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        detail = _STANDARD.get(error.code) or error.description or error.name
        found = Problem(error.code, _snake(type(error).__name__), detail)
        found.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
        return found
    if isinstance(error, UnicodeEncodeError | RecursionError):
        return bad_request(_REFUSED)
    log.error("request %s failed", g.get("imgsearch_request", "?"), exc_info=error)
    return Problem(500, "internal", _INTERNAL)


def response(problem: Problem) -> Response:
    """Return the document of a problem as a response."""
    made = Response(document(problem, g.get("imgsearch_request", "none")), problem.status, content_type=CONTENT_TYPE)
    made.headers.update(problem.headers)
    return made


def document(problem: Problem, number: str) -> str:
    """Return the document of a problem, as JSON; `number` is what the request is called in the log."""
    found = {
        "type": f"urn:imgsearch:problem:{problem.code}",
        "title": problem.code.replace("_", " "),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "instance": f"urn:imgsearch:request:{number}",
        **problem.more,
    }
    return json.dumps(found)


def _of_database(error: psycopg.Error) -> BaseException:
    typed = translate(error)
    if typed is not None:
        return typed
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Problem(504, "database_timeout", _OVERRUN)
    if isinstance(error, psycopg.DataError | psycopg.errors.ProgramLimitExceeded | psycopg.errors.StatementTooComplex):
        return bad_request(_REFUSED)
    if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
        return Problem(409, "conflict", _CONFLICT)
    if isinstance(error, psycopg.IntegrityError):
        return bad_request(f"The database rejected this: {error.diag.message_primary or 'a rule of its tables'}.")
    return error


def _typed(error: ImgsearchError) -> Problem:
    code = code_of(error)
    number, advice = g.get("imgsearch_request", "?"), getattr(error, "advice", "")
    if error.http_status < 500 or isinstance(error, _SPEAKS_TO_STRANGERS):
        if advice:
            log.warning("request %s: %s %s", number, error, advice)
        said = _without_spaces(str(error)) if isinstance(error, UnknownSpace) else str(error)
        found = Problem(error.http_status, code, f"{said} {advice}" if advice and _is_operator() else said)
    else:
        log.warning("request %s: %s: %s", number, type(error).__name__, error)
        found = Problem(error.http_status, code, (type(error).__doc__ or "").strip().partition("\n")[0])
    if error.retry_after is not None:
        found.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return found


def _without_spaces(said: str) -> str:
    """Which models a shop has is no matter of whoever searches: a key that does not administer is told no names."""
    who = g.get("imgsearch_identity")
    if isinstance(who, Identity) and who.may("admin"):
        return said
    return said.partition(" There are: ")[0] + " Leave space out, or ask whoever runs the service which there are."


def _is_operator() -> bool:
    """Return whether whoever asks may read what a setting has to do with it: an administrator of all tenants."""
    found = g.get("imgsearch_identity")
    return isinstance(found, Identity) and found.tenant is None and found.may("admin")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
