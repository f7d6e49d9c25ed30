"""The lines of a bulk request: each within a savepoint, so that a bad one harms nothing beside it, a hundred together.

A transaction of a thousand would hold its connection and its locks for as long as all of them take. Where the database
fails, the lines of that hundred and those behind are told as failed and nothing of them is kept; sent again, lines that
were done are told as unchanged or missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import Connection

from imgsearch.errors import ImgsearchError
from imgsearch.http import access, caps, ids, responses
from imgsearch.http.changes import BulkAdd, BulkChange, BulkDelete
from imgsearch.http.problem import Problem, bad_request, from_exception
from imgsearch.http.state import AppState
from imgsearch.ingest import changes, upload
from imgsearch.ingest.changes import Changed
from imgsearch.settings import Settings

Asked = BulkAdd | BulkChange | BulkDelete
TOGETHER = 100  # lines of one transaction
SECONDS = 20.0  # after which no further line is begun
TOO_LATE = Problem(503, "busy", "Not done: the lines before it took too long. Send it again.")


def outcomes(state: AppState, lines: Sequence[tuple[int, Asked | Problem]]) -> list[responses.Outcome]:
    """Do what the lines ask, and return what became of each. Raises what keeps the first of them from being done."""
    ends = time.monotonic() + SECONDS
    done: list[responses.Outcome] = []
    for start in range(0, len(lines), TOGETHER):
        try:
            with state.session(access.me().tenant, writes=True) as connection:
                made = [
                    outcome(connection, state.settings, number, line if time.monotonic() < ends else TOO_LATE)
                    for number, line in lines[start : start + TOGETHER]
                ]
        except (Problem, ImgsearchError, psycopg.Error) as error:
            if not done:
                raise
            failed = from_exception(error)
            return done + [
                _failed(number, line if isinstance(line, Problem) else failed) for number, line in lines[start:]
            ]
        done += made
    return done


def outcome(connection: Connection[Any], settings: Settings, number: int, line: Asked | Problem) -> responses.Outcome:
    """Do what line `number` asks, and return what became of it. Raises what is nobody's line's fault."""
    if isinstance(line, Problem):
        return _failed(number, line)
    try:
        with connection.transaction():
            return _done(connection, settings, number, line)
    except (Problem, ImgsearchError, psycopg.Error) as error:
        found = from_exception(error)
        if found.status >= 500:
            raise
        return _failed(number, found)


def checked(found: Changed) -> Changed:
    """Return what was changed. Raises Problem where attributes grew beyond what may be added at once."""
    if found.largest > caps.ATTRIBUTES_BYTES:
        raise bad_request(
            f"attributes would take {found.largest} bytes together; at most {caps.ATTRIBUTES_BYTES} are allowed. "
            "Take names away with null."
        )
    return found


def _done(connection: Connection[Any], settings: Settings, number: int, line: Asked) -> responses.Outcome:
    tenant = access.tenant_of(line.tenant) or "default"
    if isinstance(line, BulkAdd):
        fields = line.model_dump(exclude={"tenant", "url", "action"})
        fields["attributes"] = line.attributes or {}
        added = upload.add(connection, line.url, tenant=tenant, settings=settings, **fields)
        return _told(number, added.outcome, [added.image_id])
    which = {"product_id": line.product_id, "position": line.position}
    image = None if line.image_id is None else ids.taken(line.image_id)
    if (image is None) == (line.product_id is None):
        raise bad_request("Name either a product_id or an image_id.")
    if isinstance(line, BulkDelete):
        gone = upload.remove(connection, tenant=tenant, image_id=image, **which)  # type: ignore[arg-type]
        return _told(number, "deleted" if gone else "missing", gone)
    found = checked(changes.change(connection, tenant=tenant, image_id=image, **which, **line.given))  # type: ignore[arg-type]
    written = "changed" if found.changed or found.words else "unchanged"
    return _told(number, written if found.images else "missing", list(found.images))


def _told(number: int, became: Any, images: list[int]) -> responses.Outcome:
    return responses.Outcome(line=number, outcome=became, image_ids=[ids.shown(one) for one in images], error=None)


def _failed(number: int, problem: Problem) -> responses.Outcome:
    said = responses.Failure(code=problem.code, detail=problem.detail)
    return responses.Outcome(line=number, outcome="failed", image_ids=[], error=said)
